#include "node_note.h"

#include <stdio.h>

#include "format.h"

enum note { NOT_RECORDED, LAB_PACE, LAB_LOSS, NOTES };
enum { LIST_BYTES = FINDING_BYTES / 2, RANK_BYTES_MAX = 8 };

static bool is_alive(const struct findings_list *list, int at)
{
    return fleet_is_alive(fleet_state_at(list->fleet, list->order[at], list->tick));
}

/* Had another node its rank, or was it not known yet? */
static bool is_without_rank(const struct findings_list *list, int at)
{
    const int node = list->order[at];

    return fleet_rank_at(list->fleet, node, list->tick) == MESH_TELEMETRY_NOBODY &&
           list->fleet->nodes[node].head.rank != MESH_TELEMETRY_NOBODY && fleet_state_at(list->fleet, node, list->tick) != FLEET_SEEKING;
}

/* In what nodes may be alike; 0: there is nothing to say of this one. */
static uint64_t value_of(const struct findings_list *list, int at, enum note note)
{
    const struct fleet_node *node = &list->fleet->nodes[list->order[at]];

    if (!is_alive(list, at) || is_without_rank(list, at))
        return 0;
    if (note == NOT_RECORDED)
        return fleet_is_unrecorded(list->fleet, node);
    return note == LAB_PACE ? node->now.lab_pace : node->now.lab_loss_ppm;
}

/* Those with that value: "all nodes", "nodes 0, 1, 2" or "node 1". */
static void name_alike(const struct findings_list *list, enum note note, uint64_t value, char out[LIST_BYTES])
{
    int alike = 0, alive = 0, named = 0;
    size_t used;

    for (int i = 0; i < list->nodes; i++) {
        alike += value_of(list, i, note) == value;
        alive += is_alive(list, i);
    }
    if (alike == alive && alike > 1) {
        snprintf(out, LIST_BYTES, "all nodes");
        return;
    }
    used = (size_t)snprintf(out, LIST_BYTES, alike > 1 ? "nodes" : "node");
    for (int i = 0; i < list->nodes; i++) {
        char rank[RANK_BYTES_MAX];

        if (value_of(list, i, note) != value)
            continue;
        if (used + 2 * RANK_BYTES_MAX >= LIST_BYTES) {
            snprintf(out + used, LIST_BYTES - used, ", ...");
            return;
        }
        used += (size_t)snprintf(out + used, LIST_BYTES - used, "%s %s", named++ > 0 ? "," : "",
                                 fleet_rank_text_at(list->fleet, list->order[i], list->tick, rank));
    }
}

static bool is_first_alike(const struct findings_list *list, int at, enum note note)
{
    for (int i = 0; i < at; i++)
        if (value_of(list, i, note) == value_of(list, at, note))
            return false;
    return true;
}

bool node_note(const struct findings_list *list, int index, char out[FINDING_BYTES])
{
    const int count = list->nodes;

    for (int at = 0; at < NOTES * count; at++) {
        const enum note note = (enum note)(at / count);
        const uint64_t value = value_of(list, at % count, note);
        char nodes[LIST_BYTES], text[FORMAT_BYTES];

        if (value == 0 || !is_first_alike(list, at % count, note) || index-- > 0)
            continue;
        name_alike(list, note, value, nodes);
        if (note == NOT_RECORDED) {
            snprintf(out, FINDING_BYTES, "No recording of %s is read: add it with --trace.", nodes);
        } else if (note == LAB_PACE) {
            format_bytes((double)value, text);
            snprintf(out, FINDING_BYTES, "--lab holds %s to %s/s.", nodes, text);
        } else {
            format_fraction((double)value / 1e6, text);
            snprintf(out, FINDING_BYTES, "--lab drops %s of what is sent to %s.", text, nodes);
        }
        return true;
    }
    return false;
}
