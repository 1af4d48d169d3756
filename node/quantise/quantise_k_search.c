#include "quantise_k_search.h"

#include <math.h>
#include <stdlib.h>

#include "quantise_fit.h"

enum {
    WISH_ROUNDS = 3, /* of least squares, for the wish of a group */
    SCALE_REACH = 6, /* how far from its wish a scale is searched without minima, */
    BOTH_REACH = 4,  /* scale and minimum with minima, */
    REFIT_REACH = 1, /* and both after d and dmin have moved a little */
    REFITS = 3
};

/* What a type allows. */
struct format {
    int group; /* values with a scale of their own */
    float lowest, highest;
    int scale_lowest, scale_highest;
    bool has_minimum; /* a whole number from 0 to scale_highest; else the scale may be negative */
};

/* The scale and minimum that suit each group best, before they have to be multiples of d and dmin. */
struct wishes {
    float scale[QUANTISE_K_GROUPS_MAX];
    float minimum[QUANTISE_K_GROUPS_MAX];
};

struct attempt {
    uint16_t d, dmin; /* halves */
    int scale[QUANTISE_K_GROUPS_MAX];
    int minimum[QUANTISE_K_GROUPS_MAX];
    float error; /* of all values */
};

FIT_INLINE int group_count(const struct format *f)
{
    return QUANTISE_K_VALUES / f->group;
}

/* ---- wishes ---- */

/* Move towards the least-squares grid for the values rounded to their q. */
FIT_INLINE void follow(const struct format *f, const struct fit_sums *sums, float total, struct fit_grid *grid)
{
    const float count = (float)f->group;
    const float determinant = count * sums->qq - sums->q * sums->q;

    if (f->has_minimum && determinant > 0) {
        grid->scale = (count * sums->xq - total * sums->q) / determinant;
        grid->offset = (sums->qq * total - sums->q * sums->xq) / determinant;
    }
    if (!f->has_minimum || grid->offset > 0) {
        grid->scale = sums->qq > 0 ? sums->xq / sums->qq : 0;
        grid->offset = 0;
    }
}

FIT_INLINE struct fit_grid improve(const struct format *f, const float *x, struct fit_grid grid)
{
    const float total = fit_total(x, f->group);
    struct fit_grid best = grid;
    float error = INFINITY;

    for (int round = 0; round < WISH_ROUNDS; round++) {
        const struct fit_sums sums = fit_sums(x, f->group, &grid);

        if (sums.error < error) {
            error = sums.error;
            best = grid;
        }
        follow(f, &sums, total, &grid);
    }
    return best;
}

/* What the values of a group span: from the least, or 0 if that is less, to the greatest; without a minimum from 0 to the farthest, with
 * the sign that maps it to the lowest q. */
struct span {
    float origin, range;
};

FIT_INLINE struct span span_of(const struct format *f, const float *x)
{
    const float least = fit_least(x, f->group);
    const float origin = least < 0 ? least : 0;

    if (!f->has_minimum)
        return (struct span){0, -fit_extreme(x, f->group)};
    return (struct span){origin, fit_greatest(x, f->group) - origin};
}

/* The number of steps in a span. */
FIT_INLINE float steps_of(const struct format *f)
{
    return f->has_minimum ? f->highest : -f->lowest;
}

FIT_INLINE void make_wishes(const struct format *f, const float *x, struct wishes *wishes)
{
    for (int j = 0; j < group_count(f); j++) {
        const float *values = x + j * f->group;
        const struct span span = span_of(f, values);
        struct fit_grid grid = {span.range / steps_of(f), span.origin, f->lowest, f->highest};

        if (span.range != 0)
            grid = improve(f, values, grid);
        wishes->scale[j] = grid.scale;
        wishes->minimum[j] = -grid.offset;
    }
}

/* Wishes for values that were quantised before, if those of each group are whole multiples of a number; false if not. */
FIT_INLINE bool make_exact_wishes(const struct format *f, const float *x, struct wishes *wishes)
{
    const int steps = (int)steps_of(f);

    for (int j = 0; j < group_count(f); j++) {
        const float *values = x + j * f->group;
        const struct span span = span_of(f, values);
        const int n = span.range == 0 ? 1 : fit_next_divisor(values, f->group, span.origin, span.range, 1, steps);

        if (n > steps)
            return false;
        wishes->scale[j] = span.range / (float)n;
        wishes->minimum[j] = -span.origin;
    }
    return true;
}

/* ---- attempts ---- */

FIT_INLINE int at_least(int value, int least)
{
    return value < least ? least : value;
}

FIT_INLINE int at_most(int value, int most)
{
    return value > most ? most : value;
}

FIT_INLINE struct fit_grid grid_of(const struct format *f, const struct attempt *attempt, int scale, int minimum)
{
    return (struct fit_grid){
        .scale = canon_f16_to_f32(attempt->d) * (float)scale,
        .offset = f->has_minimum ? -(canon_f16_to_f32(attempt->dmin) * (float)minimum) : 0,
        .lowest = f->lowest,
        .highest = f->highest,
    };
}

/* The multiples of d and dmin nearest to the wishes. */
FIT_INLINE void set_multiples(const struct format *f, const struct wishes *wishes, struct attempt *attempt)
{
    const float scale_inverse = fit_inverse(canon_f16_to_f32(attempt->d));
    const float minimum_inverse = fit_inverse(canon_f16_to_f32(attempt->dmin));

    for (int j = 0; j < group_count(f); j++) {
        attempt->scale[j] = (int)fit_round(fit_clamp(wishes->scale[j] * scale_inverse, (float)f->scale_lowest, (float)f->scale_highest));
        attempt->minimum[j] = (int)fit_round(fit_clamp(wishes->minimum[j] * minimum_inverse, 0, (float)f->scale_highest));
    }
}

/* The best multiples for one group at most `reach` away from the present ones, which stay when none is better. */
FIT_INLINE float settle_group(const struct format *f, const float *x, int reach, struct attempt *attempt, int j)
{
    const int scale = attempt->scale[j];
    const int minimum = attempt->minimum[j];
    const int minimum_reach = f->has_minimum ? reach : 0;
    struct fit_grid grid = grid_of(f, attempt, scale, minimum);
    float error = fit_error(x, f->group, &grid);

    for (int s = at_least(scale - reach, f->scale_lowest); s <= at_most(scale + reach, f->scale_highest); s++) {
        for (int m = at_least(minimum - minimum_reach, 0); m <= at_most(minimum + minimum_reach, f->scale_highest); m++) {
            grid = grid_of(f, attempt, s, m);

            const float tried = fit_error(x, f->group, &grid);

            if (tried < error) {
                error = tried;
                attempt->scale[j] = s;
                attempt->minimum[j] = m;
            }
        }
    }
    return error;
}

FIT_INLINE void settle(const struct format *f, const float *x, int reach, struct attempt *attempt)
{
    attempt->error = 0;
    for (int j = 0; j < group_count(f); j++)
        attempt->error += settle_group(f, x + j * f->group, reach, attempt, j);
}

/* Least-squares d and dmin for the present multiples and q, over the whole block. */
FIT_INLINE void refit(const struct format *f, const float *x, struct attempt *attempt)
{
    double ss = 0, sm = 0, mm = 0, sx = 0, mx = 0;

    for (int j = 0; j < group_count(f); j++) {
        const struct fit_grid grid = grid_of(f, attempt, attempt->scale[j], attempt->minimum[j]);
        const struct fit_sums sums = fit_sums(x + j * f->group, f->group, &grid);
        const double scale = attempt->scale[j];
        const double minimum = attempt->minimum[j];

        ss += scale * scale * (double)sums.qq;
        sx += scale * (double)sums.xq;
        sm += scale * minimum * (double)sums.q;
        mm += minimum * minimum * f->group;
        mx += minimum * (double)fit_total(x + j * f->group, f->group);
    }

    const double determinant = ss * mm - sm * sm;

    if (f->has_minimum && determinant > 1e-9 * ss * mm) {
        const double dmin = (sm * sx - ss * mx) / determinant;

        attempt->d = fit_half((float)((mm * sx - sm * mx) / determinant));
        attempt->dmin = fit_half(dmin > 0 ? (float)dmin : 0);
    } else if (ss > 0) {
        attempt->d = fit_half((float)(sx / ss));
    }
}

/* The number of which all of these are whole multiples, each at most `last` times; 0 when there is none. */
FIT_INLINE float common_step(const float *numbers, int count, int last)
{
    const float extreme = fit_extreme(numbers, count);

    if (extreme == 0)
        return 0;
    for (int n = 1; (n = fit_next_divisor(numbers, count, 0, extreme, n, last)) <= last; n++) {
        const float off = fit_as_half(extreme / (float)n) * (float)n / extreme - 1;

        if (off < 0x1p-18f && off > -0x1p-18f)
            return extreme / (float)n;
    }
    return 0;
}

FIT_INLINE void try_steps(const struct format *f, const float *x, const struct wishes *wishes, float d, float dmin, struct attempt *best)
{
    struct attempt attempt = {.d = fit_scale_half(d), .dmin = fit_scale_half(dmin)};

    set_multiples(f, wishes, &attempt);
    settle(f, x, f->has_minimum ? BOTH_REACH : SCALE_REACH, &attempt);
    if (attempt.error < best->error)
        *best = attempt;
}

/* The largest wish gets the largest multiple; but values that were quantised in this way before are recognised. */
FIT_INLINE void find_steps(const struct format *f, const float *x, struct attempt *best)
{
    const int count = group_count(f);
    const int farthest = f->has_minimum ? f->scale_highest : f->scale_lowest;
    struct wishes wishes;

    if (make_exact_wishes(f, x, &wishes))
        try_steps(f, x, &wishes, common_step(wishes.scale, count, abs(farthest)), common_step(wishes.minimum, count, f->scale_highest),
                  best);
    if (best->error > 0) {
        make_wishes(f, x, &wishes);
        try_steps(f, x, &wishes, fit_extreme(wishes.scale, count) / (float)farthest,
                  fit_greatest(wishes.minimum, count) / (float)f->scale_highest, best);
    }
}

FIT_INLINE void improve_steps(const struct format *f, const float *x, struct attempt *best)
{
    for (int i = 0; i < REFITS && best->error > 0; i++) {
        struct attempt attempt = *best;

        refit(f, x, &attempt);
        settle(f, x, REFIT_REACH, &attempt);
        if (!(attempt.error < best->error))
            break;
        *best = attempt;
    }
}

FIT_INLINE void search(const struct format *f, const float *values, struct quantise_k_block *block)
{
    struct attempt best = {.error = INFINITY};
    float x[QUANTISE_K_VALUES];

    fit_load(values, QUANTISE_K_VALUES, x);
    find_steps(f, x, &best);
    improve_steps(f, x, &best);
    block->d = best.d;
    block->dmin = best.dmin;
    for (int j = 0; j < group_count(f); j++) {
        const struct fit_grid grid = grid_of(f, &best, best.scale[j], best.minimum[j]);

        block->scale[j] = best.scale[j];
        block->minimum[j] = best.minimum[j];
        fit_levels(x + j * f->group, f->group, &grid, block->level + j * f->group);
    }
}

void quantise_k_search_q2(const float *values, struct quantise_k_block *block)
{
    static const struct format format = {16, 0, 3, 0, 15, true};

    search(&format, values, block);
}

void quantise_k_search_q3(const float *values, struct quantise_k_block *block)
{
    static const struct format format = {16, -4, 3, -32, 31, false};

    search(&format, values, block);
}

void quantise_k_search_q4(const float *values, struct quantise_k_block *block)
{
    static const struct format format = {32, 0, 15, 0, 63, true};

    search(&format, values, block);
}

void quantise_k_search_q5(const float *values, struct quantise_k_block *block)
{
    static const struct format format = {32, 0, 31, 0, 63, true};

    search(&format, values, block);
}

void quantise_k_search_q6(const float *values, struct quantise_k_block *block)
{
    static const struct format format = {16, -32, 31, -128, 127, false};

    search(&format, values, block);
}
