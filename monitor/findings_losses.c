/* Links that lose datagrams, and nodes that lose what all others send them. */
#include <math.h>
#include <stdio.h>

#include "columns.h"
#include "findings_list.h"
#include "format.h"

enum { LOST_LEAST = 3, STANDS_OUT = 4 /* times the loss of the other links */, BY_LAB = 2 };

static const double loss_much = 0.001;

/* Of one link; or, without a sender, of all links into a node. */
struct loss {
    int from, to;
    double part;
    uint64_t lost; /* datagrams */
};

struct losses {
    struct loss loss[FINDINGS_ALIKE], worst; /* loss: the first ones */
    int count;
};

static void take(struct losses *losses, struct loss loss)
{
    if (losses->count < FINDINGS_ALIKE)
        losses->loss[losses->count] = loss;
    if (losses->count++ == 0 || loss.part > losses->worst.part)
        losses->worst = loss;
}

/* The loss of a link in the last seconds, and the number of lost datagrams; 0 when it is small. NAN: there is no such link, or nothing is
 * known of it. */
static double link_loss(const struct findings_list *list, int from, int to, uint64_t *lost)
{
    const struct fleet *fleet = list->fleet;
    const unsigned window = columns_window(fleet);
    const bool is_link = fleet_link(fleet, from, to) != NULL && fleet_is_alive(fleet_state_at(fleet, from, list->tick)) &&
                         fleet_is_alive(fleet_state_at(fleet, to, list->tick));
    const double loss = is_link ? fleet_loss(fleet, from, to, list->tick, window) : NAN;
    uint64_t recent;

    *lost = 0;
    if (isnan(loss) || loss < loss_much)
        return isnan(loss) ? loss : 0;
    *lost = fleet_lost(fleet, from, to, list->tick, window);
    recent = fleet_lost(fleet, from, to, list->tick, FLEET_PROBES_TICKS);
    return *lost >= LOST_LEAST + (recent < FLEET_PROBES ? recent : FLEET_PROBES) ? loss : 0;
}

/* If all links into a node lose, the cause is not the links: report it once, not once for each of them. But where one of them loses much
 * more than the others, its cause is another one. */
static void find_at(const struct findings_list *list, int to, struct losses *nodes, struct losses *links)
{
    const int end = list->fleet->node_end;
    uint64_t lost[FLEET_NODES_MAX] = {0}, sum = 0;
    double loss[FLEET_NODES_MAX] = {0}, total = 0, most = 0;
    int known = 0, bad = 0;

    for (int from = 0; from < end; from++) {
        loss[from] = link_loss(list, from, to, &lost[from]);
        known += !isnan(loss[from]);
        if (loss[from] >= loss_much) {
            bad++;
            sum += lost[from];
            total += loss[from];
            most = fmax(most, loss[from]);
        }
    }
    if (bad >= 2 && bad == known && most * (bad - 1) <= STANDS_OUT * (total - most)) {
        take(nodes, (struct loss){FLEET_NOBODY, to, total / bad, sum});
        return;
    }
    for (int i = 0; i < list->nodes; i++)
        if (loss[list->order[i]] >= loss_much)
            take(links, (struct loss){list->order[i], to, loss[list->order[i]], lost[list->order[i]]});
}

static void say_nodes(struct findings_list *list, const struct losses *nodes, const char *during)
{
    const struct fleet *fleet = list->fleet;
    const bool is_many = nodes->count > FINDINGS_ALIKE;
    char rank[8], text[FORMAT_BYTES];

    for (int i = 0; i < (is_many ? 1 : nodes->count); i++) {
        const struct loss *loss = is_many ? &nodes->worst : &nodes->loss[i];
        const enum style style = loss->part > 10 * loss_much ? STYLE_BAD : STYLE_WARN;
        const bool is_by_lab = loss->part < BY_LAB * fleet->nodes[loss->to].now.lab_loss_ppm / 1e6;

        format_fraction(loss->part, text);
        fleet_rank_text_at(fleet, loss->to, list->tick, rank);
        if (is_many)
            findings_add(list, style, "%d nodes lose some of what all others send them, most node %s at %s: %s (%llu in %s)%s",
                         nodes->count, rank, fleet->nodes[loss->to].address, text, (unsigned long long)loss->lost, during,
                         is_by_lab ? ", by --lab." : ": check what they have in common, such as a switch.");
        else
            findings_add(list, style, "Node %s at %s loses %s of what all others send it (%llu in %s)%s", rank,
                         fleet->nodes[loss->to].address, text, (unsigned long long)loss->lost, during,
                         is_by_lab ? ", by --lab." : ": check its cable.");
    }
}

static void say_links(struct findings_list *list, const struct losses *links, const char *during)
{
    const struct fleet *fleet = list->fleet;
    const bool is_many = links->count > FINDINGS_ALIKE;
    char sender[8], receiver[8], text[FORMAT_BYTES];

    for (int i = 0; i < (is_many ? 1 : links->count); i++) {
        const struct loss *loss = is_many ? &links->worst : &links->loss[i];
        const enum style style = loss->part > 10 * loss_much ? STYLE_BAD : STYLE_WARN;

        format_fraction(loss->part, text);
        fleet_rank_text_at(fleet, loss->from, list->tick, sender);
        fleet_rank_text_at(fleet, loss->to, list->tick, receiver);
        if (is_many)
            findings_add(list, style, "%d links lose datagrams, most %s → %s: %s (%llu in %s): see the links.", links->count, sender,
                         receiver, text, (unsigned long long)loss->lost, during);
        else
            findings_add(list, style, "Link %s → %s loses %s of its datagrams (%llu in %s).", sender, receiver, text,
                         (unsigned long long)loss->lost, during);
    }
}

void findings_losses(struct findings_list *list)
{
    struct losses nodes = {.count = 0}, links = {.count = 0};
    char during[FORMAT_BYTES];
    unsigned ticks = 0;

    for (int i = 0; i < list->nodes; i++)
        find_at(list, list->order[i], &nodes, &links);
    while (fleet_is_within(list->fleet, list->tick, ticks, columns_window(list->fleet)))
        ticks++;
    snprintf(during, sizeof during, "%g s", round(ticks * (double)list->fleet->interval_ns / 1e8) / 10);
    say_nodes(list, &nodes, during);
    say_links(list, &links, during);
}
