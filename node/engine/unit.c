/* Units of work: how workers claim them, and what follows when one is done. */
#include <assert.h>

#include "engine_state.h"

/* The segment of a unit: the last one that begins at or before it. */
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

/* A unit of attention's phases after the eager ones. A group of heads is a unit for each chunk of tokens. */
static bool find_attention(const struct engine *e, const struct segment *s, uint32_t index, enum unit_kind *kind, uint32_t *item)
{
    const uint32_t units_of[] = {
        [UNIT_TILE] = s->tile_units > 0, [UNIT_KV] = s->kv_units > 0, [UNIT_ATTEND] = s->attend_units > 0 ? s->chunks : 0};

    for (uint32_t i = 0; i < e->attention_count; i++) {
        const struct attention_place *place = &e->attention[i];

        if (index < units_of[place->kind]) {
            *kind = place->kind;
            *item = place->kind == UNIT_ATTEND ? place->item * s->chunks + index : place->item;
            return true;
        }
        index -= units_of[place->kind];
    }
    return false;
}

static bool find_unit(const struct engine *e, const struct segment *s, uint32_t index, enum unit_kind *kind, uint32_t *item)
{
    const bool is_attention = e->phase[s->phase].kind == PHASE_ATTENTION;
    const struct {
        enum unit_kind kind;
        uint32_t count;
    } parts[] = {
        {UNIT_EAGER, s->eager_units},
        {UNIT_TILE, is_attention ? 0 : s->tile_units},
        {UNIT_CANDIDATES, s->candidate_units},
    };

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (index < parts[i].count) {
            *kind = parts[i].kind;
            *item = index;
            return true;
        }
        index -= parts[i].count;
    }
    return is_attention && find_attention(e, s, index, kind, item);
}

/* Workers take turns, and each prefetches beyond the tile in hand: so tiles are dealt as one run of neighbours for each worker. Not when
 * other ranks wait for them: a receiver takes a block that is missing below a later one for lost (nak.c). */
static uint32_t tile_in_turn(uint32_t index, uint32_t count, uint32_t workers)
{
    const uint32_t row = index % workers, longer = count % workers;

    return row * (count / workers) + (row < longer ? row : longer) + index / workers;
}

/* Begin another unit, which becomes the one in hand. */
static void take_in_hand(struct engine *e, struct worker *w, struct segment *segment, enum unit_kind kind, uint32_t item)
{
    assert(w->unit_count < UNITS_MAX);
    if (w->unit_count == 0)
        w->unit_first = 0;
    w->unit = &w->units[(w->unit_first + w->unit_count++) % UNITS_MAX];
    w->unit->segment = segment;
    w->unit->kind = kind;
    w->unit->item = item;
    if (e->config.map->rank_count == 1 && (kind == UNIT_TILE || kind == UNIT_EAGER))
        w->unit->item = tile_in_turn(item, segment->tile_units, e->config.worker_count);
    w->unit->is_started = false;
    w->unit->due_ns = 0;
}

/* Claim the next unit, if there is one; with `of`, only if it is a tile of that segment. */
static bool claim_unit(struct engine *e, struct worker *w, struct segment *of)
{
    uint64_t claim = atomic_load_explicit(&e->claim, memory_order_acquire);
    enum unit_kind kind = UNIT_TILE;
    uint32_t item = 0;

    do {
        uint64_t limit = atomic_load_explicit(&e->unit_limit, memory_order_acquire);
        uint32_t next = (uint32_t)claim;

        if (claim >> 32 != limit >> 32 || next >= (uint32_t)limit)
            return false;
        if (of != NULL && (next < of->unit_first || !find_unit(e, of, next - of->unit_first, &kind, &item) || kind != UNIT_TILE))
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&e->claim, &claim, claim + 1, memory_order_acq_rel, memory_order_acquire));
    /* The step cannot end before this unit is done, so its list is stable from here on. */
    struct segment *segment = of != NULL ? of : find_segment(e, (uint32_t)claim);
    const bool is_found = of != NULL || find_unit(e, segment, (uint32_t)claim - segment->unit_first, &kind, &item);
    assert(is_found);
    (void)is_found;
    if (segment->sub == 0 && (uint32_t)claim == segment->unit_first)
        engine_time_phase(e, segment->phase, false);
    take_in_hand(e, w, segment, kind, item);
    return true;
}

bool unit_claim(struct engine *e, struct worker *w)
{
    return claim_unit(e, w, NULL);
}

bool unit_is_first(const struct worker *w)
{
    return w->unit == &w->units[w->unit_first];
}

void unit_take_first(struct worker *w)
{
    w->unit = &w->units[w->unit_first];
}

bool unit_take_next(struct worker *w)
{
    const uint32_t index = (uint32_t)(w->unit - w->units);

    if ((index + UNITS_MAX - w->unit_first) % UNITS_MAX + 1 >= w->unit_count)
        return false;
    w->unit = &w->units[(index + 1) % UNITS_MAX];
    return true;
}

/* Would a tile have something to multiply at once? If not, it is left to workers that come later. */
static bool has_input(struct engine *e, const struct segment *s)
{
    const struct matrix *m = e->phase[s->phase].matrix;
    const struct inbox *inbox = engine_input(e, s->phase);

    for (uint32_t slice = 0; slice < m->slices; slice++) {
        const bool is_eager = s->eager_units > 0 && slice - m->own_slice_first < m->own_slice_count;

        if (!is_eager && inbox_is_ready(inbox, s->sub, slice))
            return true;
    }
    return false;
}

bool unit_begin_next(struct engine *e, struct worker *w)
{
    struct unit *u = w->unit;

    return e->port.mesh != NULL && u->kind == UNIT_TILE && u->is_started && u->segment->token_count <= EAGER_TOKENS &&
           w->unit_count < UNITS_MAX && has_input(e, u->segment) && claim_unit(e, w, u->segment);
}

static bool run(struct engine *e, struct worker *w)
{
    switch (w->unit->kind) {
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

/* --pipeline off: send all that this node has computed of a phase. */
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
        engine_port_post(e, w, &word);
}

bool unit_run(struct engine *e, struct worker *w)
{
    uint16_t phase = w->unit->segment->phase;

    if (!run(e, w))
        return false;
    assert(unit_is_first(w));
    w->unit->segment = NULL;
    w->unit_first = (w->unit_first + 1) % UNITS_MAX;
    w->unit_count--;
    unit_take_first(w);
    const bool is_last = atomic_fetch_sub_explicit(&e->phase_left[phase], 1, memory_order_acq_rel) == 1;
    if (is_last)
        engine_time_phase(e, phase, true);
    if (is_last && e->config.is_whole && phase + 1 < e->phase_count)
        send_whole(e, w, phase);
    if (is_last && phase > 0 && engine_reads(e, engine_readers(e, (uint16_t)(phase - 1)))) {
        struct port_word word = {.type = PORT_CONSUME, .step = e->step, .phase = engine_read_phase(e, (uint16_t)(phase - 1))};

        engine_port_post(e, w, &word);
    }
    atomic_fetch_add_explicit(&e->units_done, 1, memory_order_acq_rel);
    return true;
}
