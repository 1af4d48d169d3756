/* What the files of a serving node share: the node (serve.c), its clients (serve_clients.c), and what else
 * is named serve_*.c. Not for anybody else. */
#ifndef NODE_SERVE_STATE_H
#define NODE_SERVE_STATE_H

#include "job.h"
#include "mesh/session.h"
#include "serve.h"
#include "serve_inbox.h"

struct server {
    struct serve_config *config;
    struct shift_config shift_config;
    struct inbox_ring inbox; /* datagrams outside of epochs */
    struct bell *bell;
    struct mesh_cluster *cluster;
    void *cluster_memory;
    struct mesh_seal_key process_key;
    struct mesh_session_seal session_seal;
    struct mesh_sessions *sessions;
    void *sessions_memory;
    struct shift *shift; /* the present epoch; NULL: none */
    struct jobs jobs;
    uint64_t watch_at_ns, drain_by_ns, leave_by_ns;
    bool is_draining, is_leaving, is_over; /* in this order: no new requests; leaving the cluster; out of it */
    int discover_fd;                       /* hears config->discover; -1: there is none */
    uint8_t incarnation[MESH_INCARNATION_BYTES];
    uint64_t cluster_refused[MESH_SEAL_REFUSALS];
    struct mesh_key_log key_log; /* of config->key_log */
    bool has_key_log, has_told_gap;
};

/* serve.c: a datagram of the cluster layer, as it came. */
void serve_take_cluster(struct server *server, struct mesh_addr from, uint8_t *packet, size_t bytes);

/* serve_clients.c: what clients ask, and what they are told. */
void serve_run_sessions(struct server *server);
void serve_tell_clients(struct server *server);
unsigned serve_count_requests(const struct server *server); /* whose clients do not have all of the answer yet */

/* serve_log.c: the key log, where one was asked for. */
int serve_log_open(struct server *server, const uint8_t incarnation[MESH_INCARNATION_BYTES], struct fail *fail);
void serve_log_epoch(struct server *server);
bool serve_log_has_gap(struct server *server); /* true once, when a line could not be written */
void serve_log_close(struct server *server);

/* serve_discover.c: the multicast group, where one was given. */
int serve_discover_open(struct server *server, struct fail *fail);
void serve_discover_poll(struct server *server);
void serve_discover_close(struct server *server);

#endif
