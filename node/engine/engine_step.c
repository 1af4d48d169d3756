/* Beginning steps, when the log says what is next. Their end is in engine_end.c. One thread at a time. */
#include <assert.h>
#include <string.h>

#include "engine_layout.h"
#include "engine_state.h"
#include "head.h"
#include "node/common/spin.h"

void engine_note_fault(struct engine *e, struct part *part, const struct engine_fault *fault)
{
    spin_lock(&e->fault_lock);
    struct engine_fault *kept = &part->fault;
    uint64_t rank_new = (uint64_t)fault->layer << 40 | (uint64_t)fault->phase << 32 | fault->row;
    uint64_t rank_kept = (uint64_t)kept->layer << 40 | (uint64_t)kept->phase << 32 | kept->row;
    if (!kept->is_set || rank_new < rank_kept)
        *kept = *fault;
    spin_unlock(&e->fault_lock);
}

/* ---- tokens ---- */

/* Embedding rows: own ones into the residual, all of them as layer 0's input. */
static void embed_token(struct engine *e, uint32_t t)
{
    const struct gguf_tensor *embd = e->model->token_embd;
    uint32_t dim = e->model->dim, blocks = e->embed_form.block_count;
    uint32_t own_first = (uint32_t)e->config.map->x[e->config.rank] * BLOCK_COLUMNS;
    size_t stride = (size_t)(e->x_rows + BLOCK_COLUMNS - 1) / BLOCK_COLUMNS * BLOCK_COLUMNS;
    float *values = e->embed_values, *scaled = values + (size_t)blocks * BLOCK_COLUMNS;

    tensor_type_dequantise((enum tensor_type)embd->type, embd->data + e->token[t] * model_row_bytes(embd), dim, values);
    memcpy(e->residual + t * stride, values + own_first, e->x_rows * sizeof *values);
    if (e->config.map->heads[e->config.rank] == e->config.map->heads[e->config.rank + 1])
        return;
    e->config.kernel->scale(e->embed_norm, values, (size_t)blocks * BLOCK_COLUMNS, scaled);
    finish_blocks(e, 0, &e->embed, t, 0, blocks, scaled, values);
}

static void embed_tokens(struct engine *e)
{
    inbox_begin(&e->embed, &e->embed_form, e->token_count);
    for (uint32_t t = 0; t < e->token_count; t++) {
        embed_token(e, t);
        size_t pairs = e->model->head_dim / 2;
        rope_table(&e->model->rope, engine_position(e, t), e->rope_cos + t * pairs, e->rope_sin + t * pairs);
    }
    if (e->config.map->heads[e->config.rank] != e->config.map->heads[e->config.rank + 1])
        inbox_take(&e->embed, e->config.kernel, 0, e->token_count, 0, e->embed_form.block_count);
}

/* ---- units ---- */

/* How many units of each kind a phase has for one sub-batch. */
static void count_units(struct engine *e, struct segment *s)
{
    const struct phase *phase = &e->phase[s->phase];
    const struct matrix *m = phase->matrix;
    bool is_skipped =
        e->sample_count == 0 && (phase->kind == PHASE_HEAD || (engine_is_last_layer(e, s->phase) && phase->kind != PHASE_ATTENTION));

    if (!is_skipped) {
        s->tile_units = m->tile_count;
        /* Without input from peers there is nothing to wait for, and with many tokens the network is not the bottleneck. Not in later
         * sub-batches: the last layer may continue without their rows, and their results would be overwritten (tile.c). */
        if (s->sub == 0 && m->own_slice_count > 0 && m->own_slice_count < m->slices && s->token_count <= EAGER_TOKENS &&
            !e->config.is_whole)
            s->eager_units = m->tile_count;
    }
    if (phase->kind == PHASE_ATTENTION && m->tile_count > 0) {
        uint32_t heads = e->config.map->heads[e->config.rank + 1] - e->config.map->heads[e->config.rank];

        s->kv_units = e->kv_count;
        s->chunks = (uint16_t)((s->row_count + ATTEND_CHUNK_TOKENS - 1) / ATTEND_CHUNK_TOKENS);
        if (e->sample_count > 0 || !engine_is_last_layer(e, s->phase))
            s->attend_units = (heads + e->attend_heads - 1) / e->attend_heads * s->chunks;
    }
    if (phase->kind == PHASE_HEAD)
        s->candidate_units = 1;
}

_Static_assert((int)STEPLOG_SLOTS_MAX <= (int)INBOX_SUB_TOKENS, "the head's tokens are one sub-batch, and its candidates one unit");

/* Rows of a phase's input. */
static uint16_t input_rows(const struct engine *e, uint16_t phase)
{
    if (e->phase[phase].kind == PHASE_HEAD)
        return e->sample_count > 0 ? e->sample_count : 1;
    return phase == 0 ? e->token_count : engine_gather_rows(e, (uint16_t)(phase - 1));
}

/* A phase's output rows are its input's, except in the last layer's attention, which continues with the sampled tokens only. */
static void find_rows(const struct engine *e, struct segment *s)
{
    s->row_first = s->token_first;
    s->row_count = s->token_count;
    if (e->sample_count == 0 || !engine_is_last_layer(e, s->phase) || e->phase[s->phase].kind != PHASE_ATTENTION)
        return;
    s->row_first = s->row_count = 0;
    for (uint16_t i = 0; i < e->sample_count; i++) {
        if (e->sample_token[i] < s->token_first)
            s->row_first++;
        else if (e->sample_token[i] < s->token_first + s->token_count)
            s->row_count++;
    }
}

static void list_units(struct engine *e)
{
    uint32_t unit = 0;

    e->segment_count = 0;
    for (uint16_t p = 0; p < e->phase_count; p++) {
        uint32_t phase_first = unit;
        const uint32_t rows = input_rows(e, p);

        for (uint16_t sub = 0; sub * INBOX_SUB_TOKENS < rows; sub++) {
            struct segment *s = &e->segment[e->segment_count++];
            uint32_t from = (uint32_t)sub * INBOX_SUB_TOKENS, left = rows - from;

            *s = (struct segment){.phase = p, .sub = sub, .token_first = (uint16_t)from, .unit_first = unit};
            s->token_count = (uint16_t)(left < INBOX_SUB_TOKENS ? left : INBOX_SUB_TOKENS);
            find_rows(e, s);
            count_units(e, s);
            unit += s->eager_units + s->tile_units + s->kv_units + s->attend_units + s->candidate_units;
        }
        atomic_store_explicit(&e->phase_left[p], unit - phase_first, memory_order_relaxed);
    }
    e->unit_count = unit;
}

/* ---- beginning ---- */

/* Can this node compute it beside the parts that are already in the step? A peer's plan need not be right, beyond what the log has checked:
 * a part that does not cancel has tokens, and all together fit into a batch. */
static bool part_fits(const struct engine *e, const struct sequence *s, const struct step_part *p, uint64_t candidates)
{
    assert(p->count >= 1 && e->token_count + p->count <= e->config.batch);
    return !s->is_in_step && p->position == s->positions_done && (uint64_t)p->position + p->count <= s->token_count &&
           (!p->is_sampled || p->position + p->count == s->token_count) && candidates <= engine_candidates_max(e);
}

/* The last token's logits are wanted. */
static void add_sample(struct engine *e)
{
    uint16_t token = (uint16_t)(e->token_count - 1);

    e->sample_token[e->sample_count++] = token;
}

static void add_part(struct engine *e, struct sequence *s, const struct step_part *p)
{
    struct part *part = &e->part[e->part_count];

    *part = (struct part){.sequence = s, .position = p->position, .token_count = p->count, .is_sampled = p->is_sampled};
    part->token_first = e->token_count;
    memcpy(e->token + e->token_count, s->token + p->position, p->count * sizeof *e->token);
    memset(e->token_part + e->token_count, e->part_count, p->count);
    e->token_count = (uint16_t)(e->token_count + p->count);
    e->part_count++;
    s->is_in_step = true;
    if (p->is_sampled)
        add_sample(e);
}

static void begin_step(struct engine *e)
{
    uint64_t serial = atomic_load(&e->step_serial) + 1;

    e->step = e->entry.step;
    atomic_store(&e->units_done, 0);
    atomic_store(&e->candidates_missing, 0);
    engine_time_step_begins(e);
    embed_tokens(e);
    list_units(e);
    e->step_is_open = true;
    atomic_store_explicit(&e->unit_limit, serial << 32 | e->unit_count, memory_order_release);
    atomic_store_explicit(&e->step_serial, serial, memory_order_release);
    /* Only now may workers claim units. */
    atomic_store_explicit(&e->claim, serial << 32, memory_order_release);
}

/* True when the entry opened a step; false when all of it was void. */
static bool begin_entry(struct engine *e)
{
    uint64_t candidates = 0;

    e->part_count = e->token_count = e->sample_count = 0;
    for (uint16_t i = 0; i < e->entry.part_count; i++) {
        const struct step_part *p = &e->entry.part[i];
        struct sequence *s = engine_find_sequence(e, p);

        if (s == NULL)
            continue;
        if (p->is_cancelled) {
            if (!s->is_in_step)
                engine_end_request(e, s, ENGINE_DONE_CANCELLED, NULL);
            continue;
        }
        uint64_t more = p->is_sampled ? head_candidates(e->config.map, &s->request.sampling) : 0;
        if (!part_fits(e, s, p, candidates + more)) {
            assert(e->config.rank != 0 || e->config.follows); /* else it is our own */
            continue;
        }
        candidates += more;
        add_part(e, s, p);
    }
    if (e->part_count == 0)
        return false;
    begin_step(e);
    return true;
}

bool engine_advance(struct engine *e)
{
    bool progress = false;

    if (atomic_flag_test_and_set_explicit(&e->advancing, memory_order_acquire))
        return false;
    if (e->step_is_open)
        progress = engine_end_step(e);
    while (engine_report_dropped(e))
        progress = true;
    while (!e->step_is_open && steplog_next(&e->log, &e->entry)) {
        progress = true;
        if (!begin_entry(e))
            steplog_step_over(&e->log);
    }
    atomic_flag_clear_explicit(&e->advancing, memory_order_release);
    return progress;
}
