/* Who watches a serving node, and what it sends them: reports of itself, and of other members to its own clients.
 *
 * Bounded: so many watchers, so many lookers, each for a lease, at an interval within limits; a report is a few datagrams. Nothing is
 * measured while nobody watches. Main thread. */
#ifndef NODE_SERVE_WATCH_H
#define NODE_SERVE_WATCH_H

#include "happened.h"
#include "measure.h"

enum { WATCHERS_MAX = 8, WATCH_PHASES_MAX = 4 * 256 + 1 };

/* A client. */
struct watcher {
    uint32_t session; /* 0: free */
    uint32_t kinds;
    uint64_t interval_ns, until_ns;
    uint32_t serial[MESH_RANKS_MAX];  /* of the report of each member that it is given now */
    uint64_t next_ns[MESH_RANKS_MAX]; /* when it may be given the next one */
};

/* A member whose clients watch. */
struct looker {
    struct mesh_addr addr;
    uint32_t kinds;
    uint64_t interval_ns, until_ns;
};

struct watching {
    struct watcher watcher[WATCHERS_MAX];
    struct looker looker[MESH_RANKS_MAX]; /* by rank */
    struct happenings happenings;
    struct measure measure;
    struct measure_requests requests;
    uint64_t start_ns, epoch_ns;
    uint64_t report_at_ns, look_at_ns;
    uint32_t serial;      /* of the last report */
    uint64_t step_serial; /* of the last step that was told of, in this epoch */
    unsigned latency_turn;
    bool tells_all_events; /* in the next report */
    uint64_t refused;
    uint64_t reports, pieces, forwarded; /* figures */
    struct mesh_telemetry_phase phase[WATCH_PHASES_MAX];
};

struct server;
struct inbox_packet;

int serve_watch_open(struct server *server, struct fail *fail);
void serve_watch_close(struct server *server);

/* A record of a client: true when it is one of these. */
bool serve_watch_take_record(struct server *server, uint32_t session, const uint8_t *record, size_t bytes);
void serve_watch_drop(struct server *server, uint32_t session); /* is over */

/* A datagram outside of epochs, opened: true when it is one of these. */
bool serve_watch_take_packet(struct server *server, uint64_t now_ns, const struct inbox_packet *packet);

void serve_watch_epoch(struct server *server); /* another one, or none any more */

/* Look at others, and tell whoever watches, as far as it is time; and when it is next, UINT64_MAX never. */
void serve_watch_run(struct server *server);
uint64_t serve_watch_due_ns(const struct server *server);

unsigned serve_watch_count(const struct server *server); /* clients and members that watch now */

/* serve_report.c: measure into watching.measure; and a report of items of these kinds to all who watch. */
void serve_watch_measure(struct server *server);
void serve_report(struct server *server, uint32_t kinds);
void serve_say_figures(struct server *server); /* what it has done since its start, and in the present epoch */

/* A piece of a report, to all who watch. */
void serve_watch_send(struct server *server, const struct mesh_telemetry_head *head, const uint8_t *piece, size_t bytes);

/* Something happened. addr NULL: about nobody. */
__attribute__((format(printf, 5, 6))) void serve_note(struct server *server, enum mesh_happening happened, uint16_t rank,
                                                      const struct mesh_addr *addr, const char *format, ...);

#endif
