#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "mesh/histogram.h"

static void an_empty_histogram_has_quantile_zero(void **state)
{
    struct mesh_histogram histogram = {0};

    (void)state;
    assert_int_equal(mesh_histogram_quantile(&histogram, 500), 0);
}

static void a_single_value_is_reported_at_most_a_sixteenth_above(void **state)
{
    (void)state;
    for (uint64_t value = 0; value < (UINT64_C(1) << 40) - (UINT64_C(1) << 35); value = value < 100 ? value + 1 : value + value / 97) {
        struct mesh_histogram histogram = {0};

        /* Two values, so that the maximum does not sharpen the answer. */
        mesh_histogram_add(&histogram, value);
        mesh_histogram_add(&histogram, UINT64_MAX / 4);
        assert_in_range(mesh_histogram_quantile(&histogram, 500), value, value + value / 16);
    }
}

static void quantiles_of_a_ramp_are_where_they_should_be(void **state)
{
    struct mesh_histogram histogram = {0};

    (void)state;
    for (uint64_t value = 1; value <= 10000; value++)
        mesh_histogram_add(&histogram, value * 100);
    assert_int_equal(histogram.count, 10000);
    assert_in_range(mesh_histogram_quantile(&histogram, 500), 500000, 532000);
    assert_in_range(mesh_histogram_quantile(&histogram, 990), 990000, 1000000);
    assert_int_equal(mesh_histogram_quantile(&histogram, 1000), 1000000);
    assert_in_range(mesh_histogram_quantile(&histogram, 0), 100, 107);
}

static void values_beyond_the_range_count_in_the_last_bucket(void **state)
{
    struct mesh_histogram histogram = {0};

    (void)state;
    mesh_histogram_add(&histogram, UINT64_C(1) << 40);
    mesh_histogram_add(&histogram, UINT64_MAX);
    assert_int_equal(histogram.buckets[MESH_HISTOGRAM_BUCKETS - 1], 2);
    assert_true(mesh_histogram_quantile(&histogram, 500) == UINT64_MAX);
}

static void a_full_bucket_saturates(void **state)
{
    struct mesh_histogram histogram = {0};

    (void)state;
    histogram.buckets[3] = UINT32_MAX;
    mesh_histogram_add(&histogram, 3);
    assert_true(histogram.buckets[3] == UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_histogram_has_quantile_zero),
        cmocka_unit_test(a_single_value_is_reported_at_most_a_sixteenth_above),
        cmocka_unit_test(quantiles_of_a_ramp_are_where_they_should_be),
        cmocka_unit_test(values_beyond_the_range_count_in_the_last_bucket),
        cmocka_unit_test(a_full_bucket_saturates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
