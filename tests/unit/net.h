/* A few endpoints joined by an in-memory wire with a fixed delay in virtual time: enough for tests of single mechanisms. */
#ifndef TEST_NET_H
#define TEST_NET_H

#include <stdbool.h>

#include "mesh/mesh.h"
#include "mesh/wire.h"

enum { NET_RANKS_MAX = 8, NET_FLIGHTS_MAX = 8192, NET_US = 1000, NET_MS = 1000000 };

struct net_flight {
    uint64_t at_ns;
    uint16_t from, to;
    size_t bytes;
    uint8_t *packet;
};

struct net {
    uint16_t count;
    struct mesh *mesh[NET_RANKS_MAX];
    struct mesh_config config[NET_RANKS_MAX];
    void *memory[NET_RANKS_MAX];
    uint64_t now_ns, delay_ns;
    uint32_t path_bytes;  /* set before net_up: the largest datagram that the machines can send; 0: unknown */
    uint32_t group_bytes; /* set before net_up: the same for the multicast group, to which all ranks can send; 0: no group */
    uint64_t deaf;        /* ranks that do not receive the group */
    struct net_flight flights[NET_FLIGHTS_MAX]; /* in order of arrival */
    unsigned flight_count;
    unsigned sent[NET_RANKS_MAX][MESH_TYPE_COUNT];   /* datagrams written, once per receiver */
    unsigned group_sends, tile_sends[NET_RANKS_MAX]; /* datagrams to the group; datagrams with tiles, to the group or to one rank */
    unsigned events[NET_RANKS_MAX][MESH_EVENT_GONE + 1];
    char reason[NET_RANKS_MAX][MESH_REASON_BYTES]; /* of the last refusal */
    int last_error;                                /* of the last mesh_receive that dropped its datagram */

    /* Optional. drop: true loses the datagram; delay: extra time on the path; copies: how many duplicates arrive. */
    bool (*drop)(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes);
    uint64_t (*delay)(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message);
    unsigned (*copies)(struct net *net, uint16_t from, uint16_t to);
    void (*on_event)(struct net *net, uint16_t rank, const struct mesh_event *event);
    void *app;
};

/* Configurations that match, links of 100 µs; change net->config before net_start. */
struct net *net_new(uint16_t count);
void net_start(struct net *net);
void net_restart(struct net *net, uint16_t rank); /* a new process; datagrams on their way to it still arrive */
void net_free(struct net *net);

struct mesh_addr net_addr(uint16_t rank);

/* Deliver and tick until now_ns + span_ns. */
void net_run(struct net *net, uint64_t span_ns);

/* Put the endpoints' datagrams on the wire; drain events. */
void net_flush(struct net *net);

/* net_start, then run until all are up and path probes have ended; zeroes the counters. */
void net_up(struct net *net);

/* ---- gathers over the whole net, with verifiable contents ---- */

struct net_gather {
    struct mesh_gather gather[NET_RANKS_MAX];
    uint16_t first[NET_RANKS_MAX + 1];
    uint8_t *data[NET_RANKS_MAX];
    size_t data_bytes;
};

/* Blocks of 36 bytes (the last 20), dealt evenly; every rank reads them. Own blocks are filled in. */
void net_gather_init(struct net *net, struct net_gather *gather, uint64_t step, uint16_t phase, uint16_t tokens, uint16_t blocks);
void net_gather_fill(struct net *net, struct net_gather *gather, uint16_t rank); /* own blocks, after a change of first[] */
void net_gather_release(struct net *net, struct net_gather *gather);
int net_gather_open(struct net *net, struct net_gather *gather, uint16_t rank);
int net_gather_publish(struct net *net, struct net_gather *gather, uint16_t rank); /* all own blocks */
bool net_gather_is_whole(struct net *net, const struct net_gather *gather, uint16_t rank);

#endif
