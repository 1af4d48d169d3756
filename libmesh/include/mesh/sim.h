/* A network of protocol endpoints in one process, on virtual time. Everything follows from one seed.
 *
 * The simulator owns the wires and the clock, not the endpoints' applications: an application attaches a function that is called whenever
 * its endpoint may have events or the node has work; that function uses the endpoint's mesh and returns the virtual nanoseconds it spent.
 * Datagrams it left in the core are taken afterwards and put on the wire. Same seed and same calls: same run, to the bit. */
#ifndef MESH_SIM_H
#define MESH_SIM_H

#include "mesh/mesh.h"

struct mesh_sim;

struct mesh_sim_link {
    uint64_t rate_bits_per_s;  /* of each directed link; 0: infinite */
    uint64_t delay_ns;
    uint32_t queue_bytes;      /* tail drop beyond; 0: infinite */
    uint32_t loss_ppm, duplicate_ppm, reorder_ppm, bit_flip_ppm;
    uint64_t reorder_ns;       /* extra delay of a reordered datagram */
    uint32_t datagram_bytes_max; /* larger ones vanish (path MTU); 0: no limit */
};

/* Called with the time; returns the virtual time the work took (0 = nothing to do: call again after the next input). */
typedef uint64_t mesh_sim_work_fn(void *app, uint64_t now_ns);

int mesh_sim_open(struct mesh_sim **sim, uint16_t rank_count, uint64_t seed, const struct mesh_sim_link *link);
void mesh_sim_close(struct mesh_sim *sim);
uint64_t mesh_sim_now_ns(const struct mesh_sim *sim);

/* Endpoint and application of a rank. The mesh is borrowed. Sets the peers' addresses in it. */
void mesh_sim_attach(struct mesh_sim *sim, uint16_t rank, struct mesh *mesh, mesh_sim_work_fn *work, void *app);

/* Change the impairments of one directed link. */
void mesh_sim_set_link(struct mesh_sim *sim, uint16_t from, uint16_t to, const struct mesh_sim_link *link);

/* Drop the datagrams from → to whose ordinal (counted from this call) has its bit set; 64 of them. */
void mesh_sim_drop_mask(struct mesh_sim *sim, uint16_t from, uint16_t to, uint64_t mask);

/* No datagram passes from → to while blocked. */
void mesh_sim_block(struct mesh_sim *sim, uint16_t from, uint16_t to, bool blocked);

/* Crash: the endpoint gets no input and no time, what is on the way to it is lost. Restart: attach again. */
void mesh_sim_crash(struct mesh_sim *sim, uint16_t rank);

/* Run until nothing is left to happen before `deadline_ns`, or done(app) is true (may be NULL). Returns true when done said so. */
bool mesh_sim_run(struct mesh_sim *sim, uint64_t deadline_ns, bool (*done)(void *), void *app);

/* Watch every datagram that is put on a wire (before loss), e.g. to count types or write a capture. */
typedef void mesh_sim_watch_fn(void *app, uint64_t now_ns, uint16_t from, uint16_t to, const uint8_t *packet, size_t bytes, bool dropped);
void mesh_sim_watch(struct mesh_sim *sim, mesh_sim_watch_fn *watch, void *app);

#endif
