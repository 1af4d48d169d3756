/* The watchers of a node, and what it sends them and when: reports of itself, and of other members to its own clients.
 *
 * Like the protocol core it does no I/O of its own: records, datagrams and the time are arguments; it passes what it sends to hooks.
 * Bounded: the numbers of watchers and lookers are limited, each has a lease, and intervals are within limits. One thread. */
#ifndef NODE_WATCH_H
#define NODE_WATCH_H

#include "mesh/cluster.h"
#include "mesh/telemetry.h"
#include "mesh/wire.h"

enum { WATCHERS_MAX = 32, WATCH_FORMER_MAX = 2 * MESH_RANKS_MAX };

/* A client. */
struct watcher {
    uint32_t session; /* 0: free */
    uint32_t kinds;
    uint64_t interval_ns, until_ns;
    uint32_t serial[MESH_RANKS_MAX];  /* of the report of each member that it is being sent; 0: none yet */
    uint64_t next_ns[MESH_RANKS_MAX]; /* when it may be sent the next one */
};

/* A member whose clients watch. */
struct looker {
    struct mesh_addr addr;
    uint32_t kinds;
    uint64_t interval_ns, until_ns;
};

/* What has come from a process. Whatever is older is late, or was replayed by somebody. */
struct watch_mark {
    uint32_t serial; /* of its newest report; 0: none */
    uint64_t look;   /* number of its last LOOK */
};

/* A process that was a member and may be one again. */
struct watch_former {
    uint64_t left; /* order of leaving; 0: free */
    uint8_t incarnation[16];
    struct watch_mark mark;
};

/* Called during the calls below; must not call back, except for watch_give from report. */
struct watch_hooks {
    /* Send a record to a client; false: no room now, and it is lost. */
    bool (*to_client)(void *app, uint32_t session, const uint8_t *record, size_t bytes);
    /* Send a LOOK or REPORT to a member; its header (except the type) and the incarnation are still to be filled in. */
    void (*to_member)(void *app, const struct mesh_addr *to, struct mesh_message *message);
    /* Make a report of items of these kinds: watch_give for each piece. */
    void (*report)(void *app, uint32_t kinds);
    void *app;
};

struct watch {
    struct watch_hooks hooks;
    uint8_t incarnation[16]; /* own */
    uint64_t own_ns;         /* interval of reports of all kinds for the node itself; 0: none */
    struct mesh_cluster_member member[MESH_RANKS_MAX];
    uint16_t count, rank; /* of the present epoch; count 0: none */
    struct watcher watcher[WATCHERS_MAX];
    struct looker looker[MESH_RANKS_MAX];   /* by rank */
    struct watch_mark mark[MESH_RANKS_MAX]; /* likewise */
    struct watch_former former[WATCH_FORMER_MAX];
    uint64_t leavings; /* by members so far */
    uint64_t report_at_ns, look_at_ns;
    unsigned looks_for_old;              /* number of further LOOKs that ask for old events, which a new client does not know */
    bool tells_all_events;               /* in the next report, whose maker clears it */
    uint64_t refused, pieces, forwarded; /* figures */
};

/* What became of a record or datagram. */
enum watch_verdict { WATCH_NOT_OURS, WATCH_TAKEN, WATCH_REFUSED };

void watch_init(struct watch *watch, const uint8_t incarnation[16], const struct watch_hooks *hooks);

/* Another epoch, whose members are copied; count 0: none any more. */
void watch_epoch(struct watch *watch, const struct mesh_cluster_member *member, uint16_t count, uint16_t rank);

/* A record of a client. refusal, with WATCH_REFUSED: the reason, in words for the client. */
enum watch_verdict watch_take_record(struct watch *watch, uint64_t now_ns, uint32_t session, const uint8_t *record, size_t bytes,
                                     const char **refusal);
void watch_drop(struct watch *watch, uint64_t now_ns, uint32_t session); /* the session is over */

/* A datagram outside of epochs, opened. */
enum watch_verdict watch_take_packet(struct watch *watch, uint64_t now_ns, uint64_t unix_ms, const struct mesh_addr *from,
                                     const uint8_t *packet, size_t bytes);

/* A piece of the node's own report, sent to all watchers. */
void watch_give(struct watch *watch, uint64_t now_ns, uint64_t unix_ms, const struct mesh_telemetry_head *head, const uint8_t *piece,
                size_t bytes);

/* Make the next report soon: something has happened. */
void watch_hurry(struct watch *watch, uint64_t now_ns);

/* Report now, to all watchers, whatever their intervals: the last report of an epoch, whose counters end here. */
void watch_report_last(struct watch *watch, uint64_t now_ns);

/* Poll other members, and report, as far as due; and when that is next due, UINT64_MAX: never. */
void watch_run(struct watch *watch, uint64_t now_ns);
uint64_t watch_due_ns(const struct watch *watch, uint64_t now_ns);

bool watch_has(const struct watch *watch, uint64_t now_ns, uint32_t session); /* this client watches now */
unsigned watch_count(const struct watch *watch, uint64_t now_ns);             /* clients and members that watch now */

#endif
