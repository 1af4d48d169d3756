/* The model of a cluster for a node that has no file of it: fetched from a peer into this machine's cache, chunk by chunk.
 *
 * What is in the cache already is compared with its hashes and not fetched again. A peer that goes away, refuses, or sends what does not
 * fit its hash is left for the next one. Tells what it does on stderr. */
#ifndef NODE_MODEL_FETCH_H
#define NODE_MODEL_FETCH_H

#include <stdbool.h>

#include "fail.h"
#include "mesh/seal.h"
#include "mesh/udp.h"
#include "model_parts.h"

struct model_fetch_config {
    const struct mesh_addr *peer; /* (peer_count): whom to ask; members, or those that will be */
    unsigned peer_count;
    enum mesh_security security;
    const struct mesh_key *key; /* not read with MESH_SECURITY_NONE */
    const char *key_file;       /* for messages; NULL: none */
    const char *cluster;        /* its name */
    uint64_t wait_ns;           /* to go on without getting anything from anybody */
};

struct model_fetched {
    char *path;      /* of the file in the cache; owned */
    uint8_t *hashes; /* of its chunks; owned */
};

/* All of it is there, and fits. When no peer answers, the model that this cluster had last will do, if all of that is there. Otherwise -1:
 * nobody has it, the cache cannot be written, or its disk has no room. model_fetched_release in any case. */
int model_fetch(const struct model_fetch_config *config, struct model_fetched *fetched, struct fail *fail);
void model_fetched_release(struct model_fetched *fetched);

#endif
