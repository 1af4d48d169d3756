/* A serving node that is watched (watch.h): its socket, clock and clients. Nothing is measured while nobody watches. Main thread. */
#ifndef NODE_SERVE_WATCH_H
#define NODE_SERVE_WATCH_H

#include "node/telemetry/telemetry_report.h"
#include "node/telemetry/watch.h"

struct watching {
    struct watch watch;
    struct telemetry_report_state report;
    struct event_ring events;
    struct node_metrics metrics;
    struct node_metrics_requests requests;
    uint64_t start_ns, epoch_ns;
};

enum { SERVE_STEPS = 40, SERVE_STEPS_RECORDED = 256 /* reported per second; the latter while only the recording gets them */ };

struct server;
struct packet_ring_entry;

int serve_watch_open(struct server *server, struct fail *fail);
void serve_watch_close(struct server *server);

/* A record of a client: true when it is one of these. */
bool serve_watch_take_record(struct server *server, uint32_t session, const uint8_t *record, size_t bytes);
void serve_watch_drop(struct server *server, uint32_t session); /* the session is over */

/* A datagram outside of epochs, opened: true when it is one of these. */
bool serve_watch_take_packet(struct server *server, uint64_t now_ns, const struct packet_ring_entry *packet);

void serve_watch_epoch(struct server *server); /* another epoch, or none any more */

/* The last report of the present epoch, in which nothing is computed any more. */
void serve_watch_end_epoch(struct server *server);

/* Poll other members, and report to watchers, as far as due; and when that is next due, UINT64_MAX: never. */
void serve_watch_run(struct server *server);
uint64_t serve_watch_due_ns(const struct server *server);

unsigned serve_watch_count(const struct server *server); /* clients and members that watch now */

/* serve_report.c: measure into watching.measure; and a report of items of these kinds to all who watch. */
void serve_watch_measure(struct server *server);
void serve_report(void *server, uint32_t kinds);
void serve_log_figures(struct server *server); /* its work since the start, and in the present epoch */

uint64_t serve_unix_ms(void); /* wall clock */

/* Something happened. addr NULL: about no node. */
__attribute__((format(printf, 5, 6))) void serve_note(struct server *server, enum mesh_node_event happened, uint16_t rank,
                                                      const struct mesh_addr *addr, const char *format, ...);

#endif
