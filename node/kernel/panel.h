/* The weight panel: 16 rows of one slice as the kernels read them. Internal to panel*.c and kernel_*.c; callers see kernel.h.
 *
 * Weights are unsigned here (a signed type adds its zero point: Q8_0 128, Q4_0 8, Q5_0 16, Q6_K 32, Q3_K 4), so that one instruction
 * multiplies them with signed activations; kernels subtract zero point times the sum of the activations again, in integers. A *group* is 4
 * consecutive columns of 16 rows, 64 bytes: byte row * 4 + column % 4. A block of 32 columns has groups 0-7. Each block is stored as
 *
 *     high bits   64 bytes per bit:  one bit:   bit g of byte i belongs to byte i of group g
 *                                    two bits:  bits 2p, 2p+1 of byte i of vector j belong to byte i of group 4j + p
 *     low bits    8 bits:  8 groups as they are
 *                 4 bits:  4 vectors of 64 bytes; vector k holds group k in the low nibbles, group k + 4 in the high ones
 *                 2 bits:  2 vectors, as two high bits above
 *
 * and in front of all blocks stands a head, a multiple of 64 bytes:
 *
 *     Q8_0 Q4_0 Q5_0   f16 d[block][row]
 *     Q4_1 Q5_1        f16 d[block][row], f16 m[block][row]
 *     Q2_K             f16 d[row], f16 dmin[row], four vectors of 8-bit values: scale | min << 4 of 16 columns
 *     Q6_K             f16 d[row], 32 bytes of zeros, four vectors of 8-bit scales of 16 columns
 *     Q3_K             f16 d[row], 32 bytes of zeros, four vectors of 6-bit scales of 16 columns, packed in three
 *     Q4_K Q5_K        f16 d[row], f16 dmin[row], 6-bit scales (vectors 0, 1) and minima (2, 3) of 32 columns, packed in three
 *
 * Byte k of word `row` of such a scale vector v belongs to block 4v + k (Q4_K, Q5_K), or to columns 16 * (4v + {0, 2, 1, 3}[k]) and
 * following, so that the even bytes are one block's pair. Four 6-bit vectors in three: the low 6 bits of the three are vectors 0-2, their
 * top 2 bits together are vector 3. So a panel has the file's size, but for rounding to 64 bytes.
 * F32, F16, BF16: value[column][row], 4 or 2 bytes each, no head. Numbers are in the machine's byte order. */
#ifndef NODE_PANEL_H
#define NODE_PANEL_H

#include <stddef.h>
#include <stdint.h>

#include "kernel.h"

enum {
    PANEL_VECTOR_BYTES = 64,
    PANEL_HALF_ROWS_BYTES = 32, /* 16 f16 */
    PANEL_K_SCALES = 64,        /* where the scale vectors of K types begin */
    PANEL_K_HEAD_6BIT = 64 + 192,
    PANEL_K_HEAD_8BIT = 64 + 256
};

/* One row of a quantised slice, widened: the form into which a GGUF row is read, and from which the scalar kernel computes. */
struct panel_row {
    uint8_t weight[SLICE_COLUMNS];     /* with the zero point added */
    uint16_t d[SLICE_BLOCKS];          /* f16 bits; K types: [0] only */
    uint16_t m[SLICE_BLOCKS];          /* f16 bits of m or, [0] only, dmin */
    uint8_t scale[SLICE_COLUMNS / 16]; /* K types: raw bits, of 32 columns (Q4_K, Q5_K: 8 of them) or 16 */
    uint8_t min[SLICE_COLUMNS / 16];   /* likewise, Q2_K, Q4_K and Q5_K */
};

/* Bytes of the head of the panels of a type that has one scale (or a scale and a minimum: numbers 2) per block. */
static inline size_t panel_head_bytes(size_t blocks, size_t numbers)
{
    return (blocks * numbers * PANEL_HALF_ROWS_BYTES + PANEL_VECTOR_BYTES - 1) / PANEL_VECTOR_BYTES * PANEL_VECTOR_BYTES;
}

/* Row `row` (0..15) of a panel of a quantised type. Parts that the type or slice lacks are left alone. */
void panel_row_read(enum tensor_type type, const void *panel, size_t columns, size_t row, struct panel_row *out);

/* `columns` values of a quantised GGUF row, from the start of a block, any alignment. */
void panel_row_from_gguf(enum tensor_type type, const uint8_t *packed, size_t columns, struct panel_row *out);

#endif
