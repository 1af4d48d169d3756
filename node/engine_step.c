/* Steps: begun when the log says what is next, ended when every rank's candidates are there. One thread at a time. */
#include <assert.h>
#include <string.h>

#include "engine_state.h"
#include "head.h"

void engine_note_fault(struct engine *e, const struct engine_fault *fault)
{
    while (atomic_flag_test_and_set_explicit(&e->fault_lock, memory_order_acquire))
        ;
    struct engine_fault *kept = &e->fault;
    uint64_t rank_new = (uint64_t)fault->layer << 40 | (uint64_t)fault->phase << 32 | fault->row;
    uint64_t rank_kept = (uint64_t)kept->layer << 40 | (uint64_t)kept->phase << 32 | kept->row;
    if (!kept->is_set || rank_new < rank_kept)
        *kept = *fault;
    atomic_flag_clear_explicit(&e->fault_lock, memory_order_release);
}

/* ---- beginning ---- */

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
        rope_table(&e->model->rope, e->entry.position + t, e->rope_cos + t * pairs, e->rope_sin + t * pairs);
    }
    if (e->config.map->heads[e->config.rank] != e->config.map->heads[e->config.rank + 1])
        inbox_take(&e->embed, e->config.kernel, 0, e->token_count, 0, e->embed_form.block_count);
}

static bool is_last_layer(const struct engine *e, uint16_t phase)
{
    return phase + 1 < e->phase_count && phase + 1 + ENGINE_PHASES_PER_LAYER >= e->phase_count;
}

/* How many units of each kind a phase has for one sub-batch. */
static void count_units(struct engine *e, struct segment *s)
{
    const struct phase *phase = &e->phase[s->phase];
    const struct matrix *m = &phase->matrix;
    uint32_t tokens = phase->kind == PHASE_HEAD ? e->sample_count : s->token_count;
    bool is_skipped = e->sample_count == 0 && (phase->kind == PHASE_HEAD || (is_last_layer(e, s->phase) && phase->kind != PHASE_ATTENTION));

    if (!is_skipped) {
        s->tile_units = m->tile_count;
        /* With everything at home there is nothing to wait for, and with many tokens the network is not what is waited for. */
        if (m->own_slice_count > 0 && m->own_slice_count < m->slices && tokens <= EAGER_TOKENS)
            s->eager_units = m->tile_count;
    }
    if (phase->kind == PHASE_ATTENTION && m->tile_count > 0) {
        uint32_t heads = e->config.map->heads[e->config.rank + 1] - e->config.map->heads[e->config.rank];

        s->kv_units = e->kv_count;
        s->chunk_tokens = 8;
        s->chunks = (uint16_t)((s->token_count + s->chunk_tokens - 1) / s->chunk_tokens);
        if (e->sample_count > 0 || !is_last_layer(e, s->phase))
            s->attend_units = (heads + e->attend_heads - 1) / e->attend_heads * s->chunks;
    }
    if (phase->kind == PHASE_HEAD)
        s->candidate_units = 1;
}

static void list_units(struct engine *e)
{
    uint32_t unit = 0;

    e->segment_count = 0;
    for (uint16_t p = 0; p < e->phase_count; p++) {
        uint32_t phase_first = unit;
        uint16_t subs = p + 1 < e->phase_count ? e->sub_count : 1;

        for (uint16_t sub = 0; sub < subs; sub++) {
            struct segment *s = &e->segment[e->segment_count++];
            uint32_t from = (uint32_t)sub * INBOX_SUB_TOKENS, left = e->token_count - from;

            *s = (struct segment){.phase = p, .sub = sub, .token_first = (uint16_t)from, .unit_first = unit};
            s->token_count = (uint16_t)(left < INBOX_SUB_TOKENS || subs == 1 ? left : INBOX_SUB_TOKENS);
            count_units(e, s);
            unit += s->eager_units + s->tile_units + s->kv_units + s->attend_units + s->candidate_units;
        }
        atomic_store_explicit(&e->phase_left[p], unit - phase_first, memory_order_relaxed);
    }
    e->unit_count = unit;
}

static void begin_step(struct engine *e)
{
    uint64_t serial = atomic_load(&e->step_serial) + 1;
    const struct step_entry *entry = &e->entry;

    e->token_count = entry->count;
    e->sub_count = (uint16_t)((entry->count + INBOX_SUB_TOKENS - 1) / INBOX_SUB_TOKENS);
    e->sample_count = entry->is_sampled ? 1 : 0;
    e->sample_token[0] = (uint16_t)(entry->count - 1);
    e->candidates_per_token = e->sample_count == 0 ? 0 : sampler_candidate_count(&e->sequence.request.sampling, e->vocab_rows);
    memcpy(e->token, e->sequence.token + entry->position, entry->count * sizeof *e->token);
    e->fault = (struct engine_fault){0};
    atomic_store(&e->digest, 0);
    atomic_store(&e->units_done, 0);
    atomic_store(&e->candidates_missing, 0);
    embed_tokens(e);
    list_units(e);
    e->step_is_open = true;
    atomic_store_explicit(&e->unit_limit, serial << 32 | e->unit_count, memory_order_release);
    atomic_store_explicit(&e->step_serial, serial, memory_order_release);
    /* Only now may units be taken. */
    atomic_store_explicit(&e->claim, serial << 32, memory_order_release);
}

static void end_request(struct engine *e, enum engine_done reason, const struct engine_fault *fault)
{
    e->sequence.is_active = false;
    atomic_store(&e->sender.has_ended, true);
    if (e->hooks.on_done != NULL)
        e->hooks.on_done(e->hooks.app, engine_now(e), e->sequence.request.id, reason, fault);
}

/* Can this node compute it? What a peer plans need not be right. */
static bool entry_fits(const struct engine *e)
{
    return e->entry.count >= 1 && e->entry.count <= e->config.batch &&
           (uint64_t)e->entry.position + e->entry.count <= e->sequence.token_count;
}

/* The tokens of a prompt are what its sequencer says: each names a row of the embedding. */
static bool prompt_fits(const struct engine *e)
{
    for (uint32_t i = 0; i < e->sequence.token_count; i++)
        if (e->sequence.token[i] >= e->model->vocab)
            return false;
    return true;
}

/* True when the entry opened a step; false when it was void. */
static bool begin_entry(struct engine *e)
{
    struct sequence *s = &e->sequence;

    if (s->request.id != e->entry.request) {
        if (!steplog_start(&e->log, s, e->entry.request))
            return false;
        s->is_active = prompt_fits(e);
    }
    if (!s->is_active)
        return false;
    if (e->entry.is_cancelled) {
        end_request(e, ENGINE_DONE_CANCELLED, NULL);
        return false;
    }
    if (!entry_fits(e)) {
        assert(e->config.rank != 0); /* else it is our own */
        return false;
    }
    begin_step(e);
    return true;
}

/* ---- ending ---- */

/* A rank draws among its own rows only. Not asked of one that had a fault: it has drawn nothing. */
static void check_candidates(struct engine *e, uint16_t rank, const struct candidate *candidates, uint32_t count)
{
    const uint32_t *vocab = e->config.map->vocab;

    for (uint32_t i = 0; i < count; i++) {
        if (candidates[i].id >= vocab[rank] && candidates[i].id < vocab[rank + 1])
            continue;
        struct engine_fault fault = {.layer = e->model->layers, .phase = ENGINE_FAULT_CANDIDATES, .row = rank, .is_set = true};

        engine_note_fault(e, &fault);
        return;
    }
}

/* Candidates of all ranks side by side; the lowest fault of all. */
static uint32_t read_candidates(struct engine *e, const struct inbox *inbox, uint64_t *digest, struct engine_fault *fault)
{
    uint32_t total = 0;

    for (uint16_t r = 0; r < e->config.map->rank_count; r++) {
        uint32_t rows = e->config.map->vocab[r + 1] - e->config.map->vocab[r];
        uint32_t count = e->sample_count == 0 ? 0 : sampler_candidate_count(&e->sequence.request.sampling, rows);
        struct head_summary summary;

        head_read(inbox_block(inbox, 0, inbox->form->first[r]), count, &summary, e->candidates + total);
        if (summary.fault.is_set)
            engine_note_fault(e, &summary.fault);
        else
            check_candidates(e, r, e->candidates + total, count);
        *digest += summary.digest;
        total += count;
    }
    *fault = e->fault;
    return total;
}

static void take_token(struct engine *e, uint32_t candidate_count, uint64_t digest)
{
    struct sequence *s = &e->sequence;
    uint32_t token = sampler_draw(&s->request.sampling, s->token_count, e->candidates, candidate_count);
    bool is_end = !s->request.ignore_end && e->config.is_end != NULL && e->config.is_end(e->config.tokenizer, token);

    s->generated++;
    if (s->token_count < s->ctx)
        s->token[s->token_count] = token;
    s->token_count++;
    if (e->hooks.on_token != NULL)
        e->hooks.on_token(e->hooks.app, engine_now(e), s->request.id, token, digest);
    if (is_end)
        end_request(e, ENGINE_DONE_END, NULL);
    else if (s->generated >= s->request.predict)
        end_request(e, ENGINE_DONE_LENGTH, NULL);
    else if (s->token_count > s->ctx)
        end_request(e, ENGINE_DONE_CONTEXT, NULL);
}

static bool step_is_finished(struct engine *e)
{
    struct inbox *inbox = engine_inbox(e, (uint16_t)(e->phase_count - 1));

    return inbox != NULL && atomic_load_explicit(&e->units_done, memory_order_acquire) == e->unit_count &&
           atomic_load_explicit(&e->candidates_missing, memory_order_acquire) == 0;
}

static void end_step(struct engine *e)
{
    uint16_t last = (uint16_t)(e->phase_count - 1);
    struct inbox *inbox = engine_inbox(e, last);
    struct port_word word = {.type = PORT_CONSUME, .step = e->entry.step, .phase = last};
    struct engine_fault fault;
    uint64_t digest = 0;
    uint32_t count = read_candidates(e, inbox, &digest, &fault);

    e->step_is_open = false;
    atomic_fetch_add(&e->steps_ended, 1);
    e->sequence.positions_done += e->entry.count;
    if (e->hooks.on_step != NULL)
        e->hooks.on_step(e->hooks.app, engine_now(e), e->sequence.request.id, e->sequence.positions_done);
    if (fault.is_set)
        end_request(e, ENGINE_DONE_ERROR, &fault);
    else if (e->sample_count > 0)
        take_token(e, count, digest);
    steplog_step_over(&e->log);
    port_say(&e->port, &word);
}

bool engine_advance(struct engine *e)
{
    bool progress = false;

    if (atomic_flag_test_and_set_explicit(&e->advancing, memory_order_acquire))
        return false;
    if (e->step_is_open && step_is_finished(e)) {
        end_step(e);
        progress = true;
    }
    while (!e->step_is_open && steplog_next(&e->log, &e->entry)) {
        progress = true;
        if (!begin_entry(e))
            steplog_step_over(&e->log);
    }
    atomic_flag_clear_explicit(&e->advancing, memory_order_release);
    return progress;
}
