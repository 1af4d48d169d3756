/* mesh-dissect: parses the command line, and maps the result to an exit code. */
#include <stdio.h>
#include <stdlib.h>

#include "capture.h"
#include "dissect.h"
#include "export.h"
#include "mesh/program/standard_streams.h"
#include "mesh/version.h"
#include "settings.h"

static int run(const struct settings *settings, struct fail *fail)
{
    if (settings->list_interfaces)
        return capture_list(stdout, fail) < 0 ? (int)fail->exit_code : EXIT_OK;
    if (settings->has_export)
        return export_write((enum export_kind)settings->export, stdout, fail) < 0 ? (int)fail->exit_code : EXIT_OK;
    return dissect(settings, fail);
}

int main(int argc, char **argv)
{
    struct settings settings = {0};
    struct fail fail = {0};
    int code = EXIT_OK;

    standard_streams_occupy();
    if (settings_parse(&settings, argc - 1, argv + 1, &fail) < 0)
        code = (int)fail.exit_code;
    else if (settings.version)
        puts("mesh-dissect " MESH_VERSION);
    else if (!settings.help)
        code = run(&settings, &fail);
    settings_release(&settings);
    if (code == EXIT_OK && standard_streams_flush(&fail) < 0)
        code = EXIT_ENVIRONMENT;
    if (code != EXIT_OK) {
        fflush(stdout);
        fprintf(stderr, "mesh-dissect: %s\n", fail.text);
    }
    return code;
}
