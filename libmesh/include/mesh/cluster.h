/* The cluster core: which processes form the mesh, agreed among them, without input or output of its own.
 *
 * One long-lived core per process. It finds other processes, proves that they are alive and fresh, and agrees with them on *epochs*: a
 * number, an id, and an ordered list of members. For each epoch the application makes an endpoint (mesh/mesh.h) and throws it away when the
 * next has begun. Datagrams of the cluster layer carry epoch 0 in their header, by which a driver tells the two apart.
 *
 * As in mesh/mesh.h: datagrams, the time and the application's calls go in; datagrams and events come out. No socket, clock, thread,
 * allocation or randomness: the process's secret is given at the start and everything unpredictable is a hash of it. One thread at a time.
 * Time is monotonic nanoseconds and never goes back (asserted). All memory is one block; every queue is bounded.
 *
 * What always holds: all processes that install an epoch (number, id) install the same list; the numbers that a process installs only grow;
 * the nonce that a process gives to an agreement is part of at most one id, so keys derived from the id never repeat. No majority is
 * needed: both sides of a partition go on, and merge when they meet. */
#ifndef MESH_CLUSTER_H
#define MESH_CLUSTER_H

#include "mesh/mesh.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { MESH_CLUSTER_SEEDS_MAX = 64 };

/* A member of an epoch; its rank is its place in the list. */
struct mesh_cluster_member {
    uint8_t incarnation[16]; /* drawn by its process at the start */
    uint8_t nonce[16];       /* fresh for this epoch */
    struct mesh_addr addr;
    uint32_t speed;
    uint32_t share;   /* as mesh_cluster_propose_shares said; 0 of all: it was not called */
    uint32_t flags;   /* the application's own */
    uint64_t summary; /* the application's own, by mesh_cluster_set_summary when the member agreed; PREPARE: as last known, 0: not known */
};

struct mesh_cluster_config {
    uint8_t incarnation[16]; /* 128 random bits of this process */
    uint8_t secret[32];      /* random; leaves the core only through hash */
    uint8_t cluster[16];     /* hash of the cluster's name */
    uint8_t fingerprint[32]; /* of the model: must be equal everywhere */
    uint32_t features;       /* optional parts this process knows */
    uint32_t features_required;
    uint16_t version;              /* 0: the real one; tests give others */
    struct mesh_addr addr;         /* own address; all zero: as others see it */
    const struct mesh_addr *seeds; /* addresses to ask; copied */
    unsigned seed_count;           /* at most MESH_CLUSTER_SEEDS_MAX */
    uint32_t speed, flags;
    bool prepares_joins;        /* as coordinator: let all load (MESH_CLUSTER_PREPARE) before new members come in */
    uint64_t gather_ns;         /* how long a coordinator waits for more joiners; 0: 10 ms */
    uint64_t settle_ns;         /* how long to look for others before an epoch of one; 0: 500 ms, none without seeds */
    uint64_t prepare_ns_max;    /* how long a plan waits for mesh_cluster_ready; 0: 60 s */
    const struct mesh_tap *tap; /* told of every call (mesh/tape.h); NULL: none. Borrowed as long as the core lives */

    /* 128 bits of a cryptographic hash. Called during the other calls; must not call the core. */
    void (*hash)(const void *data, size_t bytes, uint8_t out[16]);
};

struct mesh_cluster;

size_t mesh_cluster_memory_bytes(void);

/* memory: mesh_cluster_memory_bytes, 64-byte aligned, kept until the caller frees it. MESH_EINVAL: config breaks a rule. */
int mesh_cluster_init(struct mesh_cluster **cluster, const struct mesh_cluster_config *config, void *memory, size_t memory_bytes,
                      uint64_t now_ns);

/* ---- input ---- */

/* Feed one received datagram whose authenticity the caller has checked: its tag fits the incarnation at the beginning of its body. Then
 * drain mesh_cluster_next_event and mesh_cluster_next_datagram.
 * Returns 0, or why it was dropped (counted in mesh_cluster_stats.dropped). A drop changes no protocol state; it may be answered. */
int mesh_cluster_receive(struct mesh_cluster *cluster, uint64_t now_ns, struct mesh_addr from, const uint8_t *packet, size_t packet_bytes);

/* Let time pass; call at least when mesh_cluster_timeout says. A core that is called 300 ms later than that assumes that its process was
 * stopped: it trusts nothing that it knew about others until it has asked them. */
void mesh_cluster_tick(struct mesh_cluster *cluster, uint64_t now_ns);

/* When mesh_cluster_tick is due next; UINT64_MAX for never. May be in the past. */
uint64_t mesh_cluster_timeout(const struct mesh_cluster *cluster);

/* ---- the application's calls ---- */

/* Ask these addresses, too, and keep asking: at most MESH_CLUSTER_SEEDS_MAX in a call (asserted). MESH_AGAIN: there is no room for all of
 * them; each for which there is some is taken. */
int mesh_cluster_join(struct mesh_cluster *cluster, uint64_t now_ns, const struct mesh_addr *seeds, unsigned seed_count);

/* Leave in order: the others prepare (so does this process, which gets MESH_CLUSTER_PREPARE, too) and go on without it; then
 * MESH_CLUSTER_LEFT comes. This core cannot join again. */
void mesh_cluster_leave(struct mesh_cluster *cluster, uint64_t now_ns);

/* This member of the current epoch is silent while it owes something, or its port is unreachable. The lowest rank that is not suspected
 * asks it once more; without an answer, the epoch is over. Suspicions of a member that answers are dropped, but the third within ten
 * seconds between the same two members makes one of them leave. MESH_EINVAL: no such rank, or the own one. */
int mesh_cluster_suspect(struct mesh_cluster *cluster, uint64_t now_ns, uint16_t rank);

/* This member is heard, but large datagrams do not pass between the two (mesh_starved_ranks). With the third such call within ten seconds
 * (at least 200 ms apart) the higher rank of the two is left out, and comes back after a while, longer each time. MESH_EINVAL: no such
 * rank, or the own one. */
int mesh_cluster_starved(struct mesh_cluster *cluster, uint64_t now_ns, uint16_t rank);

/* The mesh layer has heard this member in the current epoch, so it need not be asked for a sign of life, and has longer to answer if it was
 * asked: its answer may wait in a queue. */
void mesh_cluster_heard(struct mesh_cluster *cluster, uint64_t now_ns, uint16_t rank);

/* All is loaded for the plan of the last MESH_CLUSTER_PREPARE event. MESH_ESTATE: another plan has taken its place, or there is none. */
int mesh_cluster_ready(struct mesh_cluster *cluster, uint64_t now_ns, uint32_t plan);

/* Told to the others with the next sign of life, and part of the next epoch's list. */
void mesh_cluster_set_speed(struct mesh_cluster *cluster, uint32_t speed);
void mesh_cluster_set_flags(struct mesh_cluster *cluster, uint32_t flags);

/* A further figure of this process, in the application's unit: serving nodes give the memory that they can have for their part of the
 * model. The next epoch's list has it as it is when this process agrees; a newcomer's is known before all prepare. */
void mesh_cluster_set_summary(struct mesh_cluster *cluster, uint64_t summary);

/* The same members with other shares, prepared first. shares: (count), one for each member. MESH_ESTATE: this process does not coordinate,
 * or members have changed; MESH_AGAIN: another plan is under way. */
int mesh_cluster_propose_shares(struct mesh_cluster *cluster, uint64_t now_ns, const uint32_t *shares, unsigned count);

/* ---- output ---- */

enum mesh_cluster_event_type {
    MESH_CLUSTER_NONE,
    MESH_CLUSTER_JOINED,    /* another cluster has taken this process in; its EPOCH follows */
    MESH_CLUSTER_REFUSED,   /* a cluster does not take this process in: reason in words, by addr */
    MESH_CLUSTER_PREPARE,   /* load and copy for these members, then mesh_cluster_ready(plan). own_rank: -1 when leaving */
    MESH_CLUSTER_EPOCH,     /* a new epoch begins */
    MESH_CLUSTER_EVICTED,   /* the others went on without this process: its epoch is over. It looks for them by itself */
    MESH_CLUSTER_LEFT,      /* mesh_cluster_leave is done */
    MESH_CLUSTER_PEER_LOST, /* a member of the last epoch is not in this one; to be logged */
    MESH_CLUSTER_PEER_BACK  /* a process is back at an address that was lost; to be logged */
};

struct mesh_cluster_event {
    enum mesh_cluster_event_type type;
    uint32_t plan;                             /* PREPARE */
    uint32_t number;                           /* EPOCH, PREPARE: of the epoch */
    uint8_t id[16];                            /* EPOCH */
    const struct mesh_cluster_member *members; /* EPOCH, PREPARE: (member_count); valid until the next call other than
                                                * mesh_cluster_next_event */
    uint16_t member_count;
    int16_t own_rank;
    uint16_t rank;            /* PEER_LOST: in the epoch before; PEER_BACK: in this one */
    struct mesh_addr addr;    /* PEER_LOST, PEER_BACK, REFUSED, JOINED */
    uint8_t incarnation[16];  /* PEER_LOST, PEER_BACK */
    bool has_left;            /* PEER_LOST: it was leaving */
    const char *reason;       /* REFUSED: valid until the next call */
    uint16_t reason_code;     /* REFUSED: enum mesh_deny_reason */
    uint64_t found, expected; /* REFUSED: by reason */
    struct mesh_addr unheard; /* REFUSED, MESH_DENY_UNHEARD: the member that it is about; port 0: not known. PEER_LOST: nothing large passes
                               * between the two, as the process that left it out was told; port 0: not so, or another has left it out */
};

/* The next event into *event; false when there is none. Drain after every input: an EPOCH or PREPARE that is not fetched is replaced by
 * the next one, and of REFUSED and PEER events the oldest are dropped. */
bool mesh_cluster_next_event(struct mesh_cluster *cluster, struct mesh_cluster_event *event);

/* Write the next datagram into packet (capacity at least MESH_DATAGRAM_BYTES_MIN), for output->addr; output->ranks is 0. False: nothing to
 * send now. The number it carries is spent. */
bool mesh_cluster_next_datagram(struct mesh_cluster *cluster, uint64_t now_ns, uint8_t *packet, size_t capacity,
                                struct mesh_output *output);

/* A number for a datagram of the application's own, sent with epoch 0 under this process's key like those above. Never the same twice. */
uint64_t mesh_cluster_spend_number(struct mesh_cluster *cluster);

/* ---- figures ---- */

enum { MESH_CLUSTER_REASONS = 9 }; /* one more than the largest enum mesh_deny_reason */

/* One word for people and for counters' names, by enum mesh_deny_reason: "version", "cluster", "fingerprint", ...; "?" for
 * another value. */
const char *mesh_cluster_reason_name(unsigned reason);

struct mesh_cluster_stats {
    uint64_t dropped[MESH_ERRS];           /* by -enum mesh_err */
    uint64_t denied[MESH_CLUSTER_REASONS]; /* answers to others */
    uint64_t refused[MESH_CLUSTER_REASONS];
    uint64_t received, sent;
    uint64_t epochs, evictions;
    uint64_t plans, plans_over;            /* begun as coordinator; given up */
    uint64_t suspicions, suspicions_wrong; /* members asked once more; that answered */
    uint64_t mistakes;                     /* members taken for dead that came back within 3 s: they have longer to answer now */
    uint64_t pauses;                       /* times the process was stopped */
    uint64_t queue_lost, queue_max;        /* small messages for which the queue had no room; most that waited in it */
};

struct mesh_cluster_peer_stats {
    struct mesh_addr addr;
    uint64_t rtt_ns;       /* 0: not measured yet */
    uint64_t silent_ns;    /* from hearing it last, or from the beginning of the epoch, to the core's last call */
    uint32_t speed, flags; /* as it said last */
    bool is_in;            /* it has shown that it is in this epoch */
    bool is_leaving, is_suspected;
};

void mesh_cluster_get_stats(const struct mesh_cluster *cluster, struct mesh_cluster_stats *stats);

/* Of a member of the current epoch other than this process; else MESH_EINVAL. */
int mesh_cluster_get_peer_stats(const struct mesh_cluster *cluster, uint16_t rank, struct mesh_cluster_peer_stats *stats);

/* The current epoch, without an event; number 0 while there is none. */
void mesh_cluster_get_epoch(const struct mesh_cluster *cluster, struct mesh_cluster_event *epoch);

/* Silence counts now: a suspect is asked, or votes are awaited. A driver that reads datagrams on another thread than the core's should then
 * read all that has arrived before the next mesh_cluster_tick. */
bool mesh_cluster_is_waiting(const struct mesh_cluster *cluster);

/* This process coordinates changes of the current epoch, as far as it knows. */
bool mesh_cluster_is_coordinator(const struct mesh_cluster *cluster);

/* 32 hash bits of all protocol state, messages that wait to be sent not included: equal inputs give equal states. */
uint32_t mesh_cluster_state_hash(const struct mesh_cluster *cluster);

#ifdef __cplusplus
}
#endif

#endif
