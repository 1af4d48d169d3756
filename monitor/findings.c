#include "findings.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "columns.h"
#include "format.h"
#include "node_note.h"
#include "slow_link.h"

enum { MINUTE_S = 60, LOST_LEAST = 3, ENOUGH = 2, STANDS_OUT = 4 /* times the loss of the other links */, BY_LAB = 2 };

static const double waits_much = 0.15, loss_much = 0.001, change_much = 1.4, open_little = 0.05, open_whole = 0.8;

struct list {
    const struct fleet *fleet;
    uint64_t tick;
    struct finding *findings;
    int count;
    int order[FLEET_NODES_MAX], nodes; /* all nodes as screens list them */
};

__attribute__((format(printf, 3, 4))) static void add(struct list *list, enum style style, const char *format, ...)
{
    va_list arguments;

    if (list->count == FINDINGS_MAX)
        return;
    list->findings[list->count].style = style;
    va_start(arguments, format);
    vsnprintf(list->findings[list->count++].text, FINDING_BYTES, format, arguments);
    va_end(arguments);
}

static const char *name_of(const struct fleet *fleet, int node, char out[8])
{
    return fleet_rank_text(&fleet->nodes[node], out);
}

static void find_connection(struct list *list)
{
    char clock[FORMAT_BYTES] = "-";

    if (list->fleet->is_connected && fleet_silence_ns(list->fleet) > 0)
        add(list, STYLE_BAD, "Nothing heard of any node for %.1f s.", (double)fleet_silence_ns(list->fleet) / 1e9);
    if (list->fleet->is_connected)
        return;
    if (list->fleet->ticks == 0) {
        add(list, STYLE_BAD, "No connection: %s", list->fleet->connection);
        return;
    }
    format_clock(list->fleet->tick_wall_ns[(list->fleet->ticks - 1) % FLEET_HISTORY], clock);
    add(list, STYLE_BAD, "Connection lost; values shown are of %s.", clock);
    add(list, STYLE_BAD, "%s", list->fleet->connection);
}

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
static void name_rank(const struct fleet_node *node, char out[24])
{
    char rank[8];

    if (has_lost_rank(node))
        snprintf(out, 24, "Former node %u", node->head.rank);
    else
        snprintf(out, 24, "Node %s", fleet_rank_text(node, rank));
}

static void find_gone(struct list *list)
{
    const int64_t wall_ns = list->fleet->tick_wall_ns[list->tick % FLEET_HISTORY];
    const bool is_past = list->tick + 1 < list->fleet->ticks; /* it is no longer known how long it had not been heard then */

    for (int i = 0; i < list->nodes; i++) {
        const struct fleet_node *node = &list->fleet->nodes[list->order[i]];
        const enum fleet_state state = fleet_state_at(list->fleet, list->order[i], list->tick);
        char clock[FORMAT_BYTES], name[24];

        name_rank(node, name);
        format_when(node->gone_wall_ns, wall_ns, clock);
        if (state == FLEET_DEAD)
            add(list, STYLE_BAD, "%s at %s is gone: last heard at %s.", name, node->address, clock);
        else if (state == FLEET_SUSPECTED && !is_past && silent_s(list->fleet, node) * 1e9 < (double)list->fleet->interval_ns)
            add(list, STYLE_BAD, "%s at %s is suspected by others.", name, node->address);
        else if ((state == FLEET_SUSPECTED || state == FLEET_SILENT) && !is_past && node->has_reported)
            add(list, STYLE_BAD, "%s at %s is %s: not heard for %.1f s.", name, node->address, fleet_state_name(state),
                silent_s(list->fleet, node));
        else if (!is_past && fleet_is_late(list->fleet, node))
            add(list, STYLE_WARN, "%s at %s has not reported for %.1f s.", name, node->address, silent_s(list->fleet, node));
        else if (state == FLEET_SUSPECTED || state == FLEET_SILENT)
            add(list, STYLE_BAD, "%s at %s is %s.", name, node->address, fleet_state_name(state));
        else if (state == FLEET_LOADING || state == FLEET_JOINING || state == FLEET_SEEKING)
            add(list, STYLE_WARN, "%s at %s is %s.", name, node->address, fleet_state_name(state));
    }
}

/* The part of their time that the other nodes wait for this one, on average over those that compute and report. */
static double waited_for(const struct fleet *fleet, int node, uint64_t tick)
{
    double sum = 0;
    int others = 0;

    for (int to = 0; to < fleet->node_end; to++) {
        const bool has_report = to != node && fleet->nodes[to].is_used && !fleet_is_late_at(fleet, to, tick);
        const double part = has_report ? fleet_waits(fleet, node, to, tick, columns_window(fleet)) : NAN;

        if (!isnan(part)) {
            sum += part;
            others++;
        }
    }
    return others > 0 ? sum / others : 0;
}

/* Do steps run, and have they for more than one of the last intervals? One alone may be a prompt, or the begin of an epoch. */
static bool runs(const struct fleet *fleet, uint64_t tick)
{
    const unsigned window = columns_window(fleet), enough = window < ENOUGH ? window : ENOUGH;
    unsigned count = 0, newest = window;

    for (unsigned i = 0; fleet_is_within(fleet, tick, i, window); i++)
        if (fleet_open(fleet, tick - i) > open_little) {
            newest = count == 0 ? i : newest;
            count++;
        }
    return count >= enough && newest < 2;
}

int findings_waited_for(const struct fleet *fleet, uint64_t tick, double *part)
{
    int most = FLEET_NOBODY;
    double next = 0;

    *part = 0;
    if (!runs(fleet, tick))
        return FLEET_NOBODY;
    for (int i = 0; i < fleet->node_end; i++) {
        const double waits = fleet->nodes[i].is_used && fleet_is_alive(fleet->nodes[i].state) ? waited_for(fleet, i, tick) : 0;

        if (waits > *part) {
            next = *part;
            *part = waits;
            most = i;
        } else if (waits > next) {
            next = waits;
        }
    }
    return *part >= waits_much && *part >= 2 * next ? most : FLEET_NOBODY;
}

static void find_waits(struct list *list)
{
    double part;
    const int node = findings_waited_for(list->fleet, list->tick, &part);
    char rank[8], from[8], to[8], text[FORMAT_BYTES], slow[FORMAT_BYTES], others[FORMAT_BYTES];
    struct slow_link link;

    if (node < 0)
        return;
    format_fraction(part, text);
    name_of(list->fleet, node, rank);
    if (!slow_link_find(list->fleet, node, list->tick, columns_window(list->fleet), &link)) {
        add(list, STYLE_WARN, "Others wait for node %s at %s: %s of their time while steps run.", rank, list->fleet->nodes[node].address,
            text);
        return;
    }
    format_time_us(link.p99_us, slow);
    format_time_us(link.others_us, others);
    add(list, STYLE_WARN,
        "Others wait for node %s at %s: %s of their time. Its link is slow: %s → %s takes %s (p99), others %s: check the rate and "
        "queue of its interface (tc -s qdisc, ethtool), not its share.",
        rank, list->fleet->nodes[node].address, text, name_of(list->fleet, link.from, from), name_of(list->fleet, link.to, to), slow,
        others);
}

/* The loss of a link in the last seconds, and the number of lost datagrams; 0 when it is small. NAN: there is no such link, or nothing is
 * known of it. */
static double link_loss(const struct list *list, int from, int to, uint64_t *lost)
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

static void add_loss(struct list *list, int from, int to, double loss, uint64_t lost)
{
    const enum style style = loss > 10 * loss_much ? STYLE_BAD : STYLE_WARN;
    const struct fleet *fleet = list->fleet;
    char sender[8], receiver[8], text[FORMAT_BYTES], during[FORMAT_BYTES];
    unsigned ticks = 0;

    while (fleet_is_within(fleet, list->tick, ticks, columns_window(fleet)))
        ticks++;
    format_fraction(loss, text);
    snprintf(during, sizeof during, "%g s", round(ticks * (double)fleet->interval_ns / 1e8) / 10);
    name_of(fleet, to, receiver);
    if (from < 0)
        add(list, style, "Node %s at %s loses %s of what all others send it (%llu in %s)%s", receiver, fleet->nodes[to].address, text,
            (unsigned long long)lost, during,
            loss < BY_LAB * fleet->nodes[to].now.lab_loss_ppm / 1e6 ? ", by --lab." : ": check its cable.");
    else
        add(list, style, "Link %s → %s loses %s of its datagrams (%llu in %s).", name_of(fleet, from, sender), receiver, text,
            (unsigned long long)lost, during);
}

/* If all links into a node lose, the cause is not the links: report it once, not once for each of them. But where one of them loses much
 * more than the others, its cause is another one. */
static void find_loss_at(struct list *list, int to)
{
    const int end = list->fleet->node_end;
    uint64_t lost[FLEET_NODES_MAX] = {0}, sum = 0;
    double loss[FLEET_NODES_MAX] = {0}, total = 0, most = 0;
    int links = 0, bad = 0;

    for (int from = 0; from < end; from++) {
        loss[from] = link_loss(list, from, to, &lost[from]);
        links += !isnan(loss[from]);
        if (loss[from] >= loss_much) {
            bad++;
            sum += lost[from];
            total += loss[from];
            most = fmax(most, loss[from]);
        }
    }
    if (bad >= 2 && bad == links && most * (bad - 1) <= STANDS_OUT * (total - most)) {
        add_loss(list, -1, to, total / bad, sum);
        return;
    }
    for (int i = 0; i < list->nodes; i++)
        if (loss[list->order[i]] >= loss_much)
            add_loss(list, list->order[i], to, loss[list->order[i]], lost[list->order[i]]);
}

static void find_loss(struct list *list)
{
    for (int i = 0; i < list->nodes; i++)
        find_loss_at(list, list->order[i]);
}

/* Is the trouble that this event reported over by that tick, by a newer event of the same node or because its process was restarted? newer:
 * the events before it in the list. */
static bool is_over(const struct list *list, const struct fleet_event *trouble, const struct fleet_event *const *events, int newer)
{
    for (int i = 0; i < newer; i++)
        if (events[i]->node == trouble->node && events[i]->tick <= list->tick &&
            (events[i]->happened == MESH_NODE_EVENT_START ||
             (events[i]->happened == MESH_NODE_EVENT_MENDED && strncmp(trouble->text, events[i]->text, strlen(events[i]->text)) == 0)))
            return true;
    return false;
}

/* Several nodes may report the same trouble of another one. */
static bool is_said(const struct fleet_event *trouble, const struct fleet_event *const *said, int count)
{
    for (int i = 0; i < count; i++)
        if (strcmp(said[i]->text, trouble->text) == 0)
            return true;
    return false;
}

/* Troubles with the network that nodes themselves report, and have not reported as mended. */
static void find_troubles(struct list *list)
{
    const struct fleet_event *events[FLEET_EVENTS], *said[FINDINGS_MAX];
    const int kept = fleet_list_events(list->fleet, 0, events);
    int count = 0;

    for (int i = 0; i < kept && count < FINDINGS_MAX; i++) {
        const struct fleet_event *event = events[i];
        char rank[8];

        if (event->happened != MESH_NODE_EVENT_TROUBLE || event->node < 0 || event->tick > list->tick ||
            !fleet_is_alive(fleet_state_at(list->fleet, event->node, list->tick)) || is_over(list, event, events, i) ||
            is_said(event, said, count))
            continue;
        said[count++] = event;
        add(list, STYLE_BAD, "Node %s at %s: %s", name_of(list->fleet, event->node, rank), list->fleet->nodes[event->node].address,
            event->text);
    }
}

/* The greatest part of an interval in which steps were open, in a window that ends at a tick. */
static double most_open(const struct fleet *fleet, uint64_t tick, unsigned ticks)
{
    double most = 0;

    for (unsigned i = 0; i < ticks && i <= tick; i++)
        most = fmax(most, fleet_open(fleet, tick - i)); /* NAN is left out */
    return most;
}

/* Mean speed over a window that ends at a tick, of intervals in which steps were open for that part at least: a request may begin or end
 * within one. NAN: they are less than half of the window. */
static double mean_speed(const struct fleet *fleet, uint64_t tick, unsigned ticks, double open)
{
    double sum = 0;
    unsigned count = 0;

    for (unsigned i = 0; i < ticks && i <= tick; i++) {
        const double speed = (double)fleet_tok_per_s(fleet, tick - i);

        if (fleet_has_tick(fleet, tick - i) && speed > 0 && !(fleet_open(fleet, tick - i) < open)) {
            sum += speed;
            count++;
        }
    }
    return count > 0 && 2 * count >= ticks ? sum / count : NAN;
}

static void find_change(struct list *list)
{
    const struct fleet *fleet = list->fleet;
    const uint64_t minute = fleet->interval_ns > 0 ? UINT64_C(60000000000) / fleet->interval_ns : MINUTE_S;
    const unsigned window = columns_window(fleet) / 2 + 1;
    double now, then, open;
    char before[FORMAT_BYTES], after[FORMAT_BYTES];

    if (!fleet_is_within(fleet, list->tick, (unsigned)minute, (unsigned)minute + 1))
        return;
    if (fleet->tick_ns[list->tick % FLEET_HISTORY] - fleet->tick_ns[(list->tick - minute) % FLEET_HISTORY] <
        minute * fleet->interval_ns / 2)
        return; /* intervals were shorter then */
    open = open_whole * fmax(most_open(fleet, list->tick, window), most_open(fleet, list->tick - minute, window));
    now = mean_speed(fleet, list->tick, window, open);
    then = mean_speed(fleet, list->tick - minute, window, open);
    if (isnan(now) || isnan(then) || !(now > 0.5 || then > 0.5) || (now < then * change_much && then < now * change_much))
        return;
    format_speed(then, before);
    format_speed(now, after);
    add(list, now < then ? STYLE_WARN : STYLE_NORMAL, "Speed %s from %s to %s tok/s within the last minute.", now < then ? "fell" : "rose",
        before, after);
}

static void find_epoch(struct list *list)
{
    const int node = fleet_witness(list->fleet);
    const uint64_t age_ns = fleet_epoch_age_ns(list->fleet, list->tick);
    char age[FORMAT_BYTES];

    if (age_ns == 0 || age_ns > UINT64_C(60000000000))
        return;
    format_age_s((double)age_ns / 1e9, age);
    add(list, STYLE_NORMAL, "Epoch %u began %s ago, with %u member%s.", list->fleet->nodes[node].head.epoch, age,
        list->fleet->nodes[node].now.members, list->fleet->nodes[node].now.members == 1 ? "" : "s");
}

static void find_notes(struct list *list)
{
    char text[FINDING_BYTES];

    for (int i = 0; node_note(list->fleet, i, text); i++)
        add(list, STYLE_NORMAL, "%s", text);
}

/* Nodes that are not gone; of these, those that are up and report; of these, those that compute. */
struct census {
    int alive, reported, up, busy;
};

static struct census count_nodes(const struct list *list)
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

/* The state of all nodes, in one sentence. */
static void find_all(struct list *list)
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
        add(list, STYLE_NORMAL, "No current report of what %d node%s %s.", count.alive, plural, count.alive == 1 ? "does" : "do");
    else if (count.busy > 0 && count.alive == 1)
        add(list, STYLE_GOOD, "The node computes: %s tok/s.", text);
    else if (count.busy > 0)
        add(list, count.busy == count.alive ? STYLE_GOOD : STYLE_NORMAL, "%d of %d nodes compute: %s tok/s.", count.busy, count.alive,
            text);
    else if (count.up < count.alive)
        add(list, STYLE_NORMAL, "%d of %d node%s up and %s.", count.up, count.alive, count.alive == 1 ? " is" : "s are", how);
    else if (count.alive == 1)
        add(list, STYLE_GOOD, "The node is up and %s.", how);
    else
        add(list, STYLE_GOOD, "All %d nodes are up and %s.", count.alive, how);
}

static int severity(const struct finding *finding)
{
    return finding->style == STYLE_BAD ? 2 : finding->style == STYLE_WARN ? 1 : 0;
}

/* The worst first; those of the same weight in the order in which they were found. Where anything is wrong, nothing else is praised. */
static void sort(struct list *list)
{
    for (int i = 1; i < list->count; i++) {
        const struct finding finding = list->findings[i];
        int at = i;

        for (; at > 0 && severity(&list->findings[at - 1]) < severity(&finding); at--)
            list->findings[at] = list->findings[at - 1];
        list->findings[at] = finding;
    }
    for (int i = 1; i < list->count && severity(&list->findings[0]) > 0; i++)
        if (list->findings[i].style == STYLE_GOOD)
            list->findings[i].style = STYLE_NORMAL;
}

int findings_find(const struct fleet *fleet, uint64_t tick, struct finding findings[FINDINGS_MAX])
{
    struct list list = {.fleet = fleet, .tick = tick, .findings = findings};

    list.nodes = fleet_order(fleet, list.order);
    find_connection(&list);
    find_gone(&list);
    find_troubles(&list);
    find_loss(&list);
    find_waits(&list);
    if (fleet->is_connected && fleet_silence_ns(fleet) == 0) /* otherwise there is no news of any node */
        find_all(&list);
    find_change(&list);
    find_epoch(&list);
    find_notes(&list);
    if (list.count == 0)
        add(&list, STYLE_NORMAL, "Waiting for the first report.");
    sort(&list);
    return list.count;
}
