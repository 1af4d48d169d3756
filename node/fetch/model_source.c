#include "model_source.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "mesh/seal.h"
#include "node/common/read_cached.h"

enum { COLD_TRIES = 4, AHEAD_BYTES = 4 * MODEL_CHUNK_BYTES };

/* ---- hashes ---- */

static int read_chunk(const struct model_source *source, uint32_t chunk, uint8_t *data)
{
    const uint32_t bytes = model_chunk_bytes(source->info.bytes, chunk);

    for (uint32_t done = 0; done < bytes;) {
        const ssize_t got = pread(source->file, data + done, bytes - done, (off_t)chunk * MODEL_CHUNK_BYTES + done);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return -1;
        done += (uint32_t)got;
    }
    return 0;
}

static int finish_info(struct model_source *source)
{
    return model_id(source->info.bytes, source->info.fingerprint, source->hashes, source->info.id);
}

static void hash_all(void *app, uint16_t index)
{
    struct model_source *source = app;
    uint8_t *data = malloc(MODEL_CHUNK_BYTES);
    int result = data == NULL ? -1 : 0;

    (void)index;
    setpriority(PRIO_PROCESS, (id_t)gettid(), 19); /* of this thread only: tokens come first */
    for (uint32_t chunk = 0; chunk < source->count && result == 0; chunk++) {
        result = atomic_load(&source->stops) ? -1 : read_chunk(source, chunk, data);
        if (result == 0)
            mesh_hash32(data, model_chunk_bytes(source->info.bytes, chunk), source->hashes + (size_t)chunk * MODEL_HASH_BYTES);
    }
    free(data);
    if (result == 0)
        result = finish_info(source);
    atomic_store(&source->state, result == 0 ? MODEL_SOURCE_READY : MODEL_SOURCE_FAILED);
}

/* DATA: the hashes are ready. */
static enum bulk_read_result look(struct model_source *source, const char **why)
{
    struct fail ignored;

    if (atomic_load(&source->state) == MODEL_SOURCE_IDLE) {
        atomic_store(&source->state, MODEL_SOURCE_HASHING);
        source->pool = pool_start(1, hash_all, source, &ignored);
        if (source->pool == NULL)
            atomic_store(&source->state, MODEL_SOURCE_FAILED);
    }
    switch (atomic_load(&source->state)) {
    case MODEL_SOURCE_READY:
        return BULK_READ_DATA;
    case MODEL_SOURCE_HASHING:
        return BULK_READ_LATER;
    default:
        *why = "this node cannot read its model file: ask another one";
        return BULK_READ_REFUSED;
    }
}

/* ---- resources ---- */

/* Copy the requested part of all[0..size-1]. */
static void give(const uint8_t *all, uint64_t size, uint64_t offset, uint8_t *out, size_t *bytes)
{
    const uint64_t left = offset < size ? size - offset : 0;

    *bytes = left < *bytes ? (size_t)left : *bytes;
    if (*bytes > 0)
        memcpy(out, all + offset, *bytes);
}

static enum bulk_read_result read_info(void *app, const struct bulk_want *want, uint64_t offset, uint8_t *out, size_t *bytes,
                                       const char **why)
{
    struct model_source *source = app;
    uint8_t info[MODEL_INFO_BYTES_MAX];
    const enum bulk_read_result result = look(source, why);

    (void)want;
    if (result == BULK_READ_DATA)
        give(info, model_info_write(&source->info, info), offset, out, bytes);
    return result;
}

static enum bulk_read_result check_id(struct model_source *source, const struct bulk_want *want, const char **why)
{
    const enum bulk_read_result result = look(source, why);

    if (result != BULK_READ_DATA)
        return result;
    if (want->args_bytes == MODEL_HASH_BYTES && memcmp(want->args, source->info.id, MODEL_HASH_BYTES) == 0)
        return BULK_READ_DATA;
    *why = "this node has another model: ask another one";
    return BULK_READ_REFUSED;
}

static enum bulk_read_result read_hashes(void *app, const struct bulk_want *want, uint64_t offset, uint8_t *out, size_t *bytes,
                                         const char **why)
{
    struct model_source *source = app;
    const enum bulk_read_result result = check_id(source, want, why);

    if (result == BULK_READ_DATA)
        give(source->hashes, (uint64_t)source->count * MODEL_HASH_BYTES, offset, out, bytes);
    return result;
}

static bool has_chunk(const struct model_source *source, uint64_t chunk)
{
    return source->have == NULL || atomic_load(&source->have[chunk]) != 0;
}

/* A bit per chunk, the lowest of the first byte first. */
static enum bulk_read_result read_have(void *app, const struct bulk_want *want, uint64_t offset, uint8_t *out, size_t *bytes,
                                       const char **why)
{
    struct model_source *source = app;
    const enum bulk_read_result result = check_id(source, want, why);
    const uint64_t size = (source->count + 7) / 8, left = offset < size ? size - offset : 0;

    if (result != BULK_READ_DATA)
        return result;
    *bytes = left < *bytes ? (size_t)left : *bytes;
    memset(out, 0, *bytes);
    for (uint64_t i = 0; i < 8 * (uint64_t)*bytes && 8 * offset + i < source->count; i++)
        if (has_chunk(source, 8 * offset + i))
            out[i / 8] = (uint8_t)(out[i / 8] | 1 << i % 8);
    return BULK_READ_DATA;
}

/* Bytes available from offset on: up to the first missing chunk, and not much more than a record holds. */
static uint64_t there_from(const struct model_source *source, uint64_t offset)
{
    uint64_t chunk = offset / MODEL_CHUNK_BYTES;

    while (chunk * MODEL_CHUNK_BYTES < offset + BULK_DATA_BYTES_MAX && chunk < source->count && has_chunk(source, chunk))
        chunk++;
    return chunk * MODEL_CHUNK_BYTES > offset ? chunk * MODEL_CHUNK_BYTES - offset : 0;
}

/* Read from memory if possible; otherwise the kernel is told to fetch the data, and gets some milliseconds before the read blocks. */
static ssize_t read_warm(struct model_source *source, uint64_t offset, uint8_t *out, size_t bytes)
{
    ssize_t got = read_cached(source->file, out, bytes, offset);

    if (got < 0 && (errno == EOPNOTSUPP || (errno == EAGAIN && source->cold_count >= COLD_TRIES)))
        got = pread(source->file, out, bytes, (off_t)offset);
    if (got >= 0 || errno != EAGAIN) {
        source->cold_count = 0;
        return got;
    }
    if (source->cold_offset != offset || source->cold_count == 0) {
        posix_fadvise(source->file, (off_t)offset, AHEAD_BYTES, POSIX_FADV_WILLNEED);
        source->cold_count = 0;
    }
    source->cold_offset = offset;
    source->cold_count++;
    errno = EAGAIN;
    return -1;
}

static enum bulk_read_result read_bytes(void *app, const struct bulk_want *want, uint64_t offset, uint8_t *out, size_t *bytes,
                                        const char **why)
{
    struct model_source *source = app;
    const enum bulk_read_result result = check_id(source, want, why);
    uint64_t left = offset < source->info.bytes ? source->info.bytes - offset : 0;
    ssize_t got;

    if (result != BULK_READ_DATA)
        return result;
    if (left > 0 && there_from(source, offset) == 0) {
        *why = "this node does not have that part of the model: ask another one";
        return BULK_READ_REFUSED;
    }
    left = left > 0 && there_from(source, offset) < left ? there_from(source, offset) : left;
    got = left == 0 ? 0 : read_warm(source, offset, out, left < *bytes ? (size_t)left : *bytes);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return BULK_READ_LATER;
    if (got < 0 || (got == 0 && left > 0)) {
        *why = "this node cannot read its model file any more: ask another one";
        return BULK_READ_REFUSED;
    }
    *bytes = (size_t)got;
    return BULK_READ_DATA;
}

/* ---- opening ---- */

static void take_name(struct model_source *source, const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;

    for (size_t i = 0; i < MODEL_NAME_BYTES_MAX && name[i] != '\0'; i++)
        source->info.name[i] = name[i] >= ' ' && name[i] <= '~' ? name[i] : '?';
}

int model_source_open(struct model_source *source, const struct gguf *gguf, const uint8_t *hashes, const _Atomic uint8_t *have,
                      struct fail *fail)
{
    assert(have == NULL || hashes != NULL);
    memset(source, 0, sizeof *source);
    /* Not by its name, which may be another file's by now: others would get that file's bytes as those of this model. */
    source->file = gguf_duplicate(gguf);
    if (source->file < 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "%.300s: cannot be opened for other nodes: %s: %s", gguf_path(gguf), strerror(errno),
                        fail_advice(errno, "report this"));
    source->have = have;
    source->info.bytes = gguf_file_bytes(gguf);
    source->info.head_bytes = gguf_data_start(gguf);
    source->info.is_strong = mesh_seal_is_available();
    gguf_fingerprint(gguf, source->info.fingerprint);
    take_name(source, gguf_path(gguf));
    source->count = model_chunk_count(source->info.bytes);
    source->hashes = calloc(source->count, MODEL_HASH_BYTES);
    if (source->hashes == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    if (hashes != NULL) {
        memcpy(source->hashes, hashes, (size_t)source->count * MODEL_HASH_BYTES);
        if (finish_info(source) == 0)
            atomic_store(&source->state, MODEL_SOURCE_READY);
    }
    return 0;
}

void model_source_provide(struct model_source *source, struct bulk_host *host)
{
    bulk_provide(host, BULK_MODEL_INFO, read_info, source);
    bulk_provide(host, BULK_MODEL_HASHES, read_hashes, source);
    bulk_provide(host, BULK_MODEL_BYTES, read_bytes, source);
    bulk_provide(host, BULK_MODEL_HAVE, read_have, source);
}

void model_source_close(struct model_source *source)
{
    atomic_store(&source->stops, true);
    pool_join(source->pool);
    if (source->file >= 0)
        close(source->file);
    free(source->hashes);
    memset(source, 0, sizeof *source);
    source->file = -1;
}
