#include "findings.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "columns.h"
#include "findings_list.h"
#include "format.h"
#include "node_note.h"
#include "slow_link.h"

enum { MINUTE_S = 60, ENOUGH = 2 };

static const double waits_much = 0.15, change_much = 1.4, open_little = 0.05, open_whole = 0.8;

void findings_add(struct findings_list *list, enum style style, const char *format, ...)
{
    va_list arguments;

    if (list->count == FINDINGS_MAX)
        return;
    list->findings[list->count].style = style;
    va_start(arguments, format);
    vsnprintf(list->findings[list->count++].text, FINDING_BYTES, format, arguments);
    va_end(arguments);
}

static const char *name_of(const struct findings_list *list, int node, char out[8])
{
    return fleet_rank_text_at(list->fleet, node, list->tick, out);
}

static void find_connection(struct findings_list *list)
{
    char clock[FORMAT_BYTES] = "-";

    if (list->fleet->is_connected && fleet_silence_ns(list->fleet) > 0)
        findings_add(list, STYLE_BAD, "Nothing heard of any node for %.1f s.", (double)fleet_silence_ns(list->fleet) / 1e9);
    if (list->fleet->is_connected)
        return;
    if (list->fleet->ticks == 0) {
        findings_add(list, STYLE_BAD, "No connection: %s", list->fleet->connection);
        return;
    }
    format_clock(list->fleet->tick_wall_ns[(list->fleet->ticks - 1) % FLEET_HISTORY], clock);
    findings_add(list, STYLE_BAD, "Connection lost; values shown are of %s.", clock);
    findings_add(list, STYLE_BAD, "%s", list->fleet->connection);
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

bool findings_runs(const struct fleet *fleet, uint64_t tick)
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
    if (!findings_runs(fleet, tick))
        return FLEET_NOBODY;
    for (int i = 0; i < fleet->node_end; i++) {
        const double waits = fleet->nodes[i].is_used && fleet_is_alive(fleet_state_at(fleet, i, tick)) ? waited_for(fleet, i, tick) : 0;

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

static void find_waits(struct findings_list *list)
{
    double part;
    const int node = findings_waited_for(list->fleet, list->tick, &part);
    char rank[8], from[8], to[8], text[FORMAT_BYTES], slow[FORMAT_BYTES], others[FORMAT_BYTES];
    struct slow_link link;

    if (node < 0)
        return;
    format_fraction(part, text);
    name_of(list, node, rank);
    if (!slow_link_find(list->fleet, node, list->tick, columns_window(list->fleet), &link)) {
        findings_add(list, STYLE_WARN, "Others wait for node %s at %s: %s of their time while steps run.", rank,
                     list->fleet->nodes[node].address, text);
        return;
    }
    format_time_us(link.p99_us, slow);
    format_time_us(link.others_us, others);
    findings_add(list, STYLE_WARN,
                 "Others wait for node %s at %s: %s of their time. Its link is slow: %s → %s takes %s (p99), others %s: check the rate and "
                 "queue of its interface (tc -s qdisc, ethtool), not its share.",
                 rank, list->fleet->nodes[node].address, text, name_of(list, link.from, from), name_of(list, link.to, to), slow, others);
}

/* Is the trouble that this event reported over by that tick, by a newer event of the same node or because its process was restarted? newer:
 * the events before it in the list. */
static bool is_over(const struct findings_list *list, const struct fleet_event *trouble, const struct fleet_event *const *events, int newer)
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

/* Troubles that nodes themselves report, and have not reported as mended. */
static void find_troubles(struct findings_list *list)
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
        findings_add(list, STYLE_BAD, "Node %s at %s: %s", name_of(list, event->node, rank), list->fleet->nodes[event->node].address,
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

static void find_change(struct findings_list *list)
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
    findings_add(list, now < then ? STYLE_WARN : STYLE_NORMAL, "Speed %s from %s to %s tok/s within the last minute.",
                 now < then ? "fell" : "rose", before, after);
}

static void find_epoch(struct findings_list *list)
{
    const int node = fleet_witness(list->fleet);
    const uint64_t age_ns = fleet_epoch_age_ns(list->fleet, list->tick);
    char age[FORMAT_BYTES];

    if (age_ns == 0 || age_ns > UINT64_C(60000000000))
        return;
    format_age_s((double)age_ns / 1e9, age);
    findings_add(list, STYLE_NORMAL, "Epoch %u began %s ago, with %u member%s.", list->fleet->nodes[node].head.epoch, age,
                 list->fleet->nodes[node].now.members, list->fleet->nodes[node].now.members == 1 ? "" : "s");
}

static void find_notes(struct findings_list *list)
{
    char text[FINDING_BYTES];

    for (int i = 0; node_note(list, i, text); i++)
        findings_add(list, STYLE_NORMAL, "%s", text);
}

static int severity(const struct finding *finding)
{
    return finding->style == STYLE_BAD ? 2 : finding->style == STYLE_WARN ? 1 : 0;
}

/* The worst first; those of the same weight in the order in which they were found. Where anything is wrong, nothing else is praised. */
static void sort(struct findings_list *list)
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
    struct findings_list list = {.fleet = fleet, .tick = tick, .findings = findings};

    list.nodes = fleet_order_at(fleet, tick, list.order);
    find_connection(&list);
    findings_gone(&list);
    find_troubles(&list);
    findings_losses(&list);
    find_waits(&list);
    if (fleet->is_connected && fleet_silence_ns(fleet) == 0) /* otherwise there is no news of any node */
        findings_all(&list);
    find_change(&list);
    find_epoch(&list);
    find_notes(&list);
    if (list.count == 0)
        findings_add(&list, STYLE_NORMAL, "Waiting for the first report.");
    sort(&list);
    return list.count;
}
