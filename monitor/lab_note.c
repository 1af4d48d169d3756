#include "lab_note.h"

#include <stdio.h>

#include "format.h"

enum lab { LAB_PACE, LAB_LOSS, LABS };
enum { LIST_BYTES = FINDING_BYTES / 2, RANK_BYTES_MAX = 8 };

/* 0: nothing, or the node is not there. */
static uint64_t lab_of(const struct fleet_node *node, enum lab lab)
{
    const bool is_former = node->rank == MESH_TELEMETRY_NOBODY && node->head.rank != MESH_TELEMETRY_NOBODY;

    if (!fleet_is_alive(node->state) || is_former)
        return 0;
    return lab == LAB_PACE ? node->now.lab_pace : node->now.lab_loss_ppm;
}

/* The ranks of nodes with that value, as "0, 1, 2"; returns their number. */
static int list_alike(const struct fleet *fleet, const int *order, int count, enum lab lab, uint64_t value, char out[LIST_BYTES])
{
    size_t used = 0;
    int alike = 0;

    for (int i = 0; i < count; i++) {
        const struct fleet_node *node = &fleet->nodes[order[i]];
        char rank[RANK_BYTES_MAX];

        if (lab_of(node, lab) != value)
            continue;
        alike++;
        if (used + 2 * RANK_BYTES_MAX < LIST_BYTES)
            used += (size_t)snprintf(out + used, LIST_BYTES - used, "%s%s", alike > 1 ? ", " : "", fleet_rank_text(node, rank));
        else if (out[used - 1] != '.')
            used += (size_t)snprintf(out + used, LIST_BYTES - used, ", ...");
    }
    return alike;
}

static bool is_first_alike(const struct fleet *fleet, const int *order, int at, enum lab lab)
{
    for (int i = 0; i < at; i++)
        if (lab_of(&fleet->nodes[order[i]], lab) == lab_of(&fleet->nodes[order[at]], lab))
            return false;
    return true;
}

bool lab_note(const struct fleet *fleet, int index, char out[FINDING_BYTES])
{
    int order[FLEET_NODES_MAX];
    const int count = fleet_order(fleet, order);

    for (int at = 0; at < LABS * count; at++) {
        const enum lab lab = (enum lab)(at / count);
        const uint64_t value = lab_of(&fleet->nodes[order[at % count]], lab);
        char ranks[LIST_BYTES], text[FORMAT_BYTES];
        const char *plural;

        if (value == 0 || !is_first_alike(fleet, order, at % count, lab) || index-- > 0)
            continue;
        plural = list_alike(fleet, order, count, lab, value, ranks) == 1 ? "" : "s";
        if (lab == LAB_PACE) {
            format_bytes((double)value, text);
            snprintf(out, FINDING_BYTES, "--lab holds node%s %s to %s/s.", plural, ranks, text);
        } else {
            format_fraction((double)value / 1e6, text);
            snprintf(out, FINDING_BYTES, "--lab drops %s of what is sent to node%s %s.", text, plural, ranks);
        }
        return true;
    }
    return false;
}
