/* The gate for datagrams outside of epochs, between whoever polls the socket and the main thread.
 *
 * Junk is turned away by the thread that received it, before it wakes anybody or takes room from others: by its form first, then by what
 * is known of its sender, at last by its tag. What waits behind the gate has a tag that fits (a client session's is of a session that is
 * open, from that session's address, and has half of the room). Tags of senders that are not known are tried only so often in a second, per
 * source and in all: each needs a key of its own. Nothing is kept of a sender before a tag of it has fitted. */
#ifndef NODE_GATE_H
#define NODE_GATE_H

#include <stdatomic.h>

#include "mesh/session.h"
#include "serve_inbox.h"

enum {
    GATE_SETS = 64,
    GATE_WAYS = 8,         /* known senders of a set */
    GATE_NUMBERS = 512,    /* received numbers remembered per sender */
    GATE_UNREACHABLE = 16, /* addresses that wait to be told */
    GATE_SOURCES = 256,    /* buckets that sources of tries fall into */
    GATE_SOURCE_RATE = 500,
    GATE_SOURCE_BURST = 64, /* tries per second of a source, and at once */
    GATE_RATE = 20000,
    GATE_BURST = 2000 /* the same of all */
};

/* A process whose tag has fitted, and the numbers it has used. */
struct gate_sender {
    uint8_t incarnation[MESH_INCARNATION_BYTES];
    struct mesh_seal_key key;
    uint64_t used; /* when, counted in datagrams; 0: free */
    uint64_t highest, numbers[GATE_NUMBERS / 64];
};

struct gate_bucket {
    uint64_t at_ns; /* when it would be full */
};

struct gate_stats {
    uint64_t cluster[MESH_SEAL_REFUSALS];
    uint64_t clients[MESH_SESSION_REFUSALS];
    uint64_t replay; /* number seen before */
    uint64_t rate;   /* too many of unknown senders: not looked at any further */
    uint64_t full;   /* the main thread is behind */
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
    struct mesh_session_place session[MESH_SESSIONS_MAX];
    unsigned session_count;
    struct mesh_addr unreachable[GATE_UNREACHABLE];
    unsigned unreachable_count;
    struct gate_stats stats;
    struct inbox_ring ring;
};

/* All zeros before. key: not read with MESH_SECURITY_NONE. seed: so that nobody can tell which sources share a bucket. */
void gate_init(struct gate *gate, enum mesh_security security, const struct mesh_key *key, const char *cluster, uint64_t seed);
void gate_release(struct gate *gate); /* wipes the keys; all zeros is fine */

/* A datagram as it came; the owner of the UDP driver. True: it waits in the ring, one of the cluster layer already opened. */
bool gate_take(struct gate *gate, uint64_t now_ns, struct mesh_addr from, const uint8_t *packet, size_t bytes);

/* Nobody is at this address, as somebody says; the owner of the driver. True: it waits for gate_next_unreachable, once. */
bool gate_tell_unreachable(struct gate *gate, struct mesh_addr addr);
bool gate_next_unreachable(struct gate *gate, struct mesh_addr *addr); /* main thread */

/* Main thread: the sessions that are open now. */
void gate_set_sessions(struct gate *gate, const struct mesh_session_place *places, unsigned count);

void gate_get_stats(struct gate *gate, struct gate_stats *stats);

#endif
