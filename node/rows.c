#include "rows.h"

#include <stdlib.h>

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
    free(rows->matrix);
    free(rows);
}

void rows_forget(struct rows *rows, uint16_t index)
{
    if (atomic_load(&rows->holders) == 1)
        matrix_release_panels(&rows->matrix[index]);
}
