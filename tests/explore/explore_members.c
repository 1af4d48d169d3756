/* Processes find one another, agree on epochs and lose one another again, over a random network and with random faults; every epoch is
 * checked against all others as it is installed, and in the end all processes have to be in one. */
#include <stdio.h>
#include <stdlib.h>

#include "explore.h"
#include "tests/unit/simchurn.h"

enum { EXPLORE_PLACES_MAX = 24 };

static void explore_members_run(uint64_t seed, struct explore_report *report)
{
    struct simchurn *churn = malloc(sizeof *churn);
    struct mesh_sim_stats stats;

    if (churn == NULL) {
        abort();
    }
    simchurn_run(churn, seed, EXPLORE_PLACES_MAX);
    simchurn_describe(churn, report->scenario, sizeof report->scenario);
    mesh_sim_get_stats(churn->members.sim, &stats);
    report->events = stats.events;
    report->datagrams = stats.sent;
    report->virtual_ns = mesh_sim_now_ns(churn->members.sim);
    report->epochs = churn->members.epochs;
    report->faults = churn->faults;
    report->heal_ns = churn->heal_ns;
    snprintf(report->error, sizeof report->error, "%s", churn->members.error);
    simchurn_close(churn);
    free(churn);
}

const struct explore_kind explore_members = {"members", "processes agree on epochs", 2, explore_members_run};
