/* mesh-monitor: parses the command line, and maps the result to an exit code. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "live.h"
#include "mesh/program/options.h"
#include "mesh/program/standard_streams.h"
#include "mesh/version.h"
#include "screen.h"

static const char *const security_words[] = {
    [MESH_SECURITY_NONE] = "none", [MESH_SECURITY_AUTH] = "auth", [MESH_SECURITY_SEAL] = "seal", NULL};

struct arguments {
    const char *to, *key_path, *name;
    int security;
    float seconds;
    float speed;
    struct option_list traces;
    bool has_security, has_seconds, has_speed, batch, no_colour, ascii, no_mouse, help, version;
    struct live_config live;
};

static const char *const usage[] = {"mesh-monitor [--to ADDR:PORT] [--key FILE] [options]",
                                    "mesh-monitor --trace TRACE.db [--speed X] [options]",
                                    "Watch a running mesh: who computes, who waits for whom, what is lost, how fast tokens come.", NULL};
static const char *const examples[] = {"mesh-monitor --to 10.0.0.2:7411 --key mesh.key", "mesh-monitor -b -n 1 --json | jq .tok_per_s",
                                       "mesh-monitor --trace run.db --speed 10", NULL};

static int parse(struct arguments *a, int argc, char **argv, struct fail *fail)
{
    const struct option_spec specs[] = {
        {.name = "to", .kind = OPTION_TEXT, .target = &a->to, .metavar = "ADDR:PORT", .help = "any member (127.0.0.1:7411)"},
        {.name = "key", .kind = OPTION_TEXT, .target = &a->key_path, .metavar = "FILE", .help = "the cluster's pre-shared key"},
        {.name = "name", .kind = OPTION_PROSE, .target = &a->name, .metavar = "TEXT", .help = "cluster name (mesh)"},
        {.name = "security",
         .kind = OPTION_WORD,
         .target = &a->security,
         .was_set = &a->has_security,
         .words = security_words,
         .help = "same as on the nodes (seal with a key)"},
        {.name = "trace",
         .kind = OPTION_LIST,
         .target = &a->traces,
         .metavar = "TRACE.db",
         .help = "show a recording instead; repeat it for other nodes'"},
        {.name = "speed",
         .kind = OPTION_FLOAT,
         .target = &a->speed,
         .was_set = &a->has_speed,
         .float_min = 0.01,
         .float_max = 1000,
         .metavar = "X",
         .help = "playback speed; -b ignores it (1)"},
        {.name = "delay",
         .short_name = 'd',
         .kind = OPTION_FLOAT,
         .target = &a->seconds,
         .was_set = &a->has_seconds,
         .float_min = 0.1,
         .float_max = 60,
         .metavar = "SECONDS",
         .help = "time between updates (1, or the last one used)"},
        {.name = "batch",
         .short_name = 'b',
         .kind = OPTION_FLAG,
         .target = &a->batch,
         .help = "print text instead; the default without a terminal"},
        {.name = "iterations",
         .short_name = 'n',
         .kind = OPTION_U32,
         .target = &a->live.iterations,
         .min = 1,
         .metavar = "N",
         .help = "batch: end after N intervals (never)"},
        {.name = "json", .kind = OPTION_FLAG, .target = &a->live.json, .help = "batch, one JSON object per interval"},
        {.name = "no-colour", .short_name = 'C', .kind = OPTION_FLAG, .target = &a->no_colour, .help = "no colour, as with NO_COLOR"},
        {.name = "ascii", .short_name = 'U', .kind = OPTION_FLAG, .target = &a->ascii, .help = "draw with ASCII only"},
        {.name = "no-mouse", .short_name = 'M', .kind = OPTION_FLAG, .target = &a->no_mouse, .help = "leave the mouse to the terminal"},
        {.name = "readonly", .kind = OPTION_FLAG, .target = &a->live.is_read_only, .help = "write no file: no settings, no snapshots"},
        {.name = "help",
         .short_name = 'h',
         .kind = OPTION_STOP,
         .target = &a->help,
         .help = "this text; press ? while it runs for the keys"},
        {.name = "version", .short_name = 'V', .kind = OPTION_STOP, .target = &a->version, .help = "the version"},
    };
    const size_t count = sizeof specs / sizeof *specs;

    if (options_parse(specs, count, argc, argv, NULL, fail) < 0)
        return -1;
    if (a->help && !a->version)
        options_help(stdout, usage, specs, count, examples);
    return 0;
}

/* The settings of last time, overridden by the options. Of these only the interval is saved: no option takes back the others. */
static void settle(struct arguments *a, char path[SETTINGS_PATH_MAX])
{
    struct settings *settings = &a->live.settings;

    *settings = settings_default;
    if (settings_path(path) == 0) {
        settings_load(settings, path);
        a->live.settings_path = a->live.is_read_only ? NULL : path;
    }
    if (a->has_seconds)
        settings->interval_ms = (uint32_t)(a->seconds * 1000 + 0.5f);
    a->live.no_colour = settings->no_colour || a->no_colour;
    a->live.no_mouse = settings->no_mouse || a->no_mouse;
    a->live.glyphs = screen_glyphs();
    if (settings->glyphs > 0)
        a->live.glyphs = (enum glyph_level)(settings->glyphs - 1);
    if (a->ascii)
        a->live.glyphs = GLYPHS_ASCII;
}

static int prepare(struct arguments *a, struct mesh_key *key, struct mesh_client_config *config, struct fail *fail)
{
    char reason[300];
    int err;

    *config = (struct mesh_client_config){.address = a->to != NULL ? a->to : "127.0.0.1:7411",
                                          .key = key,
                                          .key_file = a->key_path,
                                          .cluster = a->name != NULL ? a->name : "mesh"};
    if (!a->has_security)
        a->security = a->key_path != NULL ? MESH_SECURITY_SEAL : MESH_SECURITY_NONE;
    config->security = (enum mesh_security)a->security;
    if (a->key_path == NULL) {
        if (a->security == MESH_SECURITY_NONE)
            return 0;
        return fail_set(fail, EXIT_USAGE, "--security %s: needs a key: give one with --key FILE", security_words[a->security]);
    }
    err = mesh_key_read(a->key_path, key, reason, sizeof reason);
    if (err != MESH_OK)
        return fail_set(fail, err == MESH_EINVAL ? EXIT_BAD_FILE : EXIT_ENVIRONMENT, "--key %.200s: %s", a->key_path, reason);
    return 0;
}

static int check(const struct arguments *a, bool is_batch, struct fail *fail)
{
    if (a->live.iterations > 0 && !is_batch)
        return fail_set(fail, EXIT_USAGE, "-n: counts the intervals of -b or --json: add one of them");
    if (a->has_speed && a->traces.count == 0)
        return fail_set(fail, EXIT_USAGE, "--speed: plays a recording: name it with --trace TRACE.db");
    if (a->traces.count > 0 && (a->to != NULL || a->key_path != NULL || a->has_security || a->name != NULL))
        return fail_set(fail, EXIT_USAGE,
                        "--trace: a recording and a live mesh (--to, --key, --name, --security) cannot be watched at once: leave one out");
    if (a->has_security && a->security == MESH_SECURITY_NONE && a->key_path != NULL)
        return fail_set(fail, EXIT_USAGE, "--security none and --key %.200s: without security a key is not used: leave one of them out",
                        a->key_path);
    return 0;
}

static int watch_recorded(struct arguments *a, bool is_batch, struct fail *fail)
{
    int result;

    if (recorded_open(&a->live.recorded, a->traces.values, a->traces.count, fail) < 0)
        return -1;
    a->live.speed = (double)a->speed;
    result = is_batch ? live_batch(&a->live, NULL, fail) : live_run(&a->live, NULL, fail);
    recorded_close(a->live.recorded);
    return result;
}

static int run(struct arguments *a, int argc, char **argv, struct fail *fail)
{
    static struct feed feed;
    static char path[SETTINGS_PATH_MAX]; /* lives as long as the arguments, which point to it */
    struct mesh_client_config config;
    struct mesh_key key = {{0}};
    bool is_batch;
    int result;

    if (parse(a, argc - 1, argv + 1, fail) < 0)
        return -1;
    if (a->version)
        puts("mesh-monitor " MESH_VERSION);
    if (a->help || a->version)
        return standard_streams_flush(fail);
    is_batch = a->batch || a->live.json || !isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO);
    if (check(a, is_batch, fail) < 0)
        return -1;
    settle(a, path);
    if (a->traces.count > 0)
        return watch_recorded(a, is_batch, fail);
    if (prepare(a, &key, &config, fail) < 0)
        return -1;
    feed_init(&feed, &config);
    mesh_wipe(&key, sizeof key);
    result = is_batch ? live_batch(&a->live, &feed, fail) : live_run(&a->live, &feed, fail);
    feed_close(&feed);
    return result;
}

int main(int argc, char **argv)
{
    static struct arguments arguments = {.speed = 1};
    struct fail fail = {0};

    standard_streams_occupy();
    if (run(&arguments, argc, argv, &fail) < 0) {
        fprintf(stderr, "mesh-monitor: %s\n", fail.text);
        return (int)fail.exit_code;
    }
    return EXIT_OK;
}
