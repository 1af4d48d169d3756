/* mesh-replay: dispatches the command, and maps its result to an exit code. */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "mesh/program/standard_streams.h"
#include "mesh/version.h"
#include "node/recompute/recompute.h"
#include "progress_line.h"

static const struct command commands[] = {
    {"info", "what a trace holds", info_command},
    {"verify", "in virtual time: does the same input still give the same output?", verify_command},
    {"run", "against real nodes: the same requests again, at the same times", run_command},
    {"query", "query it in SQL, or by a named query", query_command},
    {"export", "for Perfetto, as pcap, as CSV", export_command},
    {"diff", "where two traces diverge", diff_command},
};
enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

static void help(void)
{
    fputs("usage: mesh-replay COMMAND TRACE.db ... [options]\n"
          "Recordings of a mesh: mesh-node --record writes them, mesh-dissect --import makes them from captures.\n\n",
          stdout);
    for (unsigned i = 0; i < COMMAND_COUNT; i++)
        printf("  %-8s %s\n", commands[i].name, commands[i].what);
    fputs("\nmesh-replay COMMAND --help tells more; docs/TRACE.md describes tables and views.\n\n"
          "examples:\n"
          "  mesh-replay info run.db\n"
          "  mesh-replay query run.db --named stalls\n"
          "  mesh-replay verify run.db run.1.db\n"
          "  mesh-replay run run.db -- mesh-node serve -m model.gguf\n"
          "  mesh-replay export run.db --perfetto run.json\n",
          stdout);
}

static int unknown(const char *name, struct fail *fail)
{
    const char *names[COMMAND_COUNT + 1] = {0};
    const char *nearest;

    for (unsigned i = 0; i < COMMAND_COUNT; i++)
        names[i] = commands[i].name;
    nearest = options_nearest(name, names);
    return fail_set(fail, EXIT_USAGE, "'%.60s': no such command%s%s%s: mesh-replay --help lists them", name,
                    nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
}

static int run_one(const struct command *command, int argc, char *const *argv, struct fail *fail)
{
    int result;

    progress_line_begin(command->name);
    result = command->run(argc, argv, fail);
    progress_line_end();
    return result;
}

static bool asks_version(const char *argument)
{
    return strcmp(argument, "--version") == 0 || strcmp(argument, "-V") == 0;
}

static int version(void)
{
    puts("mesh-replay " MESH_VERSION);
    return EXIT_OK;
}

static int run(int argc, char **argv, struct fail *fail)
{
    if (argc < 2)
        return fail_set(fail, EXIT_USAGE, "no command: nothing to do: mesh-replay --help lists them");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        help();
        return EXIT_OK;
    }
    if (asks_version(argv[1]))
        return version();
    for (unsigned i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return argc > 2 && asks_version(argv[2]) ? version() : run_one(&commands[i], argc - 2, argv + 2, fail);
    return unknown(argv[1], fail);
}

int main(int argc, char **argv)
{
    struct fail fail = {0};

    standard_streams_occupy();
    recompute_guard("mesh-replay");
    int code = run(argc, argv, &fail);

    if (code >= 0 && standard_streams_flush(&fail) < 0)
        code = -1;
    if (code >= 0)
        return code;
    fflush(stdout);
    fprintf(stderr, "mesh-replay: %s\n", fail.text);
    return (int)fail.exit_code;
}
