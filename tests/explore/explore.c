/* mesh-explore: runs scenario after scenario; prints the seed that failed and the command that repeats it. */
#include "explore.h"

#include <getopt.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "mesh/version.h"

enum { EXIT_EXPLORE_OK = 0, EXIT_EXPLORE_FAILED = 1, EXIT_EXPLORE_USAGE = 2, EXPLORE_HANG_S = 120, EXPLORE_SECONDS = 10 };

static const struct explore_kind *const explore_kinds[] = {&explore_exchange, &explore_cluster, &explore_members, &explore_serve};
#define EXPLORE_SAY_NS UINT64_C(30000000000)
enum { EXPLORE_KINDS = sizeof explore_kinds / sizeof explore_kinds[0] };

struct explore_options {
    uint64_t first, count;           /* seeds */
    uint64_t seconds;                /* 0: no limit */
    const struct explore_kind *kind; /* NULL: all, in turn */
    bool verbose;
};

/* What has run of a kind so far. */
struct explore_totals {
    uint64_t scenarios, events, datagrams, virtual_ns, spent_ns;
    uint64_t tokens, epochs, faults, heal_ns_max;
};

/* What a signal handler may print: the command that repeats the current scenario. */
static char explore_repeat[200];

static const char explore_usage[] =
    "usage: mesh-explore [--seconds S] [--seeds FIRST:COUNT] [--kind NAME] [-v]\n"
    "\n"
    "Run random scenarios on the network simulator, each decided by its seed, until the time is up, the seeds are done or one fails.\n"
    "\n"
    "  --seconds S           stop after S seconds (default 10, or no limit when --seeds is given)\n"
    "  --seeds FIRST:COUNT   these seeds of every kind (default: from a number drawn from the clock onwards)\n"
    "  --kind NAME           only this kind of scenario: exchange, cluster, members or serve; without it they share the time\n"
    "  -v, --verbose         one line per scenario\n"
    "  -h, --help            this text\n"
    "  -V, --version         the version\n"
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

/* Called by a signal handler. */
static void explore_say(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0) {
        return; /* nothing can be reported */
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

/* Runs one scenario. False when it failed, which has been reported. */
static bool explore_one(const struct explore_options *options, const char *program, const struct explore_kind *kind, uint64_t seed,
                        struct explore_totals *totals)
{
    const uint64_t start_ns = explore_clock_ns();
    struct explore_report report = {0};

    snprintf(explore_repeat, sizeof explore_repeat, "%.100s --kind %s --seeds %" PRIu64 ":1\n", program, kind->name, seed);
    alarm(EXPLORE_HANG_S);
    kind->run(seed, &report);
    alarm(0);
    totals->spent_ns += explore_clock_ns() - start_ns;
    totals->scenarios++;
    totals->events += report.events;
    totals->datagrams += report.datagrams;
    totals->virtual_ns += report.virtual_ns;
    totals->tokens += report.tokens;
    totals->epochs += report.epochs;
    totals->faults += report.faults;
    totals->heal_ns_max = report.heal_ns > totals->heal_ns_max ? report.heal_ns : totals->heal_ns_max;
    if (options->verbose) {
        printf("%s %" PRIu64 ": %s%" PRIu64 " events, %" PRIu64 " us\n", kind->name, seed, report.scenario, report.events,
               report.virtual_ns / 1000);
    }
    if (report.error[0] != '\0') {
        printf("mesh-explore: %s %" PRIu64 ": %s\n%s\nrepeat with: %s", kind->name, seed, report.scenario, report.error, explore_repeat);
        return false;
    }
    return true;
}

static void explore_say_kind(const struct explore_options *options, const struct explore_kind *kind, const struct explore_totals *totals)
{
    printf("  %-8s %" PRIu64 " scenarios, seeds %" PRIu64 " to %" PRIu64 ": %" PRIu64 " events, %" PRIu64
           " datagrams, %.1f s of virtual time",
           kind->name, totals->scenarios, options->first, options->first + totals->scenarios - 1, totals->events, totals->datagrams,
           (double)totals->virtual_ns / 1e9);
    if (totals->tokens > 0) {
        printf(", %" PRIu64 " tokens checked", totals->tokens);
    }
    if (totals->epochs > 0) {
        printf(", %" PRIu64 " faults, %" PRIu64 " epochs, one again after %.3f s at most", totals->faults, totals->epochs,
               (double)totals->heal_ns_max / 1e9);
    }
    printf("\n");
}

static void explore_progress(const struct explore_options *options, const struct explore_totals totals[EXPLORE_KINDS], uint64_t elapsed_ns)
{
    printf("%6.1f s:\n", (double)elapsed_ns / 1e9);
    for (size_t k = 0; k < EXPLORE_KINDS; k++) {
        if (totals[k].scenarios > 0) {
            explore_say_kind(options, explore_kinds[k], &totals[k]);
        }
    }
    fflush(stdout);
}

/* The kind that is furthest behind its part of the time; EXPLORE_KINDS when all seeds are done. Each kind runs its seeds in order, so the
 * choice only decides how far it gets. */
static size_t explore_next_kind(const struct explore_options *options, const struct explore_totals totals[EXPLORE_KINDS])
{
    size_t next = EXPLORE_KINDS;

    for (size_t k = 0; k < EXPLORE_KINDS; k++) {
        if ((options->kind == NULL || options->kind == explore_kinds[k]) && totals[k].scenarios < options->count &&
            (next == EXPLORE_KINDS ||
             totals[k].spent_ns / explore_kinds[k]->weight < totals[next].spent_ns / explore_kinds[next]->weight)) {
            next = k;
        }
    }
    return next;
}

static int explore_run(const struct explore_options *options, const char *program)
{
    const uint64_t start_ns = explore_clock_ns(), limit_ns = options->seconds * 1000000000u;
    struct explore_totals totals[EXPLORE_KINDS] = {0};
    uint64_t said_ns = start_ns;
    size_t kind;

    while ((kind = explore_next_kind(options, totals)) < EXPLORE_KINDS) {
        const uint64_t now_ns = explore_clock_ns();

        if (limit_ns != 0 && now_ns - start_ns >= limit_ns) {
            break;
        }
        if (now_ns - said_ns >= EXPLORE_SAY_NS) {
            said_ns = now_ns;
            explore_progress(options, totals, now_ns - start_ns);
        }
        if (!explore_one(options, program, explore_kinds[kind], options->first + totals[kind].scenarios, &totals[kind])) {
            return EXIT_EXPLORE_FAILED;
        }
    }
    explore_progress(options, totals, explore_clock_ns() - start_ns);
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

    while (good && (letter = getopt_long(argc, argv, "hvV", names, NULL)) != -1) {
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
    /* Endpoints are opened and closed by the thousand: the process keeps their memory, instead of returning it to the system and fetching
     * it again page by page. */
#if defined(M_MMAP_THRESHOLD)
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
    setvbuf(stdout, NULL, _IOLBF, 0);
    return explore_run(&options, argv[0]);
}
