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
    struct shift *next;  /* that is prepared; NULL: none */
    uint32_t next_plan;
    bool next_is_told;                    /* that it is ready */
    struct kept kept;                     /* between two epochs */
    uint64_t recomputed, prepared_epochs; /* figures of all epochs that are over */
    struct jobs jobs;
    uint64_t watch_at_ns, leave_by_ns;
    bool is_leaving, is_over;
    uint64_t cluster_refused[MESH_SEAL_REFUSALS];
};

/* serve_clients.c: what clients ask, and what they are told. */
void serve_run_sessions(struct server *server);
void serve_tell_clients(struct server *server);

#endif
