/* The gate for datagrams outside epochs, between the thread that polls the socket and the main thread.
 *
 * The receiving thread rejects junk before it wakes another thread or takes room from other datagrams: first by its form, then by what is
 * known of its sender, last by its tag. Datagrams that pass the gate have a valid tag, except those of client sessions: their session is
 * open, they come from its address, and they may fill half of the room. Tags of unknown senders are tried only at a limited rate, per
 * source and in all, since each needs a key of its own. Nothing is kept of a sender before one of its tags has been verified, and members
 * of the epoch keep their places however many others, or recorded datagrams of others, come by. */
#ifndef NODE_GATE_H
#define NODE_GATE_H

#include <stdatomic.h>

#include "mesh/cluster.h"
#include "mesh/session.h"
#include "serve_inbox.h"

enum {
    GATE_SETS = 64,
    GATE_WAYS = 8,         /* known senders per set, all but one of which may be members */
    GATE_NUMBERS = 512,    /* received numbers remembered per sender */
    GATE_UNREACHABLE = 16, /* addresses that wait for gate_next_unreachable */
    GATE_SOURCES = 256,    /* buckets over which sources of tries are spread */
    GATE_SOURCE_RATE = 500,
    GATE_SOURCE_BURST = 64, /* tries of one source: per second, and at once */
    GATE_RATE = 20000,
    GATE_BURST = 2000 /* the same for all sources together */
};

/* A member, or a process one of whose tags was valid, and the numbers it has used. */
struct gate_sender {
    uint8_t incarnation[MESH_INCARNATION_BYTES];
    struct mesh_seal_key key;
    uint64_t used; /* last use, counted in datagrams; 0: free */
    bool is_member;
    uint64_t highest, numbers[GATE_NUMBERS / 64];
};

struct gate_bucket {
    uint64_t at_ns; /* when it would be full */
};

struct gate_stats {
    uint64_t cluster[MESH_SEAL_REFUSALS];
    uint64_t clients[MESH_SESSION_REFUSALS];
    uint64_t replay; /* number seen before */
    uint64_t rate;   /* too many from unknown senders: not examined further */
    uint64_t full;   /* no room: the main thread is behind */
};

struct gate {
    enum mesh_security security;
    const struct mesh_key *key; /* borrowed */
    const char *cluster;        /* borrowed */
    uint64_t seed;              /* random */
    atomic_flag lock;           /* all below but the ring */
    struct gate_sender sender[GATE_SETS][GATE_WAYS];
    uint64_t tick;
    struct gate_bucket all, source[GATE_SOURCES];
    struct mesh_session_peer session[MESH_SESSIONS_MAX];
    unsigned session_count;
    struct mesh_addr unreachable[GATE_UNREACHABLE];
    unsigned unreachable_count;
    struct gate_stats stats;
    struct inbox_ring ring;
};

/* All zeros before. key: not read with MESH_SECURITY_NONE. seed: makes it unpredictable which sources share a bucket. */
void gate_init(struct gate *gate, enum mesh_security security, const struct mesh_key *key, const char *cluster, uint64_t seed);
void gate_release(struct gate *gate); /* wipes the keys; all zeros is fine */

/* A datagram as received; called by the owner of the UDP driver. True: it is queued in the ring, already opened if it is of the
 * cluster layer. */
bool gate_take(struct gate *gate, uint64_t now_ns, struct mesh_addr from, const uint8_t *packet, size_t bytes);

/* An unverified report that nobody is at this address; called by the owner of the driver. True: it is queued once for
 * gate_next_unreachable. */
bool gate_tell_unreachable(struct gate *gate, struct mesh_addr addr);
bool gate_next_unreachable(struct gate *gate, struct mesh_addr *addr); /* main thread */

/* Main thread: the sessions that are open now. */
void gate_set_sessions(struct gate *gate, const struct mesh_session_peer *places, unsigned count);

/* Main thread: the members of the epoch that begins, at most MESH_RANKS_MAX. */
void gate_set_members(struct gate *gate, const struct mesh_cluster_member *members, unsigned count);

void gate_get_stats(struct gate *gate, struct gate_stats *stats);

#endif
