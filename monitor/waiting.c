#include "waiting.h"

#include <math.h>
#include <string.h>

static bool is_alive(const struct fleet *fleet, int node, uint64_t tick)
{
    return fleet->nodes[node].is_used && fleet_is_alive(fleet_state_at(fleet, node, tick));
}

double waiting_part(const struct fleet *fleet, uint64_t tick, unsigned ticks)
{
    double waited = 0, open = 0;

    for (int node = 0; node < fleet->node_end; node++)
        for (unsigned i = 0; is_alive(fleet, node, tick) && fleet_is_within(fleet, tick, i, ticks); i++) {
            const struct node_sample *sample = fleet_node_at(fleet, node, tick - i);

            if (sample == NULL || !sample->is_fresh || isnan(sample->time[TIME_WAIT]))
                continue;
            waited += (double)sample->time[TIME_WAIT];
            open += 1 - (double)sample->time[TIME_IDLE];
        }
    return open > 0 ? waited / open : NAN;
}

double waiting_tile_us(const struct fleet *fleet, uint64_t tick, unsigned ticks)
{
    double sum = 0;
    unsigned count = 0;

    for (int from = 0; from < fleet->node_end; from++)
        for (int to = 0; to < fleet->node_end; to++) {
            if (from == to || fleet_link(fleet, from, to) == NULL || !is_alive(fleet, from, tick) || !is_alive(fleet, to, tick))
                continue;
            for (unsigned i = 0; fleet_is_within(fleet, tick, i, ticks); i++) {
                const struct link_sample *sample = fleet_link_at(fleet, from, to, tick - i);

                if (sample != NULL && sample->is_fresh && !isnan(sample->p50_us)) {
                    sum += (double)sample->p50_us;
                    count++;
                }
            }
        }
    return count > 0 ? sum / count : NAN;
}

bool waiting_is_at_one_machine(const struct fleet *fleet, uint64_t tick)
{
    const struct mesh_addr *first = NULL;

    for (int node = 0; node < fleet->node_end; node++) {
        if (!is_alive(fleet, node, tick))
            continue;
        if (first != NULL && memcmp(first->ip, fleet->nodes[node].addr.ip, sizeof first->ip) != 0)
            return false;
        first = &fleet->nodes[node].addr;
    }
    return first != NULL;
}
