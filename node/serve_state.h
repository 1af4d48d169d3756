/* What the files of a serving node share: the node (serve.c) and its clients (serve_clients.c). Not for anybody else. */
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
    uint64_t cluster_refused[MESH_SEAL_REFUSALS];
};

/* serve_clients.c: what clients ask, and what they are told. */
void serve_run_sessions(struct server *server);
void serve_tell_clients(struct server *server);
unsigned serve_count_requests(const struct server *server); /* whose clients do not have all of the answer yet */

#endif
