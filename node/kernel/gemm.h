/* Matrix products in f32, for training: c = a·b, each element one chain over k from 0 upwards, so no blocking changes a bit.
 *
 * Operands are views with strides, so a transposed matrix is the same memory with its strides exchanged. The blocking follows BLIS (Van
 * Zee and van de Geijn 2015): panels of a and b are packed for a tile of c that stays in registers. */
#ifndef NODE_GEMM_H
#define NODE_GEMM_H

#include <stdbool.h>
#include <stddef.h>

#include "kernel_train.h"

struct gemm {
    size_t rows, columns, k_count;
    const float *a; /* (rows, k_count): a[row * a_row + k * a_k] */
    size_t a_row, a_k;
    const float *b; /* (k_count, columns): b[k * b_k + column * b_column] */
    size_t b_k, b_column;
    float *c; /* (rows, columns): c[row * c_row + column] */
    size_t c_row;
    bool accumulate; /* chains go on from what is in c, else from 0 */
};

enum { GEMM_K = 256, GEMM_COLUMNS = 512 };

/* Floats that gemm_task needs as scratch of the calling thread, 64-byte aligned: at most. */
enum { GEMM_SCRATCH = GEMM_K * (GEMM_COLUMNS + TILE_COLUMNS_MAX + TILE_ROWS_MAX) + TILE_ROWS_MAX * TILE_COLUMNS_MAX };

/* The number of tasks: they write different parts of c and may run at the same time, in any order. wanted: this many are enough. */
size_t gemm_tasks(const struct kernel_train *kernel, const struct gemm *gemm, size_t wanted);
void gemm_task(const struct kernel_train *kernel, const struct gemm *gemm, size_t wanted, size_t task, float *scratch);

/* All of it in the calling thread. */
void gemm_run(const struct kernel_train *kernel, const struct gemm *gemm, float *scratch);

#endif
