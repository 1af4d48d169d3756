/* The command line of `mesh-node inspect`. */
#include "commands.h"
#include "inspect.h"
#include "mesh/program/options.h"

int inspect_command(int argc, char *const *argv, struct fail *fail)
{
    static const char *const usage[] = {"mesh-node inspect MODEL.gguf [--json]", "Show the metadata and tensors of a GGUF file.", NULL};
    static const char *const examples[] = {"mesh-node inspect model.gguf | less",
                                           "mesh-node inspect model.gguf --json | grep '\"event\":\"tensor\"'", NULL};
    bool json = false, help = false;
    const char *path = NULL;
    const struct option_spec specs[] = {
        {.name = "json", .kind = OPTION_FLAG, .target = &json, .help = "one JSON object per line"},
        {.name = "help", .short_name = 'h', .kind = OPTION_STOP, .target = &help, .help = "this text"},
    };
    const size_t count = sizeof specs / sizeof *specs;
    struct options_operands operands = {.metavar = "MODEL.gguf", .min = 1, .max = 1, .values = &path};

    if (options_parse(specs, count, argc, argv, &operands, fail) < 0)
        return -1;
    if (help) {
        options_help(stdout, usage, specs, count, examples);
        return 0;
    }
    return inspect_run(path, json, stdout, fail);
}
