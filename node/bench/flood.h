/* A flood of junk datagrams at a steady rate, from a thread of its own: what an attacker without a key can send. */
#ifndef NODE_FLOOD_H
#define NODE_FLOOD_H

#include <stdatomic.h>

#include "mesh/mesh.h"
#include "mesh/program/fail.h"
#include "node/common/pool.h"

enum flood_kind {
    FLOOD_RANDOM,  /* random bytes */
    FLOOD_MAGIC,   /* random bytes behind this protocol's magic and version */
    FLOOD_CLUSTER, /* the form of the cluster layer's datagrams, sealed under no key */
    FLOOD_CALL,    /* that of a client's call */
    FLOOD_EPOCH,   /* that of a tile in an epoch */
    FLOOD_KINDS,
    FLOOD_MIXED = FLOOD_KINDS /* all of them in turn */
};

enum { FLOOD_TARGETS_MAX = 8, FLOOD_BYTES_MAX = 1200 };

struct flood {
    uint32_t per_second;
    enum flood_kind kind;
    uint32_t epoch; /* epoch number in FLOOD_EPOCH */
    uint64_t seed;
    /* targets, used in turn; flood_aim switches lists */
    struct mesh_addr target[2][FLOOD_TARGETS_MAX];
    uint32_t target_count[2];
    atomic_uint aim; /* which of the two lists */
    atomic_bool stops;
    atomic_ullong sent;
    int socket;
    struct pool *pool;
};

const char *flood_kind_name(enum flood_kind kind);

/* Write a datagram of the kind into packet (FLOOD_BYTES_MAX); its size. The same bytes for the same index and seed. */
size_t flood_write(const struct flood *flood, uint64_t index, uint8_t *packet);

/* Start: per_second, kind, epoch, seed and both lists of IPv4 targets are set. */
int flood_start(struct flood *flood, struct fail *fail);
void flood_aim(struct flood *flood, unsigned list);
void flood_stop(struct flood *flood);

#endif
