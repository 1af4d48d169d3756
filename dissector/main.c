/* mesh-dissect: parses the command line, and maps the result to an exit code. */
#include <stdio.h>

#include "capture.h"
#include "dissect.h"
#include "export.h"
#include "mesh/program/standard_streams.h"
#include "mesh/version.h"
#include "settings.h"

static int run(const struct settings *settings, struct fail *fail)
{
    if (settings->list_interfaces)
        return capture_list(stdout, fail);
    if (settings->has_export)
        return export_write((enum export_kind)settings->export, stdout, fail);
    return dissect(settings, fail);
}

int main(int argc, char **argv)
{
    struct settings settings = {0};
    struct fail fail = {0};
    int result;

    standard_streams_occupy();
    result = settings_parse(&settings, argc - 1, argv + 1, &fail);
    if (result == 0 && settings.version)
        puts("mesh-dissect " MESH_VERSION);
    else if (result == 0 && !settings.help)
        result = run(&settings, &fail);
    settings_release(&settings);
    if (result >= 0)
        result = standard_streams_flush(&fail);
    if (result == 0)
        return EXIT_OK;
    fflush(stdout);
    fprintf(stderr, "mesh-dissect: %s\n", fail.text);
    return (int)fail.exit_code;
}
