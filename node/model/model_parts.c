#include "model_parts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/seal.h"
#include "node/common/bytes.h"

static void put_all(struct bytes *out, const void *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes_put_u8(out, ((const uint8_t *)data)[i]);
}

static void get_all(struct bytes *in, void *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)data)[i] = bytes_get_u8(in);
}

size_t model_info_write(const struct model_info *info, uint8_t *out)
{
    struct bytes bytes = bytes_writer(out, MODEL_INFO_BYTES_MAX);
    const size_t size = strlen(info->name);

    bytes_put_u64(&bytes, info->bytes);
    bytes_put_u64(&bytes, info->head_bytes);
    bytes_put_u8(&bytes, info->is_strong);
    put_all(&bytes, info->fingerprint, sizeof info->fingerprint);
    put_all(&bytes, info->id, sizeof info->id);
    bytes_put_u8(&bytes, (uint8_t)size);
    put_all(&bytes, info->name, size);
    assert(bytes_ok(&bytes));
    return bytes_size(&bytes);
}

int model_info_read(struct model_info *info, const uint8_t *in, size_t size)
{
    struct bytes bytes = bytes_reader(in, size);
    size_t name_size;

    memset(info, 0, sizeof *info);
    info->bytes = bytes_get_u64(&bytes);
    info->head_bytes = bytes_get_u64(&bytes);
    info->is_strong = bytes_get_u8(&bytes) == 1;
    get_all(&bytes, info->fingerprint, sizeof info->fingerprint);
    get_all(&bytes, info->id, sizeof info->id);
    name_size = bytes_get_u8(&bytes);
    if (name_size > MODEL_NAME_BYTES_MAX)
        return -1;
    get_all(&bytes, info->name, name_size);
    for (size_t i = 0; i < name_size; i++)
        if (info->name[i] < ' ' || info->name[i] > '~')
            info->name[i] = '?';
    return bytes_ok(&bytes) && bytes_left(&bytes) == 0 && info->bytes > 0 && info->head_bytes <= info->bytes &&
                   info->bytes <= (uint64_t)MODEL_CHUNKS_MAX * MODEL_CHUNK_BYTES
               ? 0
               : -1;
}

uint32_t model_chunk_count(uint64_t file_bytes)
{
    return (uint32_t)((file_bytes + MODEL_CHUNK_BYTES - 1) / MODEL_CHUNK_BYTES);
}

uint32_t model_chunk_bytes(uint64_t file_bytes, uint32_t chunk)
{
    const uint64_t left = file_bytes - (uint64_t)chunk * MODEL_CHUNK_BYTES;

    return left < MODEL_CHUNK_BYTES ? (uint32_t)left : MODEL_CHUNK_BYTES;
}

void model_chunks_mark(uint8_t *chunks, uint64_t offset, uint64_t bytes)
{
    for (uint64_t chunk = offset / MODEL_CHUNK_BYTES; bytes > 0 && chunk <= (offset + bytes - 1) / MODEL_CHUNK_BYTES; chunk++)
        chunks[chunk] = 1;
}

int model_id(uint64_t file_bytes, const uint8_t *fingerprint, const uint8_t *hashes, uint8_t id[MODEL_HASH_BYTES])
{
    const size_t list = (size_t)model_chunk_count(file_bytes) * MODEL_HASH_BYTES, size = 8 + MODEL_HASH_BYTES + list;
    uint8_t *all = malloc(size);
    struct bytes bytes;

    if (all == NULL)
        return -1;
    bytes = bytes_writer(all, size);
    bytes_put_u64(&bytes, file_bytes);
    put_all(&bytes, fingerprint, MODEL_HASH_BYTES);
    memcpy(all + 8 + MODEL_HASH_BYTES, hashes, list);
    mesh_hash32(all, size, id);
    free(all);
    return 0;
}
