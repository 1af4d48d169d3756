/* The end of a step: each node's candidates for the next token, and what became of its part of the step.
 *
 * A rank's part is little-endian: u64 logits digest, u32 fault (0, or 1 + phase of the layer), u32 layer, u32 row, u32 reserved 0,
 * u64 reserved 0, then candidates of u32 id and f32 logit without gaps; its last block is filled up with zeros. */
#include "head.h"

#include <assert.h>
#include <string.h>

#include "bytes.h"

enum { CANDIDATE_BYTES = 8, SUMMARY_BYTES = 32 };

uint32_t head_block_bytes(uint32_t candidates)
{
    return candidates <= HEAD_FEW_MAX ? HEAD_FEW_BLOCK_BYTES : HEAD_MANY_BLOCK_BYTES;
}

uint32_t head_candidate_blocks(uint32_t candidates, uint32_t block_bytes)
{
    return (SUMMARY_BYTES + candidates * CANDIDATE_BYTES + block_bytes - 1) / block_bytes;
}

static size_t candidate_offset(uint32_t index)
{
    return SUMMARY_BYTES + (size_t)index * CANDIDATE_BYTES;
}

static void write_summary(struct engine *e, uint8_t *block)
{
    struct bytes out = bytes_writer(block, SUMMARY_BYTES);

    bytes_put_u64(&out, atomic_load_explicit(&e->digest, memory_order_relaxed));
    bytes_put_u32(&out, e->fault.is_set ? 1u + e->fault.phase : 0);
    bytes_put_u32(&out, e->fault.layer);
    bytes_put_u32(&out, e->fault.row);
}

static void select_candidates(struct engine *e, uint8_t *block, uint32_t count)
{
    const struct sequence *s = &e->sequence;
    uint32_t position = e->entry.position + e->entry.count;

    if (count == 0 || e->fault.is_set)
        return;
    sampler_select(&s->request.sampling, position, s->token, s->token_count, e->logits, e->config.map->vocab[e->config.rank], e->vocab_rows,
                   e->candidate_scratch, e->candidates);
    for (uint32_t i = 0; i < count; i++) {
        struct bytes out = bytes_writer(block + candidate_offset(i), CANDIDATE_BYTES);

        bytes_put_u32(&out, e->candidates[i].id);
        bytes_put_f32(&out, e->candidates[i].logit);
    }
}

/* The head reads sampled tokens only, but its input may be let go only when all of it has come. */
static bool has_whole_input(struct engine *e, uint16_t phase)
{
    struct inbox *input;

    if (!engine_reads(e, engine_readers(e, (uint16_t)(phase - 1))))
        return true;
    if ((input = engine_input(e, phase)) == NULL)
        return false;
    for (uint32_t sub = 0; sub * INBOX_SUB_TOKENS < input->token_count; sub++)
        if (!inbox_sub_is_ready(input, sub))
            return false;
    return true;
}

bool head_run_candidates(struct engine *e, struct worker *w)
{
    uint16_t phase = w->segment->phase;
    struct inbox *inbox = engine_inbox(e, phase);

    /* Last of all units: whatever goes wrong in this step is known by then. */
    if (inbox == NULL || atomic_load_explicit(&e->units_done, memory_order_acquire) + 1 < e->unit_count || !has_whole_input(e, phase))
        return false;
    const uint16_t *first = inbox->form->first;
    uint32_t from = first[e->config.rank], blocks = (uint32_t)first[e->config.rank + 1] - from;
    uint8_t *block = inbox_block(inbox, 0, from);

    memset(block, 0, (size_t)blocks * inbox->form->block_bytes);
    write_summary(e, block);
    if (e->sample_count > 0 && e->hooks.on_logits != NULL)
        e->hooks.on_logits(e->hooks.app, e->sequence.request.id, e->entry.position + e->entry.count, e->config.map->vocab[e->config.rank],
                           e->vocab_rows, e->logits);
    select_candidates(e, block, e->candidates_per_token);
    finish_publish(e, w, phase, inbox, 0, 1, from, blocks);
    atomic_fetch_sub_explicit(&e->candidates_missing, blocks, memory_order_acq_rel);
    return true;
}

void head_read(const uint8_t *block, uint32_t count, struct head_summary *summary, struct candidate *candidates)
{
    struct bytes in = bytes_reader(block, SUMMARY_BYTES);

    *summary = (struct head_summary){.digest = bytes_get_u64(&in)};
    uint32_t fault = bytes_get_u32(&in);
    summary->fault.is_set = fault != 0;
    summary->fault.phase = (uint8_t)(fault > PHASE_HEAD ? PHASE_HEAD : fault - 1);
    summary->fault.layer = bytes_get_u32(&in);
    summary->fault.row = bytes_get_u32(&in);
    for (uint32_t i = 0; i < count; i++) {
        struct bytes at = bytes_reader(block + candidate_offset(i), CANDIDATE_BYTES);

        candidates[i].id = bytes_get_u32(&at);
        candidates[i].logit = bytes_get_f32(&at);
    }
}
