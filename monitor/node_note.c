#include "node_note.h"

#include <stdio.h>

#include "format.h"

enum note { NOT_RECORDED, LAB_PACE, LAB_LOSS, NOTES };
enum { LIST_BYTES = FINDING_BYTES / 2, RANK_BYTES_MAX = 8 };

/* In what nodes may be alike; 0: there is nothing to say of this one. */
static uint64_t value_of(const struct fleet *fleet, const struct fleet_node *node, enum note note)
{
    const bool is_former = node->rank == MESH_TELEMETRY_NOBODY && node->head.rank != MESH_TELEMETRY_NOBODY;

    if (!fleet_is_alive(node->state) || is_former)
        return 0;
    if (note == NOT_RECORDED)
        return fleet_is_unrecorded(fleet, node);
    return note == LAB_PACE ? node->now.lab_pace : node->now.lab_loss_ppm;
}

/* Those with that value: "all nodes", "nodes 0, 1, 2" or "node 1". */
static void name_alike(const struct fleet *fleet, const int *order, int count, enum note note, uint64_t value, char out[LIST_BYTES])
{
    int alike = 0, alive = 0, named = 0;
    size_t used;

    for (int i = 0; i < count; i++) {
        alike += value_of(fleet, &fleet->nodes[order[i]], note) == value;
        alive += fleet_is_alive(fleet->nodes[order[i]].state);
    }
    if (alike == alive && alike > 1) {
        snprintf(out, LIST_BYTES, "all nodes");
        return;
    }
    used = (size_t)snprintf(out, LIST_BYTES, alike > 1 ? "nodes" : "node");
    for (int i = 0; i < count; i++) {
        char rank[RANK_BYTES_MAX];

        if (value_of(fleet, &fleet->nodes[order[i]], note) != value)
            continue;
        if (used + 2 * RANK_BYTES_MAX >= LIST_BYTES) {
            snprintf(out + used, LIST_BYTES - used, ", ...");
            return;
        }
        used += (size_t)snprintf(out + used, LIST_BYTES - used, "%s %s", named++ > 0 ? "," : "",
                                 fleet_rank_text(&fleet->nodes[order[i]], rank));
    }
}

static bool is_first_alike(const struct fleet *fleet, const int *order, int at, enum note note)
{
    for (int i = 0; i < at; i++)
        if (value_of(fleet, &fleet->nodes[order[i]], note) == value_of(fleet, &fleet->nodes[order[at]], note))
            return false;
    return true;
}

bool node_note(const struct fleet *fleet, int index, char out[FINDING_BYTES])
{
    int order[FLEET_NODES_MAX];
    const int count = fleet_order(fleet, order);

    for (int at = 0; at < NOTES * count; at++) {
        const enum note note = (enum note)(at / count);
        const uint64_t value = value_of(fleet, &fleet->nodes[order[at % count]], note);
        char nodes[LIST_BYTES], text[FORMAT_BYTES];

        if (value == 0 || !is_first_alike(fleet, order, at % count, note) || index-- > 0)
            continue;
        name_alike(fleet, order, count, note, value, nodes);
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
