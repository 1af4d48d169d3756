/* mesh-node: which subcommand, and how it ended. */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "fail.h"
#include "options.h"
#include "run.h"

#ifndef MESH_VERSION
#error "the Makefile defines MESH_VERSION"
#endif

static const struct command {
    const char *name, *help;
    int (*run)(int argc, char *const *argv, struct fail *fail);
} commands[] = {
    {"run", "generate text on this machine, with one or more node processes", run_command},
    {"plan", "show what every node would compute and hold", plan_command},
    {"inspect", "show the metadata and tensors of a GGUF file", inspect_command},
    {"synth", "write a model of random weights, for tests", synth_command},
};

enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

static void print_help(void)
{
    puts("mesh-node - compute node of Diolkos Mesh: one language model on many small machines\n\nusage: mesh-node COMMAND [OPTIONS]\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        printf("  %-9s %s\n", commands[i].name, commands[i].help);
    puts("\nmesh-node COMMAND --help tells more; mesh-node --version the version.\n\n"
         "examples:\n"
         "  mesh-node run -m model.gguf -p \"Once upon a time\" --local 3\n"
         "  mesh-node plan -m model.gguf --nodes 4\n"
         "  mesh-node inspect model.gguf\n\n"
         "exit codes: 0 ok, 1 difference or failed check, 2 usage, 3 bad input file, 4 environment, 77 skipped");
}

static int run_named(int argc, char **argv, struct fail *fail)
{
    const char *names[COMMAND_COUNT + 1];

    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 2, argv + 2, fail);
        names[i] = commands[i].name;
    }
    names[COMMAND_COUNT] = NULL;
    const char *nearest = options_nearest(argv[1], names);
    fail_set(fail, EXIT_USAGE, "%s: no such command%s%s: see mesh-node --help", argv[1], nearest == NULL ? "" : ": did you mean ",
             nearest == NULL ? "" : nearest);
    return fail->exit_code;
}

int main(int argc, char **argv)
{
    struct fail fail = {0};

    if (argc < 2) {
        fputs("mesh-node: no command: nothing to do: see mesh-node --help\n", stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help();
        return EXIT_OK;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        puts("mesh-node " MESH_VERSION);
        return EXIT_OK;
    }
    int code = run_named(argc, argv, &fail);
    if (code != EXIT_OK)
        fprintf(stderr, "mesh-node: %s\n", fail.text);
    return code;
}
