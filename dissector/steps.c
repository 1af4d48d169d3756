#include "steps.h"

#include <string.h>

static void tell(struct steps *steps, struct steps_step *step)
{
    if (step->is_used && steps->on_step != NULL)
        steps->on_step(steps->context, step);
    steps->last = (struct steps_gather){.mesh = step->mesh, .epoch = step->epoch, .step = step->step};
    step->is_used = false;
}

static bool is_before(const struct steps_step *a, const struct steps_step *b)
{
    if (a->mesh != b->mesh)
        return a->mesh < b->mesh;
    return a->epoch != b->epoch ? a->epoch < b->epoch : a->step < b->step;
}

static struct steps_step *oldest(struct steps *steps)
{
    struct steps_step *best = NULL;

    for (unsigned i = 0; i < STEPS_KEPT; i++)
        if (steps->kept[i].is_used && (best == NULL || is_before(&steps->kept[i], best)))
            best = &steps->kept[i];
    return best;
}

/* All places are taken: the step to which nothing was added for longest. */
static struct steps_step *stalest(struct steps *steps)
{
    struct steps_step *best = &steps->kept[0];

    for (unsigned i = 1; i < STEPS_KEPT; i++)
        if (steps->kept[i].turn < best->turn)
            best = &steps->kept[i];
    return best;
}

static bool is_of(const struct steps_step *step, const struct steps_gather *gather)
{
    return step->is_used && step->mesh == gather->mesh && step->epoch == gather->epoch && step->step == gather->step;
}

static struct steps_step *step_of(struct steps *steps, const struct steps_gather *gather)
{
    struct steps_step *place = NULL;

    for (unsigned i = 0; i < STEPS_KEPT; i++) {
        struct steps_step *step = &steps->kept[i];

        if (is_of(step, gather))
            return step;
        if (!step->is_used && place == NULL)
            place = step;
    }
    if (place == NULL) {
        place = stalest(steps);
        tell(steps, place);
    }
    memset(place, 0, sizeof *place);
    place->is_used = true;
    place->epoch = gather->epoch;
    place->mesh = gather->mesh;
    place->step = gather->step;
    return place;
}

void steps_add(struct steps *steps, const struct steps_gather *gather)
{
    struct steps_step *step;
    struct steps_rank *rank;

    if (gather->rank >= STEPS_RANKS_MAX)
        return;
    step = step_of(steps, gather);
    step->turn = ++steps->turns;
    rank = &step->ranks[gather->rank];
    if (gather->tokens > step->tokens)
        step->tokens = gather->tokens;
    if (rank->end_ns == 0 || gather->begin_ns < rank->begin_ns)
        rank->begin_ns = gather->begin_ns;
    if (gather->end_ns > rank->end_ns)
        rank->end_ns = gather->end_ns;
    rank->compute_ns += gather->compute_ns;
    rank->wait_ns += gather->wait_ns;
    if (gather->wait_for < STEPS_RANKS_MAX)
        rank->wait_for_ns[gather->wait_for] += gather->wait_ns;
    if (gather->wait_ns > rank->longest_ns) {
        rank->longest_ns = gather->wait_ns;
        rank->longest_for = gather->wait_for;
        rank->longest_phase = gather->phase;
    }
}

bool steps_is_open(const struct steps *steps, const struct steps_gather *gather)
{
    const struct steps_gather *last = &steps->last;

    for (unsigned i = 0; i < STEPS_KEPT; i++)
        if (is_of(&steps->kept[i], gather))
            return true;
    if (last->mesh != gather->mesh)
        return last->mesh < gather->mesh;
    return last->epoch != gather->epoch ? last->epoch < gather->epoch : last->step < gather->step;
}

void steps_end(struct steps *steps)
{
    struct steps_step *step;

    while ((step = oldest(steps)) != NULL)
        tell(steps, step);
}

uint64_t steps_duration_ns(const struct steps_step *step)
{
    uint64_t begin_ns = UINT64_MAX, end_ns = 0;

    for (unsigned i = 0; i < STEPS_RANKS_MAX; i++) {
        const struct steps_rank *rank = &step->ranks[i];

        if (rank->end_ns != 0 && rank->begin_ns < begin_ns)
            begin_ns = rank->begin_ns;
        if (rank->end_ns > end_ns)
            end_ns = rank->end_ns;
    }
    return end_ns > begin_ns ? end_ns - begin_ns : 0;
}

const struct steps_rank *steps_longest(const struct steps_step *step, unsigned *rank)
{
    const struct steps_rank *best = NULL;

    for (unsigned i = 0; i < STEPS_RANKS_MAX; i++)
        if (step->ranks[i].longest_ns > (best ? best->longest_ns : 0)) {
            best = &step->ranks[i];
            *rank = i;
        }
    return best;
}
