/* The state of all nodes in one sentence: that they are idle, or compute, or rather wait for one another. */
#include <math.h>
#include <stdio.h>

#include "columns.h"
#include "findings_list.h"
#include "format.h"
#include "waiting.h"

static const double waits_rather = 0.5;

/* Nodes that are not gone; of these, those that are up and report; of these, those that compute. */
struct census {
    int alive, reported, up, busy;
};

static struct census count_nodes(const struct findings_list *list)
{
    struct census count = {0};

    for (int i = 0; i < list->fleet->node_end; i++) {
        const struct node_sample *sample = fleet_node_at(list->fleet, i, list->tick);
        const enum fleet_state state = fleet_state_at(list->fleet, i, list->tick);
        const bool has_reported = sample != NULL && !isnan(sample->utilisation) && !fleet_is_late_at(list->fleet, i, list->tick);

        if (!list->fleet->nodes[i].is_used || !fleet_is_alive(state) || fleet_is_unrecorded(list->fleet, &list->fleet->nodes[i]))
            continue;
        count.alive++;
        count.reported += has_reported;
        count.up += state == FLEET_UP && has_reported;
        count.busy += state == FLEET_UP && has_reported && sample->time[TIME_IDLE] < 0.9f;
    }
    return count;
}

/* Equal nodes that wait for one another, where none is to blame: this may be as it has to be, as with a small model, but is not what
 * they are for. False: they do not. */
static bool add_waiting(struct findings_list *list, int count, const char *speed)
{
    const unsigned window = columns_window(list->fleet);
    const double waiting = waiting_part(list->fleet, list->tick, window), tile_us = waiting_tile_us(list->fleet, list->tick, window);
    char part[FORMAT_BYTES], tile[FORMAT_BYTES], why[80] = "";
    double of_one;

    if (!(fleet_tok_per_s(list->fleet, list->tick) > 0) || !(waiting > waits_rather) || !findings_runs(list->fleet, list->tick) ||
        findings_waited_for(list->fleet, list->tick, &of_one) != FLEET_NOBODY)
        return false;
    format_fraction(waiting, part);
    format_time_us(tile_us, tile);
    if (waiting_is_at_one_machine(list->fleet, list->tick))
        snprintf(why, sizeof why, ": they share one machine");
    else if (!isnan(tile_us))
        snprintf(why, sizeof why, "; tiles take %s from node to node", tile);
    findings_add(list, STYLE_NORMAL, "%d nodes at work: %s tok/s. While steps run, they wait for one another for %s of the time%s.", count,
                 speed, part, why);
    return true;
}

void findings_all(struct findings_list *list)
{
    const struct census count = count_nodes(list);
    const char *plural = count.alive == 1 ? "" : "s";
    const double speed = (double)fleet_tok_per_s(list->fleet, list->tick);
    char text[FORMAT_BYTES], how[64] = "idle: no requests";

    if (count.alive == 0)
        return;
    format_speed(speed, text);
    if (speed > 0) /* short answers */
        snprintf(how, sizeof how, "idle for most of the time: %s tok/s", text);
    if (count.reported == 0)
        findings_add(list, STYLE_NORMAL, "No current report of what %d node%s %s.", count.alive, plural, count.alive == 1 ? "does" : "do");
    else if (count.busy > 0 && count.alive == 1)
        findings_add(list, STYLE_GOOD, "The node computes: %s tok/s.", text);
    else if (count.busy == count.alive && add_waiting(list, count.alive, text))
        return;
    else if (count.busy > 0)
        findings_add(list, count.busy == count.alive ? STYLE_GOOD : STYLE_NORMAL, "%d of %d nodes compute: %s tok/s.", count.busy,
                     count.alive, text);
    else if (count.up < count.alive)
        findings_add(list, STYLE_NORMAL, "%d of %d node%s up and %s.", count.up, count.alive, count.alive == 1 ? " is" : "s are", how);
    else if (count.alive == 1)
        findings_add(list, STYLE_GOOD, "The node is up and %s.", how);
    else
        findings_add(list, STYLE_GOOD, "All %d nodes are up and %s.", count.alive, how);
}
