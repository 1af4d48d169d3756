/* A node's rows of one or more weight tensors that read the same input, repacked for the kernels.
 *
 * Rows are grouped by 16, groups form tiles (the unit of work), columns form slices of 256. Memory holds first, tile by tile, the slices
 * that this node itself produces (they can be multiplied at once), then, tile by tile, all others: the order in which they are read. Built
 * in two steps: matrix_init lays everything out (no weights touched: this is also the memory plan), matrix_pack fills one tile.
 * Different tiles may be packed by different threads; immutable afterwards.
 *
 * The panels of 16 rows have the same bytes in every matrix, so rows that another matrix has are copied from there. */
#ifndef NODE_MATRIX_H
#define NODE_MATRIX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mesh/program/fail.h"
#include "node/gguf/gguf.h"
#include "node/kernel/kernel.h"

/* Consecutive rows of one tensor. */
struct matrix_part {
    const struct gguf_tensor *tensor;
    uint32_t row_first, row_count;
};

enum { MATRIX_PARTS_MAX = 3, MATRIX_TILE_GROUPS_MAX = 16 };

struct matrix_group {
    const struct gguf_tensor *tensor;
    uint32_t row_first; /* in the tensor */
    uint8_t row_count;  /* 1..16 */
    uint8_t type;       /* enum tensor_type: copied from the tensor, whose cache miss multiplying would wait for */
    uint16_t run;       /* groups of the same type from this one to the end of its tile */
};

struct matrix_tile {
    uint32_t group_first, group_count;
    uint32_t row_first, row_count;        /* of the first part, relative to the node's own rows; row_first is a multiple of 32 */
    size_t slice_bytes, last_slice_bytes; /* of the panels in one slice: 256 columns; the last one's */
    size_t own_at, other_at;              /* where its own slices begin, one after the other, and where all others do */
};

/* Where the rows of a part stand. */
struct matrix_place {
    struct matrix_part part;
    uint32_t tile_first;   /* of its first rows */
    uint32_t parts_before; /* in each of its tiles: of those side by side */
};

struct matrix {
    uint32_t columns, slices, tile_rows;
    uint32_t own_slice_first, own_slice_count;
    uint32_t group_count, tile_count;
    uint32_t tile_groups_max;
    bool reads_quantised, reads_float; /* by the types of its tensors */
    struct matrix_place place[MATRIX_PARTS_MAX];
    size_t place_count;
    struct matrix_group *group;  /* (group_count) */
    struct matrix_tile *tile;    /* (tile_count) */
    uint8_t *panels;             /* bytes, borrowed; NULL until matrix_place */
    _Atomic uint8_t *page;       /* (pages) enum page_state of the huge pages that the panels touch */
    _Atomic uint32_t tiles_left; /* not packed yet */
    size_t bytes;
};

/* How rows become tiles. */
enum matrix_order {
    MATRIX_PARTS_IN_SEQUENCE, /* q, then k, then v: tiles never mix parts */
    MATRIX_PARTS_SIDE_BY_SIDE /* gate and up: a tile has the same rows of every part; all parts have equal row counts */
};

/* Lay out. tile_rows: desired rows per tile and part, a multiple of 32. own_block_first/count: blocks of 32 columns that this node
 * produces. -1: out of memory. part_count 0 or rows 0: an empty matrix. */
int matrix_init(struct matrix *matrix, enum matrix_order order, const struct matrix_part *parts, size_t part_count, uint32_t columns,
                uint32_t own_block_first, uint32_t own_block_count, uint32_t tile_rows, struct fail *fail);

/* Place the panels in `bytes` of memory, borrowed until the matrix is released, aligned to 64 bytes; PANEL_PREFETCH_BYTES may follow.
 * is_untouched: its pages are not populated yet, so packing populates them first, one huge page at a time. */
void matrix_place(struct matrix *matrix, uint8_t *panels, bool is_untouched);

/* Fill a tile, once: with the rows that `from` (another layout of the same tensors with all tiles filled, or NULL) has, and with the file
 * for the rest. *copied: bytes from `from`. True when it was the last tile. */
bool matrix_pack(struct matrix *matrix, uint32_t tile, const struct matrix *from, size_t *copied);

/* The rows will be packed soon: make the system start to read them from the file. */
void matrix_ahead(const struct matrix *matrix);

void matrix_release(struct matrix *matrix);

/* Columns of a slice: 256, or less in the last. */
static inline uint32_t matrix_slice_columns(const struct matrix *matrix, uint32_t slice)
{
    const uint32_t rest = matrix->columns - slice * SLICE_COLUMNS;

    return rest < SLICE_COLUMNS ? rest : SLICE_COLUMNS;
}

/* Tile `tile + after` will be multiplied soon: prefetch its descriptors, which weights have evicted since the last time. The group is
 * located as if all tiles in between were full. */
static inline void matrix_tile_ahead(const struct matrix *matrix, uint32_t tile, uint32_t after)
{
    const uint32_t group = matrix->tile[tile].group_first + after * matrix->tile_groups_max;

    if (after >= matrix->tile_count - tile || group >= matrix->group_count)
        return;
    __builtin_prefetch(&matrix->tile[tile + after], 0, 3);
    __builtin_prefetch(&matrix->group[group], 0, 3);
}

/* Where the panels of one tile in one slice begin, and how many bytes they have. */
size_t matrix_offset(const struct matrix *matrix, uint32_t tile, uint32_t slice);

static inline size_t matrix_tile_slice_bytes(const struct matrix *matrix, uint32_t tile, uint32_t slice)
{
    return slice + 1 == matrix->slices ? matrix->tile[tile].last_slice_bytes : matrix->tile[tile].slice_bytes;
}

/* Slices of `token_count` tokens, starting at any token. xq, xf: the first slice of the first token, the following slices behind it; token
 * strides in bytes; only what the tensors' types read is touched. panel: the same tokens side by side (token_panel.h), if all of the types
 * have a kernel for it, and the bytes to their next slice; or NULL. */
struct matrix_input {
    const struct act_slice *xq;
    const struct act_slice_f32 *xf;
    const uint8_t *panel;
    size_t xq_stride, xf_stride, panel_stride;
    size_t token_count;
};

/* Where results go: floats[slice * slice_stride + token * token_stride + group * 16 + row] (group within the tile, slice counted from the
 * first one). With a slice_stride of 0 slices are added up, one after the other; accumulate: onto the present values. */
struct matrix_output {
    float *floats;
    size_t token_stride, slice_stride;
    bool accumulate;
};

/* Multiply slices [slice, slice + slice_count) of one tile. */
void matrix_multiply(const struct matrix *matrix, const struct kernel *kernel, uint32_t tile, uint32_t slice, uint32_t slice_count,
                     const struct matrix_input *input, const struct matrix_output *output);

#endif
