#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>

#include "node/common/canon.h"
#include "node/common/hash.h"
#include "node/quantise/quantise.h"
#include "node/quantise/quantise_block.h"
#include "tests/unit/quantise_case.h"
#include "tests/unit/type_rows.h"

enum { VALUES = 32, MANY = 4096, BLOCKS = 20000 };

static const struct {
    enum tensor_type type;
    int lowest, highest;
    bool has_minimum, has_sign; /* a minimum; scales that are negative */
} types[] = {
    {TYPE_Q8_0, -128, 127, false, false}, {TYPE_Q4_0, -8, 7, false, true}, {TYPE_Q5_0, -16, 15, false, true},
    {TYPE_Q4_1, 0, 15, true, false},      {TYPE_Q5_1, 0, 31, true, false},
};
enum { TYPES = sizeof types / sizeof *types };

static float values[MANY], result[MANY], again[MANY];

static uint64_t draw(uint64_t block, uint64_t which)
{
    return hash_words3(0xb10c, block, which);
}

/* An f16 number from 2^-20 to 2^-1 with arbitrary last bits, including subnormal ones. */
static float draw_half(uint64_t block, uint64_t which)
{
    const uint64_t bits = draw(block, which);
    const float scale = (float)(1024 + bits % 1024) * 0x1p-10f;

    return canon_f16_to_f32(canon_f32_to_f16(scale / (float)(2 << (bits >> 10) % 20)));
}

/* A block that could have been read from a file, from narrow to all of its range. A minimum is 0, or up to 32 steps away from it and no
 * less than 1/128 of one: a smaller one would be lost in the rounding of the values to which it is added. */
static void make_block(size_t type, uint64_t block)
{
    const float scale = draw_half(block, 0) * (types[type].has_sign && draw(block, 1) % 2 > 0 ? -1.0f : 1.0f);
    const int range = types[type].highest - types[type].lowest;
    const int span = 1 + (int)(draw(block, 2) % (uint64_t)range);
    const int first = types[type].lowest + (int)(draw(block, 3) % (uint64_t)(range - span + 1));
    const float offset = types[type].has_minimum ? scale * (float)(draw(block, 4) % 6144) / 128 - 32 * scale : 0;
    const float half = canon_f16_to_f32(canon_f32_to_f16(offset));

    for (uint64_t i = 0; i < VALUES; i++)
        values[i] = scale * (float)(first + (int)(draw(block, 6 + i) % (uint64_t)(span + 1))) + half;
}

static void every_type_of_such_blocks_is_tested(void **state)
{
    (void)state;
    TYPE_ROWS_EXPECT(types, TYPE_ROWS_32);
}

static void what_is_a_block_already_comes_back_exactly(void **state)
{
    (void)state;
    for (size_t t = 0; t < TYPES; t++) {
        for (uint64_t block = 0; block < BLOCKS / TYPES; block++) {
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

static void quantising_twice_changes_nothing(void **state)
{
    (void)state;
    for (size_t t = 0; t < TYPES; t++) {
        for (int kind = 0; kind < QUANTISE_KINDS; kind++) {
            quantise_case_fill((enum quantise_kind)kind, 1, values, MANY);
            quantise_case_round_trip(types[t].type, values, MANY, result);
            quantise_case_round_trip(types[t].type, result, MANY, again);
            for (int i = 0; i < MANY; i++) { /* except perhaps the sign of a zero */
                if (result[i] != again[i])
                    fail_msg("%s: kind %d, value %d: %.9g became %.9g", tensor_type_name(types[t].type), kind, i, (double)result[i],
                             (double)again[i]);
            }
        }
    }
}

static void no_block_is_worse_than_a_naive_one(void **state)
{
    (void)state;
    for (size_t t = 0; t < TYPES; t++) {
        for (int kind = 0; kind < QUANTISE_KINDS; kind++) {
            quantise_case_fill((enum quantise_kind)kind, 2, values, MANY);
            quantise_case_round_trip(types[t].type, values, MANY, result);
            for (size_t i = 0; i < MANY; i += VALUES) {
                const double naive = quantise_case_naive(types[t].type, values + i);
                const double found = quantise_case_squares(values + i, result + i, VALUES);

                if (!(found <= naive * (1 + 1e-5)))
                    fail_msg("%s, kind %d, block %zu: %g, naive %g", tensor_type_name(types[t].type), kind, i / VALUES, found, naive);
            }
        }
    }
}

static void blocks_are_laid_out_as_published(void **state)
{
    uint8_t packed[34];

    (void)state;
    for (int i = 0; i < VALUES; i++)
        values[i] = (float)(i - 16) * 0.5f;
    quantise_block_q5_0(values, 1, packed); /* scale 0.5; the upper half has the fifth bit */
    assert_memory_equal(packed, "\x00\x38\x00\x00\xff\xff\x00\x11\x22\x33", 10);
    assert_int_equal(packed[21], 0xff);
    quantise_block_q5_1(values, 1, packed); /* and minimum -8 */
    assert_memory_equal(packed, "\x00\x38\x00\xc8\x00\x00\xff\xff\x00\x11\x22\x33", 12);
    quantise_block_q8_0(values, 1, packed);
    assert_memory_equal(packed, "\x00\x38\xf0\xf1\xf2", 5);
    assert_int_equal(packed[33], 15);
    for (int i = 0; i < VALUES; i++)
        values[i] = (float)(i - i % 2 - 16);
    quantise_block_q4_0(values, 1, packed);
    assert_memory_equal(packed, "\x00\x40\x80\x80\x91\x91", 6);
    quantise_block_q4_1(values, 1, packed);
    assert_memory_equal(packed, "\x00\x40\x00\xcc\x80\x80\x91\x91", 8);
}

static void q8_0_has_no_negative_scale(void **state)
{
    uint8_t packed[34];

    (void)state;
    for (uint64_t seed = 0; seed < 100; seed++) {
        quantise_case_fill(QUANTISE_HEAVY, seed, values, VALUES);
        quantise_block_q8_0(values, 1, packed);
        assert_int_equal(packed[1] & 0x80, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_of_such_blocks_is_tested), cmocka_unit_test(what_is_a_block_already_comes_back_exactly),
        cmocka_unit_test(quantising_twice_changes_nothing),    cmocka_unit_test(no_block_is_worse_than_a_naive_one),
        cmocka_unit_test(blocks_are_laid_out_as_published),    cmocka_unit_test(q8_0_has_no_negative_scale),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
