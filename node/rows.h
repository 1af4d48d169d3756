/* A node's rows of all matrices of a model, repacked, and who holds them.
 *
 * They are an engine's, and may outlive it: the next epoch's engine holds them too, and copies the rows that it needs again instead of
 * repacking them from the file. Given back with the last holder; matrix by matrix before that, where only one is left. */
#ifndef NODE_ROWS_H
#define NODE_ROWS_H

#include <stdatomic.h>

#include "matrix.h"

struct rows {
    atomic_uint holders;
    uint16_t count;
    struct matrix *matrix; /* (count) */
};

struct rows *rows_new(uint16_t count); /* with one holder, all zeros; NULL: out of memory */
struct rows *rows_hold(struct rows *rows);
void rows_drop(struct rows *rows); /* NULL is fine */

/* The caller, a holder, does not need the panels of this matrix any more; if it is the only one they are given back. */
void rows_forget(struct rows *rows, uint16_t index);

#endif
