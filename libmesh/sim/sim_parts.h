/* The simulator's insides: what a link does to a datagram (sim_link.c), and nodes on virtual time (sim.c). */
#ifndef MESH_SIM_PARTS_H
#define MESH_SIM_PARTS_H

#include "heap.h"
#include "mesh/sim.h"

enum sim_item_kind { SIM_NODE, SIM_PACKET };

/* First member of what the heap holds. */
struct sim_item {
    enum sim_item_kind kind;
};

struct mesh_sim_packet {
    struct sim_item item;
    uint16_t from, to;
    bool is_opened;      /* and found good */
    bool is_through;     /* the receiver's own link */
    uint32_t generation; /* of the receiver when sent */
    size_t bytes;
    struct mesh_sim_packet *next; /* in the receiver's buffer */
    uint8_t data[];
};

struct mesh_sim_wire {
    struct mesh_sim_link link;
    uint64_t free_ns;   /* when the last bit of what is queued has left */
    uint64_t ordinal;   /* datagrams so far: the counter of the draws */
    uint64_t drop_mask; /* bit 0: of the next datagram */
    bool is_blocked;
};

/* A rank's own link, one way. */
struct mesh_sim_port {
    uint64_t rate_bits_per_s; /* 0: there is none */
    uint64_t free_ns;         /* when the last bit of what has come to it has passed */
};

struct mesh_sim_node {
    struct sim_item item;
    struct mesh_sim_endpoint endpoint; /* core NULL: not attached, or crashed */
    struct mesh_sealer *sealer;
    mesh_sim_work_fn *work;
    void *app;
    uint32_t generation; /* counts crashes */
    bool is_paused;
    bool is_deaf;    /* to the group */
    bool is_working; /* until busy_ns; its output leaves then */
    uint64_t busy_ns;
    uint64_t wake_ns;                     /* the node's one valid timer in the heap; UINT64_MAX none */
    struct mesh_sim_packet *first, *last; /* received, not yet fed */
    uint64_t buffer_bytes, buffer_used;
    struct mesh_sim_port sends, receives;
};

struct mesh_sim {
    uint64_t seed, now_ns;
    uint32_t events_now; /* since time last advanced */
    uint16_t rank_count;
    mesh_sim_watch_fn *watch;
    void *watch_app;
    struct mesh_heap heap;
    struct mesh_sim_stats stats;
    struct mesh_sim_wire *wires; /* (rank_count, rank_count): from, to */
    struct mesh_sim_node nodes[MESH_RANKS_MAX];
    uint8_t packet[65536];
};

/* Rates and probabilities are as mesh/sim.h has them. */
bool mesh_sim_link_is_valid(const struct mesh_sim_link *link);

/* When a datagram that comes to a rank's own link now has passed it. */
uint64_t mesh_sim_port_pass(struct mesh_sim_port *port, uint64_t now_ns, size_t bytes);

/* Put a datagram on the wire, at a time that is not over: schedules zero, one or two arrivals. */
void mesh_sim_wire_send_at(struct mesh_sim *sim, uint64_t at_ns, uint16_t from, uint16_t to, bool by_group, const uint8_t *packet,
                           size_t bytes);

/* The same as soon as it has passed the sender's own link. */
void mesh_sim_wire_send(struct mesh_sim *sim, uint16_t from, uint16_t to, bool by_group, const uint8_t *packet, size_t bytes);

/* Schedule; a full heap ends the process. */
void mesh_sim_schedule(struct mesh_sim *sim, uint64_t time_ns, struct sim_item *item);

_Noreturn void mesh_sim_abort(const struct mesh_sim *sim, const char *what);

#endif
