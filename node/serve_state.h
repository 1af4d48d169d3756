/* What the files of a serving node share: the node (serve.c) and its clients (serve_clients.c). Not for anybody else. */
#ifndef NODE_SERVE_STATE_H
#define NODE_SERVE_STATE_H

#include "bulk_host.h"
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
    struct shift *next;  /* that is prepared; NULL: none */
    uint32_t next_plan;
    bool next_is_told;                    /* that it is ready */
    struct kept kept;                     /* between two epochs */
    struct engine *cached;                /* whose keys and values others may fetch; NULL: nobody's */
    uint64_t recomputed, prepared_epochs; /* figures of all epochs that are over */
    struct jobs jobs;
    struct bulk_host bulk; /* what clients and other nodes may fetch */
    uint64_t watch_at_ns, leave_by_ns;
    bool is_leaving, has_left;
    uint64_t cluster_refused[MESH_SEAL_REFUSALS];
};

/* serve_clients.c: what clients ask, and what they are told. */
void serve_run_sessions(struct server *server);
void serve_tell_clients(struct server *server);

/* After what has to be told at once: a piece of what is being fetched. And when there is more to do. */
void serve_run_bulk(struct server *server);
uint64_t serve_bulk_due_ns(struct server *server);

#endif
