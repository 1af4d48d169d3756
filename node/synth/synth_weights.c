#include "synth_weights.h"

#include <assert.h>
#include <string.h>

#include "node/common/bytes.h"
#include "node/common/hash.h"
#include "node/common/synth_number.h"

enum { FRACTION = 41 }; /* bits after the point of scales */

struct stream {
    uint64_t state;
};

static uint64_t next_word(struct stream *stream)
{
    stream->state += 0x9e3779b97f4a7c15u; /* splitmix64: hash_mix64 of a counter with this step */
    return hash_mix64(stream->state);
}

static void fill_random(struct stream *stream, uint8_t *out, size_t size)
{
    for (; size >= 8; size -= 8, out += 8)
        bytes_store(out, next_word(stream), 8);
    if (size > 0)
        bytes_store(out, next_word(stream), size);
}

/* A block's scale: base times 0.75 to 1.25. */
static uint64_t vary(uint64_t base, uint64_t word)
{
    return base * (192 + (word & 127)) >> 8;
}

static void store_half(uint8_t *out, bool is_negative, uint64_t scale)
{
    bytes_store(out, synth_number_f16(is_negative, scale, FRACTION), 2);
}

/* Scale with a random sign and `rest` random bytes: Q8_0, Q4_0, Q5_0. */
static void fill_signed(struct stream *stream, uint64_t base, size_t rest, uint8_t *out)
{
    const uint64_t word = next_word(stream);

    store_half(out, word >> 63, vary(base, word));
    fill_random(stream, out + 2, rest);
}

/* Scale, minimum of -half_middle/2 scales, and `rest` random bytes: Q4_1, Q5_1. */
static void fill_minimum(struct stream *stream, uint64_t base, uint64_t half_middle, size_t rest, uint8_t *out)
{
    const uint64_t scale = vary(base, next_word(stream));

    store_half(out, false, scale);
    store_half(out + 2, true, scale * half_middle / 2);
    fill_random(stream, out + 4, rest);
}

/* Scales 4-11, minima within 1 of them, which with dmin = 1.5 d cancel the mean of the values 0-3. */
static void fill_q2_k(struct stream *stream, uint64_t base, uint8_t *out)
{
    const uint64_t scale = vary(base, next_word(stream));

    fill_random(stream, out, 16 + 64);
    for (int i = 0; i < 16; i++) {
        const int random = out[i];
        const int part = 4 + (random & 7);

        out[i] = (uint8_t)(part | (part + (random >> 3 & 1) - (random >> 4 & 1)) << 4);
    }
    store_half(out + 80, false, scale);
    store_half(out + 82, false, scale * 3 / 2);
}

/* Scales are -32 to 31, so they need no care. */
static void fill_q3_k(struct stream *stream, uint64_t base, uint8_t *out)
{
    fill_random(stream, out, 108);
    store_half(out + 108, false, vary(base, next_word(stream)));
}

/* Q4_K and Q5_K: scales 16-47, minima within 7 of them, which with dmin = half_middle/2 d cancel the mean of the values. */
static void fill_q45_k(struct stream *stream, uint64_t base, uint64_t half_middle, size_t rest, uint8_t *out)
{
    const uint64_t scale = vary(base, next_word(stream));
    int scales[8];
    int minima[8];

    for (int i = 0; i < 8; i += 4) {
        const uint64_t word = next_word(stream);

        for (int j = 0; j < 4; j++) {
            const int random = (int)(word >> (16 * j) & 0xffff);

            scales[i + j] = 16 + (random & 31);
            minima[i + j] = scales[i + j] + (random >> 5 & 7) - (random >> 8 & 7);
        }
    }
    store_half(out, false, scale);
    store_half(out + 2, false, scale * half_middle / 2);
    for (int i = 0; i < 4; i++) { /* the last four in two pieces: low 4 bits, and high 2 bits above the first four */
        out[4 + i] = (uint8_t)(scales[i] | scales[4 + i] >> 4 << 6);
        out[8 + i] = (uint8_t)(minima[i] | minima[4 + i] >> 4 << 6);
        out[12 + i] = (uint8_t)((scales[4 + i] & 15) | (minima[4 + i] & 15) << 4);
    }
    fill_random(stream, out + 16, rest);
}

/* Scales of 16-31 with either sign. */
static void fill_q6_k(struct stream *stream, uint64_t base, uint8_t *out)
{
    fill_random(stream, out, 208);
    for (int i = 192; i < 208; i++) {
        const int magnitude = 16 + (out[i] & 15);

        out[i] = (uint8_t)(out[i] & 16 ? -magnitude : magnitude);
    }
    store_half(out + 208, false, vary(base, next_word(stream)));
}

static void fill_block(enum tensor_type type, struct stream *stream, uint64_t base, uint8_t *out)
{
    switch (type) {
    case TYPE_Q8_0:
        fill_signed(stream, base, 32, out);
        break;
    case TYPE_Q4_0:
        fill_signed(stream, base, 16, out);
        break;
    case TYPE_Q5_0:
        fill_signed(stream, base, 20, out);
        break;
    case TYPE_Q4_1:
        fill_minimum(stream, base, 15, 16, out);
        break;
    case TYPE_Q5_1:
        fill_minimum(stream, base, 31, 20, out);
        break;
    case TYPE_Q2_K:
        fill_q2_k(stream, base, out);
        break;
    case TYPE_Q3_K:
        fill_q3_k(stream, base, out);
        break;
    case TYPE_Q4_K:
        fill_q45_k(stream, base, 15, 128, out);
        break;
    case TYPE_Q5_K:
        fill_q45_k(stream, base, 31, 160, out);
        break;
    case TYPE_Q6_K:
        fill_q6_k(stream, base, out);
        break;
    default:
        assert(!"a type without blocks");
    }
}

/* Root mean square of a block's integers per unit of its scale, in thousandths. */
static uint64_t spread_milli(enum tensor_type type)
{
    static const uint32_t spreads[TYPE_COUNT] = {
        [TYPE_Q8_0] = 73902, [TYPE_Q4_0] = 4637,  [TYPE_Q4_1] = 4610,   [TYPE_Q5_0] = 9247,   [TYPE_Q5_1] = 9233,
        [TYPE_Q2_K] = 8830,  [TYPE_Q3_K] = 43340, [TYPE_Q4_K] = 153200, [TYPE_Q5_K] = 307100, [TYPE_Q6_K] = 442600,
    };

    assert(spreads[type] != 0);
    return spreads[type];
}

/* Odd integers from -65535 to 65535, whose root mean square is 37837, times sigma. */
static void fill_floats(enum tensor_type type, struct stream *stream, uint32_t sigma_q31, size_t columns, uint8_t *out)
{
    const uint64_t step = ((uint64_t)sigma_q31 << 16) / 37837;
    const int fraction = 31 + 16;
    uint64_t word = 0;

    for (size_t i = 0; i < columns; i++, word >>= 16) {
        if (i % 4 == 0)
            word = next_word(stream);

        const int32_t number = 2 * (int32_t)(word & 0xffff) - 65535;
        const uint64_t magnitude = (uint64_t)(number < 0 ? -number : number) * step;

        if (type == TYPE_F32)
            bytes_store(out + 4 * i, synth_number_f32(number < 0, magnitude, fraction), 4);
        else if (type == TYPE_BF16)
            bytes_store(out + 2 * i, synth_number_f32(number < 0, magnitude, fraction) >> 16, 2);
        else
            bytes_store(out + 2 * i, synth_number_f16(number < 0, magnitude, fraction), 2);
    }
}

void synth_weights_row(enum tensor_type type, uint64_t key, uint32_t sigma_q31, size_t columns, uint8_t *out)
{
    const struct tensor_type_info *info = tensor_type_info(type);
    struct stream stream = {hash_mix64(key)};

    assert(info != NULL && columns % info->block_values == 0);
    if (info->is_float) {
        fill_floats(type, &stream, sigma_q31, columns, out);
        return;
    }

    const uint64_t base = ((uint64_t)sigma_q31 << (FRACTION - 31)) * 1000 / spread_milli(type);

    for (size_t i = 0; i < columns; i += info->block_values, out += info->block_bytes)
        fill_block(type, &stream, base, out);
}

void synth_weights_norm(uint64_t key, size_t columns, uint8_t *out)
{
    struct stream stream = {hash_mix64(key)};

    for (size_t i = 0; i < columns; i++)
        bytes_store(out + 4 * i, synth_number_f32(false, 49152 + (next_word(&stream) & 32767), 16), 4);
}
