/* Shares that fit into the members' memory: a member with too little memory gets fewer rows than its speed deserves, and the others get
 * more. */
#include <assert.h>
#include <string.h>

#include "balance.h"

enum {
    WHOLE = 1 << 20, /* parts into which all rows are divided here */
    ROUNDS_MAX = 400,
    STEP = 64,   /* a part that is too large shrinks by at least 1/64: heads and blocks of rows are dealt whole */
    PADDING = 64 /* panels take more memory than the file's rows: by less than 1/64 */
};

void balance_load_cache(struct balance_load *load, enum kv_type type, uint32_t ctx, uint16_t slots)
{
    const struct model *m = load->model;

    load->cache_bytes = (uint64_t)slots * m->layers * 2 * kernel_kv_bytes(type, m->head_dim, ctx);
}

uint64_t balance_part_bytes(const struct balance_load *load, const struct rowmap *map, uint16_t rank)
{
    const uint64_t weights = balance_weight_bytes(load, map, rank);
    uint32_t first, kv_heads;

    rowmap_kv_heads(map, load->model, rank, &first, &kv_heads);
    return weights + weights / PADDING + kv_heads * load->cache_bytes;
}

static uint64_t whole_bytes(const struct balance_load *load)
{
    return load->bytes + load->bytes / PADDING + load->model->kv_heads * load->cache_bytes;
}

/* part * memory / bytes, of which memory is the smaller one. */
static uint32_t scale(uint32_t part, uint64_t memory, uint64_t bytes)
{
    for (; bytes >> 40 > 0; bytes >>= 1)
        memory >>= 1;
    return (uint32_t)(part * memory / bytes);
}

/* Lower the limits of members whose rows exceed their memory. False: there are none. */
static bool lower_limits(const struct balance_load *load, const struct balance_member *member, const struct rowmap *map, uint32_t *limit)
{
    uint64_t total = 0;
    bool has_lowered = false;

    for (uint16_t r = 0; r < map->rank_count; r++)
        total += map->share[r];
    for (uint16_t r = 0; r < map->rank_count; r++) {
        const uint64_t bytes = balance_part_bytes(load, map, r), memory = member[r].memory_bytes;
        uint32_t part = (uint32_t)(map->share[r] * (uint64_t)WHOLE / total), less;

        if (memory == 0 || bytes <= memory)
            continue;
        part = part < limit[r] ? part : limit[r];
        less = part > part / STEP + 1 ? part - part / STEP - 1 : 0;
        part = scale(part, memory, bytes);
        limit[r] = part < less ? part : less;
        has_lowered = true;
    }
    return has_lowered;
}

/* Divide all rows in proportion to wish, but no member gets more than its limit. False: the limits do not hold all. */
static bool pour(const uint32_t *wish, const uint32_t *limit, uint16_t count, uint32_t *part)
{
    uint64_t left = WHOLE, open = 0;
    bool is_even = false;

    memset(part, 0, count * sizeof *part);
    for (uint16_t r = 0; r < count; r++)
        open |= (uint64_t)(wish[r] > 0) << r;
    while (open != 0 && !is_even) {
        uint64_t sum = 0, taken = 0;

        for (uint16_t r = 0; r < count; r++)
            sum += open >> r & 1 ? wish[r] : 0;
        is_even = true;
        for (uint16_t r = 0; r < count; r++) {
            if (!(open >> r & 1))
                continue;
            part[r] = (uint32_t)(left * wish[r] / sum);
            if (part[r] <= limit[r])
                continue;
            part[r] = limit[r];
            taken += limit[r];
            open &= ~(UINT64_C(1) << r);
            is_even = false;
        }
        left -= taken;
    }
    return open != 0;
}

static bool fit(const struct balance_load *load, const struct balance_member *member, uint16_t count, const uint32_t *wish, uint32_t *share)
{
    uint32_t limit[MESH_RANKS_MAX], part[MESH_RANKS_MAX];
    struct rowmap map;
    struct fail fail;

    for (uint16_t r = 0; r < MESH_RANKS_MAX; r++)
        limit[r] = WHOLE;
    memcpy(share, wish, count * sizeof *share);
    for (int round = 0; round < ROUNDS_MAX; round++) {
        if (rowmap_init(&map, load->model, share, count, &fail) < 0)
            return false;
        if (!lower_limits(load, member, &map, limit))
            return true;
        if (!pour(wish, limit, count, part))
            return false;
        for (uint16_t r = 0; r < count; r++)
            share[r] = (uint32_t)((uint64_t)part[r] * BALANCE_EVEN * count / WHOLE);
    }
    return false;
}

/* Missing beyond the memory of all; if the total would suffice and only the indivisible pieces do not fit, what the ranks lack for their
 * parts. */
static uint64_t missing_bytes(const struct balance_load *load, const struct balance_member *member, uint16_t count, const uint32_t *wish)
{
    const uint64_t whole = whole_bytes(load);
    uint64_t memory = 0, lacking = 0;
    struct rowmap map;
    struct fail fail;

    if (rowmap_init(&map, load->model, wish, count, &fail) < 0)
        return 1;
    for (uint16_t r = 0; r < count; r++) {
        const uint64_t bytes = balance_part_bytes(load, &map, r), has = member[r].memory_bytes;

        memory += wish[r] == 0 ? 0 : has < whole ? has : whole;
        lacking += has > 0 && bytes > has ? bytes - has : 0;
    }
    return whole > memory ? whole - memory : lacking > 0 ? lacking : 1;
}

uint64_t balance_fit(const struct balance_load *load, const struct balance_member *member, uint16_t count, uint32_t *share)
{
    uint32_t wish[MESH_RANKS_MAX], fits[MESH_RANKS_MAX];

    assert(count >= 1 && count <= MESH_RANKS_MAX);
    if (fit(load, member, count, share, fits)) {
        memcpy(share, fits, count * sizeof *share);
        return 0;
    }
    for (uint16_t r = 0; r < count; r++) /* better slow than not at all */
        wish[r] = share[r] == 0 && member[r].share == BALANCE_SHARE_AUTO ? 1 : share[r];
    if (!fit(load, member, count, wish, fits))
        return missing_bytes(load, member, count, wish);
    memcpy(share, fits, count * sizeof *share);
    return 0;
}
