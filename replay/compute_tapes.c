#include "compute_tapes.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "node/recompute/recompute.h"

/* ---- the log of a tape ---- */

static int add_record(struct compute_tape *tape, const uint8_t *record, uint32_t bytes)
{
    const size_t needed = tape->log_bytes + sizeof bytes + bytes;

    if (needed > tape->log_capacity) {
        const size_t capacity = 2 * needed;
        uint8_t *grown = realloc(tape->log, capacity);

        if (grown == NULL)
            return -1;
        tape->log = grown;
        tape->log_capacity = capacity;
    }
    memcpy(tape->log + tape->log_bytes, &bytes, sizeof bytes);
    memcpy(tape->log + tape->log_bytes + sizeof bytes, record, bytes);
    tape->log_bytes = needed;
    return 0;
}

/* Rank 0 publishes the log to all ranks alike; the others receive it from rank 0. */
static bool is_of_log(const struct compute_tape *tape, const struct mesh_tape_entry *entry)
{
    if (entry->call.error != 0 || entry->call.payload == MESH_TAPE_EMPTY)
        return false;
    if (tape->init.rank == 0)
        return entry->call.kind == MESH_TAPE_SEND && entry->send.to == 1;
    return entry->call.kind == MESH_TAPE_EVENT && entry->event.type == MESH_EVENT_RECORD && entry->event.rank == 0;
}

static int take_entry(struct compute_tape *tape, const struct mesh_tape_entry *entry)
{
    if (entry->call.kind == MESH_TAPE_INIT)
        tape->init = entry->init;
    tape->has_goodbye |= entry->call.kind == MESH_TAPE_GOODBYE;
    if (!is_of_log(tape, entry))
        return 0;
    if (entry->call.payload == MESH_TAPE_HASHED) {
        tape->log_lost++;
        return 0;
    }
    if (!recompute_is_log(entry->payload, entry->call.payload_bytes))
        return 0;
    if (tape->log_bytes == 0)
        tape->log_at_ns = entry->call.at_ns;
    return add_record(tape, entry->payload, entry->call.payload_bytes);
}

static int read_log(struct compute_tapes *t, struct compute_tape *tape, struct fail *fail)
{
    struct mesh_tape_entry entry;
    struct tape_reader reader;
    uint64_t number;
    int result;

    tape_reader_open(&reader, t->paths, t->path_count, tape->path, &tape->chunk);
    while ((result = tape_reader_next(&reader, &entry, &number, fail)) == 1)
        if (take_entry(tape, &entry) < 0) {
            result = fail_set(fail, EXIT_ENVIRONMENT, "no memory for the step log: close other programs");
            break;
        }
    tape->missing = reader.missing;
    tape_reader_close(&reader);
    return result;
}

/* ---- shares: in the row of the epoch ---- */

static void add_share(struct compute_tape *tape, uint16_t *count, const char *number, uint64_t *sum)
{
    const uint32_t share = (uint32_t)strtoul(number, NULL, 10);

    if (*count < COMPUTE_RANKS_MAX)
        tape->share[(*count)++] = share;
    *sum += share;
}

/* {"shares":[3,2,1]} in rows, or, from before recorders wrote that, [{...,"share":3},...] in members. */
static void read_shares(struct compute_tape *tape, const struct mesh_trace_epoch *row)
{
    static const char list_key[] = "\"shares\":[", key[] = "\"share\":";
    const char *list = row->rows != NULL ? strstr(row->rows, list_key) : NULL, *at = row->members != NULL ? row->members : "";
    uint16_t count = 0;
    uint64_t sum = 0;

    for (list = list != NULL ? list + sizeof list_key - 1 : NULL; list != NULL; list = list != NULL ? list + 1 : NULL) {
        add_share(tape, &count, list, &sum);
        list = strchr(list, ',');
    }
    for (at = count == 0 ? strstr(at, key) : NULL; at != NULL; at = strstr(at, key)) {
        at += sizeof key - 1;
        add_share(tape, &count, at, &sum);
    }
    tape->has_shares = count == tape->init.rank_count && sum > 0;
}

static int find_shares(const char *path, struct mesh_trace *trace, struct compute_tape *tape, struct fail *fail)
{
    struct mesh_trace_cursor *cursor;
    struct mesh_trace_epoch row;
    int err = mesh_trace_read(trace, MESH_TRACE_TABLE_EPOCH, 0, &cursor);

    if (err != 0)
        return trace_failed(path, trace, err, fail);
    while ((err = mesh_trace_next(cursor, &row)) == 1)
        if ((uint64_t)row.epoch == tape->chunk.instance && row.rank == tape->init.rank)
            read_shares(tape, &row);
    mesh_trace_end(cursor);
    return err < 0 ? trace_failed(path, trace, err, fail) : 0;
}

/* ---- finding ---- */

static int add(struct compute_tapes *t, size_t path, const struct mesh_trace_chunk *chunk)
{
    if (t->count == t->capacity) {
        const size_t capacity = t->capacity > 0 ? 2 * t->capacity : 8;
        struct compute_tape *grown = realloc(t->tapes, capacity * sizeof *grown);

        if (grown == NULL)
            return -1;
        t->tapes = grown;
        t->capacity = capacity;
    }
    t->tapes[t->count++] = (struct compute_tape){.path = path, .chunk = *chunk};
    return 0;
}

/* An endpoint begins with a chunk: add it. */
static int look_at_chunk(struct compute_tapes *t, size_t path, struct mesh_trace *trace, struct mesh_trace_chunk *chunk, uint8_t *records,
                         struct fail *fail)
{
    int err;

    if (chunk->core != MESH_TRACE_CORE_MESH)
        return 0;
    if (chunk->bytes > MESH_TRACE_BLOB_BYTES_MAX)
        return fail_set(fail, EXIT_BAD_FILE, "%.200s: chunk %" PRIu64 ": %" PRIu64 " bytes: no recorder writes that many; record again",
                        t->paths[path], chunk->id, chunk->bytes);
    err = mesh_trace_get_chunk(trace, chunk, records);
    if (err != 0)
        return trace_failed(t->paths[path], trace, err, fail);
    chunk->records = (struct mesh_trace_bytes){0};
    if (tape_begins(records, chunk->bytes) && add(t, path, chunk) < 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "no memory for another core: close other programs");
    return 0;
}

static int find_in(struct compute_tapes *t, size_t path, struct mesh_trace *trace, struct fail *fail)
{
    uint8_t *records = malloc(MESH_TRACE_BLOB_BYTES_MAX);
    struct mesh_trace_cursor *cursor = NULL;
    struct mesh_trace_chunk chunk;
    int result = 0, err;

    if (records == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "no memory for a chunk of calls: close other programs");
    err = mesh_trace_read(trace, MESH_TRACE_TABLE_CHUNK, 0, &cursor);
    while (err == 0 && result == 0 && (err = mesh_trace_next(cursor, &chunk)) == 1) {
        result = look_at_chunk(t, path, trace, &chunk, records, fail);
        err = 0;
    }
    if (result == 0 && err < 0)
        result = trace_failed(t->paths[path], trace, err, fail);
    mesh_trace_end(cursor);
    free(records);
    return result;
}

int compute_tapes_find(struct compute_tapes *t, const char *const *paths, size_t path_count, struct fail *fail)
{
    int result = 0;

    *t = (struct compute_tapes){.paths = paths, .path_count = path_count};
    for (size_t i = 0; i < path_count && result == 0; i++) {
        struct mesh_trace *trace = trace_open(paths[i], fail);
        const size_t before = t->count;

        result = trace == NULL ? -1 : find_in(t, i, trace, fail);
        for (size_t k = before; k < t->count && result == 0; k++) {
            result = read_log(t, &t->tapes[k], fail);
            if (result == 0)
                result = find_shares(paths[i], trace, &t->tapes[k], fail);
        }
        mesh_trace_close(trace);
    }
    return result;
}

void compute_tapes_release(struct compute_tapes *t)
{
    for (size_t i = 0; i < t->count; i++)
        free(t->tapes[i].log);
    free(t->tapes);
    *t = (struct compute_tapes){0};
}

/* ---- groups ---- */

/* One log is the beginning of the other, as with a node that ended earlier. Endpoints with the same log have the same results, whichever
 * node they were of. */
static bool belong_together(const struct compute_tape *a, const struct compute_tape *b)
{
    const size_t common = a->log_bytes < b->log_bytes ? a->log_bytes : b->log_bytes;

    return a->init.epoch == b->init.epoch && a->init.rank_count == b->init.rank_count &&
           memcmp(a->init.fingerprint, b->init.fingerprint, sizeof a->init.fingerprint) == 0 &&
           memcmp(a->init.configuration, b->init.configuration, sizeof a->init.configuration) == 0 && common > 0 &&
           memcmp(a->log, b->log, common) == 0;
}

size_t compute_tapes_next_group(struct compute_tapes *t, size_t group[COMPUTE_RANKS_MAX])
{
    size_t count = 0, longest = 0;

    for (size_t i = 0; i < t->count && count < COMPUTE_RANKS_MAX; i++) {
        struct compute_tape *tape = &t->tapes[i];

        if (tape->is_taken || (count > 0 && !belong_together(&t->tapes[group[0]], tape)))
            continue;
        tape->is_taken = true;
        group[count++] = i;
        if (tape->log_bytes > t->tapes[group[longest]].log_bytes)
            longest = count - 1;
    }
    if (longest > 0) {
        const size_t first = group[0];

        group[0] = group[longest];
        group[longest] = first;
    }
    return count;
}
