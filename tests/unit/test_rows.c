/* Rows that several engines hold: the last one gives them back, and a matrix goes when only one is left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/rows.h"

/* Both of all rows of the tensor. */
static struct rows *two_matrices(const struct gguf_tensor *tensor)
{
    const uint32_t columns = (uint32_t)tensor->dims[0], row_count = (uint32_t)tensor->dims[1];
    const struct matrix_part part = {tensor, 0, row_count};
    struct rows *rows = rows_new(2);
    struct fail fail;

    assert_non_null(rows);
    for (uint16_t i = 0; i < 2; i++)
        assert_int_equal(matrix_init(&rows->matrix[i], MATRIX_PARTS_IN_SEQUENCE, &part, 1, columns, 0, 0, 32, &fail), 0);
    assert_int_equal(rows_allocate(rows, &fail), 0);
    assert_int_equal(rows_memory_bytes(rows), 2 * rows->matrix[0].bytes + PANEL_PREFETCH_BYTES);
    return rows;
}

static void pack(struct matrix *matrix)
{
    size_t copied;

    for (uint32_t t = 0; t < matrix->tile_count; t++)
        assert_int_equal(matrix_pack(matrix, t, NULL, &copied), t + 1 == matrix->tile_count);
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
    rows_forget(rows, 0);
    rows_drop(rows);
    rows_drop(NULL);
}

/* In whole pages of so many bytes, of which the first begins here. */
static size_t resident(void *at, size_t bytes)
{
    static unsigned char is_there[1 << 16];
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = bytes / page;
    size_t count = 0;

    assert_in_range(pages, 1, sizeof is_there);
    assert_int_equal(mincore(at, bytes, is_there), 0);
    for (size_t i = 0; i < pages; i++)
        count += is_there[i] & 1;
    return count * page;
}

/* Large enough for a mapping. Neither begins at a huge page, but for the first one. */
static void of_many_megabytes_one_matrix_goes_and_the_other_stays(void **state)
{
    enum { COLUMNS = 4096, ROWS = 333, BYTES = COLUMNS * ROWS * 4 };
    uint8_t *data = malloc(BYTES), *kept = malloc(BYTES + COLUMNS * PANEL_ROWS * 4);

    (void)state;
    assert_non_null(data);
    assert_non_null(kept);
    for (size_t i = 0; i < BYTES; i++)
        data[i] = (uint8_t)(i * 2654435761u >> 13);
    const struct gguf_tensor tensor = {.type = TYPE_F32, .dim_count = 2, .dims = {COLUMNS, ROWS, 1, 1}, .data = data, .data_size = BYTES};
    struct rows *rows = two_matrices(&tensor);
    uint8_t *first = rows->matrix[0].panels;

    pack(&rows->matrix[1]);
    pack(&rows->matrix[0]);
    assert_memory_equal(first, rows->matrix[1].panels, rows->matrix[1].bytes);
    memcpy(kept, first, rows->matrix[0].bytes);
    assert_int_equal(resident(first, rows->matrix[0].bytes) / BYTES, 1);
    rows_forget(rows, 0);
    assert_null(rows->matrix[0].panels);
    assert_int_equal(resident(first, rows->matrix[0].bytes), 0);
    assert_memory_equal(kept, rows->matrix[1].panels, rows->matrix[1].bytes);
    rows_drop(rows);
    free(kept);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_matrix_stays_while_somebody_else_holds_it_too),
        cmocka_unit_test(of_many_megabytes_one_matrix_goes_and_the_other_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
