/* Keys and values that outlive the engine that computed them: what a node takes along from one epoch to the next.
 *
 * Of each request, head by head: its positions 0 .. positions-1 in all layers, in the form of the cache (kernel_kv.h), which is the same on
 * every node. Beside it, how far each request was, also where no head was this node's. One thread at a time. */
#ifndef NODE_KEPT_H
#define NODE_KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel.h"

struct kept_shape {
    uint32_t layers, head_dim;
    enum kv_type type;
};

/* One KV head: layer by layer K, then V. */
struct kept_head {
    uint64_t request;
    uint32_t head, positions;
    uint8_t *bytes; /* kept_bytes(shape, positions) */
};

struct kept_request {
    uint64_t id;
    uint32_t positions; /* computed by this node's last engine */
    uint32_t epochs;    /* it has waited through so many: see kept_age */
};

enum { KEPT_REQUESTS_MAX = 128 };

/* All zeros but for the shape: nothing. */
struct kept {
    struct kept_shape shape;
    struct kept_head *head; /* (count) */
    size_t count, room;
    struct kept_request request[KEPT_REQUESTS_MAX];
    uint32_t request_count;
};

/* Bytes of one layer's K, and V, of so many positions: a beginning of the cache. */
size_t kept_k_bytes(const struct kept_shape *shape, uint32_t positions);
size_t kept_v_bytes(const struct kept_shape *shape, uint32_t positions);
size_t kept_bytes(const struct kept_shape *shape, uint32_t positions); /* of a head, all layers */

/* This request was computed so far. False: too many. */
bool kept_note(struct kept *kept, uint64_t request, uint32_t positions);
const struct kept_request *kept_request(const struct kept *kept, uint64_t request); /* NULL: not known */

/* Room for a head, to be filled by the caller; NULL: no memory, or as many positions of it are there already. Valid until the next
 * change. */
struct kept_head *kept_add(struct kept *kept, uint64_t request, uint32_t head, uint32_t positions);
const struct kept_head *kept_find(const struct kept *kept, uint64_t request, uint32_t head); /* NULL: not there */

/* More of a head of which `first` positions are there: positions first .. positions-1, layer by layer K, then V; both multiples of 16.
 * False: no memory, or that many are not there. */
bool kept_extend(struct kept *kept, uint64_t request, uint32_t head, uint32_t first, uint32_t positions, const uint8_t *bytes);

/* Positions that are there of all heads first .. first+count-1; UINT32_MAX of no heads. */
uint32_t kept_positions(const struct kept *kept, uint64_t request, uint32_t first, uint32_t count);

void kept_drop(struct kept *kept, uint64_t request);

/* An epoch has gone by: what nobody has asked for through two of them is dropped. */
void kept_age(struct kept *kept);

/* All of `from`, which is empty then; of two the longer one stays. */
void kept_merge(struct kept *kept, struct kept *from);

void kept_release(struct kept *kept); /* the shape stays */

#endif
