#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>

#include "node/common/canon.h"
#include "node/common/hash.h"
#include "node/quantise/quantise.h"
#include "node/quantise/quantise_k.h"
#include "tests/unit/quantise_case.h"
#include "tests/unit/type_rows.h"

enum { VALUES = 256, MANY = 4096, BLOCKS = 500 };

static const struct {
    enum tensor_type type;
    int group, lowest, highest, scale_lowest, scale_highest;
    bool has_minimum;
} types[] = {
    {TYPE_Q2_K, 16, 0, 3, 0, 15, true},  {TYPE_Q3_K, 16, -4, 3, -32, 31, false},     {TYPE_Q4_K, 32, 0, 15, 0, 63, true},
    {TYPE_Q5_K, 32, 0, 31, 0, 63, true}, {TYPE_Q6_K, 16, -32, 31, -128, 127, false},
};
enum { TYPES = sizeof types / sizeof *types };

static float values[MANY], result[MANY];

static uint64_t draw(uint64_t block, uint64_t which)
{
    return hash_words3(0x4b, block, which);
}

static int draw_from(uint64_t block, uint64_t which, int lowest, int highest)
{
    return lowest + (int)(draw(block, which) % (uint64_t)(highest - lowest + 1));
}

/* Any scales and minima, one scale the largest; every group reaches both ends of its range. */
static void make_block(size_t type, uint64_t block)
{
    const float d = (float)(1024 + draw(block, 0) % 1024) * 0x1p-20f;
    const float dmin = (float)(1024 + draw(block, 1) % 1024) * 0x1p-19f;

    for (int i = 0; i < VALUES; i++) {
        const int j = i / types[type].group;
        const int at = i % types[type].group;
        const int least_scale = types[type].has_minimum ? 1 : types[type].scale_lowest;
        const int drawn = draw_from(block, 10 + (uint64_t)j, least_scale, types[type].scale_highest);
        const int scale = j == 0 ? (types[type].has_minimum ? types[type].scale_highest : types[type].scale_lowest) : drawn;
        const int minimum = draw_from(block, 50 + (uint64_t)j, 0, types[type].scale_highest);
        const int drawn_q = draw_from(block, 100 + (uint64_t)i, types[type].lowest, types[type].highest);
        const int q = at == 0 ? types[type].lowest : at == 1 ? types[type].highest : drawn_q;

        values[i] = d * (float)scale * (float)q - (types[type].has_minimum ? dmin * (float)minimum : 0);
    }
}

static void every_type_of_such_blocks_is_tested(void **state)
{
    (void)state;
    TYPE_ROWS_EXPECT(types, TYPE_ROWS_256);
}

/* This also covers the place of every bit of scales, minima and levels. */
static void what_is_a_super_block_already_comes_back_exactly(void **state)
{
    (void)state;
    for (size_t t = 0; t < TYPES; t++) {
        for (uint64_t block = 0; block < BLOCKS; block++) {
            make_block(t, block);
            quantise_case_round_trip(types[t].type, values, VALUES, result);
            for (int i = 0; i < VALUES; i++) {
                if (result[i] != values[i])
                    fail_msg("%s: block %llu, value %d: %.9g became %.9g", tensor_type_name(types[t].type), (unsigned long long)block, i,
                             (double)values[i], (double)result[i]);
            }
        }
    }
}

static void no_super_block_is_worse_than_a_naive_one(void **state)
{
    (void)state;
    for (size_t t = 0; t < TYPES; t++) {
        for (int kind = 0; kind < QUANTISE_KINDS; kind++) {
            quantise_case_fill((enum quantise_kind)kind, 3, values, MANY);
            quantise_case_round_trip(types[t].type, values, MANY, result);
            for (size_t i = 0; i < MANY; i += VALUES) {
                const double naive = quantise_case_naive(types[t].type, values + i);
                const double found = quantise_case_squares(values + i, result + i, VALUES);

                if (!(found <= naive * (1 + 1e-5)))
                    print_message("%s, kind %d, block %zu: %g, naive %g %g\n", tensor_type_name(types[t].type), kind, i / VALUES, found,
                                  naive, found / naive);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_of_such_blocks_is_tested),
        cmocka_unit_test(what_is_a_super_block_already_comes_back_exactly),
        cmocka_unit_test(no_super_block_is_worse_than_a_naive_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
