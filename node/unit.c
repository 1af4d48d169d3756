/* Units of work: who takes which, and what follows when one is done. */
#include <assert.h>

#include "engine_state.h"

/* The segment a unit belongs to: the last that begins at or before it. */
static struct segment *find_segment(struct engine *e, uint32_t unit)
{
    uint32_t low = 0, high = e->segment_count;

    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (e->segment[middle].unit_first <= unit)
            low = middle;
        else
            high = middle;
    }
    return &e->segment[low];
}

/* Workers take turns, and each reads ahead of the tile in hand: so tiles are dealt in as many rows of neighbours as there are workers. Not
 * where others wait for them: a receiver takes a block that is missing below a later one for lost (nak.c). */
static uint32_t tile_in_turn(uint32_t index, uint32_t count, uint32_t workers)
{
    const uint32_t row = index % workers, longer = count % workers;

    return row * (count / workers) + (row < longer ? row : longer) + index / workers;
}

static void take_in_hand(struct engine *e, struct worker *w, struct segment *segment, uint32_t index)
{
    const struct {
        enum unit_kind kind;
        uint32_t count;
    } parts[] = {
        {UNIT_EAGER, segment->eager_units},
        {UNIT_TILE, segment->tile_units},
        {UNIT_KV, segment->kv_units},
        {UNIT_ATTEND, segment->attend_units},
        {UNIT_CANDIDATES, segment->candidate_units},
    };

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (index < parts[i].count) {
            w->segment = segment;
            w->kind = parts[i].kind;
            w->item = parts[i].kind == UNIT_TILE || parts[i].kind == UNIT_EAGER
                          ? tile_in_turn(index, parts[i].count, e->config.map->rank_count == 1 ? e->config.worker_count : 1)
                          : index;
            w->is_started = false;
            w->pace_due_ns = 0;
            return;
        }
        index -= parts[i].count;
    }
    assert(!"a unit lies in its segment");
}

bool unit_claim(struct engine *e, struct worker *w)
{
    uint64_t claim = atomic_load_explicit(&e->claim, memory_order_acquire);

    do {
        uint64_t limit = atomic_load_explicit(&e->unit_limit, memory_order_acquire);

        if (claim >> 32 != limit >> 32 || (uint32_t)claim >= (uint32_t)limit)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&e->claim, &claim, claim + 1, memory_order_acq_rel, memory_order_acquire));
    /* The step cannot end before this unit is done, so its list is stable from here on. */
    struct segment *segment = find_segment(e, (uint32_t)claim);
    if (segment->sub == 0 && (uint32_t)claim == segment->unit_first)
        engine_time_phase(e, segment->phase, false);
    take_in_hand(e, w, segment, (uint32_t)claim - segment->unit_first);
    return true;
}

static bool run(struct engine *e, struct worker *w)
{
    switch (w->kind) {
    case UNIT_EAGER:
        return tile_run_eager(e, w);
    case UNIT_TILE:
        return tile_run(e, w);
    case UNIT_KV:
        return attention_run_kv(e, w);
    case UNIT_ATTEND:
        return attention_run(e, w);
    case UNIT_CANDIDATES:
        return head_run_candidates(e, w);
    }
    return true;
}

/* --pipeline off: all that this node has computed of a phase. */
static void send_whole(struct engine *e, struct worker *w, uint16_t phase)
{
    const uint16_t *first = e->phase[phase].form.first;
    const struct port_word word = {
        .type = PORT_PUBLISH,
        .step = e->step,
        .phase = engine_sent_phase(e, phase),
        .token_count = engine_gather_rows(e, phase),
        .block_first = first[e->config.rank],
        .block_count = (uint16_t)(first[e->config.rank + 1] - first[e->config.rank]),
    };

    if (word.block_count > 0 && engine_is_sent(e, engine_readers(e, phase)))
        engine_say(e, w, &word);
}

bool unit_run(struct engine *e, struct worker *w)
{
    uint16_t phase = w->segment->phase;

    if (!run(e, w))
        return false;
    w->segment = NULL;
    const bool is_last = atomic_fetch_sub_explicit(&e->phase_left[phase], 1, memory_order_acq_rel) == 1;
    if (is_last)
        engine_time_phase(e, phase, true);
    if (is_last && e->config.is_whole && phase + 1 < e->phase_count)
        send_whole(e, w, phase);
    if (is_last && phase > 0 && engine_reads(e, engine_readers(e, (uint16_t)(phase - 1)))) {
        struct port_word word = {.type = PORT_CONSUME, .step = e->step, .phase = engine_read_phase(e, (uint16_t)(phase - 1))};

        engine_say(e, w, &word);
    }
    atomic_fetch_add_explicit(&e->units_done, 1, memory_order_acq_rel);
    return true;
}
