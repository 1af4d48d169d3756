/* Who watches a node, and what it sends them and when: reports of itself, and of other members to its own clients.
 *
 * Like the protocol core without input or output of its own: records, datagrams and the time go in; what it wants to send it gives to
 * hooks. Bounded: so many watchers, so many lookers, each for a lease, at an interval within limits. One thread. */
#ifndef NODE_WATCH_H
#define NODE_WATCH_H

#include "mesh/cluster.h"
#include "mesh/telemetry.h"
#include "mesh/wire.h"

enum { WATCHERS_MAX = 8 };

/* A client. */
struct watcher {
    uint32_t session; /* 0: free */
    uint32_t kinds;
    uint64_t interval_ns, until_ns;
    uint32_t serial[MESH_RANKS_MAX];  /* of the report of each member that it is given now; 0: none yet */
    uint64_t next_ns[MESH_RANKS_MAX]; /* when it may be given the next one */
};

/* A member whose clients watch. */
struct looker {
    struct mesh_addr addr;
    uint32_t kinds;
    uint64_t interval_ns, until_ns;
    uint64_t number; /* of its last LOOK */
};

/* Called during the calls below; must not call back, but for watch_give from report. */
struct watch_hooks {
    /* A record to a client; false: there is no room now, and it is lost. */
    bool (*to_client)(void *app, uint32_t session, const uint8_t *record, size_t bytes);
    /* A LOOK or REPORT to a member; its header (but for the type) and the incarnation are still to be filled in. */
    void (*to_member)(void *app, const struct mesh_addr *to, struct mesh_message *message);
    /* Make a report of items of these kinds: watch_give for each piece. */
    void (*report)(void *app, uint32_t kinds);
    void *app;
};

struct watch {
    struct watch_hooks hooks;
    uint8_t incarnation[16]; /* own */
    uint64_t own_ns;         /* between two reports that the node itself wants, of all kinds; 0: none */
    struct mesh_cluster_member member[MESH_RANKS_MAX];
    uint16_t count, rank; /* of the present epoch; count 0: none */
    struct watcher watcher[WATCHERS_MAX];
    struct looker looker[MESH_RANKS_MAX]; /* by rank */
    uint64_t report_at_ns, look_at_ns;
    unsigned looks_for_old;              /* so many LOOKs are still to ask for old events, which a new client does not know */
    bool tells_all_events;               /* in the next report; whoever makes it sets it back */
    uint64_t refused, pieces, forwarded; /* figures */
};

/* What became of a record or datagram. */
enum watch_verdict { WATCH_NOT_OURS, WATCH_TAKEN, WATCH_REFUSED };

void watch_init(struct watch *watch, const uint8_t incarnation[16], const struct watch_hooks *hooks);

/* Another epoch, whose members are copied; or count 0: none any more. */
void watch_epoch(struct watch *watch, const struct mesh_cluster_member *member, uint16_t count, uint16_t rank);

/* A record of a client. refusal, if WATCH_REFUSED: why, in words for the client. */
enum watch_verdict watch_take_record(struct watch *watch, uint64_t now_ns, uint32_t session, const uint8_t *record, size_t bytes,
                                     const char **refusal);
void watch_drop(struct watch *watch, uint64_t now_ns, uint32_t session); /* is over */

/* A datagram outside of epochs, opened. */
enum watch_verdict watch_take_packet(struct watch *watch, uint64_t now_ns, uint64_t unix_ms, const struct mesh_addr *from,
                                     const uint8_t *packet, size_t bytes);

/* A piece of the own report, to all who watch. */
void watch_give(struct watch *watch, uint64_t now_ns, uint64_t unix_ms, const struct mesh_telemetry_head *head, const uint8_t *piece,
                size_t bytes);

/* The next report soon: something has happened. */
void watch_hurry(struct watch *watch, uint64_t now_ns);

/* A report now, to all who watch, however often they wish for one: the last of an epoch, whose counters end here. */
void watch_report_last(struct watch *watch, uint64_t now_ns);

/* Look at others, and report, as far as it is time; and when it is next, UINT64_MAX never. */
void watch_run(struct watch *watch, uint64_t now_ns);
uint64_t watch_due_ns(const struct watch *watch, uint64_t now_ns);

unsigned watch_count(const struct watch *watch, uint64_t now_ns); /* clients and members that watch now */

#endif
