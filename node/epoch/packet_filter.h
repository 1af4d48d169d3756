/* The filter for datagrams outside epochs, between the thread that polls the socket and the main thread.
 *
 * The receiving thread rejects junk before it wakes another thread or takes room from other datagrams: first by its form, then by what is
 * known of its sender, last by its tag. Datagrams that pass the filter have a valid tag, except those of client sessions: their session is
 * open, they come from its address, and they may fill half of the room. Tags of unknown senders are tried only at a limited rate, per port,
 * per host and in all, since each needs a key of its own. Nothing is kept of a sender before one of its tags has been verified, and members
 * of the epoch keep their places however many others, or recorded datagrams of others, come by. */
#ifndef NODE_PACKET_FILTER_H
#define NODE_PACKET_FILTER_H

#include <stdatomic.h>

#include "mesh/cluster.h"
#include "mesh/session.h"
#include "packet_ring.h"

enum {
    PACKET_FILTER_SETS = 64,
    PACKET_FILTER_WAYS = 8,         /* known senders per set, all but one of which may be members */
    PACKET_FILTER_NUMBERS = 512,    /* received numbers remembered per sender */
    PACKET_FILTER_UNREACHABLE = 16, /* addresses that wait for packet_filter_next_unreachable */
    PACKET_FILTER_SOURCES = 256,    /* buckets over which sources of tries are spread */
    PACKET_FILTER_SOURCE_RATE = 500,
    PACKET_FILTER_SOURCE_BURST = 64, /* tries of one source, a port of a host: per second, and at once */
    PACKET_FILTER_HOST_RATE = 5000,
    PACKET_FILTER_HOST_BURST = 500, /* the same of all ports of a host together */
    PACKET_FILTER_RATE = 20000,
    PACKET_FILTER_BURST = 2000 /* the same for all sources together */
};

/* A member, or a process one of whose tags was valid, and the numbers it has used. */
struct packet_filter_sender {
    uint8_t incarnation[MESH_INCARNATION_BYTES];
    struct mesh_seal_key key;
    uint64_t used; /* last use, counted in datagrams; 0: free */
    bool is_member;
    uint64_t highest, numbers[PACKET_FILTER_NUMBERS / 64];
};

struct packet_filter_bucket {
    uint64_t at_ns; /* when it would be full */
};

struct packet_filter_stats {
    uint64_t cluster[MESH_SEAL_REFUSALS];
    uint64_t clients[MESH_SESSION_REFUSALS];
    uint64_t replay; /* number seen before */
    uint64_t rate;   /* too many from unknown senders: not examined further */
    uint64_t full;   /* no room: the main thread is behind */
};

struct packet_filter {
    enum mesh_security security;
    const struct mesh_key *key; /* borrowed */
    const char *cluster;        /* borrowed */
    uint64_t seed;              /* random */
    atomic_flag lock;           /* all below but the ring */
    struct packet_filter_sender sender[PACKET_FILTER_SETS][PACKET_FILTER_WAYS];
    uint64_t tick;
    struct packet_filter_bucket all, source[PACKET_FILTER_SOURCES], host[PACKET_FILTER_SOURCES];
    struct mesh_session_peer session[MESH_SESSIONS_MAX];
    unsigned session_count;
    struct mesh_addr unreachable[PACKET_FILTER_UNREACHABLE];
    unsigned unreachable_count;
    struct packet_filter_stats stats;
    struct packet_ring ring;
};

/* All zeros before. key: not read with MESH_SECURITY_NONE. seed: makes it unpredictable which sources share a bucket. */
void packet_filter_init(struct packet_filter *filter, enum mesh_security security, const struct mesh_key *key, const char *cluster,
                        uint64_t seed);
void packet_filter_release(struct packet_filter *filter); /* wipes the keys; all zeros is fine */

/* A datagram as received; called by the owner of the UDP driver, and by the main thread for those of the discovery group. True: it is
 * queued in the ring, already opened if it is of the cluster layer. */
bool packet_filter_take(struct packet_filter *filter, uint64_t now_ns, struct mesh_addr from, const uint8_t *packet, size_t bytes);

/* An unverified report that nobody is at this address; called by the owner of the driver. True: it is queued once for
 * packet_filter_next_unreachable. */
bool packet_filter_tell_unreachable(struct packet_filter *filter, struct mesh_addr addr);
bool packet_filter_next_unreachable(struct packet_filter *filter, struct mesh_addr *addr); /* main thread */

/* Main thread: the sessions that are open now. */
void packet_filter_set_sessions(struct packet_filter *filter, const struct mesh_session_peer *peers, unsigned count);

/* Main thread: the members of the epoch that begins, at most MESH_RANKS_MAX. */
void packet_filter_set_members(struct packet_filter *filter, const struct mesh_cluster_member *members, unsigned count);

void packet_filter_get_stats(struct packet_filter *filter, struct packet_filter_stats *stats);

#endif
