/* mesh-explore: runs scenario after scenario; prints the seed that failed and the command that repeats it. */
#include "explore.h"

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_EXPLORE_OK = 0, EXIT_EXPLORE_FAILED = 1, EXIT_EXPLORE_USAGE = 2, EXPLORE_HANG_S = 120, EXPLORE_SECONDS = 10 };

static const struct explore_kind *const explore_kinds[] = {&explore_exchange, &explore_cluster, &explore_members};
enum { EXPLORE_KINDS = sizeof explore_kinds / sizeof explore_kinds[0] };

struct explore_options {
    uint64_t first, count;           /* seeds */
    uint64_t seconds;                /* 0: no limit */
    const struct explore_kind *kind; /* NULL: all, in turn */
    bool verbose;
};

struct explore_totals {
    uint64_t scenarios, events, datagrams, virtual_ns;
    uint64_t epochs, faults, heal_ns_max;
};

/* What a signal handler may print: the command that repeats the scenario under way. */
static char explore_repeat[200];

static const char explore_usage[] =
    "usage: mesh-explore [--seconds S] [--seeds FIRST:COUNT] [--kind NAME] [-v]\n"
    "\n"
    "Run random scenarios on the network simulator, each decided by its seed, until the time is up, the seeds are done or one fails.\n"
    "\n"
    "  --seconds S           stop after S seconds (default 10, or no limit when --seeds is given)\n"
    "  --seeds FIRST:COUNT   these seeds (default: from a number drawn from the clock onwards)\n"
    "  --kind NAME           only this kind of scenario: exchange, cluster or members\n"
    "  -v, --verbose         one line per scenario\n"
    "  --help, --version\n"
    "\n"
    "Exit codes: 0 all passed, 1 one failed, 2 usage. A failure prints the command that repeats it.\n"
    "\n"
    "  mesh-explore --seconds 120\n"
    "  mesh-explore --seeds 4711:1 -v\n";

static uint64_t explore_clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* From a signal handler. */
static void explore_say(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0) {
        return; /* there is nobody to tell */
    }
}

static void explore_on_signal(int signal_number)
{
    explore_say("mesh-explore: crashed or hung: repeat with: ");
    explore_say(explore_repeat);
    if (signal_number == SIGALRM) {
        _exit(EXIT_EXPLORE_FAILED);
    }
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

/* One scenario. False: it failed, and said so. */
static bool explore_one(const struct explore_options *options, const char *program, uint64_t seed, struct explore_totals *totals)
{
    const struct explore_kind *kind = options->kind != NULL ? options->kind : explore_kinds[seed % EXPLORE_KINDS];
    struct explore_report report = {0};

    snprintf(explore_repeat, sizeof explore_repeat, "%.100s --kind %s --seeds %" PRIu64 ":1\n", program, kind->name, seed);
    alarm(EXPLORE_HANG_S);
    kind->run(seed, &report);
    alarm(0);
    totals->scenarios++;
    totals->events += report.events;
    totals->datagrams += report.datagrams;
    totals->virtual_ns += report.virtual_ns;
    totals->epochs += report.epochs;
    totals->faults += report.faults;
    totals->heal_ns_max = report.heal_ns > totals->heal_ns_max ? report.heal_ns : totals->heal_ns_max;
    if (options->verbose) {
        printf("seed %" PRIu64 ": %s%" PRIu64 " events, %" PRIu64 " us\n", seed, report.scenario, report.events, report.virtual_ns / 1000);
    }
    if (report.error[0] != '\0') {
        printf("mesh-explore: seed %" PRIu64 ": %s\n%s\nrepeat with: %s", seed, report.scenario, report.error, explore_repeat);
        return false;
    }
    return true;
}

static void explore_progress(const struct explore_totals *totals, uint64_t elapsed_ns, uint64_t seed)
{
    printf("%6.1f s: %" PRIu64 " scenarios up to seed %" PRIu64 ", %" PRIu64 " events, %" PRIu64 " datagrams, %.1f s of virtual time\n",
           (double)elapsed_ns / 1e9, totals->scenarios, seed, totals->events, totals->datagrams, (double)totals->virtual_ns / 1e9);
    if (totals->epochs > 0) {
        printf("          members: %" PRIu64 " epochs, %" PRIu64 " faults, one epoch again after %.3f s at most\n", totals->epochs,
               totals->faults, (double)totals->heal_ns_max / 1e9);
    }
    fflush(stdout);
}

static int explore_run(const struct explore_options *options, const char *program)
{
    const uint64_t start_ns = explore_clock_ns(), limit_ns = options->seconds * 1000000000u;
    struct explore_totals totals = {0};
    uint64_t said_ns = start_ns, seed = options->first;

    for (uint64_t i = 0; i < options->count; i++, seed++) {
        const uint64_t now_ns = explore_clock_ns();

        if (limit_ns != 0 && now_ns - start_ns >= limit_ns) {
            break;
        }
        if (now_ns - said_ns >= 5000000000u) {
            said_ns = now_ns;
            explore_progress(&totals, now_ns - start_ns, seed);
        }
        if (!explore_one(options, program, seed, &totals)) {
            return EXIT_EXPLORE_FAILED;
        }
    }
    explore_progress(&totals, explore_clock_ns() - start_ns, seed - (seed > options->first));
    return EXIT_EXPLORE_OK;
}

static bool explore_number(const char *text, char end, const char **rest, uint64_t *number)
{
    char *after;

    if (*text < '0' || *text > '9') {
        return false;
    }
    *number = strtoull(text, &after, 10);
    if (*after != end) {
        return false;
    }
    *rest = after + (end != '\0');
    return true;
}

static bool explore_find_kind(const char *name, struct explore_options *options)
{
    for (size_t i = 0; i < EXPLORE_KINDS; i++) {
        if (strcmp(name, explore_kinds[i]->name) == 0) {
            options->kind = explore_kinds[i];
            return true;
        }
    }
    return false;
}

/* -1: run; otherwise the exit code. */
static int explore_parse(int argc, char **argv, struct explore_options *options)
{
    static const struct option names[] = {{"seconds", required_argument, NULL, 's'},
                                          {"seeds", required_argument, NULL, 'r'},
                                          {"kind", required_argument, NULL, 'k'},
                                          {"verbose", no_argument, NULL, 'v'},
                                          {"help", no_argument, NULL, 'h'},
                                          {"version", no_argument, NULL, 'V'},
                                          {NULL, 0, NULL, 0}};
    bool good = true, has_seconds = false, has_seeds = false;
    const char *rest;
    int letter;

    while (good && (letter = getopt_long(argc, argv, "v", names, NULL)) != -1) {
        if (letter == 'h' || letter == 'V') {
            fputs(letter == 'h' ? explore_usage : "mesh-explore " MESH_VERSION "\n", stdout);
            return EXIT_EXPLORE_OK;
        }
        if (letter == 's') {
            good = has_seconds = explore_number(optarg, '\0', &rest, &options->seconds);
        } else if (letter == 'r') {
            good = has_seeds = explore_number(optarg, ':', &rest, &options->first) && explore_number(rest, '\0', &rest, &options->count);
        } else if (letter == 'k') {
            good = explore_find_kind(optarg, options);
        } else {
            good = letter == 'v';
            options->verbose = true;
        }
    }
    if (!good || optind != argc) {
        fprintf(stderr, "mesh-explore: wrong arguments: see --help\n");
        return EXIT_EXPLORE_USAGE;
    }
    if (!has_seconds && !has_seeds) {
        options->seconds = EXPLORE_SECONDS;
    }
    if (!has_seeds) {
        options->first = explore_clock_ns() / 1000;
    }
    return -1;
}

int main(int argc, char **argv)
{
    struct explore_options options = {.count = UINT64_MAX};
    const int exit_code = explore_parse(argc, argv, &options);

    if (exit_code >= 0) {
        return exit_code;
    }
    signal(SIGABRT, explore_on_signal);
    signal(SIGSEGV, explore_on_signal);
    signal(SIGALRM, explore_on_signal);
    setvbuf(stdout, NULL, _IOLBF, 0);
    return explore_run(&options, argv[0]);
}
