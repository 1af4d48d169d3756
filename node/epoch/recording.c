#include "recording.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "mesh/udp.h"
#include "mesh/version.h"
#include "node/common/log.h"
#include "node/common/memory_text.h"

/* The file of a rank: "T.db", "T.1.db", ...; NULL: no memory. To be freed. */
static char *path_of(const char *path, uint16_t rank)
{
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path, *dot = strrchr(name, '.');
    const size_t stem = dot != NULL && dot != name ? (size_t)(dot - path) : strlen(path);
    char *made = NULL;

    if (rank == 0)
        return strdup(path);
    return asprintf(&made, "%.*s.%u%s", (int)stem, path, rank, path + stem) < 0 ? NULL : made;
}

int recording_check_others(const char *path, uint16_t ranks, struct fail *fail)
{
    int err = 0;

    for (uint16_t r = 1; path != NULL && r < ranks && err == 0; r++) {
        char *name = path_of(path, r);
        struct stat found;

        if (name == NULL)
            err = fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
        else if (lstat(name, &found) == 0)
            err = fail_set(fail, EXIT_ENVIRONMENT, "--record %s: %s: give another name, or remove the file", name, strerror(EEXIST));
        free(name);
    }
    return err;
}

void recording_remove(const char *path, uint16_t first, uint16_t ranks)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"}; /* the last one exists while its tables are created */

    for (uint16_t r = first; r < ranks; r++) {
        char *stem = path_of(path, r), *name;

        for (size_t i = 0; i < sizeof ends / sizeof *ends && stem != NULL && asprintf(&name, "%s%s", stem, ends[i]) >= 0; i++) {
            unlink(name);
            free(name);
        }
        free(stem);
    }
}

#ifdef MESH_HAVE_TRACE
#include "mesh/recording.h"

enum { RECORDED_REQUESTS_MAX = 4 * ENGINE_SLOTS_MAX, OPTIONS_BYTES = 400 };
#define HANGING_NS UINT64_C(5000000000) /* a disk that takes longer to store a batch does not respond */

enum disk_state { DISK_WORKS, DISK_FAILS, DISK_HANGS };

/* An unfinished request, and its number of tokens so far. */
struct recorded_request {
    uint64_t id; /* 0: free */
    int64_t prompt_tokens;
    uint32_t tokens;
};

struct recording {
    struct mesh_recording *trace;
    struct recorded_request request[RECORDED_REQUESTS_MAX];
    unsigned oldest; /* the oldest of them, given up when there is no room */
    unsigned told;   /* states of its disk, a bit each, since it last worked */
};

/* ---- beginning and ending ---- */

static void describe_machine(struct recording *recording)
{
    struct utsname name;
    struct timespec now;

    recording_meta(recording, "source", "node");
    recording_meta(recording, "program", "mesh-node " MESH_VERSION);
    recording_meta(recording, "clock", "monotonic, of this machine; at begun_ns it was begun_unix_ns");
    if (uname(&name) == 0)
        recording_meta(recording, "machine", "%s %s %s", name.machine, name.sysname, name.release);
    clock_gettime(CLOCK_REALTIME, &now);
    recording_meta(recording, "begun_unix_ns", "%" PRIu64, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
    recording_meta(recording, "begun_ns", "%" PRIu64, mesh_udp_now_ns());
    recording_meta(recording, "tape_format", "%u", MESH_TAPE_FORMAT);
}

static struct mesh_trace_node trace_node(const struct recording_node *node)
{
    static const uint8_t any_ip4[16] = {[10] = 255, [11] = 255}, any_ip6[16] = {0};
    struct mesh_trace_node row = {.name = node->name,
                                  .rank = node->rank == RECORDING_NO_RANK ? MESH_TRACE_NULL : node->rank,
                                  .port = node->addr.port > 0 ? node->addr.port : MESH_TRACE_NULL,
                                  .clock_offset_ns = MESH_TRACE_NULL,
                                  .clock_error_ns = MESH_TRACE_NULL};

    if (memcmp(node->addr.ip, any_ip4, sizeof any_ip4) != 0 && memcmp(node->addr.ip, any_ip6, sizeof any_ip6) != 0)
        row.ip = (struct mesh_trace_bytes){node->addr.ip, sizeof node->addr.ip};
    return row;
}

int recording_open(struct recording **recording, const struct recording_options *options, const struct recording_node *node,
                   const struct mesh_key *key, bool follows, struct fail *fail)
{
    char *path = path_of(options->path, node->rank == RECORDING_NO_RANK ? 0 : node->rank), reason[MESH_TRACE_REASON_BYTES];
    struct mesh_recording_config config = {
        .path = path,
        .keeps_all = options->prompts,
        .file_bytes = (uint64_t)options->size_mb * 1000000,
        .file_ns = (uint64_t)options->time_s * 1000000000,
        .follows = follows,
        .node = trace_node(node),
    };
    struct recording *opened = calloc(1, sizeof *opened);
    int err = MESH_ENOMEM;

    if (key != NULL)
        memcpy(config.secret, key->bytes, sizeof config.secret);
    snprintf(reason, sizeof reason, "%.100s: out of memory: close other programs", options->path);
    if (opened != NULL && path != NULL)
        err = mesh_recording_open(&opened->trace, &config, reason);
    mesh_wipe(config.secret, sizeof config.secret);
    free(path);
    if (err != 0) {
        free(opened);
        return fail_set(fail, err == MESH_ETYPE ? EXIT_BAD_FILE : EXIT_ENVIRONMENT, "--record %s", reason);
    }
    *recording = opened;
    describe_machine(opened);
    return 0;
}

static void tell_what_there_is(const struct mesh_recording_stats *stats, const char *path)
{
    const struct mesh_recorder_stats *r = &stats->recorder;
    char bytes[MEMORY_TEXT_BYTES], files[40] = "", payloads[48] = "", lost[48] = "";

    memory_text(stats->bytes, bytes);
    if (stats->files > 1)
        snprintf(files, sizeof files, ", in %" PRIu32 " files", stats->files);
    if (r->payloads > 0)
        snprintf(payloads, sizeof payloads, "; without %" PRIu64 " payloads", r->payloads);
    if (r->lost > 0)
        snprintf(lost, sizeof lost, "; %" PRIu64 " entries are missing", r->lost);
    log_line("recorded: %s: %" PRIu64 " entries, %s%s%s%s%s%s%s", path, r->entries, bytes, files, payloads, lost,
             r->failures > 0 ? " (" : "", r->failures > 0 ? r->why : "", r->failures > 0 ? ")" : "");
}

int recording_close(struct recording *recording, struct fail *fail)
{
    struct mesh_recording_stats stats;
    char path[PATH_MAX];
    bool is_whole;

    if (recording == NULL)
        return 0;
    snprintf(path, sizeof path, "%s", mesh_recording_path(recording->trace));
    mesh_recording_close(recording->trace, &stats);
    tell_what_there_is(&stats, path);
    is_whole = stats.recorder.lost == 0 && (stats.recorder.payloads == 0 || stats.recorder.failures == 0);
    if (!is_whole && fail != NULL)
        fail_set(fail, EXIT_ENVIRONMENT, "--record %s: the recording is incomplete: make room, or record to another disk", path);
    free(recording);
    return is_whole ? 0 : -1;
}

static enum disk_state disk_state(const struct mesh_recorder_stats *stats)
{
    if (stats->writing_ns > HANGING_NS)
        return DISK_HANGS;
    return stats->is_failing ? DISK_FAILS : DISK_WORKS;
}

void recording_watch(struct recording *recording)
{
    struct mesh_recording_stats stats;
    enum disk_state state;
    const char *path;

    if (recording == NULL)
        return;
    mesh_recording_get_stats(recording->trace, &stats);
    state = disk_state(&stats.recorder);
    if (state == DISK_WORKS ? recording->told == 0 : (recording->told & 1u << state) != 0)
        return;
    recording->told = state == DISK_WORKS ? 0 : recording->told | 1u << state;
    path = mesh_recording_path(recording->trace);
    if (state == DISK_FAILS)
        log_line("--record %s: cannot be written, retrying every second: %s", path, stats.recorder.why);
    else if (state == DISK_HANGS)
        log_line("--record %s: its disk has not responded for %d s: check it", path, (int)(stats.recorder.writing_ns / 1000000000));
    else
        log_line("--record %s: can be written again; %" PRIu64 " entries are missing", path, stats.recorder.lost);
}

bool recording_is_failing(struct recording *recording, char cause[RECORDING_CAUSE_BYTES])
{
    struct mesh_recording_stats stats;
    enum disk_state state;

    if (recording == NULL)
        return false;
    mesh_recording_get_stats(recording->trace, &stats);
    state = disk_state(&stats.recorder);
    if (state == DISK_WORKS)
        return false;
    snprintf(cause, RECORDING_CAUSE_BYTES, ": %s (%.200s)",
             state == DISK_HANGS ? "its disk does not respond: check it" : stats.recorder.why, mesh_recording_path(recording->trace));
    return true;
}

void recording_figures(struct recording *recording, struct recording_figures *figures)
{
    struct mesh_recording_stats stats;

    *figures = (struct recording_figures){0};
    if (recording == NULL)
        return;
    mesh_recording_get_stats(recording->trace, &stats);
    *figures = (struct recording_figures){.entries = stats.recorder.entries,
                                          .calls = stats.calls,
                                          .datagrams = stats.datagrams,
                                          .bytes = stats.bytes,
                                          .entries_lost = stats.recorder.lost,
                                          .payloads_left_out = stats.recorder.payloads,
                                          .gaps = stats.gaps,
                                          .files = stats.files,
                                          .waiting_bytes_max = stats.recorder.ring_bytes_max,
                                          .is_failing = disk_state(&stats.recorder) != DISK_WORKS};
}

const struct mesh_tap *recording_endpoint_tap(struct recording *recording)
{
    return recording == NULL ? NULL : mesh_recording_endpoint_tap(recording->trace);
}

const struct mesh_tap *recording_cluster_tap(struct recording *recording)
{
    return recording == NULL ? NULL : mesh_recording_cluster_tap(recording->trace);
}

const struct mesh_tap *recording_sessions_tap(struct recording *recording)
{
    return recording == NULL ? NULL : mesh_recording_sessions_tap(recording->trace);
}

/* ---- what there is to tell ---- */

void recording_meta(struct recording *recording, const char *key, const char *format, ...)
{
    char value[400];
    va_list list;

    if (recording == NULL)
        return;
    va_start(list, format);
    vsnprintf(value, sizeof value, format, list);
    va_end(list);
    mesh_recording_set_meta(recording->trace, key, value);
}

void recording_meta_hash(struct recording *recording, const char *key, const uint8_t hash[32])
{
    char text[65];

    for (int i = 0; i < 32; i++)
        snprintf(text + 2 * i, 3, "%02x", hash[i]);
    recording_meta(recording, key, "%s", text);
}

void recording_epoch(struct recording *recording, uint64_t now_ns, uint32_t number, const uint8_t id[16], uint16_t rank,
                     const struct mesh_cluster_member *member, const uint32_t *dealt, uint16_t count)
{
    char members[MESH_RANKS_MAX * (MESH_ADDR_TEXT_BYTES + 60) + 4], address[MESH_ADDR_TEXT_BYTES], rows[MESH_RANKS_MAX * 12 + 20];
    size_t used = 1, rows_used = (size_t)snprintf(rows, sizeof rows, "{\"shares\":[");

    if (recording == NULL)
        return;
    members[0] = '[';
    for (uint16_t r = 0; r < count; r++) {
        mesh_addr_format(member[r].addr, address);
        used += (size_t)snprintf(members + used, sizeof members - used, "%s{\"address\":\"%s\",\"share\":%" PRIu32 "}", r > 0 ? "," : "",
                                 address, member[r].share);
        rows_used += (size_t)snprintf(rows + rows_used, sizeof rows - rows_used, "%s%" PRIu32, r > 0 ? "," : "", dealt[r]);
    }
    snprintf(rows + rows_used, sizeof rows - rows_used, "]}");
    snprintf(members + used, sizeof members - used, "]");
    const struct mesh_trace_epoch row = {
        .t_ns = (int64_t)now_ns, .epoch = number, .rank = rank, .epoch_id = {id, id != NULL ? 16 : 0}, .members = members, .rows = rows};
    mesh_recording_add_epoch(recording->trace, &row);
}

/* Other members' requests have a first token here, but no beginning. */
static struct recorded_request *find_request(struct recording *recording, uint64_t id)
{
    struct recorded_request *at = NULL;

    for (unsigned i = 0; i < RECORDED_REQUESTS_MAX; i++) {
        if (recording->request[i].id == id)
            return &recording->request[i];
        if (at == NULL && recording->request[i].id == 0)
            at = &recording->request[i];
    }
    if (at == NULL)
        at = &recording->request[recording->oldest++ % RECORDED_REQUESTS_MAX];
    *at = (struct recorded_request){.id = id, .prompt_tokens = MESH_TRACE_NULL};
    return at;
}

/* As JSON; replay/compute_tokens.c reads it. */
static void write_options(const struct sampling *s, bool ignores_end, char out[OPTIONS_BYTES])
{
#define FORM_f32                       "%.9g"
#define FORM_u32                       "%" PRIu32
#define FORM_u64                       "%" PRIu64
#define VALUE_f32(name)                (double)s->name
#define VALUE_u32(name)                s->name
#define VALUE_u64(name)                s->name
#define FORM(type, name, option, off)  "\"" #name "\":" FORM_##type ","
#define VALUE(type, name, option, off) VALUE_##type(name),
    const int bytes =
        snprintf(out, OPTIONS_BYTES, "{" SAMPLING_FIELDS(FORM) "\"ignore_eos\":%s}", SAMPLING_FIELDS(VALUE) ignores_end ? "true" : "false");

    assert(bytes < OPTIONS_BYTES);
#undef VALUE
#undef FORM
#undef VALUE_u64
#undef VALUE_u32
#undef VALUE_f32
#undef FORM_u64
#undef FORM_u32
#undef FORM_f32
}

void recording_request(struct recording *recording, uint64_t now_ns, const struct request *request)
{
    char options[OPTIONS_BYTES];
    const struct mesh_trace_request row = {
        .t_ns = (int64_t)now_ns,
        .request = request->id,
        .kind = "begin",
        .prompt_tokens = request->prompt_count,
        .tokens = request->predict,
        .options = options,
        .prompt = {request->prompt, request->prompt_count * sizeof *request->prompt},
    };

    if (recording == NULL)
        return;
    write_options(&request->sampling, request->ignore_end, options);
    find_request(recording, request->id)->prompt_tokens = request->prompt_count;
    mesh_recording_add_request(recording->trace, &row);
}

static void add_so_far(struct recording *recording, uint64_t now_ns, uint64_t id, const char *kind, const char *reason)
{
    const struct recorded_request *request = find_request(recording, id);
    const struct mesh_trace_request row = {.t_ns = (int64_t)now_ns,
                                           .request = id,
                                           .kind = kind,
                                           .prompt_tokens = request->prompt_tokens,
                                           .tokens = request->tokens,
                                           .reason = reason};

    mesh_recording_add_request(recording->trace, &row);
}

void recording_request_cancel(struct recording *recording, uint64_t now_ns, uint64_t request, const char *reason)
{
    if (recording != NULL)
        add_so_far(recording, now_ns, request, "cancel", reason);
}

void recording_request_end(struct recording *recording, uint64_t now_ns, uint64_t request, enum engine_done reason)
{
    if (recording == NULL)
        return;
    add_so_far(recording, now_ns, request, "end", engine_done_name(reason));
    find_request(recording, request)->id = 0;
}

void recording_token(struct recording *recording, uint64_t now_ns, const struct engine_token *token)
{
    const struct mesh_trace_token row = {.t_ns = (int64_t)now_ns,
                                         .request = token->request,
                                         .position = token->index,
                                         .step = MESH_TRACE_NULL,
                                         .token = token->id,
                                         .logits_hash = token->digest != 0 ? (int64_t)token->digest : MESH_TRACE_NULL};

    struct recorded_request *request;

    if (recording == NULL)
        return;
    request = find_request(recording, token->request);
    request->tokens = token->index + 1;
    mesh_recording_add_token(recording->trace, &row);
}

void recording_event(struct recording *recording, const struct mesh_telemetry_event *event, const char *text)
{
    const struct mesh_trace_event row = {
        .t_ns = (int64_t)event->when_ns,
        .kind = mesh_telemetry_event_name(event->happened),
        .severity = 1,
        .peer = event->rank == MESH_TELEMETRY_NOBODY ? MESH_TRACE_NULL : event->rank,
        .epoch = event->epoch,
        .step = MESH_TRACE_NULL,
        .phase = MESH_TRACE_NULL,
        .block = MESH_TRACE_NULL,
        .duration_ns = MESH_TRACE_NULL,
        .datagram = MESH_TRACE_NULL,
        .reason = text,
    };

    if (recording != NULL)
        mesh_recording_add_event(recording->trace, &row);
}

void recording_report(struct recording *recording, uint64_t now_ns, uint64_t unix_ms, const uint8_t *piece, size_t bytes)
{
    const struct mesh_trace_report row = {.t_ns = (int64_t)now_ns, .unix_ms = (int64_t)unix_ms, .piece = {piece, bytes}};

    if (recording != NULL)
        mesh_recording_add_report(recording->trace, &row);
}

void recording_help(struct recording *recording)
{
    if (recording != NULL)
        mesh_recording_help(recording->trace);
}

#endif
