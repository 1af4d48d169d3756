#include "slow_link.h"

#include <math.h>

static const double long_times = 4, long_us = 1000;

/* Mean p99 of a link in the last ticks; 0: nothing came. */
static double p99_of(const struct fleet *fleet, int from, int to, uint64_t tick, unsigned ticks)
{
    double sum = 0;
    unsigned count = 0;

    for (unsigned i = 0; fleet_is_within(fleet, tick, i, ticks); i++) {
        const struct link_sample *sample = fleet_link_at(fleet, from, to, tick - i);

        if (sample == NULL)
            break;
        if (sample->is_fresh && !isnan(sample->p99_us)) {
            sum += (double)sample->p99_us;
            count++;
        }
    }
    return count > 0 ? sum / count : 0;
}

/* A node that is slow itself computes while the others wait. */
static bool rather_waits(const struct fleet *fleet, int node, uint64_t tick, unsigned ticks)
{
    double waited = 0, computed = 0;

    for (unsigned i = 0; fleet_is_within(fleet, tick, i, ticks); i++) {
        const struct node_sample *sample = fleet_node_at(fleet, node, tick - i);

        if (sample == NULL || !sample->is_fresh || isnan(sample->time[TIME_WAIT]))
            continue;
        waited += (double)sample->time[TIME_WAIT];
        computed += (double)sample->time[TIME_COMPUTE];
    }
    return waited > computed;
}

static bool has_link(const struct fleet *fleet, int from, int to, uint64_t tick)
{
    return from != to && fleet_link(fleet, from, to) != NULL && fleet_is_alive(fleet_state_at(fleet, from, tick)) &&
           fleet_is_alive(fleet_state_at(fleet, to, tick));
}

/* The greatest p99 of links that do not touch the node; 0: there are none. */
static double greatest_beside(const struct fleet *fleet, int node, uint64_t tick, unsigned ticks)
{
    double most = 0;

    for (int from = 0; from < fleet->node_end; from++)
        for (int to = 0; to < fleet->node_end; to++)
            if (from != node && to != node && has_link(fleet, from, to, tick))
                most = fmax(most, p99_of(fleet, from, to, tick, ticks));
    return most;
}

bool slow_link_find(const struct fleet *fleet, int node, uint64_t tick, unsigned ticks, struct slow_link *found)
{
    const double beside_us = greatest_beside(fleet, node, tick, ticks);

    *found = (struct slow_link){.from = FLEET_NOBODY, .to = FLEET_NOBODY};
    if (!rather_waits(fleet, node, tick, ticks))
        return false;
    for (int i = 0; i < 2 * fleet->node_end; i++) {
        const int other = i / 2, from = i % 2 == 0 ? other : node, to = i % 2 == 0 ? node : other;
        const double p99_us = has_link(fleet, from, to, tick) ? p99_of(fleet, from, to, tick, ticks) : 0;
        const double others_us = beside_us > 0 ? beside_us : p99_of(fleet, to, from, tick, ticks); /* of two nodes: the other way */

        if (p99_us > found->p99_us && p99_us > long_us && others_us > 0 && p99_us > long_times * others_us)
            *found = (struct slow_link){from, to, p99_us, others_us};
    }
    return found->from >= 0;
}
