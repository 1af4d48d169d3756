#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "node/common/hash.h"
#include "node/train/axis.h"

/* All labels of an axis, separated by spaces. */
static void check_labels(double low, double high, int intervals_max, bool to_ticks, int exponent_min, const char *expected)
{
    char text[400] = "", label[AXIS_LABEL_MAX];
    struct axis axis;

    axis_init(&axis, low, high, intervals_max, to_ticks, exponent_min);
    for (int64_t tick = axis.first; tick <= axis.last; tick++) {
        axis_label(&axis, tick, label);
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", tick == axis.first ? "" : " ", label);
    }
    assert_string_equal(text, expected);
}

static void ticks_are_round(void **state)
{
    (void)state;
    check_labels(1.83, 9.3, 9, true, INT_MIN, "1 2 3 4 5 6 7 8 9 10");
    check_labels(1.83, 9.3, 5, true, INT_MIN, "0 2 4 6 8 10");
    check_labels(2.13, 2.46, 7, true, INT_MIN, "2.10 2.15 2.20 2.25 2.30 2.35 2.40 2.45 2.50");
    check_labels(0, (double)0.001f, 5, true, INT_MIN, "0 0.0002 0.0004 0.0006 0.0008 0.0010");
    check_labels(-3, 12, 5, true, INT_MIN, "-5 0 5 10 15");
}

static void without_reaching_out_they_stay_inside(void **state)
{
    (void)state;
    check_labels(0, 5000, 10, false, 0, "0 500 1000 1500 2000 2500 3000 3500 4000 4500 5000");
    check_labels(0, 4999, 10, false, 0, "0 500 1000 1500 2000 2500 3000 3500 4000 4500");
    check_labels(0.5, 3.5, 10, false, 0, "1 2 3");
}

static void what_is_counted_has_no_fractions(void **state)
{
    (void)state;
    check_labels(0, 1, 10, false, 0, "0 1");
    check_labels(0, 3, 10, false, 0, "0 1 2 3");
}

static void long_numbers_are_written_with_an_exponent(void **state)
{
    (void)state;
    check_labels(0, 1e7, 5, false, 0, "0 2000000 4000000 6000000 8000000 1e7");
    check_labels(0, 2.5e38, 5, true, INT_MIN, "0 5e37 1e38 1.5e38 2e38 2.5e38");
    check_labels(0, 4e-7, 4, true, INT_MIN, "0 1e-7 2e-7 3e-7 4e-7");
    check_labels(0, 4e-4, 4, true, INT_MIN, "0 0.0001 0.0002 0.0003 0.0004");
}

static void a_span_is_made_up_where_there_is_none(void **state)
{
    (void)state;
    check_labels(2.5, 2.5, 7, true, INT_MIN, "2.2 2.3 2.4 2.5 2.6 2.7 2.8");
    check_labels(0, 0, 4, true, INT_MIN, "-0.5 0 0.5");
    check_labels(0, 0, 10, false, 0, "0");
    check_labels(3, 1, 4, true, INT_MIN, "1.8 1.9 2.0 2.1 2.2");
}

static void values_stand_in_proportion_and_never_outside(void **state)
{
    struct axis axis;

    (void)state;
    axis_init(&axis, 0, 10, 5, true, INT_MIN);
    assert_int_equal(axis_place(&axis, 0, 1000), 0);
    assert_int_equal(axis_place(&axis, 2.5, 1000), 250);
    assert_int_equal(axis_place(&axis, 9.9996, 1000), 1000);
    assert_int_equal(axis_place(&axis, 10, 1000), 1000);
    assert_int_equal(axis_place(&axis, 1e38, 1000), 1000);
    assert_int_equal(axis_place(&axis, -1e38, 1000), 0);
}

static double any_float(uint64_t place)
{
    uint32_t bits = (uint32_t)hash_words3(7, 8, place);
    float value;

    memcpy(&value, &bits, sizeof value);
    return value >= -FLT_MAX && value <= FLT_MAX ? (double)value : 0;
}

static void any_floats_give_few_ticks_in_order_around_them(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 20000; i++) {
        const double a = any_float(2 * i), b = i % 4 ? any_float(2 * i + 1) : a + a * 1e-7;
        const double low = a < b ? a : b, high = a < b ? b : a;
        char label[AXIS_LABEL_MAX];
        struct axis axis;

        axis_init(&axis, low, high, 7, true, INT_MIN);
        assert_true(axis.low < axis.high && axis.low <= low + 1e-6 * axis.unit && axis.high >= high - 1e-6 * axis.unit);
        assert_true(axis.first < axis.last && axis.last - axis.first <= 8);
        axis_label(&axis, axis.first, label);
        axis_label(&axis, axis.last, label);
        assert_in_range(axis_place(&axis, low, 100), 0, 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ticks_are_round),
        cmocka_unit_test(without_reaching_out_they_stay_inside),
        cmocka_unit_test(what_is_counted_has_no_fractions),
        cmocka_unit_test(long_numbers_are_written_with_an_exponent),
        cmocka_unit_test(a_span_is_made_up_where_there_is_none),
        cmocka_unit_test(values_stand_in_proportion_and_never_outside),
        cmocka_unit_test(any_floats_give_few_ticks_in_order_around_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
