/* Faults of simulated nodes and of the network between them. */
#include "simserve.h"

void simserve_pause(struct simserve *serve, uint16_t place, bool paused)
{
    if (serve->node[place].member->cluster == NULL)
        return;
    serve->node[place].is_paused = paused;
    serve->members.paused = (serve->members.paused & ~(UINT64_C(1) << place)) | (uint64_t)paused << place;
    mesh_sim_pause(serve->members.sim, place, paused);
}

void simserve_leave(struct simserve *serve, uint16_t place)
{
    struct simserve_node *node = &serve->node[place];

    if (node->member->cluster == NULL || node->is_paused || node->is_leaving)
        return;
    for (unsigned i = 0; i < serve->ask_count; i++)
        if (serve->ask[i].place == place)
            simserve_end_ask(serve, i);
    node->is_leaving = true;
    mesh_cluster_leave(node->member->cluster, simmembers_clock(&serve->members, place));
    mesh_sim_wake(serve->members.sim, place);
}

void simserve_jump(struct simserve *serve, uint16_t place, uint64_t ns)
{
    serve->members.at[place].clock_offset_ns += ns;
    mesh_sim_wake(serve->members.sim, place);
}

void simserve_slow(struct simserve *serve, uint16_t place, uint32_t times)
{
    serve->node[place].slow = times;
}

static void block(struct simserve *serve, uint16_t from, uint16_t to, bool blocked)
{
    const uint64_t bit = UINT64_C(1) << to;

    serve->blocked[from] = blocked ? serve->blocked[from] | bit : serve->blocked[from] & ~bit;
    mesh_sim_block(serve->members.sim, from, to, blocked);
}

void simserve_cut(struct simserve *serve, uint64_t places, bool out, bool in)
{
    for (uint16_t from = 0; from < serve->config.count; from++)
        for (uint16_t to = 0; to < serve->config.count; to++)
            if ((places >> from & 1) != (places >> to & 1) && ((places >> from & 1) != 0 ? out : in))
                block(serve, from, to, true);
}

void simserve_heal(struct simserve *serve)
{
    for (uint16_t from = 0; from < serve->config.count; from++)
        for (uint16_t to = 0; to < serve->config.count; to++)
            if (from != to)
                block(serve, from, to, false);
}

void simserve_set_links(struct simserve *serve, const struct mesh_sim_link *link)
{
    for (uint16_t from = 0; from < serve->config.count; from++)
        for (uint16_t to = 0; to < serve->config.count; to++)
            if (from != to)
                mesh_sim_set_link(serve->members.sim, from, to, link);
}
