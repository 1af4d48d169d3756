#include "engine_layout.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "head.h"

enum {
    TILES_PER_WORKER = 4,
    CANDIDATES_MIN = 1 << 14 /* of a step: room for many requests that want a few each */
};

static uint32_t blocks_of(uint64_t rows)
{
    return (uint32_t)((rows + BLOCK_COLUMNS - 1) / BLOCK_COLUMNS);
}

static uint32_t padded(uint32_t rows)
{
    return blocks_of(rows) * BLOCK_COLUMNS;
}

uint32_t engine_tile_rows(enum phase_kind kind, uint32_t rows, uint16_t worker_count, uint16_t rank_count)
{
    const uint32_t wanted = padded(rows / (TILES_PER_WORKER * worker_count) + 1);

    if (worker_count > 1)
        return wanted < TILE_ROWS ? wanted : TILE_ROWS;
    return kind == PHASE_WO && rank_count > 1 && rows >= TILE_ROWS_MAX ? TILE_ROWS_MAX : TILE_ROWS;
}

static uint32_t tile_rows_of(const struct engine *e, enum phase_kind kind, uint32_t rows)
{
    const uint32_t given = e->config.tile_rows[kind];

    assert(given % BLOCK_COLUMNS == 0 && given <= (kind == PHASE_GATE_UP ? TILE_ROWS : TILE_ROWS_MAX));
    return given > 0 ? given : engine_tile_rows(kind, rows, e->config.worker_count, e->config.map->rank_count);
}

/* ---- matrices ---- */

static int lay_out_matrix(struct engine *e, struct phase *phase, enum matrix_order order, const struct matrix_part *parts, size_t count,
                          const uint16_t *input_first, uint32_t columns, struct fail *fail)
{
    uint16_t rank = e->config.rank;
    uint32_t rows = 0;

    for (size_t i = 0; i < count; i++)
        rows += order == MATRIX_PARTS_IN_SEQUENCE || i == 0 ? parts[i].row_count : 0;
    return matrix_init(phase->matrix, order, parts, count, columns, input_first[rank],
                       (uint32_t)(input_first[rank + 1] - input_first[rank]), tile_rows_of(e, phase->kind, rows), fail);
}

static int lay_out_layer(struct engine *e, uint32_t index, struct fail *fail)
{
    const struct model_layer *layer = &e->model->layer[index];
    const struct rowmap *map = e->config.map;
    struct phase *phase = &e->phase[index * ENGINE_PHASES_PER_LAYER];
    uint32_t dim = e->model->dim, z = e->model->heads * e->model->head_dim;
    struct rowmap_rows rows;

    rowmap_rows(map, e->model, e->config.rank, &rows);
    const struct matrix_part qkv[] = {
        {layer->k, rows.kv_first, rows.kv_count},
        {layer->v, rows.kv_first, rows.kv_count},
        {layer->q, rows.z_first, rows.z_count},
    };
    const struct matrix_part wo = {layer->wo, rows.x_first, rows.x_count}, down = {layer->down, rows.x_first, rows.x_count};
    const struct matrix_part gate_up[] = {{layer->gate, rows.h_first, rows.h_count}, {layer->up, rows.h_first, rows.h_count}};

    for (uint32_t i = 0; i < ENGINE_PHASES_PER_LAYER; i++) {
        phase[i].kind = (enum phase_kind)(PHASE_ATTENTION + (int)i);
        phase[i].layer = index;
    }
    if (lay_out_matrix(e, &phase[PHASE_ATTENTION], MATRIX_PARTS_IN_SEQUENCE, qkv, 3, map->x, dim, fail) < 0 ||
        lay_out_matrix(e, &phase[PHASE_WO], MATRIX_PARTS_IN_SEQUENCE, &wo, 1, map->z, z, fail) < 0 ||
        lay_out_matrix(e, &phase[PHASE_GATE_UP], MATRIX_PARTS_SIDE_BY_SIDE, gate_up, 2, map->x, dim, fail) < 0 ||
        lay_out_matrix(e, &phase[PHASE_DOWN], MATRIX_PARTS_IN_SEQUENCE, &down, 1, map->h, e->model->hidden, fail) < 0)
        return -1;
    return 0;
}

static int lay_out_matrices(struct engine *e, struct fail *fail)
{
    struct phase *head = &e->phase[e->phase_count - 1];
    const struct matrix_part part = {e->model->output, e->config.map->vocab[e->config.rank], e->vocab_rows};

    for (uint32_t i = 0; i < e->model->layers; i++)
        if (lay_out_layer(e, i, fail) < 0)
            return -1;
    head->kind = PHASE_HEAD;
    head->layer = e->model->layers;
    return lay_out_matrix(e, head, MATRIX_PARTS_IN_SEQUENCE, &part, 1, e->config.map->x, e->model->dim, fail);
}

/* ---- gathers ---- */

static bool is_float(const struct gguf_tensor *tensor)
{
    return tensor_type_info(tensor->type)->is_float;
}

/* Should many tokens of a gather with these readers be in token panels? */
static bool is_read_in_panels(const struct kernel *kernel, const struct gguf_tensor *const *readers, size_t reader_count)
{
    bool is_read = false;

    for (size_t i = 0; i < reader_count; i++) {
        if (is_float(readers[i]))
            continue;
        if (kernel == NULL || kernel->tokens == NULL || kernel->tokens->dot[readers[i]->type] == NULL)
            return false;
        is_read = true;
    }
    return is_read;
}

/* A gather is f32 on the wire when any of its readers, on any node, is a float tensor. */
static struct gather_form make_form(const struct engine *e, uint32_t columns, const uint16_t *first, bool feeds_norm,
                                    const struct gguf_tensor *const *readers, size_t reader_count)
{
    struct gather_form form = {.columns = columns,
                               .first = first,
                               .feeds_norm = feeds_norm,
                               .unpack_panels = is_read_in_panels(e->config.kernel, readers, reader_count)};

    for (size_t i = 0; i < reader_count; i++) {
        form.unpack_halves |= form.unpack_panels && !is_float(readers[i]) && e->config.kernel->tokens->reads_halves[readers[i]->type];
        form.is_float |= is_float(readers[i]);
        form.unpack_f |= is_float(readers[i]);
        form.unpack_q |= !is_float(readers[i]);
    }
    form.slices = (columns + SLICE_COLUMNS - 1) / SLICE_COLUMNS;
    form.block_count = (uint16_t)blocks_of(columns);
    uint32_t last = columns - (form.block_count - 1u) * BLOCK_COLUMNS, norm_bytes = feeds_norm ? (uint32_t)sizeof(float) : 0;
    if (form.is_float) {
        form.block_bytes = INBOX_FLOAT_BLOCK_BYTES + norm_bytes;
        form.last_block_bytes = last * (uint32_t)sizeof(float) + norm_bytes;
    } else {
        form.block_bytes = form.last_block_bytes = BLOCK_WIRE_BYTES + norm_bytes;
    }
    return form;
}

/* Form of the residual stream's gather before layer `index`; after the last layer it is read by the output matrix. */
static struct gather_form make_x_form(const struct engine *e, uint32_t index)
{
    const struct rowmap *map = e->config.map;

    if (index == e->model->layers) {
        const struct gguf_tensor *readers[] = {e->model->output};

        return make_form(e, e->model->dim, map->x, true, readers, 1);
    }
    const struct model_layer *layer = &e->model->layer[index];
    const struct gguf_tensor *readers[] = {layer->q, layer->k, layer->v};
    return make_form(e, e->model->dim, map->x, true, readers, 3);
}

static void make_forms(struct engine *e)
{
    const struct rowmap *map = e->config.map;

    e->embed_form = make_x_form(e, 0);
    for (uint32_t i = 0; i < e->model->layers; i++) {
        const struct model_layer *layer = &e->model->layer[i];
        struct phase *phase = &e->phase[i * ENGINE_PHASES_PER_LAYER];
        const struct gguf_tensor *wo[] = {layer->wo}, *down[] = {layer->down}, *gate_up[] = {layer->gate, layer->up};

        phase[PHASE_ATTENTION].form = make_form(e, e->model->heads * e->model->head_dim, map->z, false, wo, 1);
        phase[PHASE_WO].form = make_form(e, e->model->dim, map->x, true, gate_up, 2);
        phase[PHASE_GATE_UP].form = make_form(e, e->model->hidden, map->h, false, down, 1);
        phase[PHASE_DOWN].form = make_x_form(e, i + 1);
    }
}

static bool has_rows(const struct engine *e, enum phase_kind kind, uint16_t rank)
{
    const struct rowmap *map = e->config.map;

    switch (kind) {
    case PHASE_ATTENTION:
        return map->heads[rank] != map->heads[rank + 1];
    case PHASE_WO:
    case PHASE_DOWN:
        return map->x[rank] != map->x[rank + 1];
    case PHASE_GATE_UP:
        return map->h[rank] != map->h[rank + 1];
    case PHASE_HEAD:
        return map->vocab[rank] != map->vocab[rank + 1];
    }
    return false;
}

static void find_readers(struct engine *e)
{
    for (uint16_t p = 0; p < e->phase_count; p++)
        for (uint16_t r = 0; r < e->config.map->rank_count; r++)
            if (p + 1 == e->phase_count || has_rows(e, e->phase[p + 1].kind, r))
                e->phase[p].readers |= UINT64_C(1) << r;
}

/* ---- sizes ---- */

uint64_t engine_candidates_max(const struct engine *e)
{
    uint64_t vocab = e->model->vocab, all = vocab * e->config.slots, enough = vocab > CANDIDATES_MIN ? vocab : CANDIDATES_MIN;

    return all < enough ? all : enough;
}

/* Each rank's last block may be partly filled. */
static uint32_t candidate_blocks(const struct engine *e, uint32_t candidates)
{
    uint32_t ranks = e->config.map->rank_count;

    return head_blocks(ranks * e->config.slots, candidates, head_block_bytes(candidates)) + ranks;
}

/* For the most candidates that still use small blocks. */
static uint32_t few_candidate_blocks(const struct engine *e)
{
    uint64_t all = engine_candidates_max(e);

    return candidate_blocks(e, all < HEAD_FEW_MAX ? (uint32_t)all : HEAD_FEW_MAX);
}

static uint32_t all_candidate_blocks(const struct engine *e)
{
    return candidate_blocks(e, (uint32_t)engine_candidates_max(e));
}

uint32_t engine_candidate_blocks_max(const struct engine *e)
{
    uint32_t few = few_candidate_blocks(e), all = all_candidate_blocks(e);

    return few > all ? few : all;
}

size_t engine_candidate_bytes_max(const struct engine *e)
{
    size_t few = (size_t)few_candidate_blocks(e) * HEAD_FEW_BLOCK_BYTES;
    size_t all = (size_t)all_candidate_blocks(e) * head_block_bytes((uint32_t)engine_candidates_max(e));

    return few > all ? few : all;
}

static void grow(size_t *largest, size_t value)
{
    if (value > *largest)
        *largest = value;
}

/* All inboxes have the same size, so that any can hold any gather. */
static void measure_form(struct engine *e, const struct gather_form *form)
{
    struct inbox_limits *limits = &e->inbox_limits;

    grow(&limits->wire_bytes, (size_t)e->config.batch * form->block_count * form->block_bytes);
    if (form->slices > limits->slices)
        limits->slices = form->slices;
    limits->q |= form->unpack_q;
    limits->f |= form->unpack_f;
}

static void measure_phase(struct engine *e, const struct phase *phase)
{
    const struct matrix *m = phase->matrix;
    size_t own_rows = (size_t)m->group_count * PANEL_ROWS;

    if (m->slices > e->slices_max)
        e->slices_max = m->slices;
    if (m->tile_count > e->eager_tiles)
        e->eager_tiles = m->tile_count;
    if (m->own_slice_count < m->slices)
        grow(&e->eager_floats, m->own_slice_count * EAGER_TOKENS * own_rows);
    if (phase->kind == PHASE_HEAD)
        grow(&e->inbox_limits.wire_bytes, engine_candidate_bytes_max(e));
    else
        measure_form(e, &phase->form);
}

static void measure_attention(struct engine *e)
{
    uint32_t hd = e->model->head_dim, per_kv = e->model->heads / e->model->kv_heads;
    uint32_t heads = e->z_rows / hd, group = 1;
    uint32_t q_groups = (e->z_rows + PANEL_ROWS - 1) / PANEL_ROWS, kv_groups = (e->kv_count * hd + PANEL_ROWS - 1) / PANEL_ROWS;

    while (group * hd % BLOCK_COLUMNS != 0)
        group++;
    /* About two units per worker, and whole groups of rows; a unit has one KV head where possible. */
    uint32_t wanted = heads / (2u * e->config.worker_count);
    e->attend_heads = wanted < group ? group : wanted / group * group;
    if (e->attend_heads > per_kv && per_kv % group == 0)
        e->attend_heads = per_kv;
    e->k_column = 0;
    e->v_column = kv_groups * PANEL_ROWS;
    e->q_column = 2 * kv_groups * PANEL_ROWS;
    e->qkv_stride = e->q_column + q_groups * PANEL_ROWS;
    e->score_scale = 1.0f / sqrtf((float)hd);
    e->kv_head_bytes = kernel_kv_bytes(e->config.kv_type, hd, e->config.ctx);
    e->kv_slot_bytes = (size_t)e->model->layers * e->kv_count * 2 * e->kv_head_bytes;
    e->scratch_floats = 2 * attention_head_floats(e) + kernel_attend_scratch_floats(e->attend_heads, e->config.ctx);
}

/* Tiles that must be done before attention of a group of heads can begin. */
static uint32_t tiles_of_heads(const struct engine *e, uint32_t group)
{
    const struct matrix *m = e->phase[PHASE_ATTENTION].matrix;
    uint32_t rows = (group + 1) * e->attend_heads * e->model->head_dim;

    return m->place[QKV_Q].tile_first + ((rows < e->z_rows ? rows : e->z_rows) + m->tile_rows - 1) / m->tile_rows;
}

/* The sooner z is sent, the shorter peers wait for it. So k and v come first, and heads as soon as their rows of q are there, or, with
 * several workers, likely to be. A single node computes one after the other. */
static void order_attention(struct engine *e)
{
    const struct matrix *m = e->phase[PHASE_ATTENTION].matrix;
    const uint32_t groups = (e->z_rows / e->model->head_dim + e->attend_heads - 1) / e->attend_heads;
    const uint32_t behind = e->config.map->rank_count == 1 ? m->tile_count : e->config.worker_count - 1u;
    uint32_t group = 0, count = 0;
    bool has_kv = false;

    for (uint32_t tile = 0; tile < m->tile_count + behind; tile++) {
        const uint32_t done = tile + 1 > behind ? tile + 1 - behind : 0;

        if (tile < m->tile_count)
            e->attention[count++] = (struct attention_place){UNIT_TILE, tile};
        if (!has_kv && done >= m->place[QKV_Q].tile_first) {
            for (uint32_t head = 0; head < e->kv_count; head++)
                e->attention[count++] = (struct attention_place){UNIT_KV, head};
            has_kv = true;
        }
        for (; group < groups && done >= tiles_of_heads(e, group); group++)
            e->attention[count++] = (struct attention_place){UNIT_ATTEND, group};
    }
    assert(m->tile_count == 0 || (has_kv && group == groups));
    e->attention_count = count;
}

static int lay_out_attention(struct engine *e, struct fail *fail)
{
    measure_attention(e);
    e->attention =
        calloc(e->phase[PHASE_ATTENTION].matrix->tile_count + e->kv_count + e->z_rows / e->model->head_dim + 1, sizeof *e->attention);
    if (e->attention == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    order_attention(e);
    return 0;
}

int engine_layout(struct engine *e, struct fail *fail)
{
    const struct rowmap *map = e->config.map;
    uint16_t rank = e->config.rank;
    struct rowmap_rows rows;

    rowmap_rows(map, e->model, rank, &rows);
    e->phase_count = (uint16_t)(e->model->layers * ENGINE_PHASES_PER_LAYER + 1);
    e->z_rows = rows.z_count;
    e->x_rows = rows.x_count;
    e->h_rows = rows.h_count;
    e->vocab_rows = rows.vocab_count;
    rowmap_kv_heads(map, e->model, rank, &e->kv_first, &e->kv_count);
    e->phase = calloc(e->phase_count, sizeof *e->phase);
    e->rows = rows_new(e->phase_count);
    if (e->phase == NULL || e->rows == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    for (uint16_t p = 0; p < e->phase_count; p++)
        e->phase[p].matrix = &e->rows->matrix[p];
    if (lay_out_matrices(e, fail) < 0)
        return -1;
    make_forms(e);
    engine_set_runs(e);
    find_readers(e);
    e->inbox_limits.tokens = e->config.batch;
    measure_form(e, &e->embed_form);
    for (uint16_t p = 0; p < e->phase_count; p++)
        measure_phase(e, &e->phase[p]);
    return lay_out_attention(e, fail);
}
