/* A node's rows of all matrices of a model, repacked, and who holds them.
 *
 * They are an engine's, and may outlive it: the next epoch's engine holds them too, and copies the rows that it needs again instead of
 * repacking them from the file. Given back with the last holder; matrix by matrix before that, where only one is left.
 *
 * All panels stand in one piece of memory, so that but for its ends it can be of huge pages: of a mapping for each matrix the ends are a
 * tenth, and small pages are dear to have and to read through. */
#ifndef NODE_ROWS_H
#define NODE_ROWS_H

#include <stdatomic.h>

#include "matrix.h"
#include "mesh/program/fail.h"

struct rows {
    atomic_uint holders;
    uint16_t count;
    struct matrix *matrix; /* (count) */
    uint8_t *memory;       /* of all panels; NULL until rows_allocate */
    size_t mapped_bytes;   /* of the mapping that it is; 0: on the heap */
};

struct rows *rows_new(uint16_t count); /* with one holder, all zeros; NULL: out of memory */

/* Once all matrices are laid out: bytes of memory for their panels, and having it. -1: there is none. */
size_t rows_memory_bytes(const struct rows *rows);
int rows_allocate(struct rows *rows, struct fail *fail);

struct rows *rows_hold(struct rows *rows);
void rows_drop(struct rows *rows); /* NULL is fine */

/* The caller, a holder, does not need the panels of this matrix any more; if it is the only one they are given back,
 * or, where they are few, with the others. */
void rows_forget(struct rows *rows, uint16_t index);

#endif
