/* The units of attention: keys and values into the cache, then heads over all positions so far. */
#include <math.h>
#include <string.h>

#include "engine_state.h"

size_t attention_head_floats(const struct engine *e)
{
    return (size_t)e->attend_heads * e->model->head_dim + BLOCK_COLUMNS;
}

/* K (which 0) or V (which 1) of one own KV head, of the sequence that a token belongs to. */
static uint8_t *cache_of(struct engine *e, uint32_t token, uint32_t layer, uint32_t own_head, uint32_t which)
{
    size_t slot = (size_t)(engine_part(e, token)->sequence - e->sequence);

    return e->kv + slot * e->kv_slot_bytes + (((size_t)layer * e->kv_count + own_head) * 2 + which) * e->kv_head_bytes;
}

/* RMSNorm of a head by itself. */
static void normalise(const struct engine *e, const float *weights, float *head)
{
    const uint32_t head_dim = e->model->head_dim;
    float sum = 0.0f;

    for (uint32_t first = 0; first < head_dim; first += BLOCK_COLUMNS) {
        const uint32_t left = head_dim - first;
        float block[BLOCK_COLUMNS] = {0};

        memcpy(block, head + first, (left < BLOCK_COLUMNS ? left : BLOCK_COLUMNS) * sizeof *block);
        sum += e->config.kernel->sumsq(block);
    }
    e->config.kernel->times(1.0f / sqrtf(sum / (float)head_dim + e->model->norm_eps), head, head_dim, head);
    e->config.kernel->scale(weights, head, head_dim, head);
}

/* A head of k (which 0) or q (which 1), normalised if the model does that, and rotated to the position of its token; values beyond the
 * rotated pairs stay. */
static void turn_head(const struct engine *e, const struct phase *phase, uint32_t which, float *head, uint32_t token)
{
    const size_t pairs = e->model->head_dim / 2;
    const float *cos = e->rope_cos + token * pairs, *sin = e->rope_sin + token * pairs;

    if (phase->head_norms != NULL)
        normalise(e, phase->head_norms + (size_t)which * e->model->head_dim, head);
    if (e->model->architecture->turns_halves)
        e->config.kernel->rope_halves(head, cos, sin, e->model->rope.pairs);
    else
        e->config.kernel->rope(head, cos, sin, e->model->rope.pairs);
}

/* Marks of finished tiles of k, v and q; and whether tiles [first, end) are finished. Each phase has its own serial, each sub-batch its own
 * marks. */
static _Atomic uint64_t *done_mark(struct engine *e, const struct segment *segment, uint32_t tile)
{
    return &e->qkv_done[(size_t)segment->sub * e->phase[segment->phase].matrix->tile_count + tile];
}

void attention_tile_done(struct engine *e, const struct segment *segment, uint32_t tile)
{
    atomic_store_explicit(done_mark(e, segment, tile), engine_serial(e, segment->phase), memory_order_release);
}

static bool tiles_are_done(struct engine *e, const struct segment *segment, uint32_t first, uint32_t end)
{
    for (uint32_t tile = first; tile < end; tile++)
        if (atomic_load_explicit(done_mark(e, segment, tile), memory_order_acquire) != engine_serial(e, segment->phase))
            return false;
    return true;
}

bool attention_run_kv(struct engine *e, struct worker *w)
{
    struct segment *segment = w->unit->segment;
    uint32_t head_dim = e->model->head_dim;
    uint32_t layer = e->phase[segment->phase].layer;
    float *k = w->scratch;

    if (!tiles_are_done(e, segment, 0, e->phase[segment->phase].matrix->place[QKV_Q].tile_first))
        return false;
    for (uint32_t t = 0; t < segment->token_count; t++) {
        uint32_t token = segment->token_first + t;
        const float *qkv = e->qkv + (size_t)token * e->qkv_stride;

        memcpy(k, qkv + e->k_column + (size_t)w->unit->item * head_dim, head_dim * sizeof *k);
        turn_head(e, &e->phase[segment->phase], 0, k, token);
        kernel_kv_store(e->config.kv_type, head_dim, engine_position(e, token), k, qkv + e->v_column + (size_t)w->unit->item * head_dim,
                        cache_of(e, token, layer, w->unit->item, 0), cache_of(e, token, layer, w->unit->item, 1));
    }
    atomic_fetch_add_explicit(&segment->kv_done, 1, memory_order_acq_rel);
    return true;
}

/* Are the keys and values of this and all earlier sub-batches of the step in the cache? Those of a later one may be written meanwhile, also
 * into the tile of K that holds this one's last positions, which is read as a whole: a lane is a position, a store writes one element of
 * it, and values in lanes beyond are discarded (kernel_attend.h). By the C standard this is a race; avoiding it would mean reading each
 * head's last tile element by element. */
static bool cache_is_ready(struct engine *e, const struct segment *segment)
{
    for (const struct segment *s = segment;; s--) {
        if (atomic_load_explicit(&s->kv_done, memory_order_acquire) < s->kv_units)
            return false;
        if (s == e->segment || s[-1].phase != segment->phase)
            return true;
    }
}

/* The rows of q of heads first .. first+count-1, of the node's own. */
static bool rows_are_ready(struct engine *e, const struct segment *segment, uint32_t first, uint32_t count)
{
    const struct matrix *m = e->phase[segment->phase].matrix;
    const uint32_t row = first * e->model->head_dim, end = row + count * e->model->head_dim, tile = m->place[QKV_Q].tile_first;

    return tiles_are_done(e, segment, tile + row / m->tile_rows, tile + (end + m->tile_rows - 1) / m->tile_rows);
}

/* K cache that this worker most likely attends to after a token's head: the next request's, since each has its own; after the last one
 * another head's. NULL: the same cache again. */
static const uint8_t *next_keys(struct engine *e, uint32_t token, uint32_t layer, uint32_t own_head)
{
    if (token + 1 < e->token_count)
        return e->token_part[token + 1] == e->token_part[token] ? NULL : cache_of(e, token + 1, layer, own_head, 0);
    own_head += e->config.worker_count;
    return own_head < e->kv_count ? cache_of(e, 0, layer, own_head, 0) : NULL;
}

/* Heads first .. first+count-1 (of the model) for one token: out (count, head_dim). */
static void attend(struct engine *e, struct worker *w, uint32_t token, uint32_t first, uint32_t count, float *out)
{
    uint32_t head_dim = e->model->head_dim, per_kv = e->model->heads / e->model->kv_heads;
    const struct phase *phase = &e->phase[w->unit->segment->phase];
    uint32_t layer = phase->layer, own_first = e->config.map->heads[e->config.rank];
    float *q = w->scratch;

    memcpy(q, e->qkv + (size_t)token * e->qkv_stride + e->q_column + (size_t)(first - own_first) * head_dim,
           (size_t)count * head_dim * sizeof *q);
    for (uint32_t h = 0; h < count; h++)
        turn_head(e, phase, 1, q + (size_t)h * head_dim, token);
    for (uint32_t h = 0, group; h < count; h += group) {
        uint32_t kv_head = (first + h) / per_kv, rest = (kv_head + 1) * per_kv - (first + h);

        group = rest < count - h ? rest : count - h;
        struct attend args = {
            .q = q + (size_t)h * head_dim,
            .out = out + (size_t)h * head_dim,
            .k = cache_of(e, token, layer, kv_head - e->kv_first, 0),
            .v = cache_of(e, token, layer, kv_head - e->kv_first, 1),
            .k_next = next_keys(e, token, layer, kv_head - e->kv_first),
            .scratch = w->scratch + 2 * attention_head_floats(e),
            .heads = group,
            .head_dim = head_dim,
            .positions = engine_position(e, token) + 1,
            .scale = e->score_scale,
            .type = e->config.kv_type,
        };
        e->config.kernel->attend(&args);
    }
}

bool attention_run(struct engine *e, struct worker *w)
{
    struct segment *segment = w->unit->segment;
    struct inbox *inbox = engine_inbox(e, segment->phase);
    uint32_t own_first = e->config.map->heads[e->config.rank], own_end = e->config.map->heads[e->config.rank + 1];
    uint32_t head = own_first + w->unit->item / segment->chunks * e->attend_heads;
    uint32_t heads = own_end - head < e->attend_heads ? own_end - head : e->attend_heads;
    uint32_t from = w->unit->item % segment->chunks * ATTEND_CHUNK_TOKENS;
    uint32_t left = segment->row_count - from, count = left < ATTEND_CHUNK_TOKENS ? left : ATTEND_CHUNK_TOKENS;
    uint32_t values = heads * e->model->head_dim, blocks = (values + BLOCK_COLUMNS - 1) / BLOCK_COLUMNS;
    uint32_t first = (head - own_first) * e->model->head_dim / BLOCK_COLUMNS + e->config.map->z[e->config.rank];
    float *out = w->scratch + attention_head_floats(e);

    if (inbox == NULL || !cache_is_ready(e, segment) || !rows_are_ready(e, segment, head - own_first, heads))
        return false;
    memset(out + values, 0, (blocks * BLOCK_COLUMNS - values) * sizeof *out);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = segment->row_first + from + i, token = engine_row_token(e, segment->phase, row);

        attend(e, w, token, head, heads, out);
        finish_blocks(e, segment->phase, inbox, row, first, blocks, out, NULL);
    }
    finish_publish(e, w, segment->phase, inbox, segment->row_first + from, count, first, blocks);
    return true;
}
