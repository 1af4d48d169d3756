/* The state of joining: which peers have answered, which have loaded their share, and whether one refused.
 *
 * Written by the owner of the port, read by any thread. Ranks are bits of a word. */
#ifndef NODE_JOIN_H
#define NODE_JOIN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "mesh/program/fail.h"
#include "mesh/udp.h"

enum { JOIN_REFUSAL_BYTES = 400 };

struct join {
    uint16_t rank, rank_count;
    const struct mesh_addr *peers; /* (rank_count) borrowed */
    _Atomic uint64_t up, ready;
    atomic_bool is_refused;
    char refusal[JOIN_REFUSAL_BYTES]; /* set once, before is_refused */
};

void join_init(struct join *join, uint16_t rank, uint16_t rank_count, const struct mesh_addr *peers);

void join_up(struct join *join, uint16_t rank);
void join_ready(struct join *join, uint16_t rank);
void join_refused(struct join *join, uint16_t rank, const char *reason);

/* Has everybody answered? */
bool join_all_up(struct join *join);

/* The rank of that address, if it has answered, or -1. */
int join_up_at(struct join *join, const struct mesh_addr *addr);

/* And, on rank 0, has everybody loaded? */
bool join_is_complete(struct join *join);

/* 0, or -1 with the peer's reason when one refused. */
int join_check(struct join *join, struct fail *fail);

/* The timeout is over: -1 naming the peers that have not answered, or why the system does not send to the first of them; 0 when all have
 * answered after all. udp: the own socket; NULL: do not try. */
int join_late(struct join *join, uint64_t timeout_ns, struct mesh_udp *udp, struct fail *fail);

#endif
