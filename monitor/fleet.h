/* What is known of a mesh: the state of every node, link, worker and request, and their past, folded from telemetry.
 *
 * Pure: reports and the time go in, nothing is asked of the system but memory, and that is bounded whatever comes. Time passes in ticks: at
 * each one the counters of the moment become one sample (what was done since the tick before), and FLEET_HISTORY samples are kept. Nodes
 * are known by their address, so that one that restarts keeps its line; one that is gone stays until its place is needed. A link is
 * directed: fleet_link(f, from, to) is what node `to` says of what it receives from `from`. One thread. */
#ifndef MONITOR_FLEET_H
#define MONITOR_FLEET_H

#include <stdbool.h>
#include <stdint.h>

#include "mesh/telemetry.h"
#include "mesh/udp.h"

enum {
    FLEET_NODES_MAX = 96,
    FLEET_RANKS_MAX = 64,
    FLEET_HISTORY = 600,
    FLEET_LINK_HISTORY = 240,
    FLEET_WORKERS_MAX = 256,
    FLEET_STEPS = 48,
    FLEET_PHASES_MAX = 1024,
    FLEET_EVENTS = 512,
    FLEET_REQUESTS = 128,
    FLEET_NAME_BYTES = MESH_TELEMETRY_TEXT_BYTES_MAX + 1,
    FLEET_NOBODY = -1
};

enum time_kind { TIME_COMPUTE, TIME_SEND, TIME_POLL, TIME_WAIT, TIME_IDLE, TIME_KINDS };

/* What becomes of a node, as far as can be told from here. */
enum fleet_state {
    FLEET_SEEKING,
    FLEET_LOADING,
    FLEET_UP,
    FLEET_JOINING,
    FLEET_SUSPECTED,
    FLEET_LEAVING,
    FLEET_SILENT,
    FLEET_LEFT,
    FLEET_DEAD
};

/* Of one node, between two ticks. A value that is not known is NAN. */
struct node_sample {
    float time[TIME_KINDS]; /* parts of the workers' time */
    float utilisation;      /* computing, per worker and second */
    float tok_per_s;        /* generated, of the whole mesh, as this node counts them */
    uint32_t tokens;        /* the same, counted: those that have been reported in between */
    float waits;            /* part of the workers' time that they waited for waits_for */
    int16_t waits_for;      /* the node that was waited for longest, or FLEET_NOBODY */
    uint8_t state;          /* enum fleet_state */
    bool is_fresh;          /* a report came in between */
};

/* Of one link, between two ticks. Where nothing came in between, latencies are those of before. */
struct link_sample {
    float p50_us, p99_us;         /* one way */
    float use_p50_us, use_p99_us; /* from sending to use */
    float rtt_us;
    float waits; /* part of the receiver's workers' time that they waited for the sender */
    uint32_t lost, received;
    uint32_t naks, resent;
    bool is_fresh; /* tiles came in between */
    bool begins;   /* an epoch began: what was sent to the receiver before it was there counts as lost */
};

struct fleet_link {
    struct mesh_telemetry_link now, before; /* as the receiver counts; before: at the last tick */
    uint32_t epoch, epoch_before;
    uint64_t heard_ns;                                                 /* when the receiver last spoke of it; 0: never */
    struct mesh_histogram *latency[MESH_LATENCIES];                    /* owned; NULL: none came */
    struct mesh_histogram *latency_before[MESH_LATENCIES];             /* owned */
    uint16_t bucket_first[MESH_LATENCIES], bucket_end[MESH_LATENCIES]; /* those outside are empty */
    float last_us[MESH_LATENCIES][2];                                  /* p50, p99 of the newest interval in which something came */
    struct link_sample sample[FLEET_LINK_HISTORY];                     /* ring by tick */
    uint64_t first_tick;                                               /* samples before it are none */
};

struct fleet_worker {
    struct mesh_telemetry_worker now, before;
    float time[TIME_KINDS]; /* parts since the last tick */
    bool is_known;
};

struct fleet_step {
    struct mesh_telemetry_step step;
    struct mesh_telemetry_phase *phases; /* (capacity) owned */
    uint16_t capacity, told;             /* told: phases that came */
    uint64_t tick;                       /* when it came */
    bool is_known;
};

struct fleet_node {
    bool is_used;
    struct mesh_addr addr;
    char address[MESH_ADDR_TEXT_BYTES];
    char model[FLEET_NAME_BYTES];
    uint8_t incarnation[16];
    bool has_reported;
    struct mesh_telemetry_head head; /* of the newest report */
    struct mesh_telemetry_node now, before;
    uint64_t before_ns;    /* its clock at the last tick; 0: none */
    uint64_t tokens_ended; /* since the last tick, in epochs that have ended since */
    uint32_t before_epoch, before_serial;
    enum fleet_state state;
    uint64_t report_ns;               /* here, when the newest report came */
    uint64_t named_ns;                /* here, when another member last named it */
    uint8_t named_state;              /* enum mesh_telemetry_state, by that one */
    uint32_t named_epoch;             /* of that one */
    int64_t gone_wall_ns;             /* when it was last heard, for one that is gone */
    uint64_t left_ns;                 /* here, when another one told that it has left; 0: nobody has */
    int16_t of_rank[FLEET_RANKS_MAX]; /* node of that rank in this node's epoch; FLEET_NOBODY */
    struct fleet_worker *workers;     /* (worker_room) owned */
    unsigned worker_count, worker_room;
    struct fleet_link *links[FLEET_NODES_MAX]; /* by sender; owned; NULL: none */
    struct fleet_step steps[FLEET_STEPS];      /* in no order; the oldest goes first */
    struct node_sample sample[FLEET_HISTORY];  /* ring by tick */
    uint64_t first_tick;
    uint32_t event_last;  /* number of the newest event of this incarnation */
    uint64_t events_seen; /* bit i: event_last - i came */
};

struct fleet_event {
    uint64_t number;  /* in the order in which they came, from 0 */
    int64_t wall_ns;  /* when it happened, by the clock of who tells */
    int16_t node;     /* who tells; FLEET_NOBODY: the monitor itself, or one that is forgotten */
    uint8_t happened; /* enum mesh_telemetry_happening; 0: the monitor's */
    bool is_bad;
    int16_t about; /* node, or FLEET_NOBODY */
    uint32_t epoch;
    uint64_t tick;                      /* when it came */
    char teller[MESH_ADDR_TEXT_BYTES];  /* address of one that is forgotten, or "" */
    char subject[MESH_ADDR_TEXT_BYTES]; /* likewise; also of one that is not known */
    char text[FLEET_NAME_BYTES];
};

struct fleet_request {
    bool is_used;
    int16_t node;
    struct mesh_telemetry_request now, before;
    uint64_t changed_ns, heard_ns;
    float tok_per_s; /* since the last tick */
    bool is_lost;    /* it ran, and is not told of any more: its end was missed, or its node has died */
};

struct fleet {
    struct fleet_node *nodes;       /* (FLEET_NODES_MAX) owned */
    int node_end;                   /* those from here on were never used, and are much memory to look at */
    struct fleet_event *events;     /* (FLEET_EVENTS) in no order, owned */
    struct fleet_request *requests; /* (FLEET_REQUESTS) owned */
    uint64_t event_count;           /* ever */
    unsigned events_kept;
    uint64_t ticks;                  /* samples of tick t are there for ticks - FLEET_HISTORY <= t < ticks */
    uint64_t first_tick;             /* and not of those before a reset */
    uint64_t tick_ns[FLEET_HISTORY]; /* ring: when, by the monotonic clock */
    int64_t tick_wall_ns[FLEET_HISTORY];
    uint64_t interval_ns; /* between ticks, as it should be */
    bool is_connected;
    uint64_t connected_ns;     /* since; or when it was lost */
    char connection[300];      /* in words, when it is lost */
    uint64_t heard_ns;         /* when the newest report of anybody came */
    uint32_t epoch;            /* the highest one that somebody reported of, lately, at the last tick */
    uint64_t epoch_ns;         /* when the newest report of it came */
    uint64_t reports, refused; /* records taken in, and those that were none */
    uint64_t refused_full;     /* for want of room */
};

/* 0, or -1: no memory. */
int fleet_init(struct fleet *fleet);
void fleet_release(struct fleet *fleet);

/* As after fleet_init, but for the interval, and in the same memory. */
void fleet_clear(struct fleet *fleet);

/* Take a record of a client session. 0, or a negative enum mesh_err, and the rest of it is not taken. */
int fleet_report(struct fleet *fleet, uint64_t now_ns, int64_t wall_ns, const uint8_t *record, size_t bytes);

/* The connection is there, or (why: in words) not. */
void fleet_set_connected(struct fleet *fleet, uint64_t now_ns, int64_t wall_ns, bool is_connected, const char *why);

/* Close an interval. Not while there is no connection: the last data stay what they are. */
void fleet_tick(struct fleet *fleet, uint64_t now_ns, int64_t wall_ns);

/* Forget samples, events and requests that are over; nodes stay, but for those that are gone. */
void fleet_reset(struct fleet *fleet);

/* An event of the monitor's own. */
__attribute__((format(printf, 4, 5))) void fleet_note(struct fleet *fleet, int64_t wall_ns, bool is_bad, const char *format, ...);

/* Those that are kept, from that number on, the newest first by their time (of the same time the one that came last); their number. */
int fleet_list_events(const struct fleet *fleet, uint64_t first_number, const struct fleet_event *list[FLEET_EVENTS]);
/* Addresses of who tells it, and of whom it is about; "": nobody. */
const char *fleet_event_teller(const struct fleet *fleet, const struct fleet_event *event);
const char *fleet_event_subject(const struct fleet *fleet, const struct fleet_event *event);

/* ---- looking at it; tick is one that is kept ---- */

/* Is there a sample of that tick? */
bool fleet_has_tick(const struct fleet *fleet, uint64_t tick);

/* NULL: the node or link was not known then. */
const struct node_sample *fleet_node_at(const struct fleet *fleet, int node, uint64_t tick);
const struct link_sample *fleet_link_at(const struct fleet *fleet, int from, int to, uint64_t tick);
const struct fleet_link *fleet_link(const struct fleet *fleet, int from, int to);

/* Is the tick so far back still within the time of so many? It is not when there was no connection meanwhile. */
bool fleet_is_within(const struct fleet *fleet, uint64_t tick, unsigned back, unsigned ticks);

/* Part lost of what `from` sent to `to` in the ticks up to that one, so many at most; NAN: nothing was sent. Those in which an epoch began
 * are left out. */
double fleet_loss(const struct fleet *fleet, int from, int to, uint64_t tick, unsigned ticks);

/* Part of the time with open steps in which the workers of `to` waited for `from`, over the ticks up to that one; NAN: no steps. */
double fleet_waits(const struct fleet *fleet, int from, int to, uint64_t tick, unsigned ticks);

/* Tokens per second that the mesh generated: the greatest of what its nodes say, of those that have reported in the interval if any has;
 * NAN when none says. */
float fleet_tok_per_s(const struct fleet *fleet, uint64_t tick);

/* The sequencer, or FLEET_NOBODY. */
int fleet_sequencer(const struct fleet *fleet);

/* What it was then; at the last tick, what it is. */
enum fleet_state fleet_state_at(const struct fleet *fleet, int node, uint64_t tick);

/* Is that a node that computes or could? */
bool fleet_is_alive(enum fleet_state state);
/* Is a report of it overdue, though not for long enough to call it silent? */
bool fleet_is_late(const struct fleet *fleet, const struct fleet_node *node);
/* How long nobody has been heard, at the last tick, when that is more than an interval and half a second; else 0. */
uint64_t fleet_silence_ns(const struct fleet *fleet);
const char *fleet_state_name(enum fleet_state state);

/* Does it still wait, read its prompt or generate, as far as is known? */
bool fleet_request_runs(const struct fleet_request *request);
const char *fleet_request_state(const struct fleet_request *request);

/* Nodes in the order of ranks, those that are gone behind; their number. */
int fleet_order(const struct fleet *fleet, int nodes[FLEET_NODES_MAX]);

/* Its rank as text, "-" for one that is in no epoch. */
const char *fleet_rank_text(const struct fleet_node *node, char out[8]);

/* That node's clock minus the reference's, and how far that may be off; false: not known. The reference is the first node that knows. */
bool fleet_clock(const struct fleet *fleet, int node, int64_t *offset_ns, uint64_t *error_ns);

/* ---- between its files ---- */

/* What its newest report has counted since the last tick in the epoch that it is of; 0 where there was none before. */
uint64_t fleet_tokens_since(const struct fleet_node *node);

/* The node of that address; a new one where there is room, else FLEET_NOBODY. */
int fleet_find(struct fleet *fleet, const uint8_t ip[16], uint16_t port, uint64_t now_ns);
/* It has learned its address, as happens when it joins: whatever was listed there is the same node. */
void fleet_move(struct fleet *fleet, int node, const uint8_t ip[16], uint16_t port);
int fleet_find_incarnation(const struct fleet *fleet, const uint8_t incarnation[16]);
struct fleet_link *fleet_make_link(struct fleet *fleet, int from, int to); /* NULL: no memory */
struct fleet_event *fleet_add_event(struct fleet *fleet, int64_t wall_ns); /* NULL: older than all that are kept */

#endif
