/* A node's rows of all matrices of a model, repacked, with a count of holders.
 *
 * They belong to an engine and may outlive it: the next epoch's engine holds them, too, and copies the rows that it needs again instead of
 * repacking them from the file. They are freed with the last holder; matrix by matrix before that, if only one is left.
 *
 * All panels are in one piece of memory, which can use huge pages except at its ends: with a mapping for each matrix the ends would be a
 * tenth of it, and small pages are expensive to populate and to read. */
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
    size_t mapped_bytes;   /* size of the mapping that `memory` is; 0: on the heap */
};

struct rows *rows_new(uint16_t count); /* with one holder, all zeros; NULL: out of memory */

/* Once all matrices are laid out: the bytes of memory for their panels, and allocating them. -1: out of memory. */
size_t rows_memory_bytes(const struct rows *rows);
int rows_allocate(struct rows *rows, struct fail *fail);

struct rows *rows_hold(struct rows *rows);
void rows_drop(struct rows *rows); /* NULL is fine */

/* The caller, a holder, does not need the panels of this matrix any more; if it is the only holder they are freed, or, when on the heap,
 * later with the others. */
void rows_forget(struct rows *rows, uint16_t index);

#endif
