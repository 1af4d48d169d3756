/* A serving node: member of a cluster, from one epoch to the next, and host of client sessions. */
#ifndef NODE_SERVE_H
#define NODE_SERVE_H

#include "mesh/lab.h"
#include "node/epoch/epoch_run.h"
#include "node/fetch/model_source.h"

enum { SERVE_SEEDS_MAX = MESH_CLUSTER_SEEDS_MAX };

struct serve_config {
    struct epoch_run_config run;        /* udp and key are filled in by serve */
    struct mesh_addr listen, advertise; /* advertise: all zeros: the address that other members see */
    struct mesh_addr seed[SERVE_SEEDS_MAX];
    unsigned seed_count;
    uint32_t busy_poll_us;      /* 0: no */
    bool has_gso;               /* the kernel may segment messages into datagrams */
    struct mesh_addr multicast; /* group by which tiles go; port 0: none */
    struct mesh_addr discover;  /* multicast group to hear, a seed as well; port 0: none */
    struct mesh_addr metrics;   /* where to listen for HTTP */
    bool has_metrics;
    struct mesh_key cluster_key;
    struct mesh_lab lab;
    struct recording_options record;
    const char *key_log; /* file that all keys are appended to; NULL: none */
    uint32_t share;      /* of the rows, as in struct balance_member */
    uint32_t drain_s;    /* how long requests may run on after a signal */
    bool is_quiet;       /* do not log events */
    uint16_t version;    /* of the protocol; 0: the real one; tests set others */
};

/* Serve until SIGINT or SIGTERM: then take no new requests, wait for running ones, and leave the cluster in order. A second signal ends the
 * wait. */
int serve(struct serve_config *config, struct fail *fail);

#endif
