#include "tape_reader.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

bool tape_begins(const uint8_t *records, size_t bytes)
{
    return bytes > 0 && mesh_tape_begins(records[0]);
}

void tape_reader_open(struct tape_reader *r, const char *const *paths, size_t path_count, size_t path, const struct mesh_trace_chunk *chunk)
{
    *r = (struct tape_reader){.paths = paths,
                              .path_count = path_count,
                              .path = path,
                              .from = chunk->id,
                              .core = chunk->core,
                              .node = chunk->node,
                              .instance = chunk->instance,
                              .next = chunk->first};
}

static void close_file(struct tape_reader *r)
{
    mesh_trace_end(r->cursor);
    mesh_trace_close(r->trace);
    r->cursor = NULL;
    r->trace = NULL;
}

void tape_reader_close(struct tape_reader *r)
{
    close_file(r);
    free(r->records);
    *r = (struct tape_reader){0};
}

/* Of the recording that the tape begins in? Others have calls of the same core, instance and number. */
static bool is_of_recording(struct tape_reader *r)
{
    char recording[TRACE_RECORDING_BYTES];

    trace_recording(r->trace, recording);
    if (r->is_begun)
        return strcmp(recording, r->recording) == 0;
    r->is_begun = true;
    snprintf(r->recording, sizeof r->recording, "%s", recording);
    return true;
}

/* Without a cursor for a file of another recording. */
static int open_file(struct tape_reader *r, struct fail *fail)
{
    int err;

    r->trace = trace_open(r->paths[r->path], fail);
    if (r->trace == NULL)
        return -1;
    if (!is_of_recording(r))
        return 0;
    err = mesh_trace_read(r->trace, MESH_TRACE_TABLE_CHUNK, r->from, &r->cursor);
    if (err != 0)
        return trace_failed(r->paths[r->path], r->trace, err, fail);
    r->from = 0;
    return 0;
}

static int load(struct tape_reader *r, const struct mesh_trace_chunk *chunk, struct fail *fail)
{
    int err;

    if (chunk->bytes > MESH_TRACE_BLOB_BYTES_MAX)
        return fail_set(fail, EXIT_BAD_FILE, "%.200s: chunk %" PRIu64 ": %" PRIu64 " bytes: no recorder writes that many; record again",
                        r->paths[r->path], chunk->id, chunk->bytes);
    if (chunk->bytes > r->capacity) {
        uint8_t *grown = realloc(r->records, chunk->bytes);

        if (grown == NULL)
            return fail_set(fail, EXIT_ENVIRONMENT, "no memory for a chunk of calls: close other programs");
        r->records = grown;
        r->capacity = chunk->bytes;
    }
    err = mesh_trace_get_chunk(r->trace, chunk, r->records);
    if (err != 0)
        return trace_failed(r->paths[r->path], r->trace, err, fail);
    r->bytes = chunk->bytes;
    r->at = 0;
    return 1;
}

/* The core's next chunk in this file: 1; 0: none; -1. A new core of the same name ends this one. */
static int next_in_file(struct tape_reader *r, struct fail *fail)
{
    struct mesh_trace_chunk chunk;
    int err;

    while ((err = mesh_trace_next(r->cursor, &chunk)) == 1) {
        if (chunk.core != r->core || chunk.instance != r->instance || chunk.node != r->node || chunk.first < r->next)
            continue;
        if (chunk.first == r->next)
            return load(r, &chunk, fail);
        r->missing = chunk.first - r->next;
        return 0;
    }
    return err < 0 ? trace_failed(r->paths[r->path], r->trace, err, fail) : 0;
}

/* A gap in one file may be filled by another: only what is in none is missing. */
static int next_chunk(struct tape_reader *r, struct fail *fail)
{
    while (r->path < r->path_count) {
        int result = r->trace == NULL ? open_file(r, fail) : 0;

        if (result == 0 && r->cursor != NULL)
            result = next_in_file(r, fail);
        if (result != 0)
            return result;
        close_file(r);
        r->path++;
    }
    return 0;
}

int tape_reader_next(struct tape_reader *r, struct mesh_tape_entry *entry, uint64_t *number, struct fail *fail)
{
    size_t used;

    if (r->at == r->bytes) {
        const int result = next_chunk(r, fail);

        if (result != 1)
            return result;
        r->missing = 0;
    }
    if (mesh_tape_decode(r->records + r->at, r->bytes - r->at, entry, &used) != 0)
        return fail_set(fail, EXIT_BAD_FILE, "%.200s: call %" PRIu64 ": it cannot be read: no recorder wrote that; record again",
                        r->paths[r->path], r->next);
    r->at += used;
    *number = r->next++;
    return 1;
}
