/* The end of a step: every rank's candidates are there, tokens are drawn, requests end. One thread at a time. */
#include "engine_state.h"
#include "head.h"

/* One part's result, from all ranks. */
struct outcome {
    uint64_t digest;
    struct engine_fault fault;
    uint32_t candidate_count; /* in e->candidates */
};

static bool step_is_finished(struct engine *e)
{
    struct inbox *inbox = engine_inbox(e, (uint16_t)(e->phase_count - 1));

    return inbox != NULL && atomic_load_explicit(&e->units_done, memory_order_acquire) == e->unit_count &&
           atomic_load_explicit(&e->candidates_missing, memory_order_acquire) == 0;
}

/* A rank draws among its own rows only. Not checked for a rank with a fault: it has drawn nothing. */
static void check_candidates(struct engine *e, struct part *part, uint16_t rank, const struct candidate *candidates, uint32_t count)
{
    const uint32_t *vocab = e->config.map->vocab;

    for (uint32_t i = 0; i < count; i++) {
        if (candidates[i].id >= vocab[rank] && candidates[i].id < vocab[rank + 1])
            continue;
        struct engine_fault fault = {.layer = e->model->layers, .phase = ENGINE_FAULT_CANDIDATES, .row = rank, .is_set = true};

        engine_note_fault(e, part, &fault);
        return;
    }
}

/* Candidates of all ranks side by side; the lowest fault of all. before: each rank's candidates of earlier parts. */
static void read_part(struct engine *e, const struct inbox *inbox, uint16_t index, uint32_t before[MESH_RANKS_MAX], struct outcome *out)
{
    struct part *part = &e->part[index];

    *out = (struct outcome){0};
    for (uint16_t r = 0; r < e->config.map->rank_count; r++) {
        const uint8_t *message = inbox_block(inbox, 0, inbox->form->first[r]);
        uint32_t count = !part->is_sampled ? 0 : head_rank_candidates(e->config.map, r, &part->sequence->request.sampling);
        struct candidate *candidates = e->candidates + out->candidate_count;
        struct head_summary summary;

        head_read_summary(message, index, &summary);
        head_read_candidates(message, e->part_count, before[r], count, candidates);
        if (summary.fault.is_set)
            engine_note_fault(e, part, &summary.fault);
        else
            check_candidates(e, part, r, candidates, count);
        out->digest += summary.digest;
        out->candidate_count += count;
        before[r] += count;
    }
    out->fault = part->fault;
}

static void take_token(struct engine *e, struct sequence *s, const struct outcome *out)
{
    uint32_t id = sampler_draw(&s->request.sampling, s->token_count, e->candidates, out->candidate_count);
    struct engine_token token = {.request = s->request.id, .index = s->generated, .id = id, .digest = out->digest};
    bool is_end = !s->request.ignore_end && e->config.is_end != NULL && e->config.is_end(e->config.tokenizer, id);

    s->generated++;
    if (s->token_count < e->config.ctx)
        s->token[s->token_count] = id;
    s->token_count++;
    if (e->hooks.on_token != NULL)
        e->hooks.on_token(e->hooks.app, engine_now(e), &token);
    if (is_end)
        engine_end_request(e, s, ENGINE_DONE_END, NULL);
    else if (s->generated >= s->request.predict)
        engine_end_request(e, s, ENGINE_DONE_LENGTH, NULL);
    else if (s->token_count > e->config.ctx)
        engine_end_request(e, s, ENGINE_DONE_CONTEXT, NULL);
}

static void end_part(struct engine *e, const struct part *part, const struct outcome *out)
{
    struct sequence *s = part->sequence;

    const uint32_t positions = s->positions_done + part->token_count;

    s->is_in_step = false;
    if (!out->fault.is_set) /* what has one may not be gone on with */
        engine_set_positions(e, s, positions);
    if (e->hooks.on_step != NULL)
        e->hooks.on_step(e->hooks.app, engine_now(e), s->request.id, positions);
    if (out->fault.is_set)
        engine_end_request(e, s, ENGINE_DONE_ERROR, &out->fault);
    else if (part->is_sampled)
        take_token(e, s, out);
}

bool engine_end_step(struct engine *e)
{
    uint16_t last = (uint16_t)(e->phase_count - 1);
    struct port_word word = {.type = PORT_CONSUME, .step = e->step, .phase = engine_read_phase(e, last)};
    uint32_t before[MESH_RANKS_MAX] = {0};

    if (!step_is_finished(e))
        return false;
    struct inbox *inbox = engine_inbox(e, last);
    e->step_is_open = false;
    engine_time_step_ends(e);
    atomic_fetch_add(&e->steps_ended, 1);
    for (uint16_t i = 0; i < e->part_count; i++) {
        struct outcome outcome;

        read_part(e, inbox, i, before, &outcome);
        end_part(e, &e->part[i], &outcome);
    }
    steplog_step_over(&e->log);
    port_post(&e->port, &word);
    return true;
}
