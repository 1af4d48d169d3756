/* A model file in transfer between nodes: chunks of 1 MiB, their hashes, and the id that stands for all of it.
 *
 * The id is a hash of the file's size, its fingerprint and the list of the chunks' hashes; so a node that has the id can verify a list, and
 * with that any chunk. Hashes are mesh_hash32 of the bytes. */
#ifndef NODE_MODEL_PARTS_H
#define NODE_MODEL_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MODEL_CHUNK_BYTES = 1 << 20,
    MODEL_HASH_BYTES = 32,
    MODEL_NAME_BYTES_MAX = 120,
    MODEL_INFO_BYTES_MAX = 8 + 8 + 1 + MODEL_HASH_BYTES + MODEL_HASH_BYTES + 1 + MODEL_NAME_BYTES_MAX,
    MODEL_CHUNKS_MAX = 1 << 22 /* 4 TiB */
};

struct model_info {
    uint64_t bytes;                        /* of the file */
    uint64_t head_bytes;                   /* before the tensors; a hint, not part of the id */
    bool is_strong;                        /* the hashes are BLAKE2b, not the stand-in of programs built without libsodium */
    uint8_t fingerprint[MODEL_HASH_BYTES]; /* gguf_fingerprint */
    uint8_t id[MODEL_HASH_BYTES];
    char name[MODEL_NAME_BYTES_MAX + 1]; /* of the file, for people; printable ASCII */
};

/* u64 bytes, u64 head, u8 strong, fingerprint, id, u8 size, name: its size in out (MODEL_INFO_BYTES_MAX). */
size_t model_info_write(const struct model_info *info, uint8_t *out);

/* 0, or -1: not of this form, or of a size that no model has. */
int model_info_read(struct model_info *info, const uint8_t *in, size_t bytes);

uint32_t model_chunk_count(uint64_t file_bytes);
uint32_t model_chunk_bytes(uint64_t file_bytes, uint32_t chunk); /* the last one may be shorter */

/* Set to 1 the chunks that contain these bytes: chunks (count). */
void model_chunks_mark(uint8_t *chunks, uint64_t offset, uint64_t bytes);

/* Of size, fingerprint and hashes, (count, MODEL_HASH_BYTES). -1: out of memory. */
int model_id(uint64_t file_bytes, const uint8_t *fingerprint, const uint8_t *hashes, uint8_t id[MODEL_HASH_BYTES]);

#endif
