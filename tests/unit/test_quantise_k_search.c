#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "node/quantise/quantise_k_search.h"
#include "tests/unit/quantise_case.h"

typedef void search_function(const float *values, struct quantise_k_block *block);

static const struct {
    search_function *search;
    int groups, scale_lowest, scale_highest, level_highest;
} types[] = {
    {quantise_k_search_q2, 16, 0, 15, 3}, {quantise_k_search_q3, 16, -32, 31, 7},    {quantise_k_search_q4, 8, 0, 63, 15},
    {quantise_k_search_q5, 8, 0, 63, 31}, {quantise_k_search_q6, 16, -128, 127, 63},
};
enum { TYPES = sizeof types / sizeof *types };

static float values[QUANTISE_K_VALUES];

static void what_is_found_fits_into_the_fields_of_its_type(void **state)
{
    struct quantise_k_block block;

    (void)state;
    for (size_t t = 0; t < TYPES; t++) {
        for (int kind = 0; kind < QUANTISE_KINDS; kind++) {
            quantise_case_fill((enum quantise_kind)kind, 5, values, QUANTISE_K_VALUES);
            memset(&block, 0, sizeof block);
            types[t].search(values, &block);
            assert_true((block.d & 0x7fff) < 0x7c00 && block.dmin < 0x7c00);
            for (int j = 0; j < types[t].groups; j++) {
                assert_in_range(block.scale[j] - types[t].scale_lowest, 0, types[t].scale_highest - types[t].scale_lowest);
                assert_in_range(block.minimum[j], 0, types[t].scale_lowest < 0 ? 0 : types[t].scale_highest);
            }
            for (int i = 0; i < QUANTISE_K_VALUES; i++)
                assert_in_range(block.level[i], 0, types[t].level_highest);
        }
    }
}

static void types_without_minima_leave_them_zero(void **state)
{
    struct quantise_k_block block;

    (void)state;
    quantise_case_fill(QUANTISE_NEGATIVE, 5, values, QUANTISE_K_VALUES);
    quantise_k_search_q3(values, &block);
    assert_int_equal(block.dmin, 0);
    quantise_k_search_q6(values, &block);
    assert_int_equal(block.dmin, 0);
}

/* When the values of one group are ten times as large, the other groups lose only through coarser scales. */
static void groups_have_scales_of_their_own(void **state)
{
    struct quantise_k_block block;

    (void)state;
    quantise_case_fill(QUANTISE_BELL, 6, values, QUANTISE_K_VALUES);
    for (int i = 32; i < 64; i++)
        values[i] *= 10;
    quantise_k_search_q4(values, &block);
    assert_in_range(block.scale[1], 58, 63);
    for (int j = 2; j < 8; j++)
        assert_in_range(block.scale[j], 3, 12);
}

static void zeros_need_no_scales(void **state)
{
    struct quantise_k_block block;

    (void)state;
    memset(values, 0, sizeof values);
    for (size_t t = 0; t < TYPES; t++) {
        types[t].search(values, &block);
        assert_int_equal(block.d, 0);
        assert_int_equal(block.dmin, 0);
        for (int j = 0; j < types[t].groups; j++) {
            assert_int_equal(block.scale[j], 0);
            assert_int_equal(block.minimum[j], 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_found_fits_into_the_fields_of_its_type),
        cmocka_unit_test(types_without_minima_leave_them_zero),
        cmocka_unit_test(groups_have_scales_of_their_own),
        cmocka_unit_test(zeros_need_no_scales),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
