/* This node's model file for nodes that have none: what it is, the hashes of its chunks, and its bytes, as resources of a bulk transfer.
 *
 * Hashes are computed at the first request for them, by a thread of its own that reads the whole file once. Bytes are read from the file at
 * the time of the request; the receiver checks the hashes. open, provide and close on one thread, which also runs the bulk_host. */
#ifndef NODE_MODEL_SOURCE_H
#define NODE_MODEL_SOURCE_H

#include <stdatomic.h>

#include "bulk_host.h"
#include "node/common/pool.h"
#include "node/gguf/gguf.h"
#include "node/model/model_parts.h"

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
    uint64_t cold_offset; /* an offset that was not in memory, and how often it has been asked for */
    unsigned cold_count;
};

/* hashes: those of its chunks, e.g. from the cache; copied. NULL: not known. have: the chunks that are there, which may grow; needs the
 * hashes; borrowed until close. NULL: all. gguf is not needed afterwards. model_source_close in any case. */
int model_source_open(struct model_source *source, const struct gguf *gguf, const uint8_t *hashes, const _Atomic uint8_t *have,
                      struct fail *fail);
void model_source_provide(struct model_source *source, struct bulk_host *host);
void model_source_close(struct model_source *source);

#endif
