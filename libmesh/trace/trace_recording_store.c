/* The recorder's thread of a recording: entries into chunks and rows of a trace, a transaction for each batch; and when the next file
 * begins. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "trace_compact.h"
#include "trace_parts.h"
#include "trace_recording.h"

enum {
    ROW_COST_BYTES = 64,        /* of a row besides its texts and blobs, about */
    CHUNK_BYTES_MAX = 1 << 20,  /* of records */
    HELPED_BYTES_MAX = 8 << 20, /* likewise, of a batch's calls that were taken before it: a quarter of a second and more */
    HELPED_ROWS_BYTES = 1 << 18
};

struct storing {
    struct recording_store *store;
    struct mesh_trace *trace;
    uint64_t bytes, calls, datagrams, gaps;
    struct {
        uint64_t instance, next;
    } before[RECORDING_CORES]; /* of the batch, with has_taken */
    bool has_taken;
    int err;
};

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool is_fine(struct storing *s, int err)
{
    s->err = s->err != 0 ? s->err : err;
    return err == 0;
}

/* ---- calls ---- */

static void clear_chunk(struct recording_chunk *chunk)
{
    chunk->row = (struct mesh_trace_chunk){0};
    chunk->datagrams = 0;
    mesh_compact_clear(chunk->compact);
}

static void add_chunk(struct storing *s, const struct recording_calls *calls, const struct recording_chunk *chunk)
{
    struct mesh_trace_chunk row = chunk->row;
    size_t stored = 0;

    if (row.count == 0)
        return;
    row.node = MESH_RECORDING_NODE;
    row.core = calls->core;
    row.instance = calls->instance;
    is_fine(s, mesh_trace_add_compact(s->trace, &row, chunk->compact, &stored));
    s->bytes += stored + ROW_COST_BYTES;
    s->calls += row.count;
    s->datagrams += chunk->datagrams;
}

/* The chunk that is there, if any; the next one begins empty. */
static void end_chunk(struct storing *s, struct recording_calls *calls)
{
    if (calls->batch.row.count == 0)
        return;
    add_chunk(s, calls, &calls->batch);
    clear_chunk(&calls->batch);
}

static uint8_t kind_of(const struct mesh_recorder_entry *entry)
{
    return *(const uint8_t *)entry->content; /* the first field of every record */
}

/* False without memory. */
static bool put_call(struct recording_calls *calls, struct recording_chunk *chunk, const struct mesh_recorder_entry *entry)
{
    size_t fixed, payload;
    const int err = mesh_tape_measure(entry->content, entry->bytes, &fixed, &payload);

    assert(err == 0 && fixed + payload == entry->bytes); /* hear() has encoded it */
    (void)err;
    if (!mesh_compact_put(chunk->compact, entry->content, fixed, payload))
        return false;
    chunk->datagrams += mesh_tape_is_datagram(kind_of(entry));
    if (chunk->row.count++ == 0) {
        chunk->row.first = calls->next;
        chunk->row.t_ns = (int64_t)entry->when_ns;
    }
    chunk->row.end_ns = (int64_t)entry->when_ns;
    calls->next++;
    return true;
}

static void take_call(struct storing *s, struct recording_calls *calls, const struct mesh_recorder_entry *entry)
{
    struct mesh_tape_entry call;
    size_t used;

    if (kind_of(entry) == MESH_TAPE_INIT) { /* another endpoint */
        end_chunk(s, calls);
        if (mesh_tape_decode(entry->content, entry->bytes, &call, &used) == 0)
            calls->instance = call.init.epoch;
        s->store->has_init = entry->bytes == sizeof s->store->init;
        if (s->store->has_init)
            memcpy(s->store->init, entry->content, entry->bytes);
    }
    if (calls->batch.row.count > 0 && mesh_compact_bytes(calls->batch.compact) + entry->bytes > CHUNK_BYTES_MAX)
        end_chunk(s, calls);
    if (!put_call(calls, &calls->batch, entry))
        is_fine(s, MESH_ENOMEM);
}

/* ---- gaps ---- */

static const char *const lane_names[] = {"endpoint", "cluster", "client sessions", "tokens, requests, events"};
_Static_assert(sizeof lane_names / sizeof *lane_names == (size_t)RECORDING_LANES, "each lane has a name");
_Static_assert((size_t)RECORDING_LANES == (size_t)MESH_RECORDER_LANES, "each lane of the recorder is one of a recording");

static void add_gap(struct storing *s, uint16_t lane, const char *what, const struct mesh_recorder_loss *loss)
{
    char reason[100];
    const struct mesh_trace_gap row = {
        .node = MESH_RECORDING_NODE,
        .t_ns = (int64_t)loss->first_ns,
        .end_ns = (int64_t)loss->last_ns,
        .what = what,
        .after_input = MESH_TRACE_NULL,
        .count = loss->count,
        .reason = reason,
    };

    if (loss->count == 0)
        return;
    snprintf(reason, sizeof reason, "%s: %s", lane_names[lane],
             loss->first_ns <= s->store->refused_ns ? "the disk was full, or failed" : "the disk or the processor did not keep up");
    is_fine(s, mesh_trace_add_row_gap(s->trace, &row, NULL));
    s->gaps++;
    s->bytes += ROW_COST_BYTES;
}

static void take_gap(struct storing *s, const struct mesh_recorder_entry *entry)
{
    struct mesh_recorder_gap gap;

    memcpy(&gap, entry->content, sizeof gap);
    if (entry->lane != RECORDING_ROWS && gap.entries.count > 0) {
        end_chunk(s, &s->store->calls[entry->lane]);
        s->store->calls[entry->lane].next += gap.entries.count;
    }
    add_gap(s, entry->lane, entry->lane == RECORDING_ROWS ? "rows" : "calls", &gap.entries);
    add_gap(s, entry->lane, "payloads", &gap.payloads);
}

/* ---- rows ---- */

/* Its endpoint's record, unless there is none: of a node alone, or lost. */
static void set_config(const struct recording_store *store, struct mesh_trace_epoch *epoch)
{
    struct mesh_tape_entry init;
    size_t used;

    if (epoch->config.bytes == NULL && store->has_init && mesh_tape_decode(store->init, sizeof store->init, &init, &used) == 0 &&
        init.init.epoch == epoch->epoch)
        epoch->config = (struct mesh_trace_bytes){store->init, sizeof store->init};
}

static void add_row(struct storing *s, enum mesh_trace_table table, const uint8_t *packed)
{
    _Alignas(8) uint8_t row[RECORDING_ROW_BYTES_MAX];

    mesh_recording_unpack_row(table, packed, row);
    if (table == MESH_TRACE_TABLE_EPOCH)
        set_config(s->store, (struct mesh_trace_epoch *)(void *)row);
    if (table == MESH_TRACE_TABLE_REPORT)
        is_fine(s, mesh_trace_add_report(s->trace, (const struct mesh_trace_report *)(const void *)row, NULL));
    else
        is_fine(s, mesh_trace_add(s->trace, table, row, NULL));
}

static void take_row(struct storing *s, const struct mesh_recorder_entry *entry)
{
    const enum mesh_trace_table table = (enum mesh_trace_table)(entry->kind - RECORDING_ROW);
    struct recording_store *store = s->store;

    if (table == MESH_TRACE_TABLE_EPOCH) {
        uint8_t *kept = malloc(entry->bytes);

        if (kept == NULL) {
            is_fine(s, MESH_ENOMEM);
            return;
        }
        memcpy(kept, entry->content, entry->bytes);
        free(store->epoch);
        store->epoch = kept;
    }
    add_row(s, table, entry->content);
    s->bytes += entry->bytes + ROW_COST_BYTES;
}

static void take_meta(struct storing *s, const struct mesh_recorder_entry *entry)
{
    const char *key = entry->content, *value = key + strlen(key) + 1;

    if (is_fine(s, mesh_recording_keep_meta(s->store, key, value) ? 0 : MESH_ENOMEM))
        is_fine(s, mesh_trace_set_meta(s->trace, key, value));
}

/* ---- helping: what is taken before the batch at hand ---- */

static size_t kept_bytes(size_t content)
{
    return sizeof(struct mesh_recorder_entry) + (content + 7) / 8 * 8;
}

static bool keep_row(struct recording_rows *rows, const struct mesh_recorder_entry *entry)
{
    if (HELPED_ROWS_BYTES - rows->used < kept_bytes(entry->bytes))
        return false;
    memcpy(rows->at + rows->used, entry, sizeof *entry);
    memcpy(rows->at + rows->used + sizeof *entry, entry->content, entry->bytes);
    rows->used += kept_bytes(entry->bytes);
    return true;
}

bool mesh_recording_store_take(void *app, const struct mesh_recorder_entry *entry)
{
    struct recording_store *store = app;
    struct recording_calls *calls;
    struct recording_chunk *chunk;

    if (entry->kind >= RECORDING_ROW)
        return keep_row(&store->helped[store->taking], entry);
    if (entry->kind != RECORDING_CALL || kind_of(entry) == MESH_TAPE_INIT)
        return false;
    calls = &store->calls[entry->lane];
    chunk = &calls->helped[store->taking];
    return mesh_compact_bytes(chunk->compact) + entry->bytes <= HELPED_BYTES_MAX && put_call(calls, chunk, entry);
}

void mesh_recording_store_swap(void *app)
{
    struct recording_store *store = app;

    store->taking = !store->taking;
}

/* Into the file; kept until the batch is in it. */
static void add_helped(struct storing *s)
{
    const unsigned taken = !s->store->taking;
    const struct recording_rows *rows = &s->store->helped[taken];
    struct mesh_recorder_entry entry;

    for (int lane = 0; lane < RECORDING_CORES && s->err == 0; lane++)
        add_chunk(s, &s->store->calls[lane], &s->store->calls[lane].helped[taken]);
    for (size_t at = 0; at < rows->used && s->err == 0; at += kept_bytes(entry.bytes)) {
        memcpy(&entry, rows->at + at, sizeof entry);
        entry.content = rows->at + at + sizeof entry;
        take_row(s, &entry);
    }
}

static void clear_helped(struct recording_store *store)
{
    const unsigned taken = !store->taking;

    store->helped[taken].used = 0;
    for (int lane = 0; lane < RECORDING_CORES; lane++)
        if (store->calls[lane].helped[taken].row.count > 0)
            clear_chunk(&store->calls[lane].helped[taken]);
}

/* ---- a file ---- */

/* What stands in every file. */
static void begin_file(struct storing *s)
{
    struct recording_store *store = s->store;

    is_fine(s, mesh_trace_add_row_node(s->trace, &store->node, NULL));
    for (unsigned i = 0; i < store->meta_count; i++)
        is_fine(s, mesh_trace_set_meta(s->trace, store->meta[i].key, store->meta[i].value));
    if (store->epoch != NULL)
        add_row(s, MESH_TRACE_TABLE_EPOCH, store->epoch);
}

/* In a transaction of its own, which is in the file before the first batch. */
static void begin_next_file(struct storing *s)
{
    if (is_fine(s, mesh_trace_begin(s->trace)))
        begin_file(s);
    if (s->err == 0)
        s->err = mesh_trace_commit(s->trace);
    mesh_trace_rollback(s->trace);
    s->store->has_begun = s->err == 0;
}

/* A next file that cannot be made is tried again after the next batch; until then the present one grows. One that can be made, but has no
 * room for its beginning, gets that before the next batch. */
static void rotate(struct recording_store *store)
{
    char reason[MESH_TRACE_REASON_BYTES];
    const uint64_t now = now_ns();

    if ((store->file_bytes == 0 || store->written < store->file_bytes) && (store->file_ns == 0 || now - store->begun_ns < store->file_ns))
        return;
    if (mesh_recording_file_next(&store->file, reason) != 0)
        return;
    store->written = 0;
    store->begun_ns = now;
    atomic_fetch_add(&store->files, 1);
    struct storing s = {.store = store, .trace = store->file.trace};
    begin_next_file(&s);
}

/* ---- a batch ---- */

/* The present numbers come back when the batch fails. While there is a batch, helping threads take none. */
static void remember_numbers(struct storing *s)
{
    for (int lane = 0; lane < RECORDING_CORES; lane++) {
        s->before[lane].instance = s->store->calls[lane].instance;
        s->before[lane].next = s->store->calls[lane].next;
    }
    s->has_taken = true;
}

static void forget_batch(struct storing *s)
{
    for (int lane = 0; lane < RECORDING_CORES; lane++) {
        s->store->calls[lane].instance = s->before[lane].instance;
        s->store->calls[lane].next = s->before[lane].next;
        clear_chunk(&s->store->calls[lane].batch);
    }
}

static void take_all(struct storing *s, struct mesh_recorder_batch *batch)
{
    struct mesh_recorder_entry entry;

    while (s->err == 0 && mesh_recorder_next(batch, &entry)) {
        if (!s->has_taken)
            remember_numbers(s);
        if (entry.kind == MESH_RECORDER_GAP)
            take_gap(s, &entry);
        else if (entry.kind == RECORDING_CALL)
            take_call(s, &s->store->calls[entry.lane], &entry);
        else if (entry.kind == RECORDING_META)
            take_meta(s, &entry);
        else
            take_row(s, &entry);
    }
    for (int lane = 0; lane < RECORDING_CORES && s->err == 0; lane++)
        end_chunk(s, &s->store->calls[lane]);
}

static void count(struct storing *s)
{
    struct recording_store *store = s->store;

    store->written += s->bytes;
    atomic_fetch_add(&store->bytes, s->bytes);
    atomic_fetch_add(&store->call_count, s->calls);
    atomic_fetch_add(&store->datagrams, s->datagrams);
    atomic_fetch_add(&store->gaps, s->gaps);
}

int mesh_recording_store_write(void *app, struct mesh_recorder_batch *batch, char why[MESH_RECORDER_REASON_BYTES])
{
    struct recording_store *store = app;
    struct storing s = {.store = store, .trace = store->file.trace};

    if (store->is_refused)
        store->refused_ns = now_ns();
    s.err = mesh_recording_file_check(&store->file);
    if (s.err == 0 && !store->has_begun)
        begin_next_file(&s);
    if (s.err == 0)
        s.err = mesh_trace_begin(s.trace);
    if (s.err == 0)
        add_helped(&s);
    if (s.err == 0)
        take_all(&s, batch);
    if (s.err == 0)
        s.err = mesh_trace_commit(s.trace);
    store->is_refused = s.err != 0;
    if (s.err == 0) {
        count(&s);
        clear_helped(store);
        rotate(store);
        return 0;
    }
    snprintf(why, MESH_RECORDER_REASON_BYTES, "%s", s.err == MESH_ENOMEM ? TRACE_NO_MEMORY : mesh_trace_reason(s.trace));
    mesh_trace_rollback(s.trace);
    if (s.has_taken)
        forget_batch(&s);
    return s.err;
}

/* ---- opening and closing ---- */

static bool open_chunks(struct recording_store *store)
{
    bool has_all = true;

    for (int lane = 0; lane < RECORDING_CORES; lane++) {
        struct recording_calls *calls = &store->calls[lane];

        calls->batch.compact = mesh_compact_open();
        has_all &= calls->batch.compact != NULL;
        for (unsigned i = 0; i < 2; i++)
            has_all &= (calls->helped[i].compact = mesh_compact_open()) != NULL;
    }
    for (unsigned i = 0; i < 2; i++)
        has_all &= (store->helped[i].at = malloc(HELPED_ROWS_BYTES)) != NULL;
    return has_all;
}

static void close_chunks(struct recording_store *store)
{
    for (int lane = 0; lane < RECORDING_CORES; lane++) {
        mesh_compact_close(store->calls[lane].batch.compact);
        for (unsigned i = 0; i < 2; i++)
            mesh_compact_close(store->calls[lane].helped[i].compact);
    }
    for (unsigned i = 0; i < 2; i++)
        free(store->helped[i].at);
}

int mesh_recording_store_open(struct recording_store *store, const struct mesh_recording_config *config,
                              char reason[MESH_TRACE_REASON_BYTES])
{
    int err;

    store->node = config->node;
    store->node.id = MESH_RECORDING_NODE;
    store->node.name = config->node.name != NULL ? strdup(config->node.name) : NULL;
    store->node.ip = store->node.incarnation = (struct mesh_trace_bytes){0};
    if (config->node.ip.size == sizeof store->node_ip)
        store->node.ip = (struct mesh_trace_bytes){memcpy(store->node_ip, config->node.ip.bytes, sizeof store->node_ip), 16};
    store->file_bytes = config->file_bytes;
    store->file_ns = config->file_ns;
    store->begun_ns = now_ns();
    store->calls[RECORDING_ENDPOINT] = (struct recording_calls){.core = MESH_TRACE_CORE_MESH, .next = 1};
    store->calls[RECORDING_CLUSTER] = (struct recording_calls){.core = MESH_TRACE_CORE_CLUSTER, .next = 1};
    store->calls[RECORDING_SESSIONS] = (struct recording_calls){.core = MESH_TRACE_CORE_SESSION, .next = 1};
    if (!open_chunks(store) || (config->node.name != NULL && store->node.name == NULL))
        return mesh_recording_no_memory(config->path, reason);
    atomic_store(&store->files, 1);
    err = mesh_recording_file_open(&store->file, config->path, config->follows, reason);
    if (err == 0) {
        struct storing s = {.store = store, .trace = store->file.trace};

        if (!mesh_recording_keep_meta(store, "payloads", config->keeps_all ? "all" : "none") ||
            !mesh_recording_keep_meta(store, "ids", config->keeps_all ? "all" : "hash"))
            return mesh_recording_no_memory(config->path, reason);
        begin_next_file(&s);
        err = s.err;
        if (err != 0)
            snprintf(reason, MESH_TRACE_REASON_BYTES, "%.80s: %.110s", config->path, mesh_trace_reason(s.trace));
    }
    return err;
}

void mesh_recording_store_end(struct recording_store *store)
{
    if (store->has_begun)
        mesh_recording_file_end(&store->file, NULL);
}

void mesh_recording_store_close(struct recording_store *store)
{
    mesh_recording_file_close(&store->file);
    close_chunks(store);
    for (unsigned i = 0; i < store->meta_count; i++) {
        free(store->meta[i].key);
        free(store->meta[i].value);
    }
    free(store->epoch);
    free((void *)(uintptr_t)store->node.name);
}
