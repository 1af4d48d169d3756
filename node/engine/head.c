/* The end of a step: each node's candidates for the next tokens, and the results of its parts of the step.
 *
 * A rank's message is little-endian. For each part of the step: u64 logits digest, u32 fault (0, or 1 + phase of the layer), u32 layer, u32
 * row, u32 reserved 0, u64 reserved 0. Then, part by part, for sampled parts, candidates of u32 id and f32 logit without gaps; their number
 * follows from the requests. The last block is filled up with zeros. */
#include "head.h"

#include <assert.h>
#include <string.h>

#include "node/common/bytes.h"

enum { CANDIDATE_BYTES = 8, SUMMARY_BYTES = 32 };

uint32_t head_rank_candidates(const struct rowmap *map, uint16_t rank, const struct sampling *sampling)
{
    return sampler_candidate_count(sampling, map->vocab[rank + 1] - map->vocab[rank]);
}

uint32_t head_candidates(const struct rowmap *map, const struct sampling *sampling)
{
    uint32_t sum = 0;

    for (uint16_t r = 0; r < map->rank_count; r++)
        sum += head_rank_candidates(map, r, sampling);
    return sum;
}

uint32_t head_block_bytes(uint32_t candidates)
{
    return candidates <= HEAD_FEW_MAX ? HEAD_FEW_BLOCK_BYTES : HEAD_MANY_BLOCK_BYTES;
}

uint32_t head_blocks(uint32_t parts, uint32_t candidates, uint32_t block_bytes)
{
    return (parts * SUMMARY_BYTES + candidates * CANDIDATE_BYTES + block_bytes - 1) / block_bytes;
}

static size_t candidate_offset(uint32_t parts, uint32_t index)
{
    return (size_t)parts * SUMMARY_BYTES + (size_t)index * CANDIDATE_BYTES;
}

void head_shape(struct engine *e, const struct rowmap *map, uint16_t *first, uint32_t *block_bytes)
{
    uint32_t count[MESH_RANKS_MAX] = {0}, total = 0;

    for (uint16_t r = 0; r < map->rank_count; r++) {
        for (uint16_t i = 0; i < e->sample_count; i++)
            count[r] += head_rank_candidates(map, r, &engine_sampled_part(e, i)->sequence->request.sampling);
        total += count[r];
    }
    *block_bytes = head_block_bytes(total);
    first[0] = 0;
    for (uint16_t r = 0; r < map->rank_count; r++)
        first[r + 1] = (uint16_t)(first[r] + head_blocks(e->part_count, count[r], *block_bytes));
}

static void write_summary(const struct part *part, uint64_t digest, uint8_t *at)
{
    struct bytes out = bytes_writer(at, SUMMARY_BYTES);

    bytes_put_u64(&out, digest);
    bytes_put_u32(&out, part->fault.is_set ? 1u + part->fault.phase : 0);
    bytes_put_u32(&out, part->fault.layer);
    bytes_put_u32(&out, part->fault.row);
}

static const float *logits_of(struct engine *e, uint32_t sample, uint32_t id_first)
{
    return engine_logits(e, sample) + (id_first - e->config.map->vocab[e->config.rank]);
}

/* A rank's rows of the vocabulary; this node's own are those laid out, whatever a damaged map says. */
static uint32_t rows_of(const struct engine *e, const struct rowmap *map, uint16_t rank)
{
    return map == e->config.map && rank == e->config.rank ? e->vocab_rows : map->vocab[rank + 1] - map->vocab[rank];
}

/* Write a sampled token's candidates among the rows of a rank; returns their number. */
static uint32_t write_candidates(struct engine *e, const struct rowmap *map, uint16_t rank, uint32_t sample, uint8_t *at)
{
    struct part *part = engine_sampled_part(e, sample);
    const struct sequence *s = part->sequence;
    uint32_t position = part->position + part->token_count, id_first = map->vocab[rank];
    uint32_t count = head_rank_candidates(map, rank, &s->request.sampling);
    struct bytes out = bytes_writer(at, (size_t)count * CANDIDATE_BYTES);

    if (count == 0 || part->fault.is_set)
        return count;
    sampler_select(&s->request.sampling, position, s->token, s->token_count, logits_of(e, sample, id_first), id_first,
                   rows_of(e, map, rank), e->candidate_scratch, e->candidates);
    for (uint32_t i = 0; i < count; i++) {
        bytes_put_u32(&out, e->candidates[i].id);
        bytes_put_f32(&out, e->candidates[i].logit);
    }
    return count;
}

/* Write those of all sampled tokens after the summaries. */
static void write_all_candidates(struct engine *e, const struct rowmap *map, uint16_t rank, uint8_t *message, size_t bytes)
{
    uint32_t before = 0;

    for (uint16_t i = 0; i < e->sample_count; i++)
        before += write_candidates(e, map, rank, i, message + candidate_offset(e->part_count, before));
    assert(candidate_offset(e->part_count, before) <= bytes);
}

static uint64_t digest_of(struct engine *e, const struct part *part, const struct rowmap *map, uint16_t rank)
{
    uint32_t id_first = map->vocab[rank];

    for (uint32_t i = 0; i < e->sample_count; i++)
        if (engine_sampled_part(e, i) == part && part->sequence->request.want_digest)
            return sampler_digest((uint64_t)part->position + part->token_count, logits_of(e, i, id_first), id_first, rows_of(e, map, rank));
    return 0;
}

void head_write_other(struct engine *e, const struct rowmap *map, uint16_t rank, uint8_t *message, size_t bytes)
{
    assert(e->config.map->rank_count == 1);
    memset(message, 0, bytes);
    for (uint16_t i = 0; i < e->part_count; i++)
        write_summary(&e->part[i], digest_of(e, &e->part[i], map, rank), message + (size_t)i * SUMMARY_BYTES);
    write_all_candidates(e, map, rank, message, bytes);
}

static void tell_logits(struct engine *e)
{
    uint32_t id_first = e->config.map->vocab[e->config.rank];

    for (uint16_t i = 0; i < e->sample_count && e->hooks.on_logits != NULL; i++) {
        const struct part *part = engine_sampled_part(e, i);

        e->hooks.on_logits(e->hooks.app, part->sequence->request.id, part->position + part->token_count, id_first, e->vocab_rows,
                           engine_logits(e, i));
    }
}

/* Also on a node without rows of the vocabulary: its input may only be released when all of it has arrived. */
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
    uint16_t phase = w->unit->segment->phase;
    struct inbox *inbox = engine_inbox(e, phase);

    /* Last of all units, so that any fault of this step is known. */
    if (inbox == NULL || atomic_load_explicit(&e->units_done, memory_order_acquire) + 1 < e->unit_count || !has_whole_input(e, phase))
        return false;
    const uint16_t *first = inbox->form->first;
    uint32_t from = first[e->config.rank], blocks = (uint32_t)first[e->config.rank + 1] - from;
    size_t bytes = (size_t)blocks * inbox->form->block_bytes;
    uint8_t *message = inbox_block(inbox, 0, from);

    memset(message, 0, bytes);
    for (uint16_t i = 0; i < e->part_count; i++) {
        struct part *part = &e->part[i];

        write_summary(part, atomic_load_explicit(&part->digest, memory_order_relaxed), message + (size_t)i * SUMMARY_BYTES);
    }
    tell_logits(e);
    write_all_candidates(e, e->config.map, e->config.rank, message, bytes);
    finish_publish(e, w, phase, inbox, 0, 1, from, blocks);
    atomic_fetch_sub_explicit(&e->candidates_missing, blocks, memory_order_acq_rel);
    return true;
}

void head_read_summary(const uint8_t *message, uint32_t part, struct head_summary *summary)
{
    struct bytes in = bytes_reader(message + (size_t)part * SUMMARY_BYTES, SUMMARY_BYTES);

    *summary = (struct head_summary){.digest = bytes_get_u64(&in)};
    uint32_t fault = bytes_get_u32(&in);
    summary->fault.is_set = fault != 0;
    summary->fault.phase = (uint8_t)(fault > PHASE_HEAD ? PHASE_HEAD : fault - 1);
    summary->fault.layer = bytes_get_u32(&in);
    summary->fault.row = bytes_get_u32(&in);
}

void head_read_candidates(const uint8_t *message, uint32_t parts, uint32_t before, uint32_t count, struct candidate *candidates)
{
    struct bytes in = bytes_reader(message + candidate_offset(parts, before), (size_t)count * CANDIDATE_BYTES);

    for (uint32_t i = 0; i < count; i++) {
        candidates[i].id = bytes_get_u32(&in);
        candidates[i].logit = bytes_get_f32(&in);
    }
}
