/* Nodes that are gone, not heard, suspected, or not yet there. */
#include <stdio.h>
#include <string.h>

#include "findings_list.h"
#include "format.h"

/* Seconds since the node last reported, at the last tick. */
static double silent_s(const struct fleet *fleet, const struct fleet_node *node)
{
    const uint64_t now_ns = fleet->ticks > 0 ? fleet->tick_ns[(fleet->ticks - 1) % FLEET_HISTORY] : 0;

    return now_ns > node->report_ns ? (double)(now_ns - node->report_ns) / 1e9 : 0;
}

/* Has another node the rank now that this one had? */
static bool has_lost_rank(const struct fleet_node *node)
{
    return node->rank == MESH_TELEMETRY_NOBODY && node->head.rank != MESH_TELEMETRY_NOBODY;
}

/* "Node 1", or "Former node 1". */
static void name_rank(const struct findings_list *list, int index, char out[24])
{
    const struct fleet_node *node = &list->fleet->nodes[index];
    char rank[8];

    if (fleet_rank_at(list->fleet, index, list->tick) == MESH_TELEMETRY_NOBODY && has_lost_rank(node))
        snprintf(out, 24, "Former node %u", node->head.rank);
    else
        snprintf(out, 24, "Node %s", fleet_rank_text_at(list->fleet, index, list->tick, rank));
}

/* It is no longer known for how long a node had not been heard then. */
static bool is_past(const struct findings_list *list)
{
    return list->tick + 1 < list->fleet->ticks;
}

/* What a node is other than up; NULL: nothing. */
static const char *state_of(const struct findings_list *list, int node)
{
    const enum fleet_state state = fleet_state_at(list->fleet, node, list->tick);

    if (state == FLEET_DEAD)
        return "gone";
    if (state == FLEET_SUSPECTED || state == FLEET_SILENT)
        return fleet_state_name(state);
    if (!is_past(list) && fleet_is_late(list->fleet, &list->fleet->nodes[node]))
        return "late to report";
    return state == FLEET_LOADING || state == FLEET_JOINING || state == FLEET_SEEKING ? fleet_state_name(state) : NULL;
}

static bool is_bad(enum fleet_state state)
{
    return state == FLEET_DEAD || state == FLEET_SUSPECTED || state == FLEET_SILENT;
}

static void say_one(struct findings_list *list, int index, const char *what)
{
    const struct fleet_node *node = &list->fleet->nodes[index];
    const enum fleet_state state = fleet_state_at(list->fleet, index, list->tick);
    const enum style style = is_bad(state) ? STYLE_BAD : STYLE_WARN;
    const double silence_s = silent_s(list->fleet, node);
    char clock[FORMAT_BYTES], name[24];

    name_rank(list, index, name);
    format_when(node->gone_wall_ns, list->fleet->tick_wall_ns[list->tick % FLEET_HISTORY], clock);
    if (state == FLEET_DEAD)
        findings_add(list, style, "%s at %s is gone: last heard at %s.", name, node->address, clock);
    else if (state == FLEET_SUSPECTED && !is_past(list) && silence_s * 1e9 < (double)list->fleet->interval_ns)
        findings_add(list, style, "%s at %s is suspected by others.", name, node->address);
    else if (is_bad(state) && !is_past(list) && node->has_reported)
        findings_add(list, style, "%s at %s is %s: not heard for %.1f s.", name, node->address, what, silence_s);
    else if (!is_bad(state) && !is_past(list) && fleet_is_late(list->fleet, node))
        findings_add(list, style, "%s at %s has not reported for %.1f s.", name, node->address, silence_s);
    else
        findings_add(list, style, "%s at %s is %s.", name, node->address, what);
}

/* Nodes in that state, by their ranks of then, or else their last ones, or addresses where they never had one. */
static void say_many(struct findings_list *list, const char *what, const int *nodes, int count)
{
    char names[FINDING_BYTES / 2];
    size_t used = 0;
    int named = 0;

    for (; named < count && used + MESH_ADDR_TEXT_BYTES + 2 < sizeof names; named++) {
        const struct fleet_node *node = &list->fleet->nodes[nodes[named]];
        const uint16_t then = fleet_rank_at(list->fleet, nodes[named], list->tick);
        const uint16_t rank = then != MESH_TELEMETRY_NOBODY ? then : has_lost_rank(node) ? MESH_TELEMETRY_NOBODY : node->head.rank;

        used += (size_t)snprintf(names + used, sizeof names - used, named > 0 ? ", " : "");
        if (rank == MESH_TELEMETRY_NOBODY)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s", node->address);
        else
            used += (size_t)snprintf(names + used, sizeof names - used, "%u", rank);
    }
    findings_add(list, is_bad(fleet_state_at(list->fleet, nodes[0], list->tick)) ? STYLE_BAD : STYLE_WARN, "%d nodes are %s: %s%s.", count,
                 what, names, named < count ? ", ..." : "");
}

void findings_gone(struct findings_list *list)
{
    const char *state[FLEET_NODES_MAX] = {NULL};

    for (int i = 0; i < list->nodes; i++)
        state[i] = state_of(list, list->order[i]);
    for (int i = 0; i < list->nodes; i++) {
        int alike[FLEET_NODES_MAX], count = 0, first = 0;

        while (state[i] != NULL && (state[first] == NULL || strcmp(state[first], state[i]) != 0))
            first++;
        for (int other = first; state[i] != NULL && other < list->nodes; other++)
            if (state[other] != NULL && strcmp(state[other], state[i]) == 0)
                alike[count++] = list->order[other];
        if (count > FINDINGS_ALIKE && first == i)
            say_many(list, state[i], alike, count);
        else if (count > 0 && count <= FINDINGS_ALIKE)
            say_one(list, list->order[i], state[i]);
    }
}
