/* Repacked matrices: how rows become groups and tiles, where panels stand, and that multiplying by tile and slice gives the bits of
 * every single row. */
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

enum {
    TOKENS = 3,
    SLICES_MAX = 5,
    TILE_ROWS_MOST = MATRIX_TILE_GROUPS_MAX * PANEL_ROWS, /* of all parts */
    OUT_STRIDE = TILE_ROWS_MOST + 5
};

/* ---- tensors of random weights ---- */

/* Where a block has f16 scales; a second one at 0 means there is none. */
static const struct {
    enum tensor_type type;
    uint8_t scale, scale_2;
} layouts[] = {
    {TYPE_Q4_0, 0, 0},   {TYPE_Q4_1, 0, 2},   {TYPE_Q5_0, 0, 0}, {TYPE_Q5_1, 0, 2}, {TYPE_Q8_0, 0, 0},
    {TYPE_Q2_K, 80, 82}, {TYPE_Q3_K, 108, 0}, {TYPE_Q4_K, 0, 2}, {TYPE_Q5_K, 0, 2}, {TYPE_Q6_K, 208, 0},
};

static void set_scale(uint8_t *at)
{
    at[0] &= 0x7f;
    at[1] = 0x24; /* about 1/64 */
}

static void make_finite(enum tensor_type type, uint8_t *data, size_t size)
{
    size_t block = tensor_type_info(type)->block_bytes;
    bool is_known = tensor_type_info(type)->is_float;

    if (is_known)
        for (size_t i = block - 1; i < size; i += block)
            data[i] = (uint8_t)((data[i] & 0x80) | 0x38);
    for (size_t l = 0; l < sizeof layouts / sizeof *layouts; l++) {
        is_known |= layouts[l].type == type;
        for (size_t i = 0; layouts[l].type == type && i < size; i += block) {
            set_scale(data + i + layouts[l].scale);
            if (layouts[l].scale_2 != 0)
                set_scale(data + i + layouts[l].scale_2);
        }
    }
    if (!is_known)
        fail_msg("layouts lacks %s", tensor_type_name(type));
}

static struct gguf_tensor make_tensor(enum tensor_type type, uint32_t columns, uint32_t rows)
{
    size_t size = rows * tensor_type_bytes(type, columns);
    uint8_t *data = malloc(size);

    assert_non_null(data);
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)hash_mix64(i + 1000000 * columns + (uint64_t)type);
    make_finite(type, data, size);
    return (struct gguf_tensor){.type = type, .dim_count = 2, .dims = {columns, rows, 1, 1}, .data = data, .data_size = size};
}

static void free_tensor(struct gguf_tensor *tensor)
{
    free((void *)(uintptr_t)tensor->data);
}

/* A tensor without weights, for layouts. */
static struct gguf_tensor bare_tensor(enum tensor_type type, uint32_t columns, uint32_t rows)
{
    return (struct gguf_tensor){.type = type, .dim_count = 2, .dims = {columns, rows, 1, 1}};
}

/* ---- layout ---- */

static void check_tile_groups(const struct matrix *m, const struct matrix_tile *tile, const struct matrix_part *parts, size_t part_count)
{
    uint32_t group = tile->group_first;

    for (size_t p = 0; p < part_count; p++) {
        for (uint32_t done = 0; done < tile->row_count; done += PANEL_ROWS, group++) {
            uint32_t left = tile->row_count - done;

            assert_true(group < m->group_count);
            assert_ptr_equal(m->group[group].tensor, parts[p].tensor);
            assert_int_equal(m->group[group].row_first, parts[p].row_first + tile->row_first + done);
            assert_int_equal(m->group[group].row_count, left < PANEL_ROWS ? left : PANEL_ROWS);
        }
    }
    assert_int_equal(group - tile->group_first, tile->group_count);
    assert_true(tile->group_count <= m->tile_groups_max);
}

/* Tiles follow one another through the rows of parts that belong together; returns the number of tiles. */
static uint32_t check_tiles(const struct matrix *m, uint32_t tile, uint32_t tile_rows, const struct matrix_part *parts, size_t part_count)
{
    uint32_t count = 0;

    for (uint32_t row = 0; row < parts->row_count; row += tile_rows, count++) {
        uint32_t left = parts->row_count - row;

        assert_true(tile + count < m->tile_count);
        assert_int_equal(m->tile[tile + count].row_first, row);
        assert_int_equal(m->tile[tile + count].row_count, left < tile_rows ? left : tile_rows);
        check_tile_groups(m, &m->tile[tile + count], parts, part_count);
    }
    return count;
}

static void parts_in_sequence_never_share_a_tile(void **state)
{
    const struct gguf_tensor q = bare_tensor(TYPE_Q8_0, 288, 400), k = bare_tensor(TYPE_F16, 288, 200);
    const struct matrix_part parts[] = {{&q, 48, 300}, {&k, 7, 33}, {&k, 100, 1}};
    struct matrix m;
    struct fail fail;

    (void)state;
    for (uint32_t tile_rows = 32; tile_rows <= TILE_ROWS_MOST; tile_rows += 32) {
        uint32_t tiles = 0;

        assert_int_equal(matrix_init(&m, MATRIX_PARTS_IN_SEQUENCE, parts, 3, 288, 0, 0, tile_rows, &fail), 0);
        for (size_t p = 0; p < 3; p++)
            tiles += check_tiles(&m, tiles, tile_rows, &parts[p], 1);
        assert_int_equal(tiles, m.tile_count);
        assert_int_equal(m.group_count, 19 + 3 + 1);
        assert_true(m.reads_quantised && m.reads_float);
        matrix_release(&m);
    }
}

static void parts_side_by_side_have_the_same_rows_in_a_tile(void **state)
{
    const struct gguf_tensor gate = bare_tensor(TYPE_Q4_0, 512, 400), up = bare_tensor(TYPE_Q8_0, 512, 400);
    const struct matrix_part parts[] = {{&gate, 64, 300}, {&up, 64, 300}};
    struct matrix m;
    struct fail fail;

    (void)state;
    assert_int_equal(matrix_init(&m, MATRIX_PARTS_SIDE_BY_SIDE, parts, 2, 512, 0, 0, 128, &fail), 0);
    assert_int_equal(check_tiles(&m, 0, 128, parts, 2), m.tile_count);
    assert_int_equal(m.tile_count, 3);
    assert_int_equal(m.tile_groups_max, MATRIX_TILE_GROUPS_MAX);
    assert_true(m.reads_quantised && !m.reads_float);
    matrix_release(&m);
}

static void an_empty_matrix_has_no_tiles_and_no_bytes(void **state)
{
    const struct gguf_tensor t = bare_tensor(TYPE_F32, 288, 400);
    const struct matrix_part nothing = {&t, 0, 0};
    struct matrix m;
    struct fail fail;

    (void)state;
    for (size_t parts = 0; parts < 2; parts++) {
        assert_int_equal(matrix_init(&m, MATRIX_PARTS_IN_SEQUENCE, &nothing, parts, 288, 0, 9, 32, &fail), 0);
        assert_int_equal(m.tile_count, 0);
        assert_int_equal(m.group_count, 0);
        assert_int_equal(m.bytes, 0);
        assert_false(m.reads_float || m.reads_quantised);
        matrix_release(&m);
    }
}

static void a_slice_is_own_when_all_its_blocks_are(void **state)
{
    const struct gguf_tensor t = bare_tensor(TYPE_F32, 1000, 32); /* 32 blocks, the last one short: 4 slices of 8 */
    const struct matrix_part part = {&t, 0, 32};

    (void)state;
    for (uint32_t first = 0; first <= 32; first++) {
        for (uint32_t end = first; end <= 32; end++) {
            struct matrix m;
            struct fail fail;

            assert_int_equal(matrix_init(&m, MATRIX_PARTS_IN_SEQUENCE, &part, 1, 1000, first, end - first, 32, &fail), 0);
            for (uint32_t s = 0; s < m.slices; s++) {
                bool is_own = first < end && s * 8 >= first && (s + 1) * 8 <= end;

                assert_int_equal(s - m.own_slice_first < m.own_slice_count, is_own);
            }
            matrix_release(&m);
        }
    }
}

static void a_short_last_slice_can_be_own(void **state)
{
    const struct gguf_tensor t = bare_tensor(TYPE_Q8_0, 608, 32); /* 19 blocks: slices of 8, 8 and 3 */
    const struct matrix_part part = {&t, 0, 32};
    struct matrix m;
    struct fail fail;

    (void)state;
    assert_int_equal(matrix_init(&m, MATRIX_PARTS_IN_SEQUENCE, &part, 1, 608, 10, 9, 32, &fail), 0);
    assert_int_equal(m.own_slice_first, 2);
    assert_int_equal(m.own_slice_count, 1);
    assert_int_equal(matrix_slice_columns(&m, 0), 256);
    assert_int_equal(matrix_slice_columns(&m, 2), 96);
    matrix_release(&m);
}

/* Own slices tile by tile, then the other slices tile by tile, each beginning where the previous one ends. */
static void check_offsets(const struct matrix *m)
{
    size_t at = 0;

    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t t = 0; t < m->tile_count; t++) {
            for (uint32_t s = 0; s < m->slices; s++) {
                if ((s - m->own_slice_first < m->own_slice_count) != (pass == 0))
                    continue;
                assert_int_equal(matrix_offset(m, t, s), at);
                assert_int_equal(at % 64, 0);
                at += matrix_tile_slice_bytes(m, t, s);
            }
        }
    }
    assert_int_equal(at, m->bytes);
}

static void own_slices_stand_first_and_nothing_overlaps(void **state)
{
    const struct gguf_tensor a = bare_tensor(TYPE_Q4_0, 1120, 300), b = bare_tensor(TYPE_BF16, 1120, 300);
    const struct matrix_part parts[] = {{&a, 0, 170}, {&b, 0, 50}};

    (void)state;
    for (uint32_t first = 0; first <= 35; first += 5) {
        for (uint32_t end = first; end <= 35; end += 5) {
            struct matrix m;
            struct fail fail;

            assert_int_equal(matrix_init(&m, MATRIX_PARTS_IN_SEQUENCE, parts, 2, 1120, first, end - first, 64, &fail), 0);
            check_offsets(&m);
            matrix_release(&m);
        }
    }
}

static void a_tile_has_the_bytes_of_its_panels(void **state)
{
    const struct gguf_tensor a = bare_tensor(TYPE_Q4_0, 608, 300), b = bare_tensor(TYPE_F32, 608, 300);
    const struct matrix_part parts[] = {{&a, 0, 40}, {&b, 0, 40}};
    struct matrix m;
    struct fail fail;

    (void)state;
    assert_int_equal(matrix_init(&m, MATRIX_PARTS_SIDE_BY_SIDE, parts, 2, 608, 0, 0, 32, &fail), 0);
    assert_int_equal(m.tile_count, 2);
    for (uint32_t s = 0; s < 3; s++) {
        size_t columns = s < 2 ? 256 : 96, both = kernel_panel_bytes(TYPE_Q4_0, columns) + kernel_panel_bytes(TYPE_F32, columns);

        assert_int_equal(matrix_tile_slice_bytes(&m, 0, s), 2 * both);
        assert_int_equal(matrix_tile_slice_bytes(&m, 1, s), both);
    }
    matrix_release(&m);
}

/* ---- multiplication ---- */

static struct act_slice xq[TOKENS * SLICES_MAX];
static struct act_slice_f32 xf[TOKENS * SLICES_MAX];

static void make_input(uint32_t columns)
{
    uint32_t slices = (columns + SLICE_COLUMNS - 1) / SLICE_COLUMNS;

    memset(xq, 0, sizeof xq);
    memset(xf, 0, sizeof xf);
    for (uint32_t t = 0; t < TOKENS; t++) {
        for (uint32_t c = 0; c < columns; c++)
            xf[t * slices + c / SLICE_COLUMNS].v[c % SLICE_COLUMNS] =
                (float)(int32_t)(hash_mix64(t * 100000 + c) % 20001) / 10000.0f - 1.0f;
        for (uint32_t s = 0; s < slices; s++) {
            uint8_t wire[SLICE_BLOCKS * BLOCK_WIRE_BYTES];

            assert_int_equal(kernel_choose("scalar")->quantise(xf[t * slices + s].v, SLICE_BLOCKS, wire, BLOCK_WIRE_BYTES), -1);
            kernel_unpack(wire, BLOCK_WIRE_BYTES, 0, SLICE_BLOCKS, false, &xq[t * slices + s]);
        }
    }
}

/* One row alone, slice after slice, by the kernel that is the specification. */
static float row_alone(const struct gguf_tensor *tensor, uint32_t row, uint32_t token)
{
    static uint8_t panel[PANEL_ROWS * SLICE_COLUMNS * sizeof(float)] __attribute__((aligned(64)));
    enum tensor_type type = (enum tensor_type)tensor->type;
    uint32_t columns = (uint32_t)tensor->dims[0], slices = (columns + SLICE_COLUMNS - 1) / SLICE_COLUMNS;
    size_t row_bytes = model_row_bytes(tensor);
    float out[PANEL_ROWS];

    for (uint32_t s = 0; s < slices; s++) {
        uint32_t rest = columns - s * SLICE_COLUMNS, wide = rest < SLICE_COLUMNS ? rest : SLICE_COLUMNS;
        bool is_float = tensor_type_info(type)->is_float;
        const void *x = is_float ? (const void *)&xf[token * slices + s] : (const void *)&xq[token * slices + s];

        kernel_panel_pack(type, tensor->data + row * row_bytes, row_bytes, 1, (size_t)s * SLICE_COLUMNS, wide, panel);
        kernel_choose("scalar")->dot[type](panel, 1, wide, x, 0, 1, out, PANEL_ROWS, s > 0);
    }
    return out[0];
}

static struct matrix_input input_of(const struct matrix *m, uint32_t slice)
{
    return (struct matrix_input){
        .xq = &xq[slice],
        .xf = &xf[slice],
        .xq_stride = m->slices * sizeof *xq,
        .xf_stride = m->slices * sizeof *xf,
        .token_count = TOKENS,
    };
}

/* `together` slices per call, added up. */
static void multiply_tile(const struct matrix *m, const struct kernel *kernel, uint32_t tile, uint32_t together, float *out)
{
    for (uint32_t s = 0; s < m->slices; s += together) {
        const struct matrix_input input = input_of(m, s);
        const struct matrix_output output = {.floats = out, .token_stride = OUT_STRIDE, .accumulate = s > 0};

        matrix_multiply(m, kernel, tile, s, m->slices - s < together ? m->slices - s : together, &input, &output);
    }
}

/* All slices in one call, each to a separate place, then added up: the same as `expected`. */
static void check_slices_apart(const struct matrix *m, const struct kernel *kernel, uint32_t tile, const float *expected)
{
    static float apart[SLICES_MAX][TOKENS * OUT_STRIDE];
    const struct matrix_input input = input_of(m, 0);
    const struct matrix_output output = {.floats = apart[0], .token_stride = OUT_STRIDE, .slice_stride = TOKENS * OUT_STRIDE};
    const uint32_t rows = m->tile[tile].group_count * PANEL_ROWS;

    assert_true(m->slices <= SLICES_MAX);
    matrix_multiply(m, kernel, tile, 0, m->slices, &input, &output);
    for (uint32_t i = 0; i < TOKENS * rows; i++) {
        const uint32_t at = i % TOKENS * OUT_STRIDE + i / TOKENS;
        float sum = apart[0][at];

        for (uint32_t s = 1; s < m->slices; s++)
            sum += apart[s][at];
        assert_memory_equal(&sum, &expected[at], sizeof sum);
    }
}

static void check_products(const struct matrix *m, const struct kernel *kernel)
{
    static float out[TOKENS * OUT_STRIDE];

    for (uint32_t t = 0; t < m->tile_count; t++) {
        multiply_tile(m, kernel, t, 1 + t % 3, out);
        check_slices_apart(m, kernel, t, out);
        for (uint32_t g = 0; g < m->tile[t].group_count; g++) {
            const struct matrix_group *group = &m->group[m->tile[t].group_first + g];

            for (uint32_t i = 0; i < TOKENS * group->row_count; i++) {
                uint32_t token = i % TOKENS, row = i / TOKENS;
                float expected = row_alone(group->tensor, group->row_first + row, token);

                assert_true(expected == expected && expected != 0.0f);
                assert_memory_equal(&out[token * OUT_STRIDE + g * PANEL_ROWS + row], &expected, sizeof expected);
            }
        }
    }
}

static void pack(struct matrix *m)
{
    size_t copied;

    for (uint32_t t = m->tile_count; t-- > 0;)
        assert_int_equal(matrix_pack(m, t, NULL, &copied), t == 0);
}

static void check_matrix(enum matrix_order order, const struct matrix_part *parts, size_t part_count, uint32_t columns, uint32_t tile_rows)
{
    struct matrix m;
    struct fail fail;

    make_input(columns);
    assert_int_equal(matrix_init(&m, order, parts, part_count, columns, 3, 9, tile_rows, &fail), 0);
    uint8_t *panels = aligned_alloc(PANEL_ALIGNMENT, m.bytes);
    assert_non_null(panels);
    matrix_place(&m, panels, false);
    pack(&m);
    for (size_t i = 0; kernel_at(i) != NULL; i++)
        if (kernel_at(i)->supported())
            check_products(&m, kernel_at(i));
    matrix_release(&m);
    free(panels);
}

static void every_type_multiplies_like_its_rows_alone(void **state)
{
    (void)state;
    for (uint32_t type = 0; type < TYPE_COUNT; type++) {
        const struct tensor_type_info *info = tensor_type_info(type);

        if (info == NULL)
            continue;
        uint32_t columns = info->block_values == SLICE_COLUMNS ? 512 : info->is_float ? 331 : 352;
        struct gguf_tensor tensor = make_tensor((enum tensor_type)type, columns, 300);
        const struct matrix_part few = {&tensor, 5, 49}, many = {&tensor, 5, 289};

        check_matrix(MATRIX_PARTS_IN_SEQUENCE, &few, 1, columns, 32);
        check_matrix(MATRIX_PARTS_IN_SEQUENCE, &many, 1, columns, TILE_ROWS_MOST);
        free_tensor(&tensor);
    }
}

static void parts_of_mixed_types_multiply_like_their_rows_alone(void **state)
{
    struct gguf_tensor q = make_tensor(TYPE_Q4_K, 768, 300), k = make_tensor(TYPE_Q6_K, 768, 40), v = make_tensor(TYPE_F16, 768, 40);
    const struct matrix_part parts[] = {{&q, 10, 275}, {&k, 0, 33}, {&v, 24, 16}};

    (void)state;
    check_matrix(MATRIX_PARTS_IN_SEQUENCE, parts, 3, 768, 64);
    check_matrix(MATRIX_PARTS_IN_SEQUENCE, parts, 3, 768, TILE_ROWS_MOST);
    free_tensor(&q);
    free_tensor(&k);
    free_tensor(&v);
}

static void gate_and_up_of_different_types_multiply_like_their_rows_alone(void **state)
{
    struct gguf_tensor gate = make_tensor(TYPE_Q5_0, 96, 180), up = make_tensor(TYPE_BF16, 96, 180);
    const struct matrix_part parts[] = {{&gate, 32, 141}, {&up, 32, 141}};

    (void)state;
    check_matrix(MATRIX_PARTS_SIDE_BY_SIDE, parts, 2, 96, 64);
    check_matrix(MATRIX_PARTS_SIDE_BY_SIDE, parts, 2, 96, TILE_ROWS_MOST / 2);
    free_tensor(&gate);
    free_tensor(&up);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_in_sequence_never_share_a_tile),
        cmocka_unit_test(parts_side_by_side_have_the_same_rows_in_a_tile),
        cmocka_unit_test(an_empty_matrix_has_no_tiles_and_no_bytes),
        cmocka_unit_test(a_slice_is_own_when_all_its_blocks_are),
        cmocka_unit_test(a_short_last_slice_can_be_own),
        cmocka_unit_test(own_slices_stand_first_and_nothing_overlaps),
        cmocka_unit_test(a_tile_has_the_bytes_of_its_panels),
        cmocka_unit_test(every_type_multiplies_like_its_rows_alone),
        cmocka_unit_test(parts_of_mixed_types_multiply_like_their_rows_alone),
        cmocka_unit_test(gate_and_up_of_different_types_multiply_like_their_rows_alone),
    };

    kernel_thread_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
