/* Keys and values that a node lacks and will need in the next epoch: fetched from members that have them, while the present epoch goes on.
 *
 * It works in passes: each fetches what has been computed since the one before, in steps of 16 positions. What cannot be fetched is
 * computed again, so nothing here is an error. Of requests that have ended nothing is kept once others run in their place. One thread at a
 * time, until kv_fetch_close. */
#ifndef NODE_KV_FETCH_H
#define NODE_KV_FETCH_H

#include <stdatomic.h>
#include <stdbool.h>

#include "kv_source.h"
#include "mesh/seal.h"
#include "mesh/udp.h"
#include "node/engine/saved_kv.h"

enum { KV_FETCH_SOURCES_MAX = 2 * MESH_RANKS_MAX };

struct kv_fetch_source {
    char address[MESH_ADDR_TEXT_BYTES];
    struct mesh_client *client; /* NULL: none yet */
    struct bulk bulk;
    struct kv_source_list list; /* of this pass */
    bool is_given_up;
};

struct kv_fetch {
    enum mesh_security security;
    const struct mesh_key *key;     /* borrowed; not read with security none */
    const char *cluster;            /* borrowed */
    uint32_t ctx, slots;            /* of a request, positions; and requests that run at once, at most */
    uint32_t first, count;          /* heads that are needed */
    uint32_t own_first, own_count;  /* and those that this node has already */
    const atomic_bool *is_stopping; /* ends a pass within about 10 ms */
    struct saved_kv saved_kv;       /* what has been fetched; the caller sets shape */
    uint16_t source_count;
    struct kv_fetch_source *source; /* (KV_FETCH_SOURCES_MAX), or NULL */
    uint64_t bytes;                 /* fetched so far */
};

/* The fields up to is_stopping, and the shape, are set. 0, or -1: out of memory. */
int kv_fetch_open(struct kv_fetch *fetch);
void kv_fetch_add_source(struct kv_fetch *fetch, struct mesh_addr addr);

/* Are any heads needed that this node lacks, and is there a source to ask? */
bool kv_fetch_has_use(const struct kv_fetch *fetch);

/* One pass. Returns the positions fetched, over all requests and heads. */
uint64_t kv_fetch_pass(struct kv_fetch *fetch);

void kv_fetch_close(struct kv_fetch *fetch); /* all zeros is fine */

#endif
