#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "dot_case.h"
#include "node/common/hash.h"
#include "node/kernel/panel.h"

static struct dot_case rows_and_panels;

static size_t block_columns(enum tensor_type type)
{
    const size_t block = tensor_type_info(type)->block_values;

    return block == 1 ? 32 : block;
}

static bool is_k(enum tensor_type type)
{
    return tensor_type_info(type)->block_values == SLICE_COLUMNS;
}

static void a_panel_has_the_size_of_its_rows_rounded_to_64_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < DOT_CASE_TYPES; i++) {
        const enum tensor_type type = dot_case_types[i];

        for (size_t columns = block_columns(type); columns <= SLICE_COLUMNS; columns += block_columns(type)) {
            const size_t file = PANEL_ROWS * tensor_type_bytes(type, columns);

            assert_int_equal(kernel_panel_bytes(type, columns), (file + 63) / 64 * 64);
        }
    }
    assert_int_equal(kernel_panel_bytes(TYPE_F16, 1), 64);
    assert_int_equal(kernel_panel_bytes(TYPE_F16, 3), 128);
}

static void assert_rows_equal(enum tensor_type type, size_t columns, const struct panel_row *a, const struct panel_row *b)
{
    const size_t blocks = columns / BLOCK_COLUMNS;

    assert_memory_equal(a->weight, b->weight, columns);
    assert_memory_equal(a->d, b->d, (is_k(type) ? 1 : blocks) * sizeof a->d[0]);
    assert_memory_equal(a->m, b->m, (is_k(type) ? 1 : blocks) * sizeof a->m[0]);
    assert_memory_equal(a->scale, b->scale, sizeof a->scale);
    assert_memory_equal(a->min, b->min, sizeof a->min);
}

static void a_packed_row_reads_back_as_it_is_in_the_file(void **state)
{
    struct dot_case *c = &rows_and_panels;

    (void)state;
    for (size_t i = 0; i < DOT_CASE_TYPES; i++) {
        const enum tensor_type type = dot_case_types[i];

        if (tensor_type_info(type)->is_float)
            continue;
        for (size_t columns = block_columns(type); columns <= SLICE_COLUMNS; columns += block_columns(type)) {
            dot_case_make(c, type, DOT_RANDOM, 16, columns, 1, columns);
            for (size_t r = 0; r < PANEL_ROWS; r++) {
                struct panel_row from_panel = {0}, from_file = {0};

                panel_row_read(type, c->panels, columns, r, &from_panel);
                panel_row_from_gguf(type, c->rows + r * c->row_bytes, columns, &from_file);
                assert_rows_equal(type, columns, &from_panel, &from_file);
            }
        }
    }
}

static void float_panels_hold_the_bits_column_by_column(void **state)
{
    struct dot_case *c = &rows_and_panels;

    (void)state;
    dot_case_make(c, TYPE_F16, DOT_RANDOM, 16, 5, 1, 3);
    for (size_t r = 0; r < PANEL_ROWS; r++) {
        for (size_t column = 0; column < 5; column++)
            assert_memory_equal(c->panels + (column * PANEL_ROWS + r) * 2, c->rows + r * c->row_bytes + column * 2, 2);
    }
}

static void missing_rows_are_zero_in_the_panel(void **state)
{
    static uint8_t first[PANEL_ROWS * SLICE_COLUMNS * 4 + 64] __attribute__((aligned(64)));
    static uint8_t second[PANEL_ROWS * SLICE_COLUMNS * 4 + 64] __attribute__((aligned(64)));
    struct dot_case *c = &rows_and_panels;

    (void)state;
    for (size_t i = 0; i < DOT_CASE_TYPES; i++) {
        const enum tensor_type type = dot_case_types[i];
        const size_t bytes = kernel_panel_bytes(type, SLICE_COLUMNS);
        struct panel_row row = {0};

        memset(first, 0xaa, sizeof first);
        memset(second, 0x55, sizeof second);
        dot_case_make(c, type, DOT_RANDOM, 16, SLICE_COLUMNS, 1, 9);
        kernel_panel_pack(type, c->rows, c->row_bytes, 5, 0, SLICE_COLUMNS, first);
        kernel_panel_pack(type, c->rows, c->row_bytes, 5, 0, SLICE_COLUMNS, second);
        assert_memory_equal(first, second, bytes); /* every byte is written */
        assert_int_equal(first[bytes], 0xaa);
        if (tensor_type_info(type)->is_float)
            continue;
        panel_row_read(type, first, SLICE_COLUMNS, 5, &row);
        for (size_t b = 0; b < SLICE_BLOCKS; b++)
            assert_true(row.d[b] == 0 && row.m[b] == 0);
    }
}

/* Memory for panels may have held other panels. */
static void what_was_in_a_panel_before_does_not_show(void **state)
{
    static uint8_t panel[PANEL_ROWS * SLICE_COLUMNS * 4] __attribute__((aligned(64)));
    struct dot_case *c = &rows_and_panels;

    (void)state;
    for (size_t i = 0; i < DOT_CASE_TYPES; i++) {
        const enum tensor_type type = dot_case_types[i];

        for (size_t columns = block_columns(type); columns <= SLICE_COLUMNS; columns += block_columns(type)) {
            const size_t bytes = kernel_panel_bytes(type, columns);

            dot_case_make(c, type, DOT_RANDOM, 16, columns, 1, 13);
            for (int before = 0; before <= 0xff; before += 0xff) {
                memset(panel, before, sizeof panel);
                kernel_panel_pack(type, c->rows, c->row_bytes, PANEL_ROWS, 0, columns, panel);
                assert_memory_equal(panel, c->panels, bytes);
            }
        }
    }
}

static void a_later_slice_of_wide_rows_packs_like_rows_of_its_own(void **state)
{
    static uint8_t wide[PANEL_ROWS * 3 * SLICE_COLUMNS * 4 + 1];
    static uint8_t panel[PANEL_ROWS * SLICE_COLUMNS * 4] __attribute__((aligned(64)));
    struct dot_case *c = &rows_and_panels;

    (void)state;
    for (size_t i = 0; i < DOT_CASE_TYPES; i++) {
        const enum tensor_type type = dot_case_types[i];
        const size_t columns = is_k(type) ? SLICE_COLUMNS : 96;
        const size_t wide_bytes = tensor_type_bytes(type, 2 * SLICE_COLUMNS + columns);

        dot_case_make(c, type, DOT_RANDOM, 16, columns, 1, 11);
        for (size_t r = 0; r < PANEL_ROWS; r++) /* at an odd address */
            memcpy(wide + 1 + r * wide_bytes + tensor_type_bytes(type, 2 * SLICE_COLUMNS), c->rows + r * c->row_bytes, c->row_bytes);
        kernel_panel_pack(type, wide + 1, wide_bytes, PANEL_ROWS, 2 * SLICE_COLUMNS, columns, panel);
        assert_memory_equal(panel, c->panels, kernel_panel_bytes(type, columns));
    }
}

static void wire_blocks_unpack_with_their_sums(void **state)
{
    uint8_t wire[2 * BLOCK_WIRE_BYTES_NORM];
    struct act_slice slice;
    const float d = 0.25f, sumsq = 3;

    (void)state;
    memset(&slice, 0, sizeof slice);
    for (size_t b = 0; b < 2; b++) {
        uint8_t *block = wire + b * BLOCK_WIRE_BYTES_NORM;

        memcpy(block, &d, 4); /* tests require little-endian machines */
        for (int i = 0; i < 32; i++)
            block[4 + i] = (uint8_t)(i < 16 ? i : -i);
        memcpy(block + 36, &sumsq, 4);
    }
    kernel_unpack(wire, BLOCK_WIRE_BYTES_NORM, 6, 2, true, &slice);
    for (size_t b = 6; b < 8; b++) {
        assert_true(slice.d[b] == d && slice.sumsq[b] == sumsq);
        assert_int_equal(slice.q[b * 32 + 17], -17);
        assert_int_equal(slice.sum[2 * b], 120);
        assert_int_equal(slice.sum[2 * b + 1], -376);
        assert_int_equal(slice.minus[b], 376 - 120);
    }
    assert_true(slice.d[5] == 0 && slice.q[191] == 0);
}

static void an_activation_of_minus_128_is_read_as_minus_127(void **state)
{
    uint8_t wire[BLOCK_WIRE_BYTES];
    struct act_slice slice;

    (void)state;
    memset(wire, 0x80, sizeof wire);
    kernel_unpack(wire, BLOCK_WIRE_BYTES, 0, 1, false, &slice);
    assert_int_equal(slice.q[31], -127);
    assert_int_equal(slice.sum[1], -16 * 127);
    assert_int_equal(slice.minus[0], 32 * 127);
    assert_true(slice.sumsq[0] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_panel_has_the_size_of_its_rows_rounded_to_64_bytes),
        cmocka_unit_test(a_packed_row_reads_back_as_it_is_in_the_file),
        cmocka_unit_test(float_panels_hold_the_bits_column_by_column),
        cmocka_unit_test(missing_rows_are_zero_in_the_panel),
        cmocka_unit_test(what_was_in_a_panel_before_does_not_show),
        cmocka_unit_test(a_later_slice_of_wide_rows_packs_like_rows_of_its_own),
        cmocka_unit_test(wire_blocks_unpack_with_their_sums),
        cmocka_unit_test(an_activation_of_minus_128_is_read_as_minus_127),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
