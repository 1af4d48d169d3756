/* What happens to a simulated network in a random scenario: links, buffers, slow ranks, partitions that heal. All of it follows from a
 * seed.
 *
 * It knows nothing of what runs on the network, which may be whole clusters or bare endpoints. */
#ifndef SIMSCENARIO_H
#define SIMSCENARIO_H

#include "mesh/sim.h"

enum { SIMSCENARIO_CUTS_MAX = 3 };

/* From from_ns until until_ns nothing passes from the ranks of the set to the others, and, unless one_way, nothing in the other
 * direction. */
struct simscenario_cut {
    uint64_t from_ns, until_ns;
    uint64_t ranks;
    bool one_way;
};

struct simscenario {
    uint64_t seed;
    uint16_t rank_count;
    struct mesh_sim_link link;     /* of most pairs */
    struct mesh_sim_link odd_link; /* of the links into and out of odd_rank */
    uint16_t odd_rank;             /* rank_count: none */
    uint32_t slow[MESH_RANKS_MAX]; /* factor by which the rank's work takes longer */
    uint64_t receive_buffer_bytes; /* of every rank */
    uint32_t cut_count;
    struct simscenario_cut cuts[SIMSCENARIO_CUTS_MAX]; /* one after the other */
};

/* A link between slow and lossy, and fast and clean; never below MESH_DATAGRAM_BYTES_MIN. */
void simscenario_draw_link(struct mesh_sim_link *link, uint64_t seed);

void simscenario_draw(struct simscenario *scenario, uint64_t seed, uint16_t ranks_max);

/* Set the links and buffers of a simulator that was opened with scenario->link. */
void simscenario_apply(const struct simscenario *scenario, struct mesh_sim *sim);

/* mesh_sim_run, making and healing the cuts on time. */
bool simscenario_run(const struct simscenario *scenario, struct mesh_sim *sim, uint64_t deadline_ns, bool (*done)(void *), void *app);

/* A description of one line. */
void simscenario_describe(const struct simscenario *scenario, char *out, size_t bytes);

#endif
