/* mesh-node: dispatches the subcommand, and maps its result to an exit code. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "mesh/program/fail.h"
#include "mesh/program/options.h"
#include "mesh/program/standard_streams.h"
#include "mesh/version.h"
#include "node/common/log.h"
#include "node/gguf/gguf_guard.h"
#include "node/run/run.h"

static const struct command {
    const char *name, *help;
    int (*run)(int argc, char *const *argv, struct fail *fail);
} commands[] = {
    {"run", "generate text on this machine, with one or more node processes", run_command},
    {"serve", "be a node of a cluster", serve_command},
    {"ask", "ask a running cluster to generate text", ask_command},
    {"api", "answer requests of OpenAI's API over HTTP, by a running cluster", api_command},
    {"status", "show the members of a running cluster", status_command},
    {"plan", "show what every node would compute and hold", plan_command},
    {"inspect", "show the metadata and tensors of a GGUF file", inspect_command},
    {"synth", "write a model of random weights, for tests", synth_command},
    {"stories", "write small stories, to train a model on", stories_command},
    {"train", "train a small model on a text", train_command},
    {"quantize", "write a model with its matrices in another type", quantise_command},
    {"bench", "measure this machine: kernels, decode, meshes", bench_command},
    {"keygen", "make a pre-shared key", keygen_command},
};

enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

static void print_help(void)
{
    puts("mesh-node - compute node of Diolkos Mesh: one language model on many small machines\n\nusage: mesh-node COMMAND [OPTIONS]\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        printf("  %-9s %s\n", commands[i].name, commands[i].help);
    puts("\n  --help    this text; mesh-node COMMAND --help tells more\n"
         "  --version the version\n\n"
         "examples:\n"
         "  mesh-node run -m model.gguf -p \"Once upon a time\" --local 3\n"
         "  mesh-node plan -m model.gguf --nodes 4\n"
         "  mesh-node inspect model.gguf\n\n"
         "exit codes: 0 ok, 1 difference or failed check, 2 usage, 3 bad input file, 4 environment, 77 skipped");
}

/* An unknown word where a command is expected. */
static int refuse(const char *name, struct fail *fail)
{
    const char *names[COMMAND_COUNT + 3];
    size_t count = 0;

    for (size_t i = 0; i < COMMAND_COUNT; i++)
        names[count++] = commands[i].name;
    names[count++] = "--help";
    names[count++] = "--version";
    names[count] = NULL;
    const char *nearest = options_nearest(name, names);
    if (nearest == NULL)
        return fail_set(fail, EXIT_USAGE, "'%.60s': no such command: mesh-node --help lists them", name);
    return fail_set(fail, EXIT_USAGE, "'%.60s': no such command: did you mean %s? mesh-node --help lists them", name, nearest);
}

static bool asks(const char *argument, const char *name, const char *short_name)
{
    return strcmp(argument, name) == 0 || strcmp(argument, short_name) == 0;
}

static int print_version(void)
{
    puts("mesh-node " MESH_VERSION);
    return 0;
}

static int run_named(int argc, char **argv, struct fail *fail)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return argc > 2 && asks(argv[2], "--version", "-V") ? print_version() : commands[i].run(argc - 2, argv + 2, fail);
    return refuse(argv[1], fail);
}

static int run(int argc, char **argv, struct fail *fail)
{
    if (argc < 2)
        return fail_set(fail, EXIT_USAGE, "no command: nothing to do: mesh-node --help lists them");
    if (asks(argv[1], "--help", "-h")) {
        print_help();
        return 0;
    }
    if (asks(argv[1], "--version", "-V"))
        return print_version();
    return run_named(argc, argv, fail);
}

int main(int argc, char **argv)
{
    struct fail fail = {0};

    standard_streams_occupy();
    gguf_guard_program("mesh-node");
    int result = run(argc, argv, &fail);

    if (result >= 0)
        result = standard_streams_flush(&fail);
    if (result < 0)
        log_line("mesh-node: %s", fail.text);
    log_stop();
    return result < 0 ? (int)fail.exit_code : EXIT_OK;
}
