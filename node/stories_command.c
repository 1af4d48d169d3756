/* The command line of `mesh-node stories`. */
#include "commands.h"
#include "mesh/program/options.h"
#include "node/stories/stories_file.h"

enum { COUNT_MAX = 1000000000 };

int stories_command(int argc, char *const *argv, struct fail *fail)
{
    static const char *const usage[] = {"mesh-node stories -o FILE [options]",
                                        "Write small stories in plain English, to train a model on: the same bytes on any machine.", NULL};
    static const char *const examples[] = {"mesh-node stories -o stories.txt", "mesh-node stories -o - --count 3 --seed 7", NULL};
    const char *path = NULL;
    uint64_t count = 20000, seed = 1;
    bool help = false;
    const struct option_spec specs[] = {
        {.name = "output",
         .short_name = 'o',
         .kind = OPTION_TEXT,
         .target = &path,
         .metavar = "FILE",
         .help = "text file to write; - is stdout"},
        {.name = "count",
         .kind = OPTION_U64,
         .target = &count,
         .min = 1,
         .max = COUNT_MAX,
         .help = "number of stories; more only add to the text (20000, about 17 MB)"},
        {.name = "seed", .kind = OPTION_U64, .target = &seed, .help = "seed of the stories (1)"},
        {.name = "help", .short_name = 'h', .kind = OPTION_STOP, .target = &help, .help = "this text"},
    };
    const size_t spec_count = sizeof specs / sizeof *specs;

    if (options_parse(specs, spec_count, argc, argv, NULL, fail) < 0)
        return -1;
    if (help) {
        options_help(stdout, usage, specs, spec_count, examples);
        return 0;
    }
    if (path == NULL)
        return fail_set(fail, EXIT_USAGE, "stories: no file to write: give one with -o FILE");
    return stories_file_write(path, seed, count, fail);
}
