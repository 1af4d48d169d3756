#include "pace.h"

#include "engine_state.h"
#include "node/common/idle.h"

enum { SLEEP_NS_MIN = 1000000 /* less than this is not worth a sleep: it ends late, and so does the unit */ };

static bool is_paced(const struct engine *e)
{
    return e->config.pace_bytes_per_s > 0;
}

uint64_t pace_cost_ns(const struct engine *e, uint64_t now_ns, uint64_t bytes)
{
    const struct engine_config *c = &e->config;
    const bool is_later = c->pace_later_bytes_per_s > 0 && now_ns >= c->pace_later_at_ns;
    const uint64_t bytes_per_s = is_later ? c->pace_later_bytes_per_s : c->pace_bytes_per_s;

    return bytes_per_s == 0 ? 0 : (uint64_t)((double)bytes * 1e9 / (double)bytes_per_s);
}

void pace_begin(struct engine *e, struct worker *w)
{
    struct worker_pace *pace = &w->pace;

    if (!is_paced(e))
        return;
    const uint64_t now_ns = engine_now(e);
    if (pace->has_waited || pace->mark_ns == 0)
        pace->at_ns = now_ns;
    else
        pace->at_ns += now_ns - pace->mark_ns;
    pace->has_waited = false;
}

uint64_t pace_read(struct engine *e, struct worker *w, size_t bytes)
{
    if (!is_paced(e))
        return 0;
    const uint64_t at_ns = w->pace.at_ns, cost_ns = pace_cost_ns(e, at_ns, bytes);
    uint64_t clock = atomic_load(&e->pace_clock_ns), due;

    do
        due = (clock > at_ns ? clock : at_ns) + cost_ns;
    while (!atomic_compare_exchange_weak(&e->pace_clock_ns, &clock, due));
    w->unit->due_ns = due;
    /* Another node's unit may be due on this processor, and this one is early. */
    idle_yield();
    w->pace.mark_ns = engine_now(e);
    return cost_ns * e->config.worker_count;
}

bool pace_holds(struct engine *e, struct worker *w)
{
    struct worker_pace *pace = &w->pace;

    if (w->unit->due_ns == 0)
        return false;
    const uint64_t now_ns = engine_now(e);
    if (now_ns < w->unit->due_ns) {
        pace->is_held = pace->has_held = true;
        return true;
    }
    if (!pace->has_held)
        pace->at_ns += now_ns - pace->mark_ns;
    if (pace->at_ns < w->unit->due_ns)
        pace->at_ns = w->unit->due_ns;
    pace->mark_ns = now_ns;
    pace->has_held = false;
    return false;
}

void pace_wait(struct engine *e, struct worker *w)
{
    const uint64_t now_ns = engine_now(e);

    port_poll(&e->port);
    if (now_ns + SLEEP_NS_MIN >= w->unit->due_ns) {
        idle_yield();
    } else if (port_park(&e->port, w->unit->due_ns - now_ns - SLEEP_NS_MIN / 2) != PORT_SLEPT) {
        idle_sleep(SLEEP_NS_MIN / 2);
    }
}

void pace_waits_for_input(struct worker *w)
{
    w->pace.has_waited = true;
}
