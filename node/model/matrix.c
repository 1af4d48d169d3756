#include "matrix.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"
#include "node/common/pages.h"

enum { READING_BYTES = 192 << 10 /* a quarter of the smallest second-level caches of today's servers */ };

/* A huge page may be populated already, or a thread is populating it, or has done so. */
enum page_state { PAGE_MISSING, PAGE_COMES, PAGE_THERE };

static uint32_t groups_of(uint32_t rows)
{
    return (rows + PANEL_ROWS - 1) / PANEL_ROWS;
}

static enum tensor_type type_of(const struct matrix_group *group)
{
    return (enum tensor_type)group->type;
}

static size_t panels_bytes(const struct matrix *matrix, const struct matrix_tile *tile, uint32_t slice)
{
    uint32_t columns = matrix_slice_columns(matrix, slice);
    size_t bytes = 0;

    for (uint32_t g = tile->group_first; g < tile->group_first + tile->group_count; g++)
        bytes += kernel_panel_bytes(type_of(&matrix->group[g]), columns);
    return bytes;
}

/* Computed once; multiplying would otherwise repeat it for every slice of every token. */
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
            .type = (uint8_t)part->tensor->type,
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
        for (size_t i = 0; i < together; i++)
            matrix->place[matrix->place_count++] =
                (struct matrix_place){.part = parts[p + i], .tile_first = matrix->tile_count, .parts_before = (uint32_t)i};
        for (uint32_t row = 0; row < parts[p].row_count; row += tile_rows) {
            uint32_t left = parts[p].row_count - row, count = left < tile_rows ? left : tile_rows;
            uint32_t group_first = matrix->group_count;

            for (size_t i = 0; i < together; i++)
                add_groups(matrix, &parts[p + i], row, count);
            add_tile(matrix, group_first, row, count);
        }
    }
}

/* Bytes of a tile's own slices, or of all others. */
static size_t bytes_of(const struct matrix *matrix, uint32_t tile, bool own)
{
    size_t bytes = 0;

    for (uint32_t s = 0; s < matrix->slices; s++)
        if ((s - matrix->own_slice_first < matrix->own_slice_count) == own)
            bytes += matrix_tile_slice_bytes(matrix, tile, s);
    return bytes;
}

/* Own slices of all tiles first, then the others. */
static void lay_out(struct matrix *matrix)
{
    size_t at = 0;

    for (uint32_t t = 0; t < matrix->tile_count; t++) {
        matrix->tile[t].own_at = at;
        at += bytes_of(matrix, t, true);
    }
    for (uint32_t t = 0; t < matrix->tile_count; t++) {
        matrix->tile[t].other_at = at;
        at += bytes_of(matrix, t, false);
    }
    matrix->bytes = at;
}

/* The shorter slice is the last one, so no other slice of its tile follows it. */
size_t matrix_offset(const struct matrix *matrix, uint32_t tile, uint32_t slice)
{
    const struct matrix_tile *t = &matrix->tile[tile];
    const uint32_t own = slice - matrix->own_slice_first;

    if (own < matrix->own_slice_count)
        return t->own_at + own * t->slice_bytes;
    return t->other_at + (slice < matrix->own_slice_first ? slice : slice - matrix->own_slice_count) * t->slice_bytes;
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

/* The most huge pages that the panels can touch, wherever they will be. */
static size_t pages_of(const struct matrix *matrix)
{
    return matrix->bytes / PAGES_HUGE_BYTES + 2;
}

static int no_memory(struct matrix *matrix, struct fail *fail)
{
    matrix_release(matrix);
    return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory while laying out the model: close other programs");
}

int matrix_init(struct matrix *matrix, enum matrix_order order, const struct matrix_part *parts, size_t part_count, uint32_t columns,
                uint32_t own_block_first, uint32_t own_block_count, uint32_t tile_rows, struct fail *fail)
{
    size_t groups = 0, tiles = 0;

    assert(tile_rows > 0 && tile_rows % BLOCK_COLUMNS == 0 && part_count <= MATRIX_PARTS_MAX);
    *matrix = (struct matrix){.columns = columns, .slices = (columns + SLICE_COLUMNS - 1) / SLICE_COLUMNS, .tile_rows = tile_rows};
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
    if (matrix->group == NULL || matrix->tile == NULL)
        return no_memory(matrix, fail);
    find_own_slices(matrix, own_block_first, own_block_count);
    cut_into_tiles(matrix, order, parts, part_count, tile_rows);
    lay_out(matrix);
    matrix->page = calloc(pages_of(matrix), sizeof *matrix->page);
    return matrix->page == NULL ? no_memory(matrix, fail) : 0;
}

/* ---- packing ---- */

void matrix_place(struct matrix *matrix, uint8_t *panels, bool is_untouched)
{
    assert((uintptr_t)panels % PANEL_ALIGNMENT == 0);
    matrix->panels = panels;
    for (size_t i = 0; i < pages_of(matrix); i++)
        atomic_store(&matrix->page[i], is_untouched ? PAGE_MISSING : PAGE_THERE);
    atomic_store(&matrix->tiles_left, matrix->tile_count);
}

/* False: another thread has populated it, or is doing so. */
static bool have_page(struct matrix *matrix, size_t index)
{
    const size_t before = (uintptr_t)matrix->panels % PAGES_HUGE_BYTES, end = before + matrix->bytes;
    const size_t at = index * PAGES_HUGE_BYTES, from = at < before ? before : at;
    const size_t to = end - at < PAGES_HUGE_BYTES ? end : at + PAGES_HUGE_BYTES;
    uint8_t missing = PAGE_MISSING;

    if (at >= end || !atomic_compare_exchange_strong(&matrix->page[index], &missing, PAGE_COMES))
        return false;
    pages_have(matrix->panels + (from - before), to - from);
    atomic_store(&matrix->page[index], PAGE_THERE);
    return true;
}

/* Populate the pages of bytes [at, at + size) of the panels. Two threads that touch the same huge page would zero it twice, so a thread
 * that finds one being populated populates the next one meanwhile; if that is not enough, pages are populated when touched. */
static void have_pages(struct matrix *matrix, size_t at, size_t size)
{
    const size_t before = (uintptr_t)matrix->panels % PAGES_HUGE_BYTES, last = (before + at + size - 1) / PAGES_HUGE_BYTES;

    for (size_t i = (before + at) / PAGES_HUGE_BYTES; i <= last; i++) {
        size_t next = i;

        if (atomic_load(&matrix->page[i]) == PAGE_THERE)
            continue;
        while (!have_page(matrix, next) && atomic_load(&matrix->page[i]) == PAGE_COMES && next + 1 < pages_of(matrix))
            next++;
    }
}

/* Before a tile is packed, populate its pages: a huge page at once is many times faster than small ones when touched, and its zeros are
 * still in the caches when it is written soon afterwards. */
static void touch(struct matrix *matrix, uint32_t tile)
{
    for (uint32_t s = 0; s < matrix->slices; s++)
        have_pages(matrix, matrix_offset(matrix, tile, s), matrix_tile_slice_bytes(matrix, tile, s));
}

/* Where a group's panels are: the tile, and the bytes before them in each slice of it. */
struct spot {
    uint32_t tile;
    size_t before, last_before; /* in a slice of 256 columns, in the last one */
};

static uint8_t *panel_at(const struct matrix *matrix, const struct spot *spot, uint32_t slice)
{
    return matrix->panels + matrix_offset(matrix, spot->tile, slice) + (slice + 1 == matrix->slices ? spot->last_before : spot->before);
}

static void step_over(const struct matrix *matrix, uint32_t group, struct spot *spot)
{
    spot->before += kernel_panel_bytes(type_of(&matrix->group[group]), matrix_slice_columns(matrix, 0));
    spot->last_before += kernel_panel_bytes(type_of(&matrix->group[group]), matrix_slice_columns(matrix, matrix->slices - 1));
}

/* The index of the same rows in another matrix, or UINT32_MAX. */
static uint32_t find_group(const struct matrix *matrix, const struct matrix_group *wanted, uint32_t *tile)
{
    for (size_t p = 0; p < matrix->place_count; p++) {
        const struct matrix_place *place = &matrix->place[p];
        uint32_t row = wanted->row_first - place->part.row_first, index;

        if (place->part.tensor != wanted->tensor || row >= place->part.row_count || row % PANEL_ROWS != 0)
            continue;
        *tile = place->tile_first + row / matrix->tile_rows;
        index = matrix->tile[*tile].group_first + place->parts_before * groups_of(matrix->tile[*tile].row_count) +
                row % matrix->tile_rows / PANEL_ROWS;
        assert(matrix->group[index].row_first == wanted->row_first);
        return matrix->group[index].row_count == wanted->row_count ? index : UINT32_MAX;
    }
    return UINT32_MAX;
}

static bool find_spot(const struct matrix *matrix, const struct matrix_group *wanted, struct spot *spot)
{
    uint32_t index = find_group(matrix, wanted, &spot->tile);

    spot->before = spot->last_before = 0;
    for (uint32_t g = index == UINT32_MAX ? index : matrix->tile[spot->tile].group_first; g < index; g++)
        step_over(matrix, g, spot);
    return index != UINT32_MAX;
}

/* Copy all slices of a group from another matrix. Returns the number of bytes. */
static size_t copy_group(struct matrix *matrix, const struct spot *to, const struct matrix_group *group, const struct matrix *from,
                         const struct spot *there)
{
    size_t copied = 0;

    for (uint32_t s = 0; s < matrix->slices; s++) {
        const size_t bytes = kernel_panel_bytes(type_of(group), matrix_slice_columns(matrix, s));

        memcpy(panel_at(matrix, to, s), panel_at(from, there, s), bytes);
        copied += bytes;
    }
    return copied;
}

/* Rows of the file that a tile needs, as many at once as a cache keeps until they are packed: a call costs as much as copying 16 rows. */
struct reading {
    const struct gguf_tensor *tensor;
    uint32_t row_first, row_count;
    const uint8_t *rows;
    uint8_t *buffer; /* (reading_bytes_max); may be NULL */
};

/* Those of one group, if they are longer. */
static size_t reading_bytes_max(const struct matrix *matrix)
{
    size_t most = READING_BYTES;

    for (size_t p = 0; p < matrix->place_count; p++) {
        const size_t bytes = PANEL_ROWS * model_row_bytes(matrix->place[p].part.tensor);

        most = bytes > most ? bytes : most;
    }
    return most;
}

/* The rows of group g, and of those that follow it in the tensor, up to one before `end`. */
static void read_rows(const struct matrix *matrix, uint32_t g, uint32_t end, struct reading *reading)
{
    const struct matrix_group *group = &matrix->group[g];
    const size_t row_bytes = model_row_bytes(group->tensor);

    reading->tensor = group->tensor;
    reading->row_first = group->row_first;
    reading->row_count = group->row_count;
    for (g++, group++; g < end && group->tensor == reading->tensor && group->row_first == reading->row_first + reading->row_count &&
                       (reading->row_count + group->row_count) * row_bytes <= READING_BYTES;
         g++, group++)
        reading->row_count += group->row_count;
    reading->rows = gguf_tensor_bytes(reading->tensor, reading->row_first * row_bytes, reading->row_count * row_bytes, reading->buffer);
}

/* The same, from the file. */
static void pack_group(struct matrix *matrix, const struct spot *to, const struct matrix_group *group, const struct reading *reading)
{
    const size_t row_bytes = model_row_bytes(group->tensor);
    const uint8_t *rows = reading->rows + (group->row_first - reading->row_first) * row_bytes;

    for (uint32_t s = 0; s < matrix->slices; s++)
        kernel_panel_pack(type_of(group), rows, row_bytes, group->row_count, (size_t)s * SLICE_COLUMNS, matrix_slice_columns(matrix, s),
                          panel_at(matrix, to, s));
}

static bool has_rows_of(const struct reading *reading, const struct matrix_group *group)
{
    return reading->tensor == group->tensor && group->row_first - reading->row_first < reading->row_count;
}

bool matrix_pack(struct matrix *matrix, uint32_t tile, const struct matrix *from, size_t *copied)
{
    const struct matrix_tile *t = &matrix->tile[tile];
    const uint32_t end = t->group_first + t->group_count;
    struct spot to = {.tile = tile}, there;
    struct reading reading = {.buffer = malloc(reading_bytes_max(matrix))};

    touch(matrix, tile);
    if (from != NULL && (from->panels == NULL || from->columns != matrix->columns || atomic_load(&from->tiles_left) != 0))
        from = NULL;
    *copied = 0;
    for (uint32_t g = t->group_first; g < end; g++) {
        const struct matrix_group *group = &matrix->group[g];

        if (from != NULL && find_spot(from, group, &there)) {
            *copied += copy_group(matrix, &to, group, from, &there);
        } else {
            if (!has_rows_of(&reading, group))
                read_rows(matrix, g, from == NULL ? end : g + 1, &reading);
            pack_group(matrix, &to, group, &reading);
        }
        step_over(matrix, g, &to);
    }
    free(reading.buffer);
    return atomic_fetch_sub(&matrix->tiles_left, 1) == 1;
}

void matrix_ahead(const struct matrix *matrix)
{
    for (size_t p = 0; p < matrix->place_count; p++) {
        const struct matrix_part *part = &matrix->place[p].part;
        const uint64_t row_bytes = model_row_bytes(part->tensor);

        gguf_tensor_ahead(part->tensor, part->row_first * row_bytes, part->row_count * row_bytes);
    }
}

void matrix_release(struct matrix *matrix)
{
    free(matrix->group);
    free(matrix->tile);
    free((void *)matrix->page);
    *matrix = (struct matrix){0};
}

/* Slice `index` of the input and of the output. */
static void multiply_slice(const struct matrix *matrix, const struct kernel *kernel, uint32_t tile, uint32_t slice,
                           const struct matrix_input *input, const struct matrix_output *output, uint32_t index, bool accumulate)
{
    const struct matrix_tile *t = &matrix->tile[tile];
    const uint8_t *panel = matrix->panels + matrix_offset(matrix, tile, slice);
    const uint32_t columns = matrix_slice_columns(matrix, slice), end = t->group_first + t->group_count;
    float *out = output->floats + index * output->slice_stride;

    for (uint32_t g = t->group_first, run; g < end; g += run) {
        const enum tensor_type type = type_of(&matrix->group[g]);
        const bool is_float = matrix->reads_float && tensor_type_info(type)->is_float;
        float *to = out + (size_t)(g - t->group_first) * PANEL_ROWS;

        assert(kernel->dot[type] != NULL);
        run = matrix->group[g].run;
        if (input->panel != NULL && !is_float)
            kernel->tokens->dot[type](panel, run, columns, input->panel + index * input->panel_stride, input->token_count, to,
                                      output->token_stride, accumulate);
        else
            kernel->dot[type](panel, run, columns, is_float ? (const void *)(input->xf + index) : (const void *)(input->xq + index),
                              is_float ? input->xf_stride : input->xq_stride, input->token_count, to, output->token_stride, accumulate);
        if (g + run < end)
            panel += run * kernel_panel_bytes(type, columns);
    }
}

void matrix_multiply(const struct matrix *matrix, const struct kernel *kernel, uint32_t tile, uint32_t slice, uint32_t slice_count,
                     const struct matrix_input *input, const struct matrix_output *output)
{
    const bool adds_up = output->slice_stride == 0;

    for (uint32_t i = 0; i < slice_count; i++)
        multiply_slice(matrix, kernel, tile, slice + i, input, output, i, output->accumulate || (adds_up && i > 0));
}
