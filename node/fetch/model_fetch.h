/* The model of a cluster for a node that has no file of it: fetched from peers into this machine's cache, chunk by chunk, and only the
 * wanted chunks.
 *
 * Chunks already in the cache are checked against their hashes and not fetched again. A peer that goes away, refuses, lacks what is wanted,
 * or sends a chunk that does not match its hash is left for the next peer. Reports what it does on stderr. */
#ifndef NODE_MODEL_FETCH_H
#define NODE_MODEL_FETCH_H

#include <stdatomic.h>
#include <stdbool.h>

#include "mesh/program/fail.h"
#include "mesh/seal.h"
#include "mesh/udp.h"
#include "node/model/model_parts.h"

struct model_fetch_config {
    const struct mesh_addr *peer; /* (peer_count): peers to ask; members, or those that will be */
    unsigned peer_count;
    enum mesh_security security;
    const struct mesh_key *key; /* not read with MESH_SECURITY_NONE */
    const char *key_file;       /* for messages; NULL: none */
    const char *cluster;        /* its name */
    uint64_t wait_ns;           /* how long to continue without getting anything from any peer */
    const atomic_bool *stops;   /* ends the fetch within a second or two; NULL: none */
    bool is_quiet;              /* says nothing about peers: it was said before */
    bool whole;                 /* model_fetch: the whole file, not only what stands before the tensors */
};

/* A model's file in the cache, of which some chunks may be missing. */
struct model_part {
    char *path; /* owned */
    struct model_info info;
    uint32_t count;        /* chunks */
    uint8_t *hashes;       /* (count, MODEL_HASH_BYTES); owned */
    _Atomic uint8_t *have; /* (count): 1 there and checked; never goes back to 0. Owned; any thread may read */
};

/* Find out which model it is, from the first peer that answers; afterwards what stands before the tensors, or the whole file, is there and
 * checked. When no peer answers, the model that this cluster had last will do, if all of that is there. Otherwise -1: nobody has it, the
 * cache cannot be written, or its disk has no room. model_part_release in any case. */
int model_fetch(const struct model_fetch_config *config, struct model_part *part, struct fail *fail);

/* Fetch all wanted chunks (count). Several threads may call; they wait for one another. -1: nobody has them, or stopped;
 * MODEL_FETCH_NO_ROOM: they cannot be kept here, and fail says why. Chunks already fetched stay. */
enum { MODEL_FETCH_NO_ROOM = -2 };
int model_fetch_more(const struct model_fetch_config *config, struct model_part *part, const uint8_t *wanted, struct fail *fail);

/* Are all wanted chunks there? NULL: all of the file. */
bool model_part_has(const struct model_part *part, const uint8_t *wanted);
void model_part_release(struct model_part *part); /* all zeros is fine */

#endif
