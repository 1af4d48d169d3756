#include "player.h"

#include <stdio.h>

static const uint64_t second_ns = 1000000000, begin_ns = 1000000000 /* of the fleet's clock: 0 would be none */;

uint64_t player_now_ns(const struct player *p)
{
    return begin_ns + (uint64_t)(p->now_ns - recorded_begin_ns(p->recorded));
}

double player_seconds(const struct player *p)
{
    return (double)(p->now_ns - recorded_begin_ns(p->recorded)) / 1e9;
}

double player_seconds_total(const struct player *p)
{
    return (double)(recorded_end_ns(p->recorded) - recorded_begin_ns(p->recorded)) / 1e9;
}

static int look_ahead(struct player *p, struct fail *fail)
{
    const int got = recorded_next(p->recorded, &p->record, fail);

    p->has_record = got > 0;
    return got < 0 ? -1 : 0;
}

static size_t tokens_until(const struct player *p, int64_t wall_ns)
{
    size_t low = 0, high;
    const struct recorded_token *tokens = recorded_tokens(p->recorded, &high);

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (tokens[middle].wall_ns <= wall_ns)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int player_rewind(struct player *p, struct fail *fail)
{
    struct fleet *fleet = p->fleet;

    fleet_clear(fleet);
    fleet->interval_ns = p->interval_ns;
    fleet->is_connected = fleet->is_recorded = true;
    fleet->connected_ns = begin_ns;
    snprintf(fleet->connection, sizeof fleet->connection, "%s", recorded_name(p->recorded));
    p->now_ns = recorded_begin_ns(p->recorded);
    p->next_tick_ns = p->now_ns + (int64_t)p->interval_ns;
    if (recorded_whole_ns(p->recorded) < p->next_tick_ns) /* from there on counters are compared */
        p->next_tick_ns = recorded_whole_ns(p->recorded);
    p->is_over = false;
    p->token = tokens_until(p, p->now_ns);
    return recorded_rewind(p->recorded, fail) < 0 ? -1 : look_ahead(p, fail);
}

int player_open(struct player *p, struct recorded *recorded, struct fleet *fleet, uint64_t interval_ns, struct fail *fail)
{
    *p = (struct player){.recorded = recorded, .fleet = fleet, .interval_ns = interval_ns};
    return player_rewind(p, fail);
}

void player_set_interval(struct player *p, uint64_t interval_ns)
{
    p->next_tick_ns += (int64_t)interval_ns - (int64_t)p->interval_ns;
    if (p->next_tick_ns <= p->now_ns)
        p->next_tick_ns = p->now_ns + 1;
    p->interval_ns = p->fleet->interval_ns = interval_ns;
}

/* The next thing to happen until then: a record, or a tick. */
static int happen(struct player *p, int64_t until_ns, bool *is_tick, struct fail *fail)
{
    *is_tick = false;
    if (p->has_record && p->record.wall_ns <= p->next_tick_ns && p->record.wall_ns <= until_ns) {
        if (p->record.wall_ns > p->now_ns)
            p->now_ns = p->record.wall_ns;
        fleet_report(p->fleet, player_now_ns(p), p->now_ns, p->record.bytes, p->record.size);
        return look_ahead(p, fail);
    }
    p->now_ns = p->next_tick_ns;
    fleet_tick(p->fleet, player_now_ns(p), p->now_ns);
    p->next_tick_ns = p->now_ns + (int64_t)p->interval_ns;
    *is_tick = true;
    return 0;
}

static bool has_more(const struct player *p, int64_t until_ns)
{
    return p->next_tick_ns <= until_ns || (p->has_record && p->record.wall_ns <= until_ns);
}

static void tell(const struct player *p, int64_t until_ns)
{
    const int64_t first_ns = recorded_begin_ns(p->recorded);

    if (p->tell != NULL && until_ns > first_ns)
        p->tell(p->app, (double)(p->now_ns - first_ns) / (double)(until_ns - first_ns));
}

static int advance_to(struct player *p, int64_t until_ns, bool stops_at_tick, struct fail *fail)
{
    const int64_t end_ns = recorded_end_ns(p->recorded);
    bool is_tick = false;

    if (until_ns > end_ns)
        until_ns = end_ns;
    while (has_more(p, until_ns) && !(is_tick && stops_at_tick)) {
        if (happen(p, until_ns, &is_tick, fail) < 0)
            return -1;
        tell(p, until_ns);
    }
    if (is_tick && stops_at_tick)
        return 0;
    if (until_ns > p->now_ns)
        p->now_ns = until_ns;
    if (p->now_ns < end_ns || p->is_over)
        return 0;
    p->is_over = true; /* the time since the last tick is an interval, too */
    fleet_tick(p->fleet, player_now_ns(p), p->now_ns);
    return 0;
}

int player_advance(struct player *p, uint64_t ns, struct fail *fail)
{
    const int64_t left_ns = recorded_end_ns(p->recorded) - p->now_ns;

    if (advance_to(p, ns < (uint64_t)left_ns ? p->now_ns + (int64_t)ns : recorded_end_ns(p->recorded), false, fail) < 0)
        return -1;
    p->token = tokens_until(p, p->now_ns);
    return 0;
}

int player_tick(struct player *p, struct fail *fail)
{
    if (advance_to(p, recorded_end_ns(p->recorded), true, fail) < 0)
        return -1;
    p->token = tokens_until(p, p->now_ns);
    return 0;
}

/* Reports lag what they tell of by up to their interval. */
static bool tells_of(const struct player *p, int64_t wall_ns)
{
    return p->now_ns > wall_ns && p->has_record && p->record.wall_ns > p->now_ns;
}

int player_step(struct player *p, int by, struct fail *fail)
{
    size_t count, wanted;
    const struct recorded_token *tokens = recorded_tokens(p->recorded, &count);
    int64_t until_ns;

    if (count == 0)
        return 0;
    wanted = by > 0 ? p->token + (size_t)by : p->token > (size_t)-by ? p->token - (size_t)-by : 1;
    wanted = wanted < count ? wanted : count;
    until_ns = tokens[wanted - 1].wall_ns;
    if (wanted < p->token && until_ns < p->now_ns && player_rewind(p, fail) < 0)
        return -1;
    if (until_ns > p->now_ns && advance_to(p, until_ns, false, fail) < 0)
        return -1;
    while (p->has_record && !tells_of(p, until_ns) && p->record.wall_ns < until_ns + (int64_t)second_ns)
        if (advance_to(p, p->record.wall_ns, false, fail) < 0)
            return -1;
    p->token = wanted;
    return 0;
}
