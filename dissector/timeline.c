#include "timeline.h"

#include <inttypes.h>
#include <string.h>

static uint64_t longest_ns(const struct steps_step *step)
{
    unsigned rank;
    const struct steps_rank *longest = steps_longest(step, &rank);

    return longest ? longest->longest_ns : 0;
}

static void keep_slow(struct timeline *timeline, const struct steps_step *step)
{
    size_t at = timeline->slow_count;

    while (at > 0 && longest_ns(step) > longest_ns(&timeline->slow[at - 1]))
        at--;
    if (at == TIMELINE_SLOWEST)
        return;
    if (timeline->slow_count < TIMELINE_SLOWEST)
        timeline->slow_count++;
    memmove(&timeline->slow[at + 1], &timeline->slow[at], (timeline->slow_count - 1 - at) * sizeof *step);
    timeline->slow[at] = *step;
}

void timeline_add(struct timeline *timeline, const struct steps_step *step)
{
    timeline->count++;
    timeline->tokens += step->tokens;
    timeline->waited_ns += longest_ns(step);
    if (step->tokens <= 1)
        mesh_histogram_add(&timeline->durations, steps_duration_ns(step));
    for (unsigned i = 0; i < STEPS_RANKS_MAX; i++) {
        const struct steps_rank *from = &step->ranks[i];
        struct timeline_rank *to = &timeline->ranks[i];

        if (from->end_ns == 0)
            continue;
        to->steps++;
        to->total_ns += from->end_ns - from->begin_ns;
        to->compute_ns += from->compute_ns;
        to->wait_ns += from->wait_ns;
        for (unsigned other = 0; other < STEPS_RANKS_MAX; other++)
            to->wait_for_ns[other] += from->wait_for_ns[other];
    }
    keep_slow(timeline, step);
}

/* ---- text ---- */

static double part(uint64_t of, uint64_t whole)
{
    return whole > 0 ? 100 * (double)of / (double)whole : 0;
}

static void print_rank(const struct timeline_rank *rank, unsigned number, FILE *out)
{
    uint64_t sum = 0;
    unsigned most = 0;

    for (unsigned i = 0; i < STEPS_RANKS_MAX; i++) {
        sum += rank->wait_for_ns[i];
        if (rank->wait_for_ns[i] > rank->wait_for_ns[most])
            most = i;
    }
    fprintf(out, "%6u %8" PRIu64 " %10.3f %9.1f%% %9.1f%%", number, rank->steps, (double)rank->total_ns / 1e6 / (double)rank->steps,
            part(rank->compute_ns, rank->total_ns), part(rank->wait_ns, rank->total_ns));
    if (sum > 0)
        fprintf(out, "   rank %u (%.0f%%)", most, part(rank->wait_for_ns[most], sum));
    fputc('\n', out);
}

static void print_slow(const struct steps_step *step, FILE *out)
{
    unsigned rank;
    const struct steps_rank *longest = steps_longest(step, &rank);

    if (longest == NULL)
        return;
    fprintf(out, "    step %" PRIu64 " (epoch %" PRIu32 "): %.3f ms; rank %u waited %.3f ms for rank %u in phase %u\n", step->step,
            step->epoch, (double)steps_duration_ns(step) / 1e6, rank, (double)longest->longest_ns / 1e6, longest->longest_for,
            longest->longest_phase);
}

void timeline_print(const struct timeline *timeline, FILE *out)
{
    if (timeline->count == 0)
        return;
    fprintf(out, "\n%6s %8s %10s %10s %10s   %s\n", "rank", "steps", "ms each", "computing", "waiting", "waiting mostly for");
    for (unsigned i = 0; i < STEPS_RANKS_MAX; i++)
        if (timeline->ranks[i].steps > 0)
            print_rank(&timeline->ranks[i], i, out);
    if (timeline->durations.count > 0)
        fprintf(out, "%" PRIu64 " steps of one token: p50 %.3f ms, p99 %.3f, longest %.3f\n", timeline->durations.count,
                (double)mesh_histogram_quantile(&timeline->durations, 500) / 1e6,
                (double)mesh_histogram_quantile(&timeline->durations, 990) / 1e6, (double)timeline->durations.max_ns / 1e6);
    if (timeline->slow_count > 0)
        fputs("the longest waits:\n", out);
    for (size_t i = 0; i < timeline->slow_count; i++)
        print_slow(&timeline->slow[i], out);
}

/* ---- JSON ---- */

static void rank_object(struct json *json, const struct steps_rank *rank, unsigned number)
{
    json_object_begin(json, NULL);
    json_uint(json, "rank", number);
    json_uint(json, "begin_ns", rank->begin_ns);
    json_double(json, "ms", (double)(rank->end_ns - rank->begin_ns) / 1e6);
    json_double(json, "compute_ms", (double)rank->compute_ns / 1e6);
    json_double(json, "wait_ms", (double)rank->wait_ns / 1e6);
    if (rank->longest_ns > 0) {
        json_double(json, "longest_wait_ms", (double)rank->longest_ns / 1e6);
        json_uint(json, "longest_wait_for", rank->longest_for);
        json_uint(json, "longest_wait_phase", rank->longest_phase);
    }
    json_object_end(json);
}

void timeline_object(struct json *json, const struct steps_step *step)
{
    json_event_begin(json, "step");
    json_uint(json, "epoch", step->epoch);
    json_uint(json, "step", step->step);
    json_uint(json, "tokens", step->tokens);
    json_double(json, "ms", (double)steps_duration_ns(step) / 1e6);
    json_array_begin(json, "ranks");
    for (unsigned i = 0; i < STEPS_RANKS_MAX; i++)
        if (step->ranks[i].end_ns != 0)
            rank_object(json, &step->ranks[i], i);
    json_array_end(json);
    json_event_end(json);
}
