/* Rows that several engines hold: the last one gives them back, and a matrix goes when only one is left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node/rows.h"

static struct rows *two_matrices(const struct gguf_tensor *tensor)
{
    const struct matrix_part part = {tensor, 0, 32};
    struct rows *rows = rows_new(2);
    struct fail fail;

    assert_non_null(rows);
    for (uint16_t i = 0; i < 2; i++) {
        assert_int_equal(matrix_init(&rows->matrix[i], MATRIX_PARTS_IN_SEQUENCE, &part, 1, 256, 0, 0, 32, &fail), 0);
        assert_int_equal(matrix_allocate(&rows->matrix[i], &fail), 0);
    }
    return rows;
}

static void a_matrix_stays_while_somebody_else_holds_it_too(void **state)
{
    static uint8_t data[32 * 272];
    const struct gguf_tensor tensor = {.type = TYPE_Q8_0, .dim_count = 2, .dims = {256, 32, 1, 1}, .data = data, .data_size = sizeof data};
    struct rows *rows = two_matrices(&tensor);

    (void)state;
    assert_ptr_equal(rows_hold(rows), rows);
    rows_forget(rows, 0);
    assert_non_null(rows->matrix[0].panels);
    rows_drop(rows);
    rows_forget(rows, 0);
    assert_null(rows->matrix[0].panels);
    assert_non_null(rows->matrix[1].panels);
    assert_int_equal(rows->matrix[0].tile_count, 1); /* the layout is still there */
    rows_drop(rows);
    rows_drop(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_matrix_stays_while_somebody_else_holds_it_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
