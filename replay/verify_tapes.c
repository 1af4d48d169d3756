#include "verify_tapes.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/seal.h"
#include "mesh/udp.h"
#include "progress_line.h"
#include "tape_reader.h"

static struct verify_core *add_core(struct verify *verify, const char *path, const struct mesh_trace_chunk *chunk)
{
    struct verify_core *core;

    if (verify->count == verify->capacity) {
        const size_t capacity = verify->capacity > 0 ? 2 * verify->capacity : 16;
        struct verify_core *grown = realloc(verify->cores, capacity * sizeof *grown);

        if (grown == NULL)
            return NULL;
        verify->cores = grown;
        verify->capacity = capacity;
    }
    core = &verify->cores[verify->count++];
    *core = (struct verify_core){
        .path = path, .node = chunk->node, .core = chunk->core, .instance = chunk->instance, .first = chunk->first, .next = chunk->first};
    snprintf(core->recording, sizeof core->recording, "%s", verify->recording);
    if (chunk->core == MESH_TRACE_CORE_CLUSTER)
        snprintf(core->name, sizeof core->name, "%.4096s, cluster", path);
    else if (chunk->core == MESH_TRACE_CORE_SESSION)
        snprintf(core->name, sizeof core->name, "%.4096s, client sessions", path);
    else
        snprintf(core->name, sizeof core->name, "%.4096s, epoch %" PRIu64, path, chunk->instance);
    return core;
}

/* The core of this recording whose next call this chunk begins with; otherwise the last one of the same node, kind and instance in this
 * file. */
static struct verify_core *find_core(const struct verify *verify, const char *path, const struct mesh_trace_chunk *chunk)
{
    struct verify_core *last = NULL;

    for (size_t i = verify->count; i-- > 0;) {
        struct verify_core *core = &verify->cores[i];

        if (strcmp(core->recording, verify->recording) != 0 || core->node != chunk->node || core->core != chunk->core ||
            core->instance != chunk->instance)
            continue;
        if (core->next == chunk->first)
            return core;
        if (last == NULL && strcmp(core->path, path) == 0)
            last = core;
    }
    return last;
}

static void end_core(struct verify_core *core, enum verify_state state, const char *why)
{
    core->state = state;
    snprintf(core->why, sizeof core->why, "%s", why);
}

/* 0, or -1 if the file itself is wrong. */
static int feed_one(struct verify_core *core, const struct mesh_tape_entry *entry, struct fail *fail)
{
    const int err = mesh_rerun_feed(core->rerun, entry);

    if (entry->call.kind == MESH_TAPE_INIT) {
        const size_t used = strlen(core->name);

        snprintf(core->name + used, sizeof core->name - used, ", rank %u", entry->init.rank);
    }
    if (err == 1)
        end_core(core, VERIFY_DIFFERS, "");
    else if (err == MESH_EVERSION || err == MESH_ESTATE)
        end_core(core, VERIFY_SKIPPED, mesh_rerun_reason(core->rerun));
    else if (err == MESH_ENOMEM)
        return fail_set(fail, EXIT_ENVIRONMENT, "%.200s: call %" PRIu64 ": %s: close other programs", core->path, core->next,
                        mesh_rerun_reason(core->rerun));
    else if (err < 0)
        return fail_set(fail, EXIT_BAD_FILE, "%.200s: call %" PRIu64 ": %s: no recorder wrote that; record again", core->path, core->next,
                        mesh_rerun_reason(core->rerun));
    return 0;
}

static int feed_records(struct verify_core *core, const struct mesh_trace_chunk *chunk, const uint8_t *records, struct fail *fail)
{
    const uint64_t begun_ns = mesh_udp_now_ns();
    uint64_t count = 0;
    int result = 0;

    for (size_t at = 0; at < chunk->bytes && core->state == VERIFY_RUNNING && result == 0; count++) {
        struct mesh_tape_entry entry;
        size_t used;

        if (mesh_tape_decode(records + at, chunk->bytes - at, &entry, &used) != 0)
            return fail_set(fail, EXIT_BAD_FILE, "%.200s: call %" PRIu64 ": it cannot be read: no recorder wrote that; record again",
                            core->path, core->next);
        at += used;
        result = feed_one(core, &entry, fail);
        core->next++;
    }
    if (result == 0 && core->state == VERIFY_RUNNING && count != chunk->count)
        return fail_set(fail, EXIT_BAD_FILE, "%.200s: chunk %" PRIu64 ": %" PRIu64 " calls where %" PRIu64 " should be: record again",
                        core->path, chunk->id, count, chunk->count);
    core->took_ns += mesh_udp_now_ns() - begun_ns;
    return result;
}

static int take_chunk(struct verify *verify, const char *path, const struct mesh_trace_chunk *chunk, struct fail *fail)
{
    const bool is_beginning = tape_begins(verify->records, chunk->bytes);
    struct verify_core *core = is_beginning ? NULL : find_core(verify, path, chunk);

    if (core == NULL) {
        core = add_core(verify, path, chunk);
        if (core == NULL)
            return fail_set(fail, EXIT_ENVIRONMENT, "%.200s: no memory for another core: close other programs", path);
        if (!is_beginning)
            end_core(core, VERIFY_SKIPPED, "its beginning is missing: name all files of the recording");
        else if (mesh_rerun_open(&core->rerun, mesh_hash16) != 0)
            return fail_set(fail, EXIT_ENVIRONMENT, "%.200s: no memory for a rerun: close other programs", path);
    }
    if (core->state != VERIFY_RUNNING)
        return 0;
    if (core->next != chunk->first) {
        char why[120];

        snprintf(why, sizeof why, "%" PRIu64 " calls are missing after call %" PRIu64 ": the recorder had to leave them out",
                 chunk->first - core->next, core->next - 1);
        end_core(core, VERIFY_CUT, why);
        return 0;
    }
    return feed_records(core, chunk, verify->records, fail);
}

static int run_trace(struct verify *verify, const char *path, struct mesh_trace *trace, struct fail *fail)
{
    struct mesh_trace_cursor *cursor;
    struct mesh_trace_chunk chunk;
    uint64_t chunks, done = 0;
    int result = 0, err = mesh_trace_count(trace, MESH_TRACE_TABLE_CHUNK, &chunks);

    err = err != 0 ? err : mesh_trace_read(trace, MESH_TRACE_TABLE_CHUNK, 0, &cursor);
    trace_recording(trace, verify->recording);
    if (err != 0)
        return trace_failed(path, trace, err, fail);
    while (result == 0 && (err = mesh_trace_next(cursor, &chunk)) == 1) {
        if (chunk.bytes > MESH_TRACE_BLOB_BYTES_MAX)
            result =
                fail_set(fail, EXIT_BAD_FILE, "%.200s: chunk %" PRIu64 ": %" PRIu64 " bytes: no recorder writes that many; record again",
                         path, chunk.id, chunk.bytes);
        else if ((err = mesh_trace_get_chunk(trace, &chunk, verify->records)) != 0)
            break;
        else
            result = take_chunk(verify, path, &chunk, fail);
        progress_line_at(path, ++done, chunks);
    }
    if (result == 0 && err < 0)
        result = trace_failed(path, trace, err, fail);
    mesh_trace_end(cursor);
    return result;
}

int verify_run(struct verify *verify, const char *const *paths, size_t path_count, struct fail *fail)
{
    *verify = (struct verify){0};
    verify->records = malloc(MESH_TRACE_BLOB_BYTES_MAX);
    if (verify->records == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "no memory for a chunk of calls: close other programs");
    for (size_t i = 0; i < path_count; i++) {
        struct mesh_trace *trace = trace_open(paths[i], fail);
        const int result = trace != NULL ? run_trace(verify, paths[i], trace, fail) : -1;

        mesh_trace_close(trace);
        if (result != 0)
            return -1;
    }
    for (size_t i = 0; i < verify->count; i++)
        if (verify->cores[i].state == VERIFY_RUNNING)
            end_core(&verify->cores[i], VERIFY_SAME, "");
    return 0;
}

void verify_release(struct verify *verify)
{
    for (size_t i = 0; i < verify->count; i++)
        mesh_rerun_close(verify->cores[i].rerun);
    free(verify->cores);
    free(verify->records);
    *verify = (struct verify){0};
}
