#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/bench/bench.h"
#include "node/bench/bench_memory.h"
#include "node/bench/bench_model.h"

static struct bench_series series_of(const double *values, size_t count)
{
    struct bench_series series = {.count = 0};

    for (size_t i = 0; i < count; i++)
        bench_add(&series, values[i]);
    return series;
}

static void median_of_an_odd_count_is_the_one_in_the_middle(void **state)
{
    (void)state;
    struct bench_series series = series_of((const double[]){9, 1, 5}, 3);
    struct bench_stat stat = bench_stat_of(&series);

    assert_true(stat.median == 5 && stat.min == 1 && stat.max == 9 && stat.runs == 3);
    assert_true(series.value[0] == 9); /* the order of the runs is kept */
}

static void median_of_an_even_count_is_between_the_two_in_the_middle(void **state)
{
    (void)state;
    struct bench_series series = series_of((const double[]){4, 1, 100, 2}, 4);

    assert_true(bench_stat_of(&series).median == 3);
}

static void no_runs_give_zeros(void **state)
{
    (void)state;
    struct bench_series series = {.count = 0};
    struct bench_stat stat = bench_stat_of(&series);

    assert_true(stat.median == 0 && stat.min == 0 && stat.max == 0 && stat.runs == 0);
}

/* Medians of both would give 0.5: the machine was throttled in the second run, and this must not matter. */
static void ratios_are_made_run_by_run(void **state)
{
    (void)state;
    struct bench_series above = series_of((const double[]){9, 2, 27}, 3), below = series_of((const double[]){10, 4, 30}, 3);
    struct bench_stat ratio = bench_ratio_of(&above, &below);

    assert_true(ratio.median == 0.9 && ratio.min == 0.5 && ratio.max == 0.9 && ratio.runs == 3);
}

static void bounds_of_a_ratio_leave_out_what_is_far_from_its_median(void **state)
{
    (void)state;
    struct bench_series above = {0}, below = {0};
    struct bench_stat ratio;

    for (int i = 1; i <= 20; i++) {
        bench_add(&above, i == 20 ? 1000 : i);
        bench_add(&below, 1);
        if (i == 8) {
            ratio = bench_ratio_bounds(&above, &below);
            assert_true(ratio.min == 1 && ratio.max == 8); /* too few to leave any out */
        }
    }
    ratio = bench_ratio_bounds(&above, &below); /* 20 values: from the 6th to the 15th, as in tables of the sign test */
    assert_true(ratio.median == 10.5 && ratio.min == 6 && ratio.max == 15 && ratio.runs == 20);
}

static void a_pair_without_a_divisor_is_left_out(void **state)
{
    (void)state;
    struct bench_series above = series_of((const double[]){1, 2}, 2), below = series_of((const double[]){0, 4}, 2);
    struct bench_stat ratio = bench_ratio_of(&above, &below);

    assert_true(ratio.median == 0.5 && ratio.runs == 1);
}

static void a_row_becomes_one_json_object_with_ranges(void **state)
{
    (void)state;
    struct bench_series series = series_of((const double[]){1, 2, 4}, 3);
    struct bench bench = {.is_json = true};
    struct bench_row row = {.event = "kernel", .name = "not in JSON"};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    json_init(&bench.json, out);
    bench_label_text(&row, "type", "q8_0");
    bench_label_number(&row, "threads", 2);
    bench_value(&row, "gb_per_s", "GB/s", 1, bench_stat_of(&series));
    bench_print(&bench, &row);
    bench_skip(&bench, "decode", "needs 4 GB");
    fclose(out);
    assert_string_equal(text, "{\"schema_version\":1,\"event\":\"kernel\",\"type\":\"q8_0\",\"threads\":2,"
                              "\"gb_per_s\":2,\"gb_per_s_min\":1,\"gb_per_s_max\":4,\"runs\":3}\n"
                              "{\"schema_version\":1,\"event\":\"skipped\",\"part\":\"decode\",\"reason\":\"needs 4 GB\"}\n");
    free(text);
}

/* A machine that is too busy to measure anything is not infinitely fast. */
static void what_could_not_be_measured_is_null(void **state)
{
    (void)state;
    const struct bench_series series = {.count = 0};
    struct bench bench = {.is_json = true};
    struct bench_row row = {.event = "multicast", .name = "8 nodes"};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    json_init(&bench.json, out);
    bench_value(&row, "unicast_us", "us", 1, bench_stat_of(&series));
    bench_print(&bench, &row);
    fclose(out);
    assert_string_equal(text, "{\"schema_version\":1,\"event\":\"multicast\",\"unicast_us\":null,\"unicast_us_min\":null,"
                              "\"unicast_us_max\":null,\"runs\":0}\n");
    free(text);
}

static void a_part_that_does_not_fit_is_skipped(void **state)
{
    (void)state;
    struct bench bench = {.is_json = true};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    json_init(&bench.json, out);
    assert_true(bench_has_memory(&bench, "mesh", 1));
    assert_int_equal(ftell(out), 0);
    assert_false(bench_has_memory(&bench, "mesh", UINT64_MAX - 1));
    fclose(out);
    assert_non_null(strstr(text, "\"event\":\"skipped\",\"part\":\"mesh\""));
    free(text);
}

static void chunks_come_round_after_the_whole_buffer(void **state)
{
    (void)state;
    struct bench_memory memory = {.data = (uint8_t *)0x1000, .bytes = 3 * (size_t)BENCH_CHUNK_BYTES};

    for (size_t i = 0; i < 7; i++)
        assert_ptr_equal(bench_memory_next(&memory), memory.data + i % 3 * BENCH_CHUNK_BYTES);
}

static void a_written_model_is_opened_by_its_path_and_leaves_no_file(void **state)
{
    (void)state;
    char folder[] = "/tmp/mesh-test.XXXXXX";
    struct bench_model model;
    struct fail fail = {0};

    assert_non_null(mkdtemp(folder));
    setenv("TMPDIR", folder, 1);
    assert_int_equal(bench_model_write(&model, &bench_shape_small, TYPE_Q4_0, &fail), 0);
    FILE *file = fopen(model.path, "rb");
    assert_non_null(file);
    fclose(file);
    assert_true(model.bytes >= bench_model_bytes(&bench_shape_small, TYPE_Q4_0));
    assert_int_equal(remove(folder), 0); /* fails when it is not empty */
    bench_model_close(&model);
    unsetenv("TMPDIR");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(median_of_an_odd_count_is_the_one_in_the_middle),
        cmocka_unit_test(median_of_an_even_count_is_between_the_two_in_the_middle),
        cmocka_unit_test(no_runs_give_zeros),
        cmocka_unit_test(ratios_are_made_run_by_run),
        cmocka_unit_test(bounds_of_a_ratio_leave_out_what_is_far_from_its_median),
        cmocka_unit_test(a_pair_without_a_divisor_is_left_out),
        cmocka_unit_test(a_row_becomes_one_json_object_with_ranges),
        cmocka_unit_test(what_could_not_be_measured_is_null),
        cmocka_unit_test(a_part_that_does_not_fit_is_skipped),
        cmocka_unit_test(chunks_come_round_after_the_whole_buffer),
        cmocka_unit_test(a_written_model_is_opened_by_its_path_and_leaves_no_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
