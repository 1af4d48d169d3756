#include "tape_case.h"

#include <stdio.h>
#include <stdlib.h>

#include "simbench.h"

enum { RANKS = 2 };

uint32_t tape_case_tell(const struct mesh_tap *tap, uint64_t steps)
{
    static struct simbench bench; /* too large for the stack */
    struct mesh_sim_link link = simbench_ethernet();
    struct simshape shape;

    link.loss_ppm = 20000;
    simshape_random(&shape, 5, RANKS, 6, 60);
    shape.step_count = steps;
    shape.records = 4;
    simbench_init(&bench, &shape, 11, &link);
    bench.configs[0].tap = tap;
    simbench_start(&bench);
    if (!simbench_join(&bench, SIM_S(2)) || !simbench_exchange(&bench, SIM_S(20))) {
        fprintf(stderr, "tape_case: %s\n", bench.error);
        abort();
    }
    simbench_close(&bench);
    return bench.configs[0].epoch;
}
