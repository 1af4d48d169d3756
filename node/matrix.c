#include "matrix.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "model.h"

enum { PANEL_ALIGNMENT = 64, HUGE_PAGE_BYTES = 2 << 20 };

static uint32_t groups_of(uint32_t rows)
{
    return (rows + PANEL_ROWS - 1) / PANEL_ROWS;
}

static enum tensor_type type_of(const struct matrix_group *group)
{
    return (enum tensor_type)group->tensor->type;
}

uint32_t matrix_slice_columns(const struct matrix *matrix, uint32_t slice)
{
    uint32_t rest = matrix->columns - slice * SLICE_COLUMNS;

    return rest < SLICE_COLUMNS ? rest : SLICE_COLUMNS;
}

size_t matrix_tile_slice_bytes(const struct matrix *matrix, uint32_t tile, uint32_t slice)
{
    const struct matrix_tile *t = &matrix->tile[tile];

    return slice + 1 == matrix->slices ? t->last_slice_bytes : t->slice_bytes;
}

static size_t panels_bytes(const struct matrix *matrix, const struct matrix_tile *tile, uint32_t slice)
{
    uint32_t columns = matrix_slice_columns(matrix, slice);
    size_t bytes = 0;

    for (uint32_t g = tile->group_first; g < tile->group_first + tile->group_count; g++)
        bytes += kernel_panel_bytes(type_of(&matrix->group[g]), columns);
    return bytes;
}

/* What multiplying would otherwise find out again for every slice of every token. */
static void measure_tile(struct matrix *matrix, struct matrix_tile *tile)
{
    tile->slice_bytes = panels_bytes(matrix, tile, 0);
    tile->last_slice_bytes = panels_bytes(matrix, tile, matrix->slices - 1);
    for (uint32_t i = tile->group_count; i-- > 0;) {
        struct matrix_group *group = &matrix->group[tile->group_first + i];

        group->run = i + 1 < tile->group_count && type_of(group) == type_of(group + 1) ? (uint16_t)(group[1].run + 1) : 1;
    }
}

/* Append the groups of rows [row, row + count) of a part. */
static void add_groups(struct matrix *matrix, const struct matrix_part *part, uint32_t row, uint32_t count)
{
    for (uint32_t done = 0; done < count; done += PANEL_ROWS) {
        uint32_t left = count - done;

        matrix->group[matrix->group_count++] = (struct matrix_group){
            .tensor = part->tensor,
            .row_first = part->row_first + row + done,
            .row_count = (uint8_t)(left < PANEL_ROWS ? left : PANEL_ROWS),
        };
    }
}

static void add_tile(struct matrix *matrix, uint32_t group_first, uint32_t row_first, uint32_t row_count)
{
    uint32_t groups = matrix->group_count - group_first;

    matrix->tile[matrix->tile_count++] =
        (struct matrix_tile){.group_first = group_first, .group_count = groups, .row_first = row_first, .row_count = row_count};
    measure_tile(matrix, &matrix->tile[matrix->tile_count - 1]);
    if (groups > matrix->tile_groups_max)
        matrix->tile_groups_max = groups;
}

static void cut_into_tiles(struct matrix *matrix, enum matrix_order order, const struct matrix_part *parts, size_t part_count,
                           uint32_t tile_rows)
{
    size_t together = order == MATRIX_PARTS_SIDE_BY_SIDE ? part_count : 1;

    for (size_t p = 0; p < part_count; p += together) {
        for (uint32_t row = 0; row < parts[p].row_count; row += tile_rows) {
            uint32_t left = parts[p].row_count - row, count = left < tile_rows ? left : tile_rows;
            uint32_t group_first = matrix->group_count;

            for (size_t i = 0; i < together; i++)
                add_groups(matrix, &parts[p + i], row, count);
            add_tile(matrix, group_first, row, count);
        }
    }
}

/* Own slices of all tiles first, then the others. */
static void lay_out(struct matrix *matrix)
{
    size_t at = 0;

    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t t = 0; t < matrix->tile_count; t++) {
            for (uint32_t s = 0; s < matrix->slices; s++) {
                bool is_own = s - matrix->own_slice_first < matrix->own_slice_count;

                if (is_own != (pass == 0))
                    continue;
                matrix->offset[(size_t)t * matrix->slices + s] = at;
                at += matrix_tile_slice_bytes(matrix, t, s);
            }
        }
    }
    matrix->bytes = at;
}

/* Slices all of whose blocks this node produces. */
static void find_own_slices(struct matrix *matrix, uint32_t own_block_first, uint32_t own_block_count)
{
    uint32_t end = own_block_first + own_block_count;
    uint32_t blocks = (matrix->columns + BLOCK_COLUMNS - 1) / BLOCK_COLUMNS;
    uint32_t first = (own_block_first + SLICE_BLOCKS - 1) / SLICE_BLOCKS;
    uint32_t last = end == blocks ? matrix->slices : end / SLICE_BLOCKS;

    if (own_block_count > 0 && last > first) {
        matrix->own_slice_first = first;
        matrix->own_slice_count = last - first;
    }
}

int matrix_init(struct matrix *matrix, enum matrix_order order, const struct matrix_part *parts, size_t part_count, uint32_t columns,
                uint32_t own_block_first, uint32_t own_block_count, uint32_t tile_rows, struct fail *fail)
{
    size_t groups = 0, tiles = 0;

    assert(tile_rows > 0 && tile_rows % BLOCK_COLUMNS == 0 && part_count <= MATRIX_PARTS_MAX);
    *matrix = (struct matrix){.columns = columns, .slices = (columns + SLICE_COLUMNS - 1) / SLICE_COLUMNS};
    for (size_t p = 0; p < part_count; p++) {
        const struct tensor_type_info *info = tensor_type_info(parts[p].tensor->type);

        groups += groups_of(parts[p].row_count);
        tiles += (parts[p].row_count + tile_rows - 1) / tile_rows;
        if (parts[p].row_count > 0) {
            matrix->reads_quantised |= !info->is_float;
            matrix->reads_float |= info->is_float;
        }
    }
    matrix->group = calloc(groups + 1, sizeof *matrix->group);
    matrix->tile = calloc(tiles + 1, sizeof *matrix->tile);
    matrix->offset = calloc(tiles * matrix->slices + 1, sizeof *matrix->offset);
    if (matrix->group == NULL || matrix->tile == NULL || matrix->offset == NULL) {
        matrix_release(matrix);
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory while laying out the model: close other programs");
    }
    find_own_slices(matrix, own_block_first, own_block_count);
    cut_into_tiles(matrix, order, parts, part_count, tile_rows);
    lay_out(matrix);
    return 0;
}

int matrix_allocate(struct matrix *matrix, struct fail *fail)
{
    size_t bytes = matrix->bytes + PANEL_PREFETCH_BYTES;
    void *memory = NULL;

    if (posix_memalign(&memory, bytes >= HUGE_PAGE_BYTES ? HUGE_PAGE_BYTES : PANEL_ALIGNMENT, bytes) != 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: cannot have %zu bytes for weights: use more nodes or a smaller model", bytes);
    if (bytes >= HUGE_PAGE_BYTES)
        madvise(memory, bytes, MADV_HUGEPAGE);
    matrix->panels = memory;
    return 0;
}

void matrix_pack(struct matrix *matrix, uint32_t tile)
{
    const struct matrix_tile *t = &matrix->tile[tile];

    for (uint32_t s = 0; s < matrix->slices; s++) {
        uint8_t *panel = matrix->panels + matrix->offset[(size_t)tile * matrix->slices + s];
        uint32_t columns = matrix_slice_columns(matrix, s);

        for (uint32_t g = t->group_first; g < t->group_first + t->group_count; g++) {
            const struct matrix_group *group = &matrix->group[g];
            size_t row_bytes = model_row_bytes(group->tensor);

            kernel_panel_pack(type_of(group), group->tensor->data + group->row_first * row_bytes, row_bytes, group->row_count,
                              (size_t)s * SLICE_COLUMNS, columns, panel);
            panel += kernel_panel_bytes(type_of(group), columns);
        }
    }
}

void matrix_release(struct matrix *matrix)
{
    free(matrix->group);
    free(matrix->tile);
    free(matrix->offset);
    free(matrix->panels);
    *matrix = (struct matrix){0};
}

void matrix_multiply(const struct matrix *matrix, const struct kernel *kernel, uint32_t tile, uint32_t slice,
                     const struct matrix_input *input, float *out, size_t out_stride, bool accumulate)
{
    const struct matrix_tile *t = &matrix->tile[tile];
    const uint8_t *panel = matrix->panels + matrix->offset[(size_t)tile * matrix->slices + slice];
    uint32_t columns = matrix_slice_columns(matrix, slice);
    uint32_t end = t->group_first + t->group_count;

    for (uint32_t g = t->group_first, run; g < end; g += run) {
        enum tensor_type type = type_of(&matrix->group[g]);
        bool is_float = tensor_type_info(type)->is_float;

        run = matrix->group[g].run;
        kernel->dot[type](panel, run, columns, is_float ? (const void *)input->xf : (const void *)input->xq,
                          is_float ? input->xf_stride : input->xq_stride, input->token_count,
                          out + (size_t)(g - t->group_first) * PANEL_ROWS, out_stride, accumulate);
        if (g + run < end)
            panel += run * kernel_panel_bytes(type, columns);
    }
}
