/* A node that serves: member of a cluster, from one epoch to the next, and host of client sessions. */
#ifndef NODE_SERVE_H
#define NODE_SERVE_H

#include "mesh/lab.h"
#include "shift.h"

enum { SERVE_SEEDS_MAX = MESH_CLUSTER_SEEDS_MAX };

struct serve_config {
    struct shift_config shift;          /* udp and key are filled in by serve */
    struct mesh_addr listen, advertise; /* advertise: all zeros: as others see it */
    struct mesh_addr seed[SERVE_SEEDS_MAX];
    unsigned seed_count;
    struct mesh_key cluster_key;
    struct mesh_lab lab;
    uint32_t speed;   /* share of the rows, beside the others' */
    bool is_quiet;    /* say nothing of what happens */
    uint16_t version; /* of the protocol; 0: the real one, tests give others */
};

/* Serve until SIGINT or SIGTERM: then leave in order. */
int serve(struct serve_config *config, struct fail *fail);

#endif
