/* Keys and values that outlive the engine that computed them: what a node carries from one epoch to the next.
 *
 * Of each request, head by head: its positions 0 .. positions-1 in all layers, in the form of the cache (kernel_kv.h), which is the same on
 * every node. Also how many positions of each request were computed, even if this node held none of its heads. One thread at a time. */
#ifndef NODE_SAVED_KV_H
#define NODE_SAVED_KV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "node/kernel/kernel.h"

struct saved_kv_shape {
    uint32_t layers, head_dim;
    enum kv_type type;
};

/* One KV head: layer by layer K, then V. */
struct saved_kv_head {
    uint64_t request;
    uint32_t head, positions;
    uint8_t *bytes; /* saved_kv_bytes(shape, positions) */
};

struct saved_kv_request {
    uint64_t id;
    uint32_t positions; /* computed by this node's last engine */
    uint32_t epochs;    /* epochs for which it has waited: see saved_kv_age */
};

enum { SAVED_KV_REQUESTS_MAX = 128 };

/* All zeros but for the shape: empty. */
struct saved_kv {
    struct saved_kv_shape shape;
    struct saved_kv_head *head; /* (count) */
    size_t count, room;
    struct saved_kv_request request[SAVED_KV_REQUESTS_MAX];
    uint32_t request_count;
};

/* Bytes of one layer's K, and V, of this many positions: a prefix of the cache. */
size_t saved_kv_k_bytes(const struct saved_kv_shape *shape, uint32_t positions);
size_t saved_kv_v_bytes(const struct saved_kv_shape *shape, uint32_t positions);
size_t saved_kv_bytes(const struct saved_kv_shape *shape, uint32_t positions); /* of a head, all layers */

/* Record that this many positions of the request were computed. False: too many requests. */
bool saved_kv_note(struct saved_kv *saved_kv, uint64_t request, uint32_t positions);
const struct saved_kv_request *saved_kv_request(const struct saved_kv *saved_kv, uint64_t request); /* NULL: not known */

/* Room for a head, to be filled by the caller; NULL: no memory, or at least as many of its positions are already there. Valid until the
 * next change. */
struct saved_kv_head *saved_kv_add(struct saved_kv *saved_kv, uint64_t request, uint32_t head, uint32_t positions);
const struct saved_kv_head *saved_kv_find(const struct saved_kv *saved_kv, uint64_t request, uint32_t head); /* NULL: not there */

/* Extend a head that has `first` positions: positions first .. positions-1, layer by layer K, then V; both multiples of 16. False: no
 * memory, or it does not have that many. */
bool saved_kv_extend(struct saved_kv *saved_kv, uint64_t request, uint32_t head, uint32_t first, uint32_t positions, const uint8_t *bytes);

/* Positions available for all of heads first .. first+count-1; UINT32_MAX for no heads. */
uint32_t saved_kv_positions(const struct saved_kv *saved_kv, uint64_t request, uint32_t first, uint32_t count);

void saved_kv_drop(struct saved_kv *saved_kv, uint64_t request);

/* An epoch has passed: drop requests that have not been resumed for two epochs. */
void saved_kv_age(struct saved_kv *saved_kv);

/* Move everything from `from`, which is empty afterwards; of two entries the longer one stays. */
void saved_kv_merge(struct saved_kv *saved_kv, struct saved_kv *from);

void saved_kv_release(struct saved_kv *saved_kv); /* the shape stays */

#endif
