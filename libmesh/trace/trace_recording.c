/* A recording, on the side of the threads that tell: taps of the cores, and rows. */
#include "mesh/recording.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trace_parts.h"
#include "trace_recording.h"

enum { HELP_ENTRIES = 24 /* between two looks at what the thread waits for */ };

/* A core that is heard. */
struct recording_tap {
    struct mesh_recording *recording;
    uint16_t lane;
    struct mesh_tap tap;
};

struct mesh_recording {
    struct recording_tap tap[RECORDING_CORES];
    struct mesh_recorder *recorder;
    struct recording_store store;
    struct recording_hashes hashes;
    bool keeps_all;
    char *path;
};

/* ---- cores ---- */

static bool keeps_payload(const struct recording_tap *tap, const struct mesh_tape_entry *entry)
{
    return tap->recording->keeps_all && tap->lane != RECORDING_SESSIONS &&
           mesh_recorder_takes_payload(tap->recording->recorder, tap->lane, entry->call.at_ns);
}

/* What clients and the node say to one another must not be guessed, and may be as much as a model, where one is fetched: it has no hash. */
static void leave_out(const struct recording_tap *tap, struct mesh_tape_entry *entry)
{
    if (tap->lane == RECORDING_SESSIONS)
        mesh_tape_leave_out(entry, NULL, NULL);
    else
        mesh_recording_leave_out(&tap->recording->hashes, entry);
}

static void hear(void *user, const struct mesh_tape_entry *entry)
{
    const struct recording_tap *tap = user;
    struct mesh_recorder *recorder = tap->recording->recorder;
    struct mesh_tape_entry without;
    size_t bytes;
    uint8_t *at;

    if (entry->call.kind == MESH_TAPE_INIT)
        mesh_recording_forget_published(&tap->recording->hashes);
    if (entry->call.payload == MESH_TAPE_WHOLE && !keeps_payload(tap, entry)) {
        without = *entry;
        leave_out(tap, &without);
        entry = &without;
    }
    bytes = mesh_tape_record_bytes(entry);
    at = mesh_recorder_begin(recorder, tap->lane, RECORDING_CALL, entry->call.at_ns, bytes);
    if (at == NULL)
        return;
    mesh_tape_encode(entry, at, bytes);
    mesh_recorder_end(at, bytes);
}

const struct mesh_tap *mesh_recording_endpoint_tap(struct mesh_recording *recording)
{
    return &recording->tap[RECORDING_ENDPOINT].tap;
}

const struct mesh_tap *mesh_recording_cluster_tap(struct mesh_recording *recording)
{
    return &recording->tap[RECORDING_CLUSTER].tap;
}

const struct mesh_tap *mesh_recording_sessions_tap(struct mesh_recording *recording)
{
    return &recording->tap[RECORDING_SESSIONS].tap;
}

/* ---- rows ---- */

/* Of this node, with the next number: id and node are the first columns of every table that is recorded. */
static void add_row(struct mesh_recording *recording, enum mesh_trace_table table, const void *row, int64_t t_ns)
{
    static const uint64_t id_and_node[2] = {0, MESH_RECORDING_NODE};
    const size_t bytes = mesh_recording_row_bytes(table, row);
    uint8_t *at = mesh_recorder_begin(recording->recorder, RECORDING_ROWS, (uint16_t)(RECORDING_ROW + (int)table), (uint64_t)t_ns, bytes);

    if (at == NULL)
        return;
    mesh_recording_pack_row(table, row, at);
    memcpy(at, id_and_node, sizeof id_and_node);
    mesh_recorder_end(at, bytes);
}

#define BEGINS_WITH_ID_AND_NODE(name)                                                                              \
    _Static_assert(offsetof(struct mesh_trace_##name, id) == 0 && offsetof(struct mesh_trace_##name, node) == 8 && \
                       offsetof(struct mesh_trace_##name, t_ns) == 16,                                             \
                   #name)
BEGINS_WITH_ID_AND_NODE(epoch);
BEGINS_WITH_ID_AND_NODE(request);
BEGINS_WITH_ID_AND_NODE(token);
BEGINS_WITH_ID_AND_NODE(event);
BEGINS_WITH_ID_AND_NODE(report);

void mesh_recording_set_meta(struct mesh_recording *recording, const char *key, const char *value)
{
    const size_t key_bytes = strlen(key) + 1, bytes = key_bytes + strlen(value) + 1;
    char *at = mesh_recorder_begin(recording->recorder, RECORDING_ROWS, RECORDING_META, 0, bytes);

    if (at == NULL)
        return;
    memcpy(at, key, key_bytes);
    memcpy(at + key_bytes, value, bytes - key_bytes);
    mesh_recorder_end(at, bytes);
}

void mesh_recording_add_epoch(struct mesh_recording *recording, const struct mesh_trace_epoch *row)
{
    add_row(recording, MESH_TRACE_TABLE_EPOCH, row, row->t_ns);
}

void mesh_recording_add_request(struct mesh_recording *recording, const struct mesh_trace_request *row)
{
    struct mesh_trace_request filled = *row;

    if (!recording->keeps_all)
        filled.prompt = (struct mesh_trace_bytes){0};
    add_row(recording, MESH_TRACE_TABLE_REQUEST, &filled, row->t_ns);
}

void mesh_recording_add_token(struct mesh_recording *recording, const struct mesh_trace_token *row)
{
    struct mesh_trace_token filled = *row;

    if (!recording->keeps_all)
        filled.token = mesh_recording_hash_token(&recording->hashes, row->position, row->token);
    add_row(recording, MESH_TRACE_TABLE_TOKEN, &filled, row->t_ns);
}

void mesh_recording_add_event(struct mesh_recording *recording, const struct mesh_trace_event *row)
{
    add_row(recording, MESH_TRACE_TABLE_EVENT, row, row->t_ns);
}

void mesh_recording_add_report(struct mesh_recording *recording, const struct mesh_trace_report *row)
{
    add_row(recording, MESH_TRACE_TABLE_REPORT, row, row->t_ns);
}

/* ---- beginning and ending ---- */

static int open_recorder(struct mesh_recording *recording, uint64_t ring_bytes, char reason[MESH_TRACE_REASON_BYTES])
{
    const struct mesh_recorder_config config = {.store = {.write = mesh_recording_store_write,
                                                          .take = mesh_recording_store_take,
                                                          .swap = mesh_recording_store_swap,
                                                          .app = &recording->store},
                                                .ring_bytes = ring_bytes};
    const int err = mesh_recorder_open(&recording->recorder, &config);

    if (err == MESH_EINVAL)
        snprintf(reason, MESH_TRACE_REASON_BYTES, "%.100s: a ring of %llu bytes cannot be: give a power of 2, at least %d", recording->path,
                 (unsigned long long)ring_bytes, MESH_RECORDER_RING_BYTES_MIN);
    else if (err != 0)
        snprintf(reason, MESH_TRACE_REASON_BYTES, "%.100s: the recorder cannot start: %s: close other programs", recording->path,
                 err == MESH_ESYSTEM ? strerror(errno) : "no memory");
    return err;
}

int mesh_recording_open(struct mesh_recording **recording, const struct mesh_recording_config *config, char reason[MESH_TRACE_REASON_BYTES])
{
    struct mesh_recording *opened = calloc(1, sizeof *opened);
    int err;

    if (opened == NULL)
        return mesh_recording_no_memory(config->path, reason);
    opened->keeps_all = config->keeps_all;
    mesh_recording_hashes_init(&opened->hashes, config->secret);
    for (uint16_t lane = 0; lane < RECORDING_CORES; lane++)
        opened->tap[lane] = (struct recording_tap){.recording = opened, .lane = lane, .tap = {.put = hear, .user = &opened->tap[lane]}};
    err = mesh_recording_store_open(&opened->store, config, reason);
    if (err == 0) {
        opened->path = strdup(opened->store.file.path);
        err = opened->path == NULL ? mesh_recording_no_memory(config->path, reason) : open_recorder(opened, config->ring_bytes, reason);
    }
    if (err != 0) {
        char *made = opened->store.file.path != NULL ? strdup(opened->store.file.path) : NULL;

        mesh_recording_close(opened, NULL);
        if (made != NULL)
            mesh_trace_remove(made); /* nothing is in it yet, and it would be refused the next time */
        free(made);
        return err;
    }
    *recording = opened;
    return 0;
}

const char *mesh_recording_path(struct mesh_recording *recording)
{
    return recording->path;
}

void mesh_recording_help(struct mesh_recording *recording)
{
    mesh_recorder_help(recording->recorder, HELP_ENTRIES);
}

static void count(const struct mesh_recording *recording, struct mesh_recording_stats *stats)
{
    const struct recording_store *store = &recording->store;

    stats->calls = atomic_load(&store->call_count);
    stats->datagrams = atomic_load(&store->datagrams);
    stats->gaps = atomic_load(&store->gaps);
    stats->bytes = atomic_load(&store->bytes);
    stats->files = atomic_load(&store->files);
}

void mesh_recording_get_stats(struct mesh_recording *recording, struct mesh_recording_stats *stats)
{
    mesh_recorder_get_stats(recording->recorder, &stats->recorder);
    count(recording, stats);
}

void mesh_recording_close(struct mesh_recording *recording, struct mesh_recording_stats *stats)
{
    struct mesh_recording_stats end = {0};
    bool is_begun;

    if (recording == NULL)
        return;
    is_begun = recording->recorder != NULL;
    mesh_recorder_close(recording->recorder, &end.recorder);
    count(recording, &end);
    if (is_begun && !end.recorder.is_failing)
        mesh_recording_store_end(&recording->store);
    if (stats != NULL)
        *stats = end;
    mesh_recording_store_close(&recording->store);
    mesh_recording_hashes_wipe(&recording->hashes);
    free(recording->path);
    free(recording);
}
