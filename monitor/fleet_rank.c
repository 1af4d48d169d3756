/* The ranks of nodes, now and in the past, and the order of nodes by them. */
#include <stdio.h>

#include "fleet.h"

uint16_t fleet_rank_at(const struct fleet *fleet, int node, uint64_t tick)
{
    const struct node_sample *sample;

    if (tick + 1 >= fleet->ticks || !fleet_has_tick(fleet, tick))
        return fleet->nodes[node].rank;
    sample = fleet_node_at(fleet, node, tick);
    return sample != NULL ? sample->rank : MESH_TELEMETRY_NOBODY;
}

int fleet_order_at(const struct fleet *fleet, uint64_t tick, int nodes[FLEET_NODES_MAX])
{
    int count = 0;

    for (int i = 0; i < fleet->node_end; i++) {
        const bool is_gone = !fleet_is_alive(fleet_state_at(fleet, i, tick));
        const uint16_t rank = fleet_rank_at(fleet, i, tick);
        int at = count;

        if (!fleet->nodes[i].is_used)
            continue;
        for (; at > 0; at--) {
            const bool other_gone = !fleet_is_alive(fleet_state_at(fleet, nodes[at - 1], tick));

            if (is_gone > other_gone || (is_gone == other_gone && rank >= fleet_rank_at(fleet, nodes[at - 1], tick)))
                break;
            nodes[at] = nodes[at - 1];
        }
        nodes[at] = i;
        count++;
    }
    return count;
}

int fleet_order(const struct fleet *fleet, int nodes[FLEET_NODES_MAX])
{
    return fleet_order_at(fleet, fleet->ticks, nodes);
}

static const char *text_of(uint16_t rank, char out[8])
{
    if (rank == MESH_TELEMETRY_NOBODY)
        snprintf(out, 8, "-");
    else
        snprintf(out, 8, "%u", rank);
    return out;
}

const char *fleet_rank_text(const struct fleet_node *node, char out[8])
{
    return text_of(node->rank, out);
}

const char *fleet_rank_text_at(const struct fleet *fleet, int node, uint64_t tick, char out[8])
{
    return text_of(fleet_rank_at(fleet, node, tick), out);
}
