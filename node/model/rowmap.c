#include "rowmap.h"

#include <assert.h>

#include "node/kernel/kernel.h"

static uint32_t greatest_common_divisor(uint32_t a, uint32_t b)
{
    while (b != 0) {
        uint32_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

static uint32_t blocks_of(uint64_t rows)
{
    return (uint32_t)((rows + BLOCK_COLUMNS - 1) / BLOCK_COLUMNS);
}

void rowmap_deal(const uint32_t *shares, uint16_t rank_count, uint32_t units, uint32_t prefer, uint32_t *first)
{
    uint64_t total = 0, sum = 0;
    uint32_t slack = units / rank_count / 24;

    for (uint16_t r = 0; r < rank_count; r++)
        total += shares[r];
    assert(total > 0);
    first[0] = 0;
    for (uint16_t r = 0; r < rank_count; r++) {
        sum += shares[r];
        uint64_t boundary = (2 * sum * units + total) / (2 * total);
        uint64_t preferred = (boundary + prefer / 2) / prefer * prefer;
        uint64_t moved = preferred > boundary ? preferred - boundary : boundary - preferred;

        if (moved <= slack && preferred >= first[r] && preferred <= units && sum < total)
            boundary = preferred;
        first[r + 1] = (uint32_t)boundary;
        if (shares[r] == 0)
            first[r + 1] = first[r];
    }
    assert(first[rank_count] == units);
}

static void deal_blocks(const uint32_t *shares, uint16_t rank_count, uint64_t rows, uint16_t *out)
{
    uint32_t first[MESH_RANKS_MAX + 1];

    rowmap_deal(shares, rank_count, blocks_of(rows), SLICE_BLOCKS, first);
    for (uint16_t r = 0; r <= rank_count; r++)
        out[r] = (uint16_t)first[r];
}

static void deal_heads(struct rowmap *map, const struct model *model)
{
    uint32_t first[MESH_RANKS_MAX + 1] = {0};
    uint32_t group = BLOCK_COLUMNS / greatest_common_divisor(BLOCK_COLUMNS, model->head_dim);
    uint32_t groups = (model->heads + group - 1) / group;
    uint32_t per_kv = model->heads / model->kv_heads;

    /* Prefer whole KV heads: a divided one is computed twice. */
    uint32_t prefer = per_kv % group == 0 ? per_kv / group : 1;
    rowmap_deal(map->share, map->rank_count, groups, prefer == 0 ? 1 : prefer, first);
    for (uint16_t r = 0; r <= map->rank_count; r++) {
        uint32_t head = first[r] * group;

        map->heads[r] = head < model->heads ? head : model->heads;
        map->z[r] = (uint16_t)blocks_of((uint64_t)map->heads[r] * model->head_dim);
    }
}

int rowmap_init(struct rowmap *map, const struct model *model, const uint32_t *shares, uint16_t rank_count, struct fail *fail)
{
    uint32_t vocab[MESH_RANKS_MAX + 1];
    uint64_t total = 0;

    assert(rank_count >= 1 && rank_count <= MESH_RANKS_MAX);
    *map = (struct rowmap){.rank_count = rank_count};
    for (uint16_t r = 0; r < rank_count; r++) {
        map->share[r] = shares[r];
        total += shares[r];
    }
    if (total == 0)
        return fail_set(fail, EXIT_USAGE, "--shares: all are 0: no node would compute: give at least one node a share");
    deal_blocks(map->share, rank_count, model->dim, map->x);
    deal_blocks(map->share, rank_count, model->hidden, map->h);
    deal_heads(map, model);
    rowmap_deal(map->share, rank_count, blocks_of(model->vocab), 1, vocab);
    for (uint16_t r = 0; r <= rank_count; r++) {
        uint64_t row = (uint64_t)vocab[r] * BLOCK_COLUMNS;

        map->vocab[r] = row < model->vocab ? (uint32_t)row : model->vocab;
    }
    return 0;
}

bool rowmap_is_same(const struct rowmap *a, const struct rowmap *b)
{
    bool is_same = a->rank_count == b->rank_count;

    for (uint16_t r = 0; is_same && r <= a->rank_count; r++)
        is_same =
            a->x[r] == b->x[r] && a->h[r] == b->h[r] && a->z[r] == b->z[r] && a->heads[r] == b->heads[r] && a->vocab[r] == b->vocab[r];
    return is_same;
}

void rowmap_kv_heads(const struct rowmap *map, const struct model *model, uint16_t rank, uint32_t *first, uint32_t *count)
{
    uint32_t per_kv = model->heads / model->kv_heads;
    uint32_t from = map->heads[rank], to = map->heads[rank + 1];

    *first = from / per_kv;
    *count = from == to ? 0 : (to - 1) / per_kv - *first + 1;
}

/* Rows of blocks first .. end-1 in a dimension whose last block may be short. */
static uint32_t rows_between(uint32_t first, uint32_t end, uint32_t dimension)
{
    uint32_t from = first * BLOCK_COLUMNS, to = end * BLOCK_COLUMNS;

    return first == end ? 0 : (to < dimension ? to : dimension) - from;
}

void rowmap_rows(const struct rowmap *map, const struct model *model, uint16_t rank, struct rowmap_rows *rows)
{
    uint32_t kv_first, kv_count;

    rowmap_kv_heads(map, model, rank, &kv_first, &kv_count);
    *rows = (struct rowmap_rows){
        .z_first = map->heads[rank] * model->head_dim,
        .z_count = (map->heads[rank + 1] - map->heads[rank]) * model->head_dim,
        .kv_first = kv_first * model->head_dim,
        .kv_count = kv_count * model->head_dim,
        .x_first = (uint32_t)map->x[rank] * BLOCK_COLUMNS,
        .x_count = rows_between(map->x[rank], map->x[rank + 1], model->dim),
        .h_first = (uint32_t)map->h[rank] * BLOCK_COLUMNS,
        .h_count = rows_between(map->h[rank], map->h[rank + 1], model->hidden),
        .vocab_first = map->vocab[rank],
        .vocab_count = map->vocab[rank + 1] - map->vocab[rank],
    };
}
