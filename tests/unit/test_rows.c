/* Rows that several engines hold: the last engine releases them, and a matrix is freed when only one is left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/common/pages.h"
#include "node/common/pool.h"
#include "node/model/rows.h"

/* Two matrices, both of all rows of the tensor. */
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

/* In whole pages of so many bytes; the first page begins here. */
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

enum { COLUMNS = 4096, ROWS = 333, BYTES = COLUMNS * ROWS * 4 };

/* Large enough for a mapping. Of its matrices only the first begins at a huge page. */
static struct gguf_tensor large_tensor(void)
{
    uint8_t *data = malloc(BYTES);

    assert_non_null(data);
    for (size_t i = 0; i < BYTES; i++)
        data[i] = (uint8_t)(i * 2654435761u >> 13);
    return (struct gguf_tensor){.type = TYPE_F32, .dim_count = 2, .dims = {COLUMNS, ROWS, 1, 1}, .data = data, .data_size = BYTES};
}

static void free_tensor(struct gguf_tensor *tensor)
{
    free((void *)(uintptr_t)tensor->data);
}

static void of_many_megabytes_one_matrix_goes_and_the_other_stays(void **state)
{
    uint8_t *kept = malloc(BYTES + COLUMNS * PANEL_ROWS * 4);
    struct gguf_tensor tensor = large_tensor();

    (void)state;
    assert_non_null(kept);
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
    free_tensor(&tensor);
}

static void a_tile_that_is_packed_has_its_huge_pages_and_no_others(void **state)
{
    struct gguf_tensor tensor = large_tensor();
    struct rows *rows = two_matrices(&tensor);
    struct matrix *m = &rows->matrix[1];
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), size = m->tile[0].slice_bytes * m->slices;
    uint8_t *first = m->panels - (uintptr_t)m->panels % page;
    uint8_t *end = m->panels + size, *huge_end = end + (PAGES_HUGE_BYTES - (uintptr_t)end % PAGES_HUGE_BYTES) % PAGES_HUGE_BYTES;
    size_t copied;

    (void)state;
    assert_int_equal(resident(first, m->bytes), 0);
    assert_false(matrix_pack(m, 0, NULL, &copied));
    assert_int_equal(resident(first, size), size / page * page);
    assert_true(huge_end < m->panels + m->bytes);
    assert_int_equal(resident(huge_end, (size_t)(m->panels + m->bytes - huge_end)), 0);
    rows_drop(rows);
    free_tensor(&tensor);
}

struct packing {
    struct matrix *matrix;
    _Atomic uint32_t next, last;
};

static void pack_tiles(void *app, uint16_t index)
{
    struct packing *packing = app;
    uint32_t tile;
    size_t copied;

    (void)index;
    while ((tile = atomic_fetch_add(&packing->next, 1)) < packing->matrix->tile_count)
        if (matrix_pack(packing->matrix, tile, NULL, &copied))
            atomic_fetch_add(&packing->last, 1);
}

static void threads_that_share_huge_pages_pack_what_one_would(void **state)
{
    struct gguf_tensor tensor = large_tensor();
    struct rows *rows = two_matrices(&tensor);
    struct packing packing = {.matrix = &rows->matrix[1]};
    struct fail fail = {0};

    (void)state;
    pack(&rows->matrix[0]);
    pool_join(pool_start(4, pack_tiles, &packing, &fail));
    assert_int_equal(packing.last, 1);
    assert_memory_equal(rows->matrix[0].panels, rows->matrix[1].panels, rows->matrix[1].bytes);
    rows_drop(rows);
    free_tensor(&tensor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_matrix_stays_while_somebody_else_holds_it_too),
        cmocka_unit_test(of_many_megabytes_one_matrix_goes_and_the_other_stays),
        cmocka_unit_test(a_tile_that_is_packed_has_its_huge_pages_and_no_others),
        cmocka_unit_test(threads_that_share_huge_pages_pack_what_one_would),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
