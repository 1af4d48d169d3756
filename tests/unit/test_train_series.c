#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "node/common/hash.h"
#include "node/train/train_series.h"

static struct train_series make(size_t count, double (*value)(size_t i))
{
    struct train_series series = {.points = calloc(count + 1, sizeof(struct train_point)), .count = count};

    assert_non_null(series.points);
    for (size_t i = 0; i < count; i++)
        series.points[i] = (struct train_point){(double)(i + 1), value(i)};
    return series;
}

static double itself(size_t i)
{
    return (double)i;
}

static double noise(size_t i)
{
    return (double)(hash_words3(1, 1, i) % 1000);
}

static double three(size_t i)
{
    (void)i;
    return 3;
}

static void values_are_taken_where_there_are_any(void **state)
{
    const struct train_record record[] = {{1, 5, -1, 0.5f, 1}, {2, NAN, 4, 0.25f, 1}, {3, INFINITY, INFINITY, 0, 1}, {4, 2, 0, NAN, 1}};
    struct train_series series;

    (void)state;
    assert_int_equal(train_series_take(&series, record, 4, TRAIN_LOSS), 0);
    assert_int_equal(series.count, 2);
    assert_true(series.points[0].step == 1 && series.points[0].value == 5 && series.points[1].step == 4 && series.points[1].value == 2);
    train_series_release(&series);
    assert_int_equal(train_series_take(&series, record, 4, TRAIN_HELD_OUT), 0);
    assert_int_equal(series.count, 2);
    assert_true(series.points[0].step == 2 && series.points[1].step == 4);
    train_series_release(&series);
    assert_int_equal(train_series_take(&series, record, 4, TRAIN_RATE), 0);
    assert_int_equal(series.count, 3);
    train_series_release(&series);
    assert_int_equal(train_series_take(&series, NULL, 0, TRAIN_RATE), 0);
    assert_int_equal(series.count, 0);
    train_series_release(&series);
}

static void thinning_keeps_ends_and_extremes(void **state)
{
    (void)state;
    for (size_t count = 1; count < 3000; count = count * 5 / 4 + 1) {
        struct train_series series = make(count, noise);
        double low = 1000, high = 0;
        size_t lows = 0, highs = 0;

        for (size_t i = 0; i < count; i++) {
            low = fmin(low, noise(i));
            high = fmax(high, noise(i));
        }
        train_series_thin(&series, 100);
        assert_true(series.count <= 100 && series.count <= count && (count < 100 || series.count > 80));
        assert_true(series.points[0].step == 1 && series.points[series.count - 1].step == (double)count);
        for (size_t i = 0; i < series.count; i++) {
            assert_true(i == 0 || series.points[i].step > series.points[i - 1].step);
            assert_true(series.points[i].value == noise((size_t)series.points[i].step - 1));
            lows += series.points[i].value == low;
            highs += series.points[i].value == high;
        }
        assert_true(lows > 0 && highs > 0);
        train_series_release(&series);
    }
}

static void what_is_few_is_not_thinned(void **state)
{
    struct train_series series = make(100, noise);

    (void)state;
    train_series_thin(&series, 100);
    assert_int_equal(series.count, 100);
    train_series_release(&series);
}

static void equal_values_need_one_point_per_piece(void **state)
{
    struct train_series series = make(1000, three);

    (void)state;
    train_series_thin(&series, 100);
    assert_int_equal(series.count, 51);
    train_series_release(&series);
}

/* The mean of a straight line is that line, except at the end, where it uses the available values. */
static void the_mean_leans_to_no_side_before_the_end(void **state)
{
    struct train_series series = make(50, itself), mean;

    (void)state;
    assert_int_equal(train_series_smooth(&series, 4, 100, &mean), 0);
    assert_int_equal(mean.count, 50);
    for (size_t i = 0; i < 46; i++)
        assert_true(mean.points[i].step == (double)(i + 1) && mean.points[i].value == (double)i);
    assert_true(mean.points[49].value == 47);
    train_series_release(&mean);
    train_series_release(&series);
}

static void the_mean_is_taken_at_evenly_distributed_places(void **state)
{
    struct train_series series = make(1001, itself), mean;

    (void)state;
    assert_int_equal(train_series_smooth(&series, 0, 11, &mean), 0);
    assert_int_equal(mean.count, 11);
    for (size_t i = 0; i < 11; i++)
        assert_true(mean.points[i].step == (double)(100 * i + 1) && mean.points[i].value == (double)(100 * i));
    train_series_release(&mean);
    train_series_release(&series);
}

static void few_points_are_not_smoothed(void **state)
{
    (void)state;
    assert_int_equal(train_series_reach(0), 0);
    assert_int_equal(train_series_reach(79), 0);
    assert_int_equal(train_series_reach(5000), 62);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_taken_where_there_are_any),
        cmocka_unit_test(thinning_keeps_ends_and_extremes),
        cmocka_unit_test(what_is_few_is_not_thinned),
        cmocka_unit_test(equal_values_need_one_point_per_piece),
        cmocka_unit_test(the_mean_leans_to_no_side_before_the_end),
        cmocka_unit_test(the_mean_is_taken_at_evenly_distributed_places),
        cmocka_unit_test(few_points_are_not_smoothed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
