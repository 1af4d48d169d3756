/* Finishing a tile's sums: scaled by the norm factor, added to the residual, turned into blocks for the next matmul, sent. */
#include <string.h>

#include "engine_state.h"

/* The first non-finite of count values, or -1. */
static int64_t find_non_finite(const float *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;

        memcpy(&bits, &values[i], sizeof bits);
        if ((bits & 0x7f800000u) == 0x7f800000u)
            return (int64_t)i;
    }
    return -1;
}

static void note_fault(struct engine *e, uint16_t phase, uint32_t token, uint32_t row)
{
    struct engine_fault fault = {.layer = e->phase[phase].layer, .phase = (uint8_t)e->phase[phase].kind, .row = row, .is_set = true};

    engine_note_fault(e, engine_part(e, token), &fault);
}

static int64_t write_float_blocks(struct engine *e, const struct inbox *inbox, uint32_t token, uint32_t block, uint32_t blocks,
                                  const float *values, const float *plain)
{
    const struct gather_form *form = inbox->form;
    int64_t bad = -1;

    for (uint32_t b = 0; b < blocks; b++) {
        uint8_t *wire = inbox_block(inbox, token, block + b);
        uint32_t left = form->columns - (block + b) * BLOCK_COLUMNS, columns = left < BLOCK_COLUMNS ? left : BLOCK_COLUMNS;
        int64_t at = find_non_finite(values + (size_t)b * BLOCK_COLUMNS, columns);

        if (bad < 0 && at >= 0)
            bad = (int64_t)b * BLOCK_COLUMNS + at;
        if (form->feeds_norm) {
            float sumsq = e->config.kernel->sumsq(plain + (size_t)b * BLOCK_COLUMNS);

            memcpy(wire, &sumsq, sizeof sumsq);
            wire += sizeof sumsq;
        }
        memcpy(wire, values + (size_t)b * BLOCK_COLUMNS, columns * sizeof *values);
    }
    return bad;
}

static int64_t write_quantised_blocks(struct engine *e, const struct inbox *inbox, uint32_t token, uint32_t block, uint32_t blocks,
                                      const float *values, const float *plain)
{
    const struct gather_form *form = inbox->form;
    uint8_t *wire = inbox_block(inbox, token, block);
    int64_t bad = e->config.kernel->quantise(values, blocks, wire, form->block_bytes);

    for (uint32_t b = 0; form->feeds_norm && b < blocks; b++) {
        float sumsq = e->config.kernel->sumsq(plain + (size_t)b * BLOCK_COLUMNS);

        memcpy(wire + (size_t)b * form->block_bytes + BLOCK_WIRE_BYTES, &sumsq, sizeof sumsq);
    }
    return bad;
}

void finish_blocks(struct engine *e, uint16_t phase, struct inbox *inbox, uint32_t row, uint32_t block, uint32_t blocks,
                   const float *values, const float *plain)
{
    int64_t bad = inbox->form->is_float ? write_float_blocks(e, inbox, row, block, blocks, values, plain)
                                        : write_quantised_blocks(e, inbox, row, block, blocks, values, plain);

    if (bad >= 0)
        note_fault(e, phase, inbox == &e->embed ? row : engine_row_token(e, phase, row), block * BLOCK_COLUMNS + (uint32_t)bad);
}

/* With few tokens tiles are small: consecutive ones are sent together. */
static void add_unsent(struct engine *e, struct worker *w, const struct port_word *word)
{
    struct port_word *unsent = &w->unsent;

    if (w->has_unsent && unsent->phase == word->phase && unsent->token_first == word->token_first &&
        unsent->token_count == word->token_count && unsent->block_first + unsent->block_count == word->block_first) {
        unsent->block_count = (uint16_t)(unsent->block_count + word->block_count);
    } else {
        engine_send(e, w);
        *unsent = *word;
        w->has_unsent = true;
    }
    if (word->token_count > EAGER_TOKENS ||
        unsent->block_count >= atomic_load_explicit(&e->phase[engine_phase_at(e, word->phase)].send_blocks, memory_order_relaxed))
        engine_send(e, w);
}

static void tell_blocks(struct engine *e, const struct inbox *inbox, const struct port_word *word)
{
    const struct engine_blocks blocks = {
        .phase = engine_phase_at(e, word->phase),
        .token_first = word->token_first,
        .token_count = word->token_count,
        .block_first = word->block_first,
        .block_count = word->block_count,
        .blocks = inbox->form->block_count,
        .block_bytes = inbox->form->block_bytes,
        .last_block_bytes = inbox->form->last_block_bytes,
        .data = inbox_block(inbox, word->token_first, word->block_first),
        .token_stride = inbox->wire_token_stride,
    };

    e->hooks.on_blocks(e->hooks.app, &blocks);
}

void finish_publish(struct engine *e, struct worker *w, uint16_t phase, struct inbox *inbox, uint32_t token_first, uint32_t token_count,
                    uint32_t block_first, uint32_t block_count)
{
    struct port_word word = {
        .type = PORT_PUBLISH,
        .step = e->step,
        .phase = engine_sent_phase(e, phase),
        .token_first = (uint16_t)token_first,
        .token_count = (uint16_t)token_count,
        .block_first = (uint16_t)block_first,
        .block_count = (uint16_t)block_count,
    };

    uint64_t readers = engine_readers(e, phase);

    if (e->hooks.on_blocks != NULL)
        tell_blocks(e, inbox, &word);
    /* Candidates have no slices: they are read in wire form. */
    if (engine_reads(e, readers) && inbox->form->slices > 0)
        inbox_take(inbox, e->config.kernel, (uint16_t)token_first, (uint16_t)token_count, (uint16_t)block_first, (uint16_t)block_count);
    /* With --pipeline off a phase is sent when all of it is done: unit.c. Candidates are one message anyway. */
    if (engine_is_sent(e, readers) && !(e->config.is_whole && phase + 1 < e->phase_count))
        add_unsent(e, w, &word);
}

static uint32_t blocks_of(uint32_t rows)
{
    return (rows + BLOCK_COLUMNS - 1) / BLOCK_COLUMNS;
}

enum { FETCH_AHEAD = 2, LINE_BYTES = 64 };

/* Prefetch memory that is written soon: for a prompt it exceeds the second-level cache, and a token's weights have evicted it. */
static void fetch(const void *at, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += LINE_BYTES)
        __builtin_prefetch((const uint8_t *)at + i, 1);
}

static float *residual_of(const struct engine *e, uint16_t phase, uint32_t row, const struct matrix_tile *tile)
{
    return e->residual + (size_t)engine_row_token(e, phase, row) * blocks_of(e->x_rows) * BLOCK_COLUMNS + tile->row_first;
}

/* Wo and down: rows of the residual stream. */
static void finish_residual(struct engine *e, struct worker *w, const struct matrix_tile *tile)
{
    const struct segment *segment = w->unit->segment;
    const struct phase *phase = &e->phase[segment->phase];
    struct inbox *inbox = engine_inbox(e, segment->phase);
    uint32_t block = tile->row_first / BLOCK_COLUMNS, blocks = blocks_of(tile->row_count);
    uint32_t first = phase->form.first[e->config.rank] + block;
    float scaled[TILE_ROWS_MAX];

    for (uint32_t t = 0; t < segment->token_count; t++) {
        uint32_t row = segment->row_first + t;
        float *residual = residual_of(e, segment->phase, row, tile);
        const float *sum = w->unit->sum + (size_t)t * TILE_FLOATS_MAX;

        if (t + FETCH_AHEAD < segment->token_count)
            fetch(residual_of(e, segment->phase, row + FETCH_AHEAD, tile), tile->row_count * sizeof *residual);
        e->config.kernel->add(residual, sum, tile->row_count);
        e->config.kernel->scale(phase->norm + tile->row_first, residual, (size_t)blocks * BLOCK_COLUMNS, scaled);
        finish_blocks(e, segment->phase, inbox, row, first, blocks, scaled, residual);
    }
    finish_publish(e, w, segment->phase, inbox, segment->row_first, segment->row_count, first, blocks);
}

/* Gate and up: silu(gate) * up. */
static void finish_hidden(struct engine *e, struct worker *w, const struct matrix_tile *tile)
{
    const struct segment *segment = w->unit->segment;
    const struct phase *phase = &e->phase[segment->phase];
    struct inbox *input = engine_input(e, segment->phase), *inbox = engine_inbox(e, segment->phase);
    uint32_t blocks = blocks_of(tile->row_count);
    uint32_t first = phase->form.first[e->config.rank] + tile->row_first / BLOCK_COLUMNS;
    size_t up_column = (size_t)tile->group_count / 2 * PANEL_ROWS;
    float hidden[TILE_ROWS_MAX];

    memset(hidden, 0, sizeof hidden);
    for (uint32_t t = 0; t < segment->token_count; t++) {
        uint32_t row = segment->row_first + t;
        float factor = inbox_norm_factor(input, row, e->model->norm_eps);
        float *sum = w->unit->sum + (size_t)t * TILE_FLOATS_MAX;

        e->config.kernel->times(factor, sum, 2 * up_column, sum);
        e->config.kernel->swiglu(sum, sum + up_column, tile->row_count, hidden);
        finish_blocks(e, segment->phase, inbox, row, first, blocks, hidden, NULL);
    }
    finish_publish(e, w, segment->phase, inbox, segment->row_first, segment->row_count, first, blocks);
}

/* q, k, v: kept in f32 for the KV and attention units. */
static void finish_qkv(struct engine *e, struct worker *w, const struct matrix_tile *tile)
{
    struct segment *segment = w->unit->segment;
    const float *bias = e->phase[segment->phase].bias;
    struct inbox *input = engine_input(e, segment->phase);
    size_t column = (size_t)tile->group_first * PANEL_ROWS, floats = (size_t)tile->group_count * PANEL_ROWS;

    for (uint32_t t = 0; t < segment->token_count; t++) {
        uint32_t token = segment->token_first + t;
        float factor = inbox_norm_factor(input, token, e->model->norm_eps);
        float *out = e->qkv + (size_t)token * e->qkv_stride + column;

        e->config.kernel->times(factor, w->unit->sum + (size_t)t * TILE_FLOATS_MAX, floats, out);
        if (bias != NULL)
            e->config.kernel->add(out, bias + column, floats);
    }
    attention_tile_done(e, segment, w->unit->item);
}

static void finish_logits(struct engine *e, struct worker *w, const struct matrix_tile *tile)
{
    struct segment *segment = w->unit->segment;
    struct inbox *input = engine_input(e, segment->phase);
    uint32_t id_first = e->config.map->vocab[e->config.rank] + tile->row_first;

    for (uint32_t i = 0; i < e->sample_count; i++) {
        struct part *part = engine_sampled_part(e, i);
        float factor = inbox_norm_factor(input, i, e->model->norm_eps);
        float *out = engine_logits(e, i) + tile->row_first;

        e->config.kernel->times(factor, w->unit->sum + (size_t)i * TILE_FLOATS_MAX, tile->row_count, out);
        int64_t bad = find_non_finite(out, tile->row_count);
        if (bad >= 0)
            note_fault(e, segment->phase, e->sample_token[i], id_first + (uint32_t)bad);
        if (part->sequence->request.want_digest) {
            uint64_t position = part->position + part->token_count;

            atomic_fetch_add_explicit(&part->digest, sampler_digest(position, out, id_first, tile->row_count), memory_order_relaxed);
        }
    }
}

/* Prefetch where own blocks of a tile will be in a gather. */
static void fetch_blocks(const struct engine *e, const struct inbox *inbox, const struct segment *segment, const struct matrix_tile *tile)
{
    const uint32_t first = e->phase[segment->phase].form.first[e->config.rank] + tile->row_first / BLOCK_COLUMNS;
    const uint32_t blocks = blocks_of(tile->row_count), slices = inbox->form->slices;

    for (uint32_t row = segment->row_first; row < segment->row_first + segment->row_count; row++) {
        fetch(inbox_block(inbox, row, first), (size_t)blocks * inbox->form->block_bytes);
        if (inbox->q == NULL || slices == 0)
            continue;
        for (uint32_t slice = first / SLICE_BLOCKS; slice <= (first + blocks - 1) / SLICE_BLOCKS; slice++)
            fetch(&inbox->q[(size_t)row * slices + slice], sizeof *inbox->q);
    }
}

void finish_ahead(struct engine *e, const struct unit *unit)
{
    const struct segment *segment = unit->segment;
    const struct phase *phase = &e->phase[segment->phase];
    const struct matrix_tile *tile = &phase->matrix->tile[unit->item];
    const size_t floats = (size_t)tile->group_count * PANEL_ROWS, column = (size_t)tile->group_first * PANEL_ROWS;
    const bool is_residual = phase->kind == PHASE_WO || phase->kind == PHASE_DOWN;
    const struct inbox *inbox = is_residual || phase->kind == PHASE_GATE_UP ? engine_inbox(e, segment->phase) : NULL;

    if (phase->kind == PHASE_ATTENTION)
        for (uint32_t token = segment->token_first; token < segment->token_first + segment->token_count; token++)
            fetch(e->qkv + token * e->qkv_stride + column, floats * sizeof *e->qkv);
    if (is_residual)
        fetch(phase->norm + tile->row_first, tile->row_count * sizeof *phase->norm);
    for (uint32_t t = 0; is_residual && t < segment->token_count; t++)
        fetch(residual_of(e, segment->phase, segment->row_first + t, tile), tile->row_count * sizeof *e->residual);
    if (inbox != NULL)
        fetch_blocks(e, inbox, segment, tile);
}

void finish_tile(struct engine *e, struct worker *w)
{
    const struct phase *phase = &e->phase[w->unit->segment->phase];
    const struct matrix_tile *tile = &phase->matrix->tile[w->unit->item];

    switch (phase->kind) {
    case PHASE_ATTENTION:
        finish_qkv(e, w, tile);
        break;
    case PHASE_GATE_UP:
        finish_hidden(e, w, tile);
        break;
    case PHASE_WO:
    case PHASE_DOWN:
        finish_residual(e, w, tile);
        break;
    case PHASE_HEAD:
        finish_logits(e, w, tile);
        break;
    }
}
