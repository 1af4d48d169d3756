/* Rows that another layout of the same tensors already has: copied from there, with the bytes that the file would give. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/common/hash.h"
#include "node/model/matrix.h"
#include "node/model/model.h"

/* Any bits will do: nothing is computed with them. */
static struct gguf_tensor random_tensor(enum tensor_type type, uint32_t columns, uint32_t rows)
{
    size_t size = rows * tensor_type_bytes(type, columns);
    uint8_t *data = malloc(size);

    assert_non_null(data);
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)hash_mix64(i + 1000000 * columns + (uint64_t)type);
    return (struct gguf_tensor){.type = type, .dim_count = 2, .dims = {columns, rows, 1, 1}, .data = data, .data_size = size};
}

static void free_tensor(struct gguf_tensor *tensor)
{
    free((void *)(uintptr_t)tensor->data);
}

/* Returns the number of bytes copied. */
static size_t pack(struct matrix *m, const struct matrix *from)
{
    size_t sum = 0, copied;

    for (uint32_t t = m->tile_count; t-- > 0;) {
        assert_int_equal(matrix_pack(m, t, from, &copied), t == 0);
        sum += copied;
    }
    return sum;
}

enum { KEPT_COLUMNS = 800, KEPT_ROWS = 300 };

struct cut {
    uint32_t row_first, row_count, own_block, own_blocks, tile_rows;
};

static void lay_out(struct matrix *m, enum matrix_order order, const struct gguf_tensor *a, const struct gguf_tensor *b,
                    const struct cut *cut)
{
    const struct matrix_part parts[] = {{a, cut->row_first, cut->row_count}, {b, cut->row_first, cut->row_count}};
    struct fail fail;

    assert_int_equal(matrix_init(m, order, parts, 2, (uint32_t)a->dims[0], cut->own_block, cut->own_blocks, cut->tile_rows, &fail), 0);
    uint8_t *panels = aligned_alloc(PANEL_ALIGNMENT, m->bytes);
    assert_non_null(panels);
    matrix_place(m, panels, false);
}

static void release(struct matrix *m)
{
    free(m->panels);
    matrix_release(m);
}

/* Packed from the file, and packed with what `old` has, a matrix has the same bytes. Returns how many bytes were copied. */
static size_t check_kept(enum matrix_order order, const struct gguf_tensor *a, const struct gguf_tensor *b, const struct cut *old,
                         const struct cut *new)
{
    struct matrix before, expected, m;
    size_t copied;

    lay_out(&before, order, a, b, old);
    lay_out(&expected, order, a, b, new);
    lay_out(&m, order, a, b, new);
    pack(&before, NULL);
    pack(&expected, NULL);
    memset(m.panels, 0xee, m.bytes);
    copied = pack(&m, &before);
    assert_memory_equal(m.panels, expected.panels, m.bytes);
    release(&before);
    release(&expected);
    release(&m);
    return copied;
}

static void rows_that_another_layout_has_are_copied_from_there_bit_for_bit(void **state)
{
    static const enum tensor_type types[][2] = {{TYPE_Q8_0, TYPE_Q5_1}, {TYPE_F16, TYPE_Q4_0}, {TYPE_F32, TYPE_BF16}};
    static const struct cut cuts[] = {{0, 96, 0, 8, 32},     {0, 160, 0, 16, 64},  {64, 96, 8, 9, 96},  {32, 268, 3, 20, 128},
                                      {192, 108, 16, 9, 32}, {0, 300, 0, 25, 128}, {160, 32, 24, 1, 32}};
    const size_t count = sizeof cuts / sizeof *cuts;

    (void)state;
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        struct gguf_tensor a = random_tensor(types[t][0], KEPT_COLUMNS, KEPT_ROWS), b = random_tensor(types[t][1], KEPT_COLUMNS, KEPT_ROWS);

        for (size_t i = 0; i < 2 * count * count; i++) {
            const struct cut *old = &cuts[i / 2 / count], *new = &cuts[i / 2 % count];
            const enum matrix_order order = i % 2 == 0 ? MATRIX_PARTS_IN_SEQUENCE : MATRIX_PARTS_SIDE_BY_SIDE;
            const uint32_t first = old->row_first > new->row_first ? old->row_first : new->row_first;
            const uint32_t old_end = old->row_first + old->row_count, new_end = new->row_first + new->row_count;
            const uint32_t end = old_end < new_end ? old_end : new_end, rows = end > first ? end - first : 0;
            const size_t row_bytes = model_row_bytes(&a) + model_row_bytes(&b);

            /* Whole groups of 16 rows, and the head of a panel is rounded up. */
            assert_in_range(check_kept(order, &a, &b, old, new), rows / PANEL_ROWS * PANEL_ROWS * row_bytes,
                            (rows + PANEL_ROWS - 1) / PANEL_ROWS * PANEL_ROWS * (row_bytes + 64));
        }
        free_tensor(&a);
        free_tensor(&b);
    }
}

static void rows_that_do_not_begin_at_the_same_sixteen_are_packed_from_the_file(void **state)
{
    const struct cut old = {8, 160, 0, 8, 32}, new = {0, 160, 0, 8, 32};
    struct gguf_tensor a = random_tensor(TYPE_Q8_0, KEPT_COLUMNS, KEPT_ROWS), b = random_tensor(TYPE_Q8_0, KEPT_COLUMNS, KEPT_ROWS);

    (void)state;
    assert_int_equal(check_kept(MATRIX_PARTS_IN_SEQUENCE, &a, &b, &old, &new), 0);
    free_tensor(&a);
    free_tensor(&b);
}

static void nothing_is_copied_from_a_matrix_that_is_not_packed_to_its_end(void **state)
{
    const struct cut cut = {0, 160, 0, 8, 32};
    struct gguf_tensor a = random_tensor(TYPE_Q8_0, KEPT_COLUMNS, KEPT_ROWS), b = random_tensor(TYPE_Q4_0, KEPT_COLUMNS, KEPT_ROWS);
    struct matrix before, m;
    size_t copied;

    (void)state;
    lay_out(&before, MATRIX_PARTS_IN_SEQUENCE, &a, &b, &cut);
    lay_out(&m, MATRIX_PARTS_IN_SEQUENCE, &a, &b, &cut);
    for (uint32_t t = 1; t < before.tile_count; t++)
        assert_false(matrix_pack(&before, t, NULL, &copied));
    matrix_pack(&m, 1, &before, &copied);
    assert_int_equal(copied, 0);
    assert_true(matrix_pack(&before, 0, NULL, &copied));
    matrix_pack(&m, 0, &before, &copied);
    assert_int_equal(copied, matrix_tile_slice_bytes(&m, 0, 0) * 3 + matrix_tile_slice_bytes(&m, 0, 3));
    free(before.panels);
    before.panels = NULL;
    matrix_pack(&m, 2, &before, &copied);
    assert_int_equal(copied, 0);
    release(&before);
    release(&m);
    free_tensor(&a);
    free_tensor(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_that_another_layout_has_are_copied_from_there_bit_for_bit),
        cmocka_unit_test(rows_that_do_not_begin_at_the_same_sixteen_are_packed_from_the_file),
        cmocka_unit_test(nothing_is_copied_from_a_matrix_that_is_not_packed_to_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
