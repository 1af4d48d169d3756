#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "node/quantise/quantise.h"
#include "node/quantise/quantise_data.h"
#include "tests/unit/quantise_case.h"

enum { COLUMNS = 256, ROWS = 300, COUNT = COLUMNS * ROWS };

static float values[COUNT];
static uint8_t packed[COUNT * 4], expected[COUNT * 4], found[COUNT * 4];

static struct gguf_tensor tensor_of(enum tensor_type type, const void *data)
{
    return (struct gguf_tensor){.name = {"a\tb", 3},
                                .type = type,
                                .dim_count = 2,
                                .dims = {COLUMNS, ROWS, 1, 1},
                                .data = data,
                                .data_size = tensor_type_bytes(type, COUNT)};
}

static struct quantise_data *open_data(uint16_t threads)
{
    struct fail fail = {0};
    struct quantise_data *data = quantise_data_open("in.gguf", threads, &fail);

    assert_non_null(data);
    return data;
}

static size_t convert(struct quantise_data *data, const struct gguf_tensor *tensor, enum tensor_type type, uint8_t *out)
{
    const uint8_t *bytes = NULL;
    struct fail fail = {0};
    size_t size = 0, total = 0;

    quantise_data_begin(data, tensor, type);
    while (quantise_data_next(data, &bytes, &size, &fail) > 0) {
        memcpy(out + total, bytes, size);
        total += size;
    }
    assert_string_equal(fail.text, "");
    return total;
}

static void any_number_of_threads_gives_the_same_bytes_and_figures(void **state)
{
    struct quantise_tally first = {0};

    (void)state;
    quantise_case_fill(QUANTISE_BELL, 1, values, COUNT);
    quantise(TYPE_Q4_K, values, COUNT, expected);
    for (uint16_t threads = 1; threads <= 7; threads += 2) {
        struct quantise_data *data = open_data(threads);
        const struct gguf_tensor tensor = tensor_of(TYPE_F32, values);

        assert_int_equal(convert(data, &tensor, TYPE_Q4_K, found), tensor_type_bytes(TYPE_Q4_K, COUNT));
        assert_memory_equal(found, expected, tensor_type_bytes(TYPE_Q4_K, COUNT));
        assert_int_equal(quantise_data_done(data), COUNT);

        const struct quantise_tally tally = quantise_data_tally(data);

        if (threads == 1)
            first = tally;
        assert_true(tally.error_squares == first.error_squares && tally.value_squares == first.value_squares);
        assert_true(sqrt(tally.error_squares / tally.value_squares) < 0.08);
        quantise_data_close(data);
    }
}

static void data_of_the_same_type_is_copied_and_has_no_error(void **state)
{
    struct quantise_data *data = open_data(2);

    (void)state;
    quantise_case_fill(QUANTISE_BELL, 2, values, COUNT);
    quantise(TYPE_Q3_K, values, COUNT, packed);

    const struct gguf_tensor tensor = tensor_of(TYPE_Q3_K, packed);

    assert_int_equal(convert(data, &tensor, TYPE_Q3_K, found), tensor.data_size);
    assert_memory_equal(found, packed, tensor.data_size);
    assert_true(quantise_data_tally(data).error_squares == 0);
    assert_true(quantise_data_tally(data).value_squares > 0);
    quantise_data_close(data);
}

static void quantised_data_is_read_exactly(void **state)
{
    struct quantise_data *data = open_data(2);

    (void)state;
    quantise_case_fill(QUANTISE_BELL, 3, values, COUNT);
    for (size_t i = 0; i < quantise_case_type_count; i++) {
        const enum tensor_type type = quantise_case_types[i];

        quantise(type, values, COUNT, packed);
        tensor_type_dequantise(type, packed, COUNT, (float *)(void *)expected);

        const struct gguf_tensor tensor = tensor_of(type, packed);

        assert_int_equal(convert(data, &tensor, TYPE_F32, found), sizeof found);
        assert_memory_equal(found, expected, sizeof found);
        assert_true(quantise_data_tally(data).error_squares == 0);
    }
    quantise_data_close(data);
}

/* The buffers hold 4 million values. */
static void tensors_larger_than_the_buffers_come_in_several_parts(void **state)
{
    const uint64_t rows = 20000;
    const size_t size = (size_t)rows * COLUMNS * 2;
    struct quantise_data *data = open_data(2);
    uint16_t *halves = malloc(size);
    const uint8_t *bytes = NULL;
    struct fail fail = {0};
    size_t part = 0, at = 0;
    int parts = 0;

    (void)state;
    assert_non_null(halves);
    for (size_t i = 0; i < size / 2; i++)
        halves[i] = (uint16_t)(i % 0x7000);

    struct gguf_tensor tensor = tensor_of(TYPE_F16, halves);

    tensor.dims[1] = rows;
    quantise_data_begin(data, &tensor, TYPE_F16);
    while (quantise_data_next(data, &bytes, &part, &fail) > 0) {
        assert_memory_equal(bytes, (const uint8_t *)halves + at, part);
        at += part;
        parts++;
    }
    assert_int_equal(at, size);
    assert_int_equal(parts, 2);
    quantise_data_close(data);
    free(halves);
}

static void the_first_value_that_is_not_finite_is_named(void **state)
{
    const uint8_t *bytes = NULL;
    size_t size = 0;

    (void)state;
    for (uint16_t threads = 1; threads <= 4; threads += 3) {
        struct quantise_data *data = open_data(threads);
        struct fail fail = {0};

        quantise_case_fill(QUANTISE_BELL, 4, values, COUNT);
        values[COUNT - 1] = NAN;
        values[2 * COLUMNS + 7] = -INFINITY;

        const struct gguf_tensor tensor = tensor_of(TYPE_F32, values);

        quantise_data_begin(data, &tensor, TYPE_Q8_0);
        assert_int_equal(quantise_data_next(data, &bytes, &size, &fail), -1);
        assert_int_equal(fail.exit_code, EXIT_BAD_FILE);
        assert_string_equal(fail.text, "in.gguf: tensor 'a?b': value 519 (row 2, column 7) is infinite or no number: get another copy of "
                                       "the file");
        quantise_data_close(data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_number_of_threads_gives_the_same_bytes_and_figures),
        cmocka_unit_test(data_of_the_same_type_is_copied_and_has_no_error),
        cmocka_unit_test(quantised_data_is_read_exactly),
        cmocka_unit_test(tensors_larger_than_the_buffers_come_in_several_parts),
        cmocka_unit_test(the_first_value_that_is_not_finite_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
