#include "dequantise_k.h"

#include "node/common/half.h"

enum { Q2_BYTES = 84, Q3_BYTES = 110, Q4_BYTES = 144, Q5_BYTES = 176, Q6_BYTES = 210, HALF = 128 };

/* 16 scale bytes (scale low nibble, minimum high), 64 bytes of 2-bit values, f16 d, f16 dmin. A half of 128 values takes
 * 32 bytes: bits 0-1 of all of them are its first 32 values, bits 2-3 the next, and so on. */
void dequantise_k_q2(const uint8_t *packed, size_t blocks, float *out)
{
    for (size_t b = 0; b < blocks; b++, packed += Q2_BYTES) {
        const float d = half_load(packed + 80);
        const float dmin = half_load(packed + 82);

        for (int i = 0; i < DEQUANTISE_K_VALUES; i++) {
            const uint8_t scale = packed[i / 16];
            const int q = packed[16 + i / HALF * 32 + i % 32] >> (i % HALF / 32 * 2) & 3;

            *out++ = d * (float)(scale & 15) * (float)q - dmin * (float)(scale >> 4);
        }
    }
}

/* Scale of 16 values: low 4 bits in the nibbles of bytes 0-7, high 2 bits in bytes 8-11; stored with 32 added. */
static int q3_scale(const uint8_t *scales, int index)
{
    const int low = index < 8 ? scales[index] & 15 : scales[index - 8] >> 4;
    const int high = scales[8 + index % 4] >> (index / 4 * 2) & 3;

    return (low | high << 4) - 32;
}

/* 32 bytes of high bits (bit k of byte l: value 32k+l), 64 bytes of low 2 bits placed as in Q2_K, 12 scale bytes, f16 d. */
void dequantise_k_q3(const uint8_t *packed, size_t blocks, float *out)
{
    for (size_t b = 0; b < blocks; b++, packed += Q3_BYTES) {
        const float d = half_load(packed + 108);

        for (int i = 0; i < DEQUANTISE_K_VALUES; i++) {
            const int low = packed[32 + i / HALF * 32 + i % 32] >> (i % HALF / 32 * 2) & 3;
            const int high = packed[i % 32] >> (i / 32) & 1;

            *out++ = d * (float)q3_scale(packed + 96, i / 16) * (float)((low | high << 2) - 4);
        }
    }
}

/* Q4_K and Q5_K keep 8 scales and 8 minima of 6 bits in 12 bytes: the first four of each whole, the others in two pieces. */
static int q45_scale(const uint8_t *scales, int index)
{
    return index < 4 ? scales[index] & 63 : (scales[index + 4] & 15) | scales[index - 4] >> 6 << 4;
}

static int q45_minimum(const uint8_t *scales, int index)
{
    return index < 4 ? scales[index + 4] & 63 : scales[index + 4] >> 4 | scales[index] >> 6 << 4;
}

/* f16 d, f16 dmin, 12 scale bytes, 128 bytes of nibbles: 32 bytes hold 64 values, low nibbles first. */
void dequantise_k_q4(const uint8_t *packed, size_t blocks, float *out)
{
    for (size_t b = 0; b < blocks; b++, packed += Q4_BYTES) {
        const float d = half_load(packed);
        const float dmin = half_load(packed + 2);

        for (int group = 0; group < 8; group++) {
            const float scale = d * (float)q45_scale(packed + 4, group);
            const float minimum = dmin * (float)q45_minimum(packed + 4, group);
            const uint8_t *nibbles = packed + 16 + group / 2 * 32;

            for (int l = 0; l < 32; l++)
                *out++ = scale * (float)(nibbles[l] >> (group % 2 * 4) & 15) - minimum;
        }
    }
}

/* As Q4_K, with 32 bytes of fifth bits (bit g of byte l: value 32g+l) before the nibbles. */
void dequantise_k_q5(const uint8_t *packed, size_t blocks, float *out)
{
    for (size_t b = 0; b < blocks; b++, packed += Q5_BYTES) {
        const float d = half_load(packed);
        const float dmin = half_load(packed + 2);

        for (int group = 0; group < 8; group++) {
            const float scale = d * (float)q45_scale(packed + 4, group);
            const float minimum = dmin * (float)q45_minimum(packed + 4, group);
            const uint8_t *high = packed + 16;
            const uint8_t *nibbles = packed + 48 + group / 2 * 32;

            for (int l = 0; l < 32; l++) {
                const int q = (nibbles[l] >> (group % 2 * 4) & 15) | (high[l] >> group & 1) << 4;

                *out++ = scale * (float)q - minimum;
            }
        }
    }
}

/* 128 bytes of low nibbles, 64 bytes of high 2 bits, 16 signed scales, f16 d. A half of 128 values takes 64 nibble bytes (low nibbles
 * its first 64 values) and 32 bytes of high bits (placed as the values of Q2_K). */
void dequantise_k_q6(const uint8_t *packed, size_t blocks, float *out)
{
    for (size_t b = 0; b < blocks; b++, packed += Q6_BYTES) {
        const float d = half_load(packed + 208);

        for (int i = 0; i < DEQUANTISE_K_VALUES; i++) {
            const int low = packed[i / HALF * 64 + i % 64] >> (i % HALF / 64 * 4) & 15;
            const int high = packed[128 + i / HALF * 32 + i % 32] >> (i % HALF / 32 * 2) & 3;

            *out++ = d * (float)(int8_t)packed[192 + i / 16] * (float)((low | high << 4) - 32);
        }
    }
}
