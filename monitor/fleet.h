/* What is known of a mesh: the state of every node, link, worker and request, and their history, folded from telemetry.
 *
 * Pure: reports and the time are arguments; the only system resource is memory, which is bounded whatever arrives. now_ns is the monitor's
 * monotonic clock, wall_ns its time of day since 1970. One thread.
 *
 * Time passes in ticks. At each tick the change of the counters since the last one becomes a sample, and FLEET_HISTORY samples are kept.
 * Nodes are known by their address, so that a restarted node keeps its line; a node that is gone stays until its place is needed. A link
 * has a direction: fleet_link(f, from, to) is what node `to` reports of what it receives from `from`. */
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
    FLEET_PROBES = 3, /* tries of one size of datagram, in a row */
    FLEET_PROBES_TICKS = 2,
    FLEET_NOBODY = -1
};

enum time_kind { TIME_COMPUTE, TIME_SEND, TIME_POLL, TIME_WAIT, TIME_IDLE, TIME_KINDS };

/* State of a node, as far as the monitor can tell. */
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

/* Of one node, from one tick to the next. Parts are from 0 to 1; a value that is not known is NAN. */
struct node_sample {
    float time[TIME_KINDS]; /* parts of the workers' time */
    float utilisation;      /* computing, per worker and second */
    float tok_per_s;        /* tokens that the whole mesh generated, as this node counts them */
    uint32_t tokens;        /* how many these were, in the reports of this interval */
    float waits;            /* part of the workers' time in which they waited for waits_for */
    int16_t waits_for;      /* the node that was waited for longest, or FLEET_NOBODY */
    uint16_t rank;          /* MESH_TELEMETRY_NOBODY: none, or another node had it */
    uint8_t state;          /* enum fleet_state */
    bool is_fresh;          /* a report came in this interval */
};

/* Of one link, from one tick to the next. If no tiles came in this interval, the latencies are the previous ones. */
struct link_sample {
    float p50_us, p99_us;         /* one way */
    float use_p50_us, use_p99_us; /* from sending to use */
    float rtt_us;
    float bytes_per_s; /* received; NAN: not known */
    float waits;       /* part of the receiver's workers' time that they waited for the sender */
    uint32_t lost, received;
    uint32_t probes_lost; /* of what goes the other way, as the sender of that is told: no data was */
    uint32_t naks, resent;
    bool is_fresh; /* tiles came in this interval */
    bool begins;   /* an epoch began in it: what was sent before the receiver was there counts as lost */
};

struct fleet_link {
    struct mesh_telemetry_link now, before; /* as the receiver counts; before: at the last tick */
    uint32_t epoch, epoch_before;
    uint64_t heard_ns;                                                 /* when the receiver last reported it; 0: never */
    struct mesh_histogram *latency[MESH_LATENCIES];                    /* owned; NULL: none came */
    struct mesh_histogram *latency_before[MESH_LATENCIES];             /* owned */
    uint16_t bucket_first[MESH_LATENCIES], bucket_end[MESH_LATENCIES]; /* buckets outside are empty */
    float last_us[MESH_LATENCIES][2];                                  /* p50, p99 of the newest interval in which something came */
    struct link_sample sample[FLEET_LINK_HISTORY];                     /* ring by tick */
    uint64_t first_tick;                                               /* there are no samples before it */
};

struct fleet_worker {
    struct mesh_telemetry_worker now, before;
    float time[TIME_KINDS]; /* parts since the last tick */
    bool is_known;
};

/* Numbers of steps begin at 0 with each epoch, and those of epochs at 1 with each life of the mesh. */
struct fleet_step_id {
    uint32_t life, epoch;
    uint64_t number;
};

struct fleet_step {
    struct mesh_telemetry_step step;
    uint32_t life, epoch;
    int16_t waited_for;                  /* the node with its stall_rank in that epoch, or FLEET_NOBODY */
    struct mesh_telemetry_phase *phases; /* (capacity) owned */
    uint16_t capacity, phases_known;     /* phases_known: how many came */
    uint64_t tick;                       /* when it came */
    int64_t clock_ns;                    /* the node's clock minus the reference's then: clocks drift */
    int reference;                       /* FLEET_NOBODY: not known then */
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
    uint32_t life;                   /* of the mesh, when the node was in an epoch last */
    uint32_t epoch_last;             /* that one; 0: in none yet */
    uint8_t epoch_incarnation[16];   /* of the process that was in it */
    uint16_t rank;                   /* that of the head, unless another node has had it in a later epoch: then MESH_TELEMETRY_NOBODY */
    struct mesh_telemetry_node now, before;
    uint64_t before_ns;    /* its clock at the last tick; 0: none */
    uint64_t tokens_ended; /* since the last tick, in epochs that have ended since */
    uint32_t before_epoch, before_serial;
    enum fleet_state state;
    uint64_t report_ns;               /* when its newest report came */
    uint64_t named_ns;                /* when another member last named it */
    uint8_t named_state;              /* enum mesh_node_state that this member gave it */
    uint32_t named_epoch;             /* in which this member was */
    int64_t gone_wall_ns;             /* when a node that is gone was last heard */
    uint64_t left_ns;                 /* when another node told that it has left; 0: none has */
    int16_t of_rank[FLEET_RANKS_MAX]; /* node of that rank in this node's epoch, or FLEET_NOBODY */
    struct fleet_worker *workers;     /* (worker_room) owned */
    unsigned worker_count, worker_room;
    struct fleet_link *links[FLEET_NODES_MAX]; /* by sender; owned; NULL: none */
    struct fleet_step steps[FLEET_STEPS];      /* in no order; the oldest goes first */
    struct node_sample sample[FLEET_HISTORY];  /* ring by tick */
    uint64_t first_tick;
    uint32_t event_last;  /* number of the newest event of this incarnation */
    uint64_t events_seen; /* bit i: event_last - i came */
    int64_t happened_ns;  /* when event event_last happened, by the monitor's clock */
};

struct fleet_event {
    uint64_t number;     /* in the order in which they came, from 0 */
    int64_t wall_ns;     /* when it happened, by the clock of the node that tells it, which may be wrong or have been set */
    int64_t happened_ns; /* the same by the monitor's monotonic clock, to sort by; negative: before that began */
    int16_t node;        /* that tells it; FLEET_NOBODY: the monitor itself, or a forgotten node */
    uint8_t happened;    /* enum mesh_node_event; 0: of the monitor */
    bool is_bad;
    int16_t about; /* node, or FLEET_NOBODY */
    uint32_t epoch;
    uint64_t tick;                       /* when it came */
    char reporter[MESH_ADDR_TEXT_BYTES]; /* address of a forgotten node, or "" */
    char subject[MESH_ADDR_TEXT_BYTES];  /* likewise; also of an unknown node */
    char text[FLEET_NAME_BYTES];
};

struct fleet_request {
    bool is_used;
    int16_t node;
    struct mesh_telemetry_request now, before;
    uint64_t changed_ns, heard_ns;
    float tok_per_s; /* since the last tick */
    bool is_lost;    /* it ran, and is not reported any more: its end was missed, or its node has died */
};

struct fleet {
    struct fleet_node *nodes;       /* (FLEET_NODES_MAX) owned */
    int node_end;                   /* nodes from here on were never used, so that their memory need not be looked at */
    struct fleet_event *events;     /* (FLEET_EVENTS) in no order, owned */
    struct fleet_request *requests; /* (FLEET_REQUESTS) owned */
    uint64_t event_count;           /* all events ever */
    unsigned events_kept;
    uint64_t ticks;                  /* samples of tick t are kept for ticks - FLEET_HISTORY <= t < ticks */
    uint64_t first_tick;             /* but not for ticks before this one, as after a reset */
    uint64_t tick_ns[FLEET_HISTORY]; /* ring: monotonic clock */
    int64_t tick_wall_ns[FLEET_HISTORY];
    uint64_t interval_ns; /* between ticks, nominally */
    bool is_connected;
    bool is_recorded;          /* reports come from recordings, perhaps not those of all nodes */
    uint64_t connected_ns;     /* since when it is; or since when it is not */
    char connection[300];      /* to whom it is; or why it is not, in words */
    uint64_t heard_ns;         /* when the newest report of any node came */
    uint32_t epoch;            /* the highest one in a recent report of any node, at the last tick */
    uint64_t epoch_ns;         /* when the newest report of that epoch came */
    uint32_t life;             /* how often a node was in a lower epoch than before: the mesh was started anew */
    uint64_t reports, refused; /* records taken in, and malformed ones */
    uint64_t refused_full;     /* for want of room */
};

/* 0, or -1: no memory. */
int fleet_init(struct fleet *fleet);
void fleet_release(struct fleet *fleet);

/* As after fleet_init, except for the interval; memory is kept. */
void fleet_clear(struct fleet *fleet);

/* Take a record of a client session, borrowed for the call. 0, or a negative enum mesh_err: it is malformed, or there is no room, and what
 * follows the fault in it was not taken. */
int fleet_report(struct fleet *fleet, uint64_t now_ns, int64_t wall_ns, const uint8_t *record, size_t bytes);

/* The connection is there, and why is the address; or it is not, and why says so in words. */
void fleet_set_connected(struct fleet *fleet, uint64_t now_ns, int64_t wall_ns, bool is_connected, const char *why);

/* End an interval. Does nothing without a connection, so that the last data stay. */
void fleet_tick(struct fleet *fleet, uint64_t now_ns, int64_t wall_ns);

/* Forget samples, events and finished requests; nodes stay, except those that are gone. */
void fleet_reset(struct fleet *fleet);

/* Add an event of the monitor's own, which happened at that time by both clocks. */
__attribute__((format(printf, 5, 6))) void fleet_note(struct fleet *fleet, uint64_t at_ns, int64_t wall_ns, bool is_bad, const char *format,
                                                      ...);

/* Kept events from that number on, newest first by happened_ns (with equal times, the last to arrive first); returns their number. */
int fleet_list_events(const struct fleet *fleet, uint64_t first_number, const struct fleet_event *list[FLEET_EVENTS]);
/* Addresses of the node that tells it, and of the node it is about; "": none. */
const char *fleet_event_reporter(const struct fleet *fleet, const struct fleet_event *event);
const char *fleet_event_subject(const struct fleet *fleet, const struct fleet_event *event);

/* ---- looking at it; tick is a kept one ---- */

/* Is there a sample of that tick? */
bool fleet_has_tick(const struct fleet *fleet, uint64_t tick);

/* NULL: the node or link was not known then. */
const struct node_sample *fleet_node_at(const struct fleet *fleet, int node, uint64_t tick);
const struct link_sample *fleet_link_at(const struct fleet *fleet, int from, int to, uint64_t tick);
const struct fleet_link *fleet_link(const struct fleet *fleet, int from, int to);

/* Is there a sample `back` ticks before that one, and from within the time of `ticks` intervals? It is older if the connection was lost in
 * between, since then no ticks pass. */
bool fleet_is_within(const struct fleet *fleet, uint64_t tick, unsigned back, unsigned ticks);

/* Datagrams, without probes, that `from` sent to `to` and that did not arrive, in at most `ticks` ticks up to that one. The sender is told
 * of its probes, and reports them, later than the receiver counts them: in the last FLEET_PROBES_TICKS up to FLEET_PROBES may be probes. */
uint64_t fleet_lost(const struct fleet *fleet, int from, int to, uint64_t tick, unsigned ticks);

/* The lost part of what `from` sent to `to` in at most `ticks` ticks up to that one; NAN: nothing was sent. Ticks in which an epoch began
 * are left out. */
double fleet_loss(const struct fleet *fleet, int from, int to, uint64_t tick, unsigned ticks);

/* Did tiles come on the link in at most `ticks` ticks up to that one? If not, its latencies are those of an earlier time. */
bool fleet_has_latency(const struct fleet *fleet, int from, int to, uint64_t tick, unsigned ticks);

/* Part of the time with open steps in which the workers of `to` waited for `from`, over the ticks up to that one in which `to` reported;
 * NAN: no steps. */
double fleet_waits(const struct fleet *fleet, int from, int to, uint64_t tick, unsigned ticks);

/* Part of the time before that tick in which steps were open, at the node that had them longest; NAN: no node reported. */
double fleet_open(const struct fleet *fleet, uint64_t tick);

/* Tokens per second that the mesh generated: the mean of its nodes' figures, only of those that reported in the interval if any has, and of
 * those that were up; NAN: none has one. */
float fleet_tok_per_s(const struct fleet *fleet, uint64_t tick);

/* The node whose reports tell what the epoch and the model are: the sequencer, or without its reports the last to report of the newest
 * epoch; FLEET_NOBODY: none reports. */
int fleet_witness(const struct fleet *fleet);

/* The node's state then; at the last tick, its present state. */
enum fleet_state fleet_state_at(const struct fleet *fleet, int node, uint64_t tick);

/* Is that the state of a node that computes or could? */
bool fleet_is_alive(enum fleet_state state);
/* Is it a node that others have recorded, but that is in no recording with reports of its own? */
bool fleet_is_unrecorded(const struct fleet *fleet, const struct fleet_node *node);
/* Is a report of the node overdue, though not for long enough to call it silent? */
bool fleet_is_late(const struct fleet *fleet, const struct fleet_node *node);
/* The same at that tick; of the past, only whether a report came in either of the two intervals before it is known. */
bool fleet_is_late_at(const struct fleet *fleet, int node, uint64_t tick);
/* Are the node's figures of that tick old ones, as it is gone or a report of it is overdue? */
bool fleet_is_old_at(const struct fleet *fleet, int node, uint64_t tick);
/* How long the present epoch had lasted at that tick; 0: it had not begun. */
uint64_t fleet_epoch_age_ns(const struct fleet *fleet, uint64_t tick);
/* How long no node has been heard, at the last tick, if that is more than an interval and half a second; else 0. */
uint64_t fleet_silence_ns(const struct fleet *fleet);
const char *fleet_state_name(enum fleet_state state);

/* Does the request still wait, read its prompt or generate, as far as is known? */
bool fleet_request_runs(const struct fleet_request *request);
const char *fleet_request_state(const struct fleet_request *request);

/* Nodes in the order of ranks, those that are gone last; returns their number. */
int fleet_order(const struct fleet *fleet, int nodes[FLEET_NODES_MAX]);
int fleet_order_at(const struct fleet *fleet, uint64_t tick, int nodes[FLEET_NODES_MAX]); /* as they were then */

/* A node's rank then; MESH_TELEMETRY_NOBODY: it had none, or was not known, or another node had it. At the last tick, its present one. */
uint16_t fleet_rank_at(const struct fleet *fleet, int node, uint64_t tick);

/* A node's rank as text; "-": it has none, or another node has it now; or so it was then. */
const char *fleet_rank_text(const struct fleet_node *node, char out[8]);
const char *fleet_rank_text_at(const struct fleet *fleet, int node, uint64_t tick, char out[8]);

struct fleet_step_id fleet_step_id(const struct fleet_step *step);
/* Is it the same step, at another node (0)? Else, is it a newer one (above 0), or an older one? */
int fleet_step_compare(struct fleet_step_id a, struct fleet_step_id b);
/* The node that the step's longest stall waited for, or FLEET_NOBODY. */
int fleet_step_waited_for(const struct fleet *fleet, int node, const struct fleet_step *step);

/* The node's clock minus the reference's; false: not known. The reference is the first node that knows. */
bool fleet_clock(const struct fleet *fleet, int node, int64_t *offset_ns, int *reference);

/* ---- between its files ---- */

/* Tokens that the node's newest report has counted since the last tick in its epoch; 0 where there was no report before. */
uint64_t fleet_tokens_since(const struct fleet_node *node);

/* The node of that address; a new one where there is room, else FLEET_NOBODY. */
int fleet_find(struct fleet *fleet, const uint8_t ip[16], uint16_t port, uint64_t now_ns);
/* The node has learned its address, as happens when it joins: a node listed at that address is the same one. One that listens at any
 * address and is in no epoch any more does not know its own; it keeps the one by which it is known here. */
void fleet_move(struct fleet *fleet, int node, const uint8_t ip[16], uint16_t port);
int fleet_find_incarnation(const struct fleet *fleet, const uint8_t incarnation[16]);
struct fleet_link *fleet_make_link(struct fleet *fleet, int from, int to);                      /* NULL: no memory */
struct fleet_event *fleet_add_event(struct fleet *fleet, int64_t happened_ns, int64_t wall_ns); /* NULL: older than all that are kept */

#endif
