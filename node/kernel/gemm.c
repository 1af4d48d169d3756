#include "gemm.h"

#include <assert.h>
#include <string.h>

enum { ROW_TILES_MAX = 42, ROW_TILES_MIN = 4 };

struct blocking {
    size_t rows, columns; /* of a task: multiples of the tile */
    size_t row_tasks, column_tasks;
};

static size_t round_up(size_t n, size_t unit)
{
    return (n + unit - 1) / unit * unit;
}

/* Large tasks repack less; small ones keep all threads busy. */
static struct blocking blocking_of(const struct kernel_train *kernel, const struct gemm *gemm, size_t wanted)
{
    struct blocking blocking = {.columns = GEMM_COLUMNS};
    size_t tiles = ROW_TILES_MAX;

    for (;; tiles = tiles / 2 > ROW_TILES_MIN ? tiles / 2 : ROW_TILES_MIN) {
        blocking.rows = tiles * kernel->tile_rows;
        blocking.row_tasks = (gemm->rows + blocking.rows - 1) / blocking.rows;
        blocking.column_tasks = (gemm->columns + blocking.columns - 1) / blocking.columns;
        if (tiles == ROW_TILES_MIN || blocking.row_tasks * blocking.column_tasks >= wanted)
            return blocking;
    }
}

/* b's columns from `first` on as panels of tile_columns. */
static void pack_b(const struct kernel_train *kernel, const struct gemm *gemm, size_t k, size_t k_count, size_t first, size_t columns,
                   float *out)
{
    const size_t width = kernel->tile_columns;

    for (size_t panel = 0; panel < columns; panel += width, out += width * k_count)
        kernel->pack_b(gemm->b + k * gemm->b_k + (first + panel) * gemm->b_column, gemm->b_column, gemm->b_k,
                       columns - panel < width ? columns - panel : width, k_count, out);
}

/* A tile that extends beyond c is computed in a separate buffer. */
static void edge_tile(const struct kernel_train *kernel, size_t k_count, const float *a, const float *b, float *c, size_t c_row,
                      size_t rows, size_t columns, bool accumulate, float *beside)
{
    const size_t width = kernel->tile_columns;

    memset(beside, 0, kernel->tile_rows * width * sizeof *beside);
    for (size_t r = 0; r < rows && accumulate; r++)
        memcpy(beside + r * width, c + r * c_row, columns * sizeof *c);
    kernel->tile(k_count, a, b, beside, width, accumulate);
    for (size_t r = 0; r < rows; r++)
        memcpy(c + r * c_row, beside + r * width, columns * sizeof *c);
}

/* Rows first..last-1 and `columns` columns from column0 on, k_count products of each chain from k on. b is packed. */
static void block(const struct kernel_train *kernel, const struct gemm *gemm, size_t k, size_t k_count, size_t first, size_t last,
                  size_t column0, size_t columns, const float *b, float *scratch)
{
    const size_t height = kernel->tile_rows, width = kernel->tile_columns;
    float *a = scratch, *beside = scratch + GEMM_K * TILE_ROWS_MAX;
    const bool accumulate = gemm->accumulate || k > 0;

    for (size_t row = first; row < last; row += height) {
        const size_t rows = last - row < height ? last - row : height;

        kernel->pack_a(gemm->a + row * gemm->a_row + k * gemm->a_k, gemm->a_row, gemm->a_k, rows, k_count, a);
        for (size_t column = 0; column < columns; column += width) {
            const size_t here = columns - column < width ? columns - column : width;
            float *c = gemm->c + row * gemm->c_row + column0 + column;

            if (rows == height && here == width)
                kernel->tile(k_count, a, b + column * k_count, c, gemm->c_row, accumulate);
            else
                edge_tile(kernel, k_count, a, b + column * k_count, c, gemm->c_row, rows, here, accumulate, beside);
        }
    }
}

size_t gemm_tasks(const struct kernel_train *kernel, const struct gemm *gemm, size_t wanted)
{
    const struct blocking blocking = blocking_of(kernel, gemm, wanted);

    return blocking.row_tasks * blocking.column_tasks;
}

void gemm_task(const struct kernel_train *kernel, const struct gemm *gemm, size_t wanted, size_t task, float *scratch)
{
    const struct blocking blocking = blocking_of(kernel, gemm, wanted);
    const size_t row = task / blocking.column_tasks * blocking.rows, column = task % blocking.column_tasks * blocking.columns;
    const size_t last = gemm->rows - row < blocking.rows ? gemm->rows : row + blocking.rows;
    const size_t columns = gemm->columns - column < blocking.columns ? gemm->columns - column : blocking.columns;
    float *b = scratch, *rest = scratch + GEMM_K * (GEMM_COLUMNS + TILE_COLUMNS_MAX);

    assert(task < blocking.row_tasks * blocking.column_tasks && gemm->k_count > 0);
    assert(round_up(columns, kernel->tile_columns) <= GEMM_COLUMNS + TILE_COLUMNS_MAX);
    for (size_t k = 0; k < gemm->k_count; k += GEMM_K) {
        const size_t k_count = gemm->k_count - k < GEMM_K ? gemm->k_count - k : GEMM_K;

        pack_b(kernel, gemm, k, k_count, column, columns, b);
        block(kernel, gemm, k, k_count, row, last, column, columns, b, rest);
    }
}

void gemm_run(const struct kernel_train *kernel, const struct gemm *gemm, float *scratch)
{
    const size_t tasks = gemm_tasks(kernel, gemm, 1);

    for (size_t task = 0; task < tasks; task++)
        gemm_task(kernel, gemm, 1, task, scratch);
}
