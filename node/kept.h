/* Keys and values that outlive the engine that computed them: what a node carries from one epoch to the next.
 *
 * Of each request, head by head: its positions 0 .. positions-1 in all layers, in the form of the cache (kernel_kv.h), which is the same on
 * every node. Also how many positions of each request were computed, even if this node held none of its heads. One thread at a time. */
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
    uint32_t epochs;    /* epochs for which it has waited: see kept_age */
};

enum { KEPT_REQUESTS_MAX = 128 };

/* All zeros but for the shape: empty. */
struct kept {
    struct kept_shape shape;
    struct kept_head *head; /* (count) */
    size_t count, room;
    struct kept_request request[KEPT_REQUESTS_MAX];
    uint32_t request_count;
};

/* Bytes of one layer's K, and V, of this many positions: a prefix of the cache. */
size_t kept_k_bytes(const struct kept_shape *shape, uint32_t positions);
size_t kept_v_bytes(const struct kept_shape *shape, uint32_t positions);
size_t kept_bytes(const struct kept_shape *shape, uint32_t positions); /* of a head, all layers */

/* Record that this many positions of the request were computed. False: too many requests. */
bool kept_note(struct kept *kept, uint64_t request, uint32_t positions);
const struct kept_request *kept_request(const struct kept *kept, uint64_t request); /* NULL: not known */

/* Room for a head, to be filled by the caller; NULL: no memory, or at least as many of its positions are already there. Valid until the
 * next change. */
struct kept_head *kept_add(struct kept *kept, uint64_t request, uint32_t head, uint32_t positions);
const struct kept_head *kept_find(const struct kept *kept, uint64_t request, uint32_t head); /* NULL: not there */

/* Extend a head that has `first` positions: positions first .. positions-1, layer by layer K, then V; both multiples of 16. False: no
 * memory, or it does not have that many. */
bool kept_extend(struct kept *kept, uint64_t request, uint32_t head, uint32_t first, uint32_t positions, const uint8_t *bytes);

/* Positions available for all of heads first .. first+count-1; UINT32_MAX for no heads. */
uint32_t kept_positions(const struct kept *kept, uint64_t request, uint32_t first, uint32_t count);

void kept_drop(struct kept *kept, uint64_t request);

/* An epoch has passed: drop requests that have not been resumed for two epochs. */
void kept_age(struct kept *kept);

/* Move everything from `from`, which is empty afterwards; of two entries the longer one stays. */
void kept_merge(struct kept *kept, struct kept *from);

void kept_release(struct kept *kept); /* the shape stays */

#endif
