/* Tiles: a few rows times all slices of the input, in the canonical order of slices.
 *
 * A row's result is its slices' results added in slice order. Slices may be multiplied in any order: one that is not next is parked and
 * added when its turn comes, so the bits never depend on what arrived when. */
#include <assert.h>
#include <string.h>

#include "engine_state.h"

enum { LOOK_WORK_BYTES = 1 << 19 /* reading the clock takes time, too */ };

static size_t tile_floats(const struct matrix *m, uint32_t tile)
{
    return (size_t)m->tile[tile].group_count * PANEL_ROWS;
}

/* Work of multiplying `bytes` of weights, in bytes read for one token. */
static uint64_t work_of(size_t bytes, uint32_t tokens)
{
    return (uint64_t)bytes * (tokens < 4 ? 1 : tokens / 4);
}

/* Account for weights read; let the network have its turn when it has waited long enough. */
static void account(struct engine *e, struct worker *w, size_t bytes, uint32_t tokens)
{
    worker_count(&w->weight_bytes, bytes);
    worker_count(&w->compute_ns, pace_read(e, w, bytes));
    w->work_since_poll += work_of(bytes, tokens);
    if (w->work_since_poll > LOOK_WORK_BYTES) {
        w->work_since_poll = 0;
        engine_poll_if_due(e, w);
    }
}

/* Input from `slice` on. */
static struct matrix_input input_of(const struct inbox *inbox, uint32_t token, uint32_t tokens, uint32_t slice)
{
    size_t cell = (size_t)token * inbox->form->slices + slice;

    return (struct matrix_input){
        .xq = inbox->q == NULL ? NULL : inbox->q + cell,
        .xf = inbox->f == NULL ? NULL : inbox->f + cell,
        .xq_stride = inbox->form->slices * sizeof(struct act_slice),
        .xf_stride = inbox->form->slices * sizeof(struct act_slice_f32),
        .panel = inbox_panel(inbox, token, slice),
        .panel_stride = inbox_sub_tokens(inbox, token) * sizeof(struct act_slice),
        .token_count = tokens,
    };
}

/* Multiply slices for the tokens of the unit. */
static void multiply(struct engine *e, struct worker *w, const struct inbox *inbox, uint32_t slice, uint32_t count,
                     const struct matrix_output *output)
{
    const struct segment *segment = w->unit->segment;
    const struct matrix *m = e->phase[segment->phase].matrix;
    const struct matrix_input input = input_of(inbox, segment->token_first, segment->token_count, slice);

    pace_begin(e, w);
    matrix_multiply(m, e->config.kernel, w->unit->item, slice, count, &input, output);
    account(e, w, (count - 1) * m->tile[w->unit->item].slice_bytes + matrix_tile_slice_bytes(m, w->unit->item, slice + count - 1),
            segment->token_count);
}

/* Slices from `slice` to one before `end` to be multiplied at once, since the fixed cost of a call equals a few hundred weights: those that
 * are ready, limited by how long the network can wait. */
static uint32_t slices_at_once(const struct worker *w, const struct matrix *m, const struct inbox *inbox, uint32_t slice, uint32_t end)
{
    const uint64_t work = work_of(m->tile[w->unit->item].slice_bytes, w->unit->segment->token_count);
    uint32_t count = 1;

    while (slice + count < end && (count + 1) * work <= LOOK_WORK_BYTES && inbox_is_ready(inbox, w->unit->segment->sub, slice + count))
        count++;
    return count;
}

/* Record how long a slice's blocks waited; only its first user does. */
static void note_use(struct engine *e, const struct segment *segment, const struct inbox *inbox, uint32_t slice)
{
    _Atomic uint64_t *sent = &inbox->sent[segment->sub * inbox->form->slices + slice];

    if (atomic_load_explicit(sent, memory_order_relaxed) != 0)
        engine_time_used(e, sent);
}

static _Atomic uint64_t *eager_mark(struct engine *e, uint16_t phase, uint32_t tile)
{
    return &e->eager_done[(size_t)(phase & 1) * e->eager_tiles + tile];
}

/* Floats between tokens in an eager result. */
static size_t eager_stride(const struct matrix *m)
{
    return (size_t)m->group_count * PANEL_ROWS;
}

/* (EAGER_TOKENS, eager_stride) of an own slice, from a tile's first row on. Phases alternate between two halves: a phase's own input is
 * only complete when the phase before last is done. */
static float *eager_result(struct engine *e, uint16_t phase, uint32_t own_slice, uint32_t tile)
{
    const struct matrix *m = e->phase[phase].matrix;
    size_t at = (size_t)(phase & 1) * e->eager_floats + own_slice * EAGER_TOKENS * eager_stride(m);

    return e->eager + at + (size_t)m->tile[tile].group_first * PANEL_ROWS;
}

bool tile_run_eager(struct engine *e, struct worker *w)
{
    uint16_t phase = w->unit->segment->phase;
    const struct matrix *m = e->phase[phase].matrix;
    struct inbox *inbox = engine_input(e, phase);

    if (inbox == NULL)
        return false;
    if (!w->unit->is_started) {
        w->unit->slices_added = 0;
        w->unit->is_started = true;
    }
    while (w->unit->slices_added < m->own_slice_count) {
        const uint32_t slice = m->own_slice_first + w->unit->slices_added;
        const struct matrix_output results = {.floats = eager_result(e, phase, w->unit->slices_added, w->unit->item),
                                              .token_stride = eager_stride(m),
                                              .slice_stride = EAGER_TOKENS * eager_stride(m)};
        uint32_t count;

        if (!inbox_is_ready(inbox, w->unit->segment->sub, slice))
            return false;
        count = slices_at_once(w, m, inbox, slice, m->own_slice_first + m->own_slice_count);
        multiply(e, w, inbox, slice, count, &results);
        w->unit->slices_added += count;
    }
    atomic_store_explicit(eager_mark(e, phase, w->unit->item), engine_serial(e, phase), memory_order_release);
    return true;
}

static void add_rows(const struct engine *e, struct unit *u, const float *from, size_t stride, size_t floats)
{
    for (uint32_t t = 0; t < u->segment->token_count; t++) {
        float *sum = u->sum + (size_t)t * TILE_FLOATS_MAX;

        if (u->slices_added == 0)
            memcpy(sum, from + t * stride, floats * sizeof *sum);
        else
            e->config.kernel->add(sum, from + t * stride, floats);
    }
}

/* Add parked slices that are next in order. */
static void add_parked(struct engine *e, struct worker *w, const struct matrix *m)
{
    struct unit *u = w->unit;
    const size_t floats = tile_floats(m, u->item);

    while (u->slices_added < m->slices) {
        const uint32_t s = u->slices_added;

        if (u->slice[s] == SLICE_PARKED)
            add_rows(e, u, u->parked + (size_t)s * EAGER_TOKENS * TILE_FLOATS_MAX, TILE_FLOATS_MAX, floats);
        else if (u->slice[s] == SLICE_EAGER)
            add_rows(e, u, eager_result(e, u->segment->phase, s - m->own_slice_first, u->item), eager_stride(m), floats);
        else
            return;
        u->slices_added++;
    }
}

/* --pipeline off: may a tile begin? */
static bool is_whole(const struct segment *segment, const struct inbox *inbox)
{
    for (uint32_t s = 0; s < inbox->form->slices; s++)
        if (!inbox_is_ready(inbox, segment->sub, s))
            return false;
    return true;
}

/* Prefetch what the tile will need, when it is limited by memory: with few tokens. */
static void fetch_ahead(struct engine *e, const struct worker *w, const struct matrix *m)
{
    if (w->unit->segment->token_count > EAGER_TOKENS)
        return;
    finish_ahead(e, w->unit);
    /* The tile that unit.c deals next to this worker. */
    matrix_tile_ahead(m, w->unit->item, e->config.map->rank_count == 1 ? 1 : e->config.worker_count);
}

/* False while the eager part of this tile is in another worker's hands. */
static bool start_tile(struct engine *e, struct worker *w, const struct matrix *m)
{
    uint16_t phase = w->unit->segment->phase;
    bool is_eager = w->unit->segment->eager_units > 0;

    if (e->config.is_whole && !is_whole(w->unit->segment, engine_input(e, phase)))
        return false;
    if (is_eager && atomic_load_explicit(eager_mark(e, phase, w->unit->item), memory_order_acquire) != engine_serial(e, phase))
        return false;
    memset(w->unit->slice, SLICE_MISSING, m->slices);
    w->unit->slices_added = 0;
    w->unit->slices_left = m->slices;
    if (is_eager) {
        memset(w->unit->slice + m->own_slice_first, SLICE_EAGER, m->own_slice_count);
        w->unit->slices_left -= m->own_slice_count;
    }
    w->unit->is_started = true;
    fetch_ahead(e, w, m);
    return true;
}

/* Number of consecutive missing slices from s on that are ready; s is. */
static uint32_t count_ready(const struct worker *w, const struct matrix *m, const struct inbox *inbox, uint32_t s)
{
    uint32_t end = s + 1;

    while (end < m->slices && w->unit->slice[end] == SLICE_MISSING)
        end++;
    return slices_at_once(w, m, inbox, s, end);
}

/* Multiply missing slices from s on: into the sum if they are next, else parked. Returns their number. */
static uint32_t multiply_missing(struct engine *e, struct worker *w, const struct matrix *m, const struct inbox *inbox, uint32_t s)
{
    const struct matrix_output sum = {.floats = w->unit->sum, .token_stride = TILE_FLOATS_MAX, .accumulate = s != 0};
    const struct matrix_output parked = {.floats = w->unit->parked + (size_t)s * EAGER_TOKENS * TILE_FLOATS_MAX,
                                         .token_stride = TILE_FLOATS_MAX,
                                         .slice_stride = EAGER_TOKENS * TILE_FLOATS_MAX};
    const bool is_next = s == w->unit->slices_added;
    const uint32_t count = count_ready(w, m, inbox, s);

    for (uint32_t i = 0; i < count; i++)
        note_use(e, w->unit->segment, inbox, s + i);
    multiply(e, w, inbox, s, count, is_next ? &sum : &parked);
    memset(w->unit->slice + s, is_next ? SLICE_ADDED : SLICE_PARKED, count);
    w->unit->slices_left -= count;
    if (is_next) {
        w->unit->slices_added += count;
        add_parked(e, w, m);
    }
    return count;
}

/* One pass over the missing slices; true when at least one could be multiplied. */
static bool multiply_ready(struct engine *e, struct worker *w, const struct matrix *m, const struct inbox *inbox)
{
    bool any_order = w->unit->segment->token_count <= EAGER_TOKENS;
    bool progress = false;

    for (uint32_t s = w->unit->slices_added, count; s < m->slices; s += count) {
        count = 1;
        if (w->unit->slice[s] != SLICE_MISSING)
            continue;
        if (!any_order && s != w->unit->slices_added)
            break;
        if (inbox_is_ready(inbox, w->unit->segment->sub, s)) {
            count = multiply_missing(e, w, m, inbox, s);
            progress = true;
        } else if (!any_order) {
            break;
        }
    }
    return progress;
}

bool tile_run(struct engine *e, struct worker *w)
{
    uint16_t phase = w->unit->segment->phase;
    const struct matrix *m = e->phase[phase].matrix;
    struct inbox *inbox = engine_input(e, phase);

    if (inbox == NULL || (!w->unit->is_started && !start_tile(e, w, m)))
        return false;
    add_parked(e, w, m);
    while (w->unit->slices_left > 0)
        if (!multiply_ready(e, w, m, inbox))
            return false;
    assert(w->unit->slices_added == m->slices);
    /* A worker's tiles are sent in order: receivers take a gap before a later tile for a loss. */
    if (!unit_is_first(w))
        return false;
    /* The output gather must be open, and a paced node may not finish before its memory would. */
    if (e->phase[phase].kind != PHASE_ATTENTION && e->phase[phase].kind != PHASE_HEAD && engine_inbox(e, phase) == NULL)
        return false;
    if (pace_holds(e, w))
        return false;
    finish_tile(e, w);
    return true;
}
