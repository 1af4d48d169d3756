/* Serving nodes answer questions while they crash, pause, leave, return and lose one another; every token is checked as it arrives, and in
 * the end all nodes have to be one cluster that has answered everything. */
#include <stdio.h>

#include "explore.h"
#include "tests/unit/simstorm.h"

static void explore_serve_run(uint64_t seed, struct explore_report *report)
{
    static struct simstorm storm; /* too large for the stack */
    struct mesh_sim_stats stats;

    simstorm_run(&storm, seed);
    simstorm_describe(&storm, report->scenario, sizeof report->scenario);
    mesh_sim_get_stats(storm.serve.members.sim, &stats);
    report->events = stats.events;
    report->datagrams = stats.sent;
    report->virtual_ns = mesh_sim_now_ns(storm.serve.members.sim);
    report->epochs = storm.serve.members.epochs;
    report->faults = storm.faults;
    report->tokens = storm.serve.tokens;
    report->heal_ns = storm.heal_ns;
    snprintf(report->error, sizeof report->error, "%s", storm.serve.members.error);
    simstorm_close(&storm);
}

const struct explore_kind explore_serve = {"serve", "serving nodes answer under faults", 5, explore_serve_run};
