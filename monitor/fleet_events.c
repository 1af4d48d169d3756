/* Events reported by nodes or noticed by the monitor: the newest are kept. Wall clocks of nodes differ, and may be set while they run, so
 * they are only shown: what is newer is decided by the monitor's own monotonic clock. */
#include <stdarg.h>
#include <stdio.h>

#include "fleet.h"

/* The place of the next event, or NULL: it is older than all kept ones. */
static struct fleet_event *event_place(struct fleet *fleet, int64_t happened_ns)
{
    struct fleet_event *oldest = &fleet->events[0];

    if (fleet->events_kept < FLEET_EVENTS)
        return &fleet->events[fleet->events_kept++];
    for (int i = 1; i < FLEET_EVENTS; i++)
        if (fleet->events[i].happened_ns < oldest->happened_ns)
            oldest = &fleet->events[i];
    return oldest->happened_ns <= happened_ns ? oldest : NULL;
}

struct fleet_event *fleet_add_event(struct fleet *fleet, int64_t happened_ns, int64_t wall_ns)
{
    struct fleet_event *event = event_place(fleet, happened_ns);

    if (event != NULL)
        *event = (struct fleet_event){.number = fleet->event_count++,
                                      .wall_ns = wall_ns,
                                      .happened_ns = happened_ns,
                                      .node = FLEET_NOBODY,
                                      .about = FLEET_NOBODY,
                                      .tick = fleet->ticks};
    return event;
}

void fleet_note(struct fleet *fleet, uint64_t at_ns, int64_t wall_ns, bool is_bad, const char *format, ...)
{
    struct fleet_event *event = fleet_add_event(fleet, (int64_t)at_ns, wall_ns);
    va_list arguments;

    if (event == NULL)
        return;
    event->is_bad = is_bad;
    va_start(arguments, format);
    vsnprintf(event->text, sizeof event->text, format, arguments);
    va_end(arguments);
}

static bool is_newer(const struct fleet_event *a, const struct fleet_event *b)
{
    return a->happened_ns != b->happened_ns ? a->happened_ns > b->happened_ns : a->number > b->number;
}

/* Start with the last to arrive: events arrive nearly in the order in which they happened. */
int fleet_list_events(const struct fleet *fleet, uint64_t first_number, const struct fleet_event *list[FLEET_EVENTS])
{
    int count = 0;

    for (unsigned i = fleet->events_kept; i-- > 0;) {
        const struct fleet_event *event = &fleet->events[i];
        int at = count;

        if (event->number < first_number)
            continue;
        for (; at > 0 && is_newer(event, list[at - 1]); at--)
            list[at] = list[at - 1];
        list[at] = event;
        count++;
    }
    return count;
}

const char *fleet_event_reporter(const struct fleet *fleet, const struct fleet_event *event)
{
    return event->node >= 0 ? fleet->nodes[event->node].address : event->reporter;
}

const char *fleet_event_subject(const struct fleet *fleet, const struct fleet_event *event)
{
    return event->about >= 0 ? fleet->nodes[event->about].address : event->subject;
}
