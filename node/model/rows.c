#include "rows.h"

#include <stdlib.h>

#include "node/common/pages.h"

enum { MAPPED_BYTES_MIN = 4 << 20 /* smaller ones are faster to get from the heap, where pages are reused */ };

struct rows *rows_new(uint16_t count)
{
    struct rows *rows = calloc(1, sizeof *rows);

    if (rows == NULL)
        return NULL;
    rows->matrix = calloc(count, sizeof *rows->matrix);
    if (rows->matrix == NULL) {
        free(rows);
        return NULL;
    }
    rows->count = count;
    atomic_store(&rows->holders, 1);
    return rows;
}

size_t rows_memory_bytes(const struct rows *rows)
{
    size_t bytes = PANEL_PREFETCH_BYTES;

    for (uint16_t i = 0; i < rows->count; i++)
        bytes += rows->matrix[i].bytes;
    return bytes;
}

int rows_allocate(struct rows *rows, struct fail *fail)
{
    const size_t bytes = rows_memory_bytes(rows);
    const bool is_mapped = bytes >= MAPPED_BYTES_MIN;
    void *memory = NULL;

    if (is_mapped)
        memory = pages_huge(bytes);
    else if (posix_memalign(&memory, PANEL_ALIGNMENT, bytes) != 0)
        memory = NULL;
    if (memory == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: cannot have %zu bytes for weights: use more nodes or a smaller model", bytes);
    rows->memory = memory;
    rows->mapped_bytes = is_mapped ? bytes : 0;
    for (uint16_t i = 0; i < rows->count; i++) {
        matrix_place(&rows->matrix[i], memory, is_mapped);
        memory = (uint8_t *)memory + rows->matrix[i].bytes;
    }
    return 0;
}

struct rows *rows_hold(struct rows *rows)
{
    atomic_fetch_add(&rows->holders, 1);
    return rows;
}

void rows_drop(struct rows *rows)
{
    if (rows == NULL || atomic_fetch_sub(&rows->holders, 1) > 1)
        return;
    for (uint16_t i = 0; i < rows->count; i++)
        matrix_release(&rows->matrix[i]);
    if (rows->mapped_bytes > 0)
        pages_release(rows->memory, rows->mapped_bytes);
    else
        free(rows->memory);
    free(rows->matrix);
    free(rows);
}

void rows_forget(struct rows *rows, uint16_t index)
{
    struct matrix *matrix = &rows->matrix[index];

    if (atomic_load(&rows->holders) > 1 || matrix->panels == NULL)
        return;
    if (rows->mapped_bytes > 0)
        pages_forget(matrix->panels, matrix->bytes);
    matrix->panels = NULL;
}
