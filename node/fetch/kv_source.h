/* Keys and values of a working node, for other nodes to fetch before an epoch in which they will need them.
 *
 * Two forms of one bulk resource. Without arguments, what there is:
 *   u32 first KV head, u32 KV heads, u32 count, count x (u64 request, u32 positions)
 * With the arguments u64 request, u32 head, u32 first, u32 positions: layer by layer K, then V, of positions first .. positions-1 of that
 * head, both multiples of 16, in the form of the cache. Such positions never change while their request runs, so reading them only requires
 * that it is running. */
#ifndef NODE_KV_SOURCE_H
#define NODE_KV_SOURCE_H

#include "bulk_host.h"
#include "node/engine/engine.h"

enum { KV_SOURCE_LIST_BYTES_MAX = 12 + 12 * ENGINE_SLOTS_MAX, KV_SOURCE_STEP = 16 /* positions */ };

struct kv_source_range {
    uint64_t request;
    uint32_t head, first, positions;
};

/* Into args (BULK_ARGS_BYTES_MAX); the size. */
size_t kv_source_range_write(const struct kv_source_range *range, uint8_t *args);

/* The list of what is available. -1: not of this form. */
struct kv_source_list {
    uint32_t first, heads, count;
    struct {
        uint64_t request;
        uint32_t positions;
    } of[ENGINE_SLOTS_MAX];
};
int kv_source_list_read(struct kv_source_list *list, const uint8_t *data, size_t bytes);

/* A bulk_read_function; app: address of the engine pointer, which may be NULL (no engine). */
enum bulk_read_result kv_source_read(void *app, const struct bulk_want *want, uint64_t offset, uint8_t *out, size_t *bytes,
                                     const char **why);

#endif
