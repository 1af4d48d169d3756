/* Processes that form clusters on the network simulator, each with its own clock. Every epoch that any of them installs is checked against
 * all others: the first violation is stored in error, and nothing runs after it. */
#ifndef TEST_SIMMEMBERS_H
#define TEST_SIMMEMBERS_H

#include "mesh/cluster.h"
#include "mesh/sim.h"
#include "mesh/wire.h"

enum { SIMMEMBERS_MAX = MESH_RANKS_MAX, SIMMEMBERS_EVENTS = MESH_CLUSTER_PEER_BACK + 1 };

#define SIMMEMBERS_MS UINT64_C(1000000)
#define SIMMEMBERS_S  UINT64_C(1000000000)

struct simmembers;
struct simattack;

struct simmember {
    struct simmembers *members;
    uint16_t place; /* in the simulator: its address */
    struct mesh_cluster_config config;
    struct mesh_addr seeds[MESH_CLUSTER_SEEDS_MAX];
    struct mesh_cluster *cluster; /* NULL: no process */
    void *memory;
    uint32_t processes; /* processes that have been started here */
    uint32_t clock_ppm; /* its clock runs at this many millionths of the speed of the simulator's; 0: at the same speed */
    uint64_t clock_offset_ns;
    bool is_elsewhere;    /* its datagrams come from its second address; it is reached at both */
    uint64_t summary;     /* its summary, from its start on */
    uint64_t prepare_ns;  /* time until it is ready */
    uint64_t ready_at_ns; /* own clock; 0: nothing to prepare */
    uint32_t ready_plan;

    /* the epoch it is in */
    bool has_epoch, has_left;
    uint32_t number, number_before;
    uint8_t id[16];
    uint16_t count, rank;
    struct mesh_cluster_member list[MESH_RANKS_MAX];
    uint64_t epoch_ns; /* simulator's time when the epoch was installed */

    uint64_t events[SIMMEMBERS_EVENTS], left; /* left: events PEER_LOST of members that were leaving */
    struct mesh_cluster_event refused, lost;  /* the last ones */
    char reason[MESH_REASON_BYTES];
    uint32_t prepare_number;
    uint16_t prepare_count;
    uint64_t prepare_summary[MESH_RANKS_MAX]; /* by place */
};

/* What a process runs beside its cluster core, on its own clock; each function is called after that of the core. Datagrams here are those
 * of epochs and of telemetry; output->ranks are places, or 0: to output->addr. */
struct simmembers_beside {
    int (*receive)(struct simmember *member, uint64_t own_ns, struct mesh_addr from, const uint8_t *packet, size_t packet_bytes);
    void (*tick)(struct simmember *member, uint64_t own_ns);
    uint64_t (*timeout)(const struct simmember *member);
    bool (*next_datagram)(struct simmember *member, uint64_t own_ns, uint8_t *packet, size_t capacity, struct mesh_output *output);
    void (*on_event)(struct simmember *member, const struct mesh_cluster_event *event);
    uint64_t (*work)(struct simmember *member, uint64_t own_ns); /* returns the time it takes */
};

/* An epoch or a nonce that any process has installed. */
struct simmembers_seen {
    uint64_t key[4], value;
};

struct simmembers {
    struct mesh_sim *sim;
    uint64_t seed;
    uint16_t count;
    struct simmember at[SIMMEMBERS_MAX];
    struct simmembers_seen *seen; /* (capacity), open addressing by key */
    size_t seen_count, seen_capacity;
    uint64_t epochs; /* number of distinct epochs */
    uint64_t installs;
    uint64_t queue_max;
    uint64_t received[MESH_TYPE_COUNT];
    /* Optional: true loses an arriving datagram. */
    bool (*loses)(struct simmembers *members, uint16_t from, uint16_t to, const struct mesh_message *message);
    struct simattack *attack;               /* NULL: no attacker */
    uint64_t paused;                        /* places that the attacker leaves alone, because they are paused */
    const struct simmembers_beside *beside; /* NULL: nothing */
    void *app;
    char error[300]; /* empty: everything holds */
};

/* Only the first violation is kept. */
void simmembers_fail(struct simmembers *members, const struct simmember *member, const char *what);

/* Of each process, as mesh_cluster_config wants it: not cryptographic, but every bit of the input matters. */
void simmembers_hash(const void *data, size_t bytes, uint8_t out[16]);

/* No process is started. Change at[].config before starting one. */
void simmembers_open(struct simmembers *members, uint16_t count, uint64_t seed, const struct mesh_sim_link *link);
void simmembers_close(struct simmembers *members);

/* A 100 µs link without loss. */
struct mesh_sim_link simmembers_link(void);

void simmembers_add_seed(struct simmembers *members, uint16_t place, uint16_t seed);

/* A seed, too: a multicast group. All places hear what is sent to it, the sender's own first. */
void simmembers_add_group(struct simmembers *members, uint16_t place);

/* Start a new process, with a new incarnation each time. */
void simmembers_start(struct simmembers *members, uint16_t place);
void simmembers_crash(struct simmembers *members, uint16_t place);

/* Start all of them, each knowing the first; run until they agree. */
void simmembers_form(struct simmembers *members);

uint64_t simmembers_all(const struct simmembers *members);                  /* mask of places */
uint16_t simmembers_place(const struct simmembers *members, uint16_t rank); /* in the epoch of place 0, or of the first live one */

/* The place's own time. */
uint64_t simmembers_clock(const struct simmembers *members, uint16_t place);

/* True when the places of the mask are in one epoch, whose members are exactly these. */
bool simmembers_agree(const struct simmembers *members, uint64_t places);

/* Run for span_ns. False on a violation. */
bool simmembers_run(struct simmembers *members, uint64_t span_ns);

/* Run until they agree; returns the time it took, UINT64_MAX on a violation or when it takes longer than span_ns. */
uint64_t simmembers_run_agree(struct simmembers *members, uint64_t places, uint64_t span_ns);

/* The address from which its datagrams come now. The port is the place's. */
struct mesh_addr simmembers_addr(const struct simmembers *members, uint16_t place);

/* Member `by` suspects `of`: the place's rank in the epoch of the one that reports the suspicion. */
void simmembers_suspect(struct simmembers *members, uint16_t by, uint16_t of);
void simmembers_starved(struct simmembers *members, uint16_t who,
                        uint16_t by); /* likewise: `who` hears `by`, but receives nothing large from it */

#endif
