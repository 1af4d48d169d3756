/* Several nodes on one machine: child processes, one per further rank. */
#ifndef NODE_LOCAL_NODES_H
#define NODE_LOCAL_NODES_H

#include <stdint.h>
#include <sys/types.h>

#include "mesh/program/fail.h"
#include "mesh/udp.h"

struct local_nodes {
    uint16_t count, rank;
    struct mesh_udp *udp[MESH_RANKS_MAX]; /* each process keeps only its own */
    struct mesh_addr addr[MESH_RANKS_MAX];
    pid_t child[MESH_RANKS_MAX]; /* rank 0's; 0: none. In a child: [0] is its parent */
};

/* Bind a loopback socket per rank, any free port. */
int local_nodes_bind(struct local_nodes *nodes, uint16_t count, const struct mesh_lab *lab, struct fail *fail);

/* Become `count` processes: returns in each with local->rank set. Children end with their parent, and ignore Ctrl-C (the parent tells them
 * when to end). Before any thread is started. */
int local_nodes_fork(struct local_nodes *nodes, const struct mesh_lab *lab, struct fail *fail);

/* Rank 0: -1 when a child has ended that should still run. app: struct local_nodes. */
int local_nodes_watch(void *app, struct fail *fail);

/* Rank 0: wait for the children, a few seconds at most; then kill what is left. -1 when one did not end well. */
int local_nodes_join(struct local_nodes *nodes, struct fail *fail);

/* Rank 0: end the children at once, and wait for them. */
void local_nodes_kill(struct local_nodes *nodes);
void local_nodes_close(struct local_nodes *nodes);

#endif
