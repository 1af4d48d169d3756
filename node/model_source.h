/* This node's model file for those who have none: what it is, the hashes of its chunks, and its bytes, as resources of a bulk transfer.
 *
 * Hashes are made when somebody asks for the first time, by a thread of its own that reads the whole file once. The bytes are those of
 * the file as it is when they are asked for; who gets them compares the hashes. open, provide and close on one thread, which runs the
 * bulk_host, too. */
#ifndef NODE_MODEL_SOURCE_H
#define NODE_MODEL_SOURCE_H

#include <stdatomic.h>

#include "bulk_host.h"
#include "gguf.h"
#include "model_parts.h"
#include "pool.h"

enum model_source_state { MODEL_SOURCE_IDLE, MODEL_SOURCE_HASHING, MODEL_SOURCE_READY, MODEL_SOURCE_FAILED };

struct model_source {
    struct model_info info;
    uint32_t count;
    uint8_t *hashes;             /* (count, MODEL_HASH_BYTES), when ready */
    const _Atomic uint8_t *have; /* (count) chunks that are there; NULL: all */
    int file;
    struct pool *pool;
    atomic_int state;
    atomic_bool stops;
    uint64_t cold_offset; /* a place that was not in memory, and how often it has been asked for */
    unsigned cold_count;
};

/* hashes: those of its chunks when they are known, e.g. from the cache; copied. NULL: not known. have: the chunks that are there, which may
 * become more; needs the hashes; borrowed until it is closed. NULL: all. gguf is not needed afterwards. model_source_close in any case. */
int model_source_open(struct model_source *source, const struct gguf *gguf, const uint8_t *hashes, const _Atomic uint8_t *have,
                      struct fail *fail);
void model_source_provide(struct model_source *source, struct bulk_host *host);
void model_source_close(struct model_source *source);

#endif
