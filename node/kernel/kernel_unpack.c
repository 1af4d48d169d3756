/* Activation blocks from the wire into the slice that the kernels read. */
#include <assert.h>
#include <string.h>

#include "kernel.h"

static float load_f32(const uint8_t *p)
{
    const uint32_t word = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    float value;

    memcpy(&value, &word, sizeof value);
    return value;
}

/* No quantiser makes -128; -128 from a peer is read as -127, so that every kernel's integer bounds hold for any bytes. */
static int16_t copy_16(const uint8_t *restrict from, int8_t *restrict to)
{
    int32_t sum = 0;

    for (int i = 0; i < 16; i++) {
        const int8_t value = (int8_t)from[i];

        to[i] = value == -128 ? -127 : value;
        sum += to[i];
    }
    return (int16_t)sum;
}

void kernel_unpack(const uint8_t *wire, size_t wire_stride, size_t first, size_t blocks, bool with_sumsq, struct act_slice *slice)
{
    assert(first + blocks <= SLICE_BLOCKS);
    assert(wire_stride >= (with_sumsq ? BLOCK_WIRE_BYTES_NORM : BLOCK_WIRE_BYTES));
    for (size_t b = first; b < first + blocks; b++, wire += wire_stride) {
        int8_t *q = slice->q + b * BLOCK_COLUMNS;

        slice->d[b] = load_f32(wire);
        slice->sum[2 * b] = copy_16(wire + 4, q);
        slice->sum[2 * b + 1] = copy_16(wire + 20, q + 16);
        slice->minus[b] = -(slice->sum[2 * b] + slice->sum[2 * b + 1]);
        slice->sumsq[b] = with_sumsq ? load_f32(wire + BLOCK_WIRE_BYTES) : 0;
    }
}
