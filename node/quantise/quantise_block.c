#include "quantise_block.h"

#include <math.h>
#include <string.h>

#include "node/common/half.h"
#include "quantise_fit.h"

enum { VALUES = 32, Q8_0_BYTES = 34, Q4_0_BYTES = 18, Q4_1_BYTES = 20, Q5_0_BYTES = 22, Q5_1_BYTES = 24 };

/* A search over scales by which the value farthest from 0 becomes first, first + step, ... times the scale: the naive one, and others which
 * clip that value or do not use the whole range of q. */
struct scale_search {
    float lowest, highest; /* of q */
    int farthest;          /* largest |q| */
    bool is_mirrored;      /* the scale has the sign that maps the farthest value to lowest; else it is positive */
    float first, step;
    int tries;
};

static const struct scale_search q8_0 = {-128, 127, 128, false, 121.0f, 0.5f, 13};
static const struct scale_search q4_0 = {-8, 7, 8, true, 7.0625f, 0.1875f, 13};
static const struct scale_search q5_0 = {-16, 15, 16, true, 15.0f, 0.125f, 13};

/* The same for grids: their step is the range of values divided by highest, or by somewhat less or more. */
enum { GRID_TRIES = 5, GRID_ROUNDS = 3 };

static const float GRID_FIRST = -1.0f, GRID_STEP = 0.5f;

/* The best so far. */
struct choice {
    float error;
    uint16_t scale, offset; /* halves */
};

FIT_INLINE struct fit_grid grid_of(const struct choice *choice, float lowest, float highest)
{
    return (struct fit_grid){canon_f16_to_f32(choice->scale), canon_f16_to_f32(choice->offset), lowest, highest};
}

FIT_INLINE void try_scale(const float *x, const struct scale_search *search, float scale, struct choice *best)
{
    struct choice choice = {.scale = fit_scale_half(scale)};
    const struct fit_grid grid = grid_of(&choice, search->lowest, search->highest);

    choice.error = fit_error(x, VALUES, &grid);
    if (choice.error < best->error)
        *best = choice;
}

/* A product of a half and a small whole number has at most 18 bits, so for most values this rules it out. */
FIT_INLINE bool may_be_products(const float *x)
{
    uint32_t bits = 0;

    for (int i = 0; i < VALUES; i++)
        bits |= canon_bits(x[i]);
    return (bits & 0x3f) == 0;
}

FIT_INLINE struct choice search_scale(const float *x, const struct scale_search *search)
{
    struct choice best = {.error = INFINITY};
    const float extreme = fit_extreme(x, VALUES);
    const float farthest = search->is_mirrored ? -extreme : fabsf(extreme);

    if (farthest != 0 && may_be_products(x)) {
        int n = 0;

        while (best.error > 0 && (n = fit_next_divisor(x, VALUES, 0, farthest, n + 1, search->farthest)) <= search->farthest)
            try_scale(x, search, farthest / (float)n, &best);
    }
    for (int i = 0; i < search->tries && best.error > 0; i++)
        try_scale(x, search, farthest / (search->first + search->step * (float)i), &best);
    return best;
}

/* Try the grid of halves near scale and offset; returns the sums over the values rounded to it. */
FIT_INLINE struct fit_sums try_grid(const float *x, float scale, float offset, float highest, struct choice *best)
{
    struct choice choice = {.scale = fit_scale_half(scale), .offset = fit_half(offset)};
    const struct fit_grid grid = grid_of(&choice, 0, highest);
    const struct fit_sums sums = fit_sums(x, VALUES, &grid);

    choice.error = sums.error;
    if (choice.error < best->error)
        *best = choice;
    return sums;
}

/* For values that were quantised before: their least is a number of steps above the offset. */
FIT_INLINE void find_grid(const float *x, float least, float range, int highest, struct choice *best)
{
    int n = 0;

    while (best->error > 0 && (n = fit_next_divisor(x, VALUES, least, range, n + 1, highest)) <= highest) {
        for (int above = 0; above <= highest - n && best->error > 0; above++)
            try_grid(x, range / (float)n, least - fit_as_half(range / (float)n) * (float)above, (float)highest, best);
    }
}

/* Spread the grid over the range, and somewhat beyond or within; then fit offset and scale to the values rounded to it. */
FIT_INLINE void search_grid(const float *x, float least, float range, int highest, struct choice *best)
{
    const float total = fit_total(x, VALUES);

    for (int i = 0; i < GRID_TRIES && best->error > 0; i++) {
        float scale = range / ((float)highest + GRID_FIRST + GRID_STEP * (float)i);
        float offset = least + 0.5f * (range - scale * (float)highest);

        for (int round = 0; round <= GRID_ROUNDS; round++) {
            const struct fit_sums sums = try_grid(x, scale, offset, (float)highest, best);
            const float determinant = (float)VALUES * sums.qq - sums.q * sums.q;

            if (!(determinant > 0))
                break;
            scale = ((float)VALUES * sums.xq - total * sums.q) / determinant;
            offset = (sums.qq * total - sums.q * sums.xq) / determinant;
        }
    }
}

FIT_INLINE struct choice search_scale_and_offset(const float *x, int highest)
{
    struct choice best = {.error = INFINITY};
    const float least = fit_least(x, VALUES);
    const float range = fit_greatest(x, VALUES) - least;

    if (range > 0)
        find_grid(x, least, range, highest, &best);
    search_grid(x, least, range, highest, &best);
    return best;
}

/* The low four bits of levels: 0-15 in low nibbles, 16-31 in high ones. */
static void store_nibbles(uint8_t *out, const uint8_t levels[VALUES])
{
    for (int i = 0; i < VALUES / 2; i++)
        out[i] = (uint8_t)((levels[i] & 15) | (levels[i + VALUES / 2] & 15) << 4);
}

/* The fifth bits of levels: bit i of a 32-bit word. */
static void store_fifth_bits(uint8_t *out, const uint8_t levels[VALUES])
{
    memset(out, 0, VALUES / 8);
    for (int i = 0; i < VALUES; i++)
        out[i / 8] = (uint8_t)(out[i / 8] | (levels[i] >> 4 & 1) << (i % 8));
}

/* Choose the scale of a block, and round its values to it. FIT_INLINE, so that the search is compiled for each type by itself. */
FIT_INLINE struct choice fit_scale(const float *values, const struct scale_search *search, uint8_t levels[VALUES])
{
    float x[VALUES];

    fit_load(values, VALUES, x);

    const struct choice choice = search_scale(x, search);
    const struct fit_grid grid = grid_of(&choice, search->lowest, search->highest);

    fit_levels(x, VALUES, &grid, levels);
    return choice;
}

/* The same with an offset, and levels from 0 to highest. */
FIT_INLINE struct choice fit_scale_and_offset(const float *values, int highest, uint8_t levels[VALUES])
{
    float x[VALUES];

    fit_load(values, VALUES, x);

    const struct choice choice = search_scale_and_offset(x, highest);
    const struct fit_grid grid = grid_of(&choice, 0, (float)highest);

    fit_levels(x, VALUES, &grid, levels);
    return choice;
}

void quantise_block_q8_0(const float *values, size_t blocks, uint8_t *packed)
{
    uint8_t levels[VALUES];

    for (size_t b = 0; b < blocks; b++, values += VALUES, packed += Q8_0_BYTES) {
        const struct choice choice = fit_scale(values, &q8_0, levels);

        half_store(packed, choice.scale);
        for (int i = 0; i < VALUES; i++)
            packed[2 + i] = (uint8_t)(levels[i] - 128);
    }
}

void quantise_block_q4_0(const float *values, size_t blocks, uint8_t *packed)
{
    uint8_t levels[VALUES];

    for (size_t b = 0; b < blocks; b++, values += VALUES, packed += Q4_0_BYTES) {
        const struct choice choice = fit_scale(values, &q4_0, levels);

        half_store(packed, choice.scale);
        store_nibbles(packed + 2, levels);
    }
}

void quantise_block_q5_0(const float *values, size_t blocks, uint8_t *packed)
{
    uint8_t levels[VALUES];

    for (size_t b = 0; b < blocks; b++, values += VALUES, packed += Q5_0_BYTES) {
        const struct choice choice = fit_scale(values, &q5_0, levels);

        half_store(packed, choice.scale);
        store_fifth_bits(packed + 2, levels);
        store_nibbles(packed + 6, levels);
    }
}

void quantise_block_q4_1(const float *values, size_t blocks, uint8_t *packed)
{
    uint8_t levels[VALUES];

    for (size_t b = 0; b < blocks; b++, values += VALUES, packed += Q4_1_BYTES) {
        const struct choice choice = fit_scale_and_offset(values, 15, levels);

        half_store(packed, choice.scale);
        half_store(packed + 2, choice.offset);
        store_nibbles(packed + 4, levels);
    }
}

void quantise_block_q5_1(const float *values, size_t blocks, uint8_t *packed)
{
    uint8_t levels[VALUES];

    for (size_t b = 0; b < blocks; b++, values += VALUES, packed += Q5_1_BYTES) {
        const struct choice choice = fit_scale_and_offset(values, 31, levels);

        half_store(packed, choice.scale);
        half_store(packed + 2, choice.offset);
        store_fifth_bits(packed + 4, levels);
        store_nibbles(packed + 8, levels);
    }
}
