/* Which processes appear at which address, over time: finds members that flap (are lost and come back again and again), processes that are
 * restarted again and again, and addresses that two machines have at once. */
#ifndef NODE_PRESENCE_H
#define NODE_PRESENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "mesh/mesh.h"

enum {
    PRESENCE_MAX = 64,     /* addresses; the one heard of longest ago is evicted */
    PRESENCE_PREVIOUS = 4, /* earlier processes remembered for each address */
    PRESENCE_LOSSES = 3    /* losses within PRESENCE_WINDOW_NS that count as flapping */
};
#define PRESENCE_WINDOW_NS UINT64_C(600000000000)
#define PRESENCE_APART_NS  UINT64_C(2000000000) /* a datagram that comes so long after its sender was replaced is no late one */
#define PRESENCE_DUPLICATE_NS \
    UINT64_C(120000000000) /* a sign of a duplicate address holds so long; an isolated node asks every 30 s at least */

struct presence_entry {
    struct mesh_addr at;
    uint8_t now[16];                       /* incarnation of the process that is a member there, or was last */
    uint8_t before[PRESENCE_PREVIOUS][16]; /* of those before it, in a ring; zeros: none */
    uint64_t lost_ns[PRESENCE_LOSSES];     /* the last losses, in a ring; 0: none */
    bool is_new[PRESENCE_LOSSES];          /* in the same ring: the process that came back was another one */
    unsigned processes, losses;            /* written into the rings so far */
    bool is_lost;                          /* no process is there */
    uint8_t other[16];                     /* another process heard from there while `now` is a member; zeros: none */
    uint64_t other_ns;                     /* since when */
    uint64_t duplicate_ns;                 /* last sign of a duplicate address; 0: none */
    uint64_t explained_ns;                 /* last loss whose cause is known and told; 0: none */
    uint64_t heard_ns;                     /* last datagram of any process there; 0: none */
    uint64_t seen_ns;
};

/* All zeros: empty. */
struct presence {
    struct presence_entry entry[PRESENCE_MAX];
    unsigned count;
};

/* A process has become a member at that address. If it was there before another process, two machines have the address. */
void presence_joined(struct presence *presence, uint64_t now_ns, const struct mesh_addr *at, const uint8_t incarnation[16]);

/* The member at that address is lost; it has not left in order. is_explained: the cause is known, and told by itself. */
void presence_lost(struct presence *presence, uint64_t now_ns, const struct mesh_addr *at, bool is_explained);

/* A process was heard from that address. Two machines have the address if another process is a member there that is heard now (is_heard)
 * and this one has been heard for PRESENCE_APART_NS; not if this one is a member at any address. */
void presence_heard(struct presence *presence, uint64_t now_ns, const struct mesh_addr *at, const uint8_t incarnation[16], bool is_heard);

/* An entry that was lost within PRESENCE_WINDOW_NS, is not back, and was not heard since since_ns; NULL: there is none. */
const struct presence_entry *presence_missing(const struct presence *presence, uint64_t now_ns, uint64_t since_ns);

bool presence_is_duplicate(const struct presence_entry *entry, uint64_t now_ns);

/* Losses within PRESENCE_WINDOW_NS, as far as remembered, if there are at least PRESENCE_LOSSES and none of them was explained; else 0. */
unsigned presence_losses(const struct presence_entry *entry, uint64_t now_ns);

/* Of the remembered losses, those after which another process was there. */
unsigned presence_restarts(const struct presence_entry *entry);

#endif
