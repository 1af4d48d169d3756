/* A mesh of test applications over real sockets on loopback, one thread per rank. */
#ifndef UDPBENCH_H
#define UDPBENCH_H

#include "mesh/udp.h"
#include "simapp.h"

struct udpbench_rank {
    struct udpbench *bench;
    struct mesh_udp *udp;
    struct simapp app;
    void *memory;
    struct mesh_sealer sealer;
    uint64_t busy_polls, idle_polls;
};

struct udpbench {
    struct simshape shape;
    uint64_t deadline_ns;
    _Atomic uint32_t done_count;
    struct udpbench_rank ranks[MESH_RANKS_MAX];
    char error[300];
};

/* host: an address without port, "127.0.0.1" or "[::1]". lab may be NULL; every rank gets its own seed. False when this system has no such
 * address. */
bool udpbench_open(struct udpbench *bench, const struct simshape *shape, const char *host, const struct mesh_lab *lab);
void udpbench_close(struct udpbench *bench);

/* Call before anything runs: protect all datagrams. False when this build cannot seal. */
bool udpbench_seal(struct udpbench *bench, enum mesh_security security);

/* Run all threads until everything is exchanged on all ranks. False when it takes longer than limit_s of real time, or on an error; see
 * error. */
bool udpbench_run(struct udpbench *bench, uint64_t limit_s);

/* Poll until this many more datagrams have arrived, for 20 s at most: the kernel may deliver them after the call that sent them has
 * returned. Returns the sum of the polls' results; mesh may be NULL. */
int udpbench_poll_for(struct mesh_udp *udp, struct mesh *mesh, uint64_t datagrams);

/* One iteration of a rank's loop; true when something happened. */
bool udpbench_turn(struct udpbench_rank *rank);

#endif
