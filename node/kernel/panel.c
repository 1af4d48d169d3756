#include "panel.h"

#include <assert.h>
#include <string.h>

enum scales {
    PER_BLOCK,         /* f16 d per block */
    PER_BLOCK_MIN,     /* f16 d and m per block */
    K_SCALES_MINIMA_6, /* f16 d, dmin; 8 scales and 8 minima of 6 bits */
    K_SCALES_6,        /* f16 d; 16 scales of 6 bits */
    K_SCALES_8,        /* f16 d; 16 scales of 8 bits */
    K_SCALES_MINIMA_4  /* f16 d, dmin; 16 scales and minima of 4 bits */
};

struct format {
    uint8_t low_bits, high_bits;
    enum scales scales;
};

static const struct format formats[TYPE_COUNT] = {
    [TYPE_Q8_0] = {8, 0, PER_BLOCK},  [TYPE_Q4_0] = {4, 0, PER_BLOCK},         [TYPE_Q4_1] = {4, 0, PER_BLOCK_MIN},
    [TYPE_Q5_0] = {4, 1, PER_BLOCK},  [TYPE_Q5_1] = {4, 1, PER_BLOCK_MIN},     [TYPE_Q2_K] = {2, 0, K_SCALES_MINIMA_4},
    [TYPE_Q3_K] = {2, 1, K_SCALES_6}, [TYPE_Q4_K] = {4, 0, K_SCALES_MINIMA_6}, [TYPE_Q5_K] = {4, 1, K_SCALES_MINIMA_6},
    [TYPE_Q6_K] = {4, 2, K_SCALES_8},
};

/* Four scale vectors as the kernels use them: word `row` of each. Byte order within a word as panel.h says. */
struct scale_words {
    uint8_t byte[4][4];
};

static size_t head_bytes(enum scales scales, size_t blocks)
{
    switch (scales) {
    case PER_BLOCK:
        return panel_head_bytes(blocks, 1);
    case PER_BLOCK_MIN:
        return panel_head_bytes(blocks, 2);
    case K_SCALES_MINIMA_6:
    case K_SCALES_6:
        return PANEL_K_HEAD_6BIT;
    default:
        return PANEL_K_HEAD_8BIT;
    }
}

static size_t block_bytes(const struct format *format)
{
    return PANEL_VECTOR_BYTES * (size_t)(format->low_bits + format->high_bits);
}

size_t kernel_panel_bytes(enum tensor_type type, size_t columns)
{
    const struct tensor_type_info *info = tensor_type_info(type);
    const size_t blocks = columns / BLOCK_COLUMNS;

    assert(info != NULL && columns >= 1 && columns <= SLICE_COLUMNS && columns % info->block_values == 0);
    if (info->is_float)
        return (columns * PANEL_ROWS * info->block_bytes + PANEL_VECTOR_BYTES - 1) / PANEL_VECTOR_BYTES * PANEL_VECTOR_BYTES;
    assert(formats[type].low_bits > 0);
    return head_bytes(formats[type].scales, blocks) + blocks * block_bytes(&formats[type]);
}

/* Where sub-scale j is: byte k of vector v, such that a block's pair is in the even or the odd bytes. */
static uint8_t *sub_scale(struct scale_words *words, size_t j)
{
    static const uint8_t place[4] = {0, 2, 1, 3};

    return &words->byte[j / 4][place[j % 4]];
}

static void words_from_row(enum scales scales, const struct panel_row *row, struct scale_words *words)
{
    for (size_t j = 0; j < 16; j++) {
        if (scales == K_SCALES_MINIMA_6)
            words->byte[j / 4][j % 4] = j < 8 ? row->scale[j] : row->min[j - 8];
        else
            *sub_scale(words, j) = (uint8_t)(scales == K_SCALES_MINIMA_4 ? row->scale[j] | row->min[j] << 4 : row->scale[j]);
    }
}

static void row_from_words(enum scales scales, struct scale_words *words, struct panel_row *row)
{
    for (size_t j = 0; j < 16; j++) {
        if (scales == K_SCALES_MINIMA_6) {
            *(j < 8 ? &row->scale[j] : &row->min[j - 8]) = words->byte[j / 4][j % 4];
        } else {
            row->scale[j] = *sub_scale(words, j);
            if (scales == K_SCALES_MINIMA_4) {
                row->min[j] = row->scale[j] >> 4;
                row->scale[j] &= 15;
            }
        }
    }
}

static bool six_bits(enum scales scales)
{
    return scales == K_SCALES_MINIMA_6 || scales == K_SCALES_6;
}

/* vectors: the first scale vector; each row has 4 bytes of each. */
static void scales_write(enum scales scales, uint8_t *vectors, size_t row, const struct scale_words *words)
{
    for (size_t v = 0; v < (six_bits(scales) ? 3 : 4); v++) {
        for (size_t k = 0; k < 4; k++) {
            const int top = six_bits(scales) ? (words->byte[3][k] >> (2 * v) & 3) << 6 : 0;

            vectors[v * PANEL_VECTOR_BYTES + 4 * row + k] = (uint8_t)(words->byte[v][k] | top);
        }
    }
}

static void scales_read(enum scales scales, const uint8_t *vectors, size_t row, struct scale_words *words)
{
    memset(words, 0, sizeof *words);
    for (size_t v = 0; v < (six_bits(scales) ? 3 : 4); v++) {
        for (size_t k = 0; k < 4; k++) {
            const uint8_t byte = vectors[v * PANEL_VECTOR_BYTES + 4 * row + k];

            words->byte[v][k] = six_bits(scales) ? byte & 63 : byte;
            if (six_bits(scales))
                words->byte[3][k] = (uint8_t)(words->byte[3][k] | byte >> 6 << (2 * v));
        }
    }
}

/* The bits of one row of a block, four columns of a group in a word; each operation acts on four bytes without carries between them.
 * plane: the block's first vector, as words; lane `row` of a vector is word `row`. */

static void bit_write(uint32_t *plane, size_t row, const uint32_t group[8], int bit)
{
    uint32_t word = 0;

    for (int g = 0; g < 8; g++)
        word |= (group[g] >> bit & 0x01010101u) << g;
    plane[row] = word;
}

static void bit_read(const uint32_t *plane, size_t row, uint32_t group[8], int bit)
{
    for (int g = 0; g < 8; g++)
        group[g] |= (plane[row] >> g & 0x01010101u) << bit;
}

static void two_bits_write(uint32_t *plane, size_t row, const uint32_t group[8], int bit)
{
    for (size_t j = 0; j < 2; j++) {
        uint32_t word = 0;

        for (size_t p = 0; p < 4; p++)
            word |= (group[4 * j + p] >> bit & 0x03030303u) << (2 * p);
        plane[16 * j + row] = word;
    }
}

static void two_bits_read(const uint32_t *plane, size_t row, uint32_t group[8], int bit)
{
    for (size_t g = 0; g < 8; g++)
        group[g] |= (plane[16 * (g / 4) + row] >> (2 * (g % 4)) & 0x03030303u) << bit;
}

static void block_write(const struct format *format, uint32_t *block, size_t row, const uint8_t weight[BLOCK_COLUMNS])
{
    uint32_t *low = block + 16 * (size_t)format->high_bits;
    uint32_t group[8];

    memcpy(group, weight, sizeof group);
    if (format->high_bits == 1)
        bit_write(block, row, group, format->low_bits);
    if (format->high_bits == 2)
        two_bits_write(block, row, group, format->low_bits);
    if (format->low_bits == 2)
        two_bits_write(low, row, group, 0);
    for (size_t k = 0; format->low_bits == 4 && k < 4; k++)
        low[16 * k + row] = (group[k] & 0x0f0f0f0fu) | (group[k + 4] & 0x0f0f0f0fu) << 4;
    for (size_t k = 0; format->low_bits == 8 && k < 8; k++)
        low[16 * k + row] = group[k];
}

static void block_read(const struct format *format, const uint32_t *block, size_t row, uint8_t weight[BLOCK_COLUMNS])
{
    const uint32_t *low = block + 16 * (size_t)format->high_bits;
    uint32_t group[8] = {0};

    if (format->high_bits == 1)
        bit_read(block, row, group, format->low_bits);
    if (format->high_bits == 2)
        two_bits_read(block, row, group, format->low_bits);
    if (format->low_bits == 2)
        two_bits_read(low, row, group, 0);
    for (size_t g = 0; format->low_bits == 4 && g < 8; g++)
        group[g] |= low[16 * (g % 4) + row] >> (g / 4 * 4) & 0x0f0f0f0fu;
    for (size_t g = 0; format->low_bits == 8 && g < 8; g++)
        group[g] = low[16 * g + row];
    memcpy(weight, group, sizeof group);
}

void panel_row_read(enum tensor_type type, const void *panel, size_t columns, size_t row, struct panel_row *out)
{
    const struct format *format = &formats[type];
    const size_t blocks = columns / BLOCK_COLUMNS;
    const size_t numbers = format->scales >= K_SCALES_MINIMA_6 ? 1 : blocks;
    const uint16_t *halves = panel;
    const uint8_t *bytes = panel;
    struct scale_words words;

    assert(row < PANEL_ROWS && format->low_bits != 0);
    for (size_t b = 0; b < numbers; b++) {
        out->d[b] = halves[b * PANEL_ROWS + row];
        out->m[b] = format->scales == PER_BLOCK ? 0 : halves[(numbers + b) * PANEL_ROWS + row];
    }
    if (format->scales >= K_SCALES_MINIMA_6) {
        scales_read(format->scales, bytes + PANEL_K_SCALES, row, &words);
        row_from_words(format->scales, &words, out);
    }
    bytes += head_bytes(format->scales, blocks);
    for (size_t b = 0; b < blocks; b++)
        block_read(format, (const uint32_t *)(const void *)(bytes + b * block_bytes(format)), row, out->weight + b * BLOCK_COLUMNS);
}

static void row_write(enum tensor_type type, void *panel, size_t columns, size_t row, const struct panel_row *in)
{
    const struct format *format = &formats[type];
    const size_t blocks = columns / BLOCK_COLUMNS;
    const size_t numbers = format->scales >= K_SCALES_MINIMA_6 ? 1 : blocks;
    uint16_t *halves = panel;
    uint8_t *bytes = panel;
    struct scale_words words;

    assert(row < PANEL_ROWS && format->low_bits != 0);
    for (size_t b = 0; b < numbers; b++) {
        halves[b * PANEL_ROWS + row] = in->d[b];
        if (format->scales != PER_BLOCK)
            halves[(numbers + b) * PANEL_ROWS + row] = in->m[b];
    }
    if (format->scales >= K_SCALES_MINIMA_6) {
        words_from_row(format->scales, in, &words);
        scales_write(format->scales, bytes + PANEL_K_SCALES, row, &words);
    }
    bytes += head_bytes(format->scales, blocks);
    for (size_t b = 0; b < blocks; b++)
        block_write(format, (uint32_t *)(void *)(bytes + b * block_bytes(format)), row, in->weight + b * BLOCK_COLUMNS);
}

static uint32_t load_le(const uint8_t *p, size_t bytes)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (bytes == 4 ? (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24 : 0);
}

static void float_row_write(void *panel, size_t columns, size_t row, const uint8_t *packed, size_t value_bytes)
{
    uint32_t *words = panel;
    uint16_t *halves = panel;

    for (size_t c = 0; c < columns; c++) {
        const uint32_t bits = load_le(packed + c * value_bytes, value_bytes);

        if (value_bytes == 4)
            words[c * PANEL_ROWS + row] = bits;
        else
            halves[c * PANEL_ROWS + row] = (uint16_t)bits;
    }
}

/* Q8_0 and Q4_0, the most common types: the words of a block in the file are those of the panel, except for the zero point. */
static void words_row_write(enum tensor_type type, void *panel, size_t columns, size_t row, const uint8_t *packed)
{
    const size_t blocks = columns / BLOCK_COLUMNS, words = type == TYPE_Q8_0 ? 8 : 4;
    const uint32_t zero_point = type == TYPE_Q8_0 ? 0x80808080u : 0;
    uint32_t *word = (uint32_t *)(void *)((uint8_t *)panel + head_bytes(PER_BLOCK, blocks)) + row;
    uint16_t *half = (uint16_t *)panel + row;

    for (size_t b = 0; b < blocks; b++) {
        half[b * PANEL_ROWS] = (uint16_t)load_le(packed, 2);
        packed += 2;
        for (size_t k = 0; k < words; k++) {
            uint32_t bits;

            memcpy(&bits, packed, sizeof bits);
            *word = bits ^ zero_point;
            word += PANEL_ROWS;
            packed += sizeof bits;
        }
    }
}

typedef uint32_t words_4 __attribute__((vector_size(16)));

static inline void store_words(uint8_t *to, words_4 words)
{
    memcpy(to, &words, sizeof words);
}

static inline words_4 load_words(const uint8_t *from)
{
    words_4 words;

    memcpy(&words, from, sizeof words);
    return words;
}

/* Four words of each of 16 rows become four vectors of a panel. */
static inline void transpose_words(const uint8_t *rows, size_t row_bytes, words_4 flip, uint8_t *vectors)
{
    words_4 out[4][4]; /* (word, four rows) */

    for (size_t q = 0; q < 4; q++) {
        const uint8_t *p = rows + 4 * q * row_bytes;
        const words_4 a = load_words(p) ^ flip, b = load_words(p + row_bytes) ^ flip;
        const words_4 c = load_words(p + 2 * row_bytes) ^ flip, d = load_words(p + 3 * row_bytes) ^ flip;
        const words_4 ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
        const words_4 cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);

        out[0][q] = __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5);
        out[1][q] = __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7);
        out[2][q] = __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5);
        out[3][q] = __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
    }
    for (size_t k = 0; k < 4; k++)
        for (size_t q = 0; q < 4; q++)
            store_words(vectors + k * PANEL_VECTOR_BYTES + q * sizeof(words_4), out[k][q]);
}

/* words_row_write for all 16 rows at once. */
static void words_panel_write(enum tensor_type type, uint8_t *panel, size_t columns, const uint8_t *rows, size_t row_bytes)
{
    const size_t blocks = columns / BLOCK_COLUMNS, head = head_bytes(PER_BLOCK, blocks);
    const size_t quads = type == TYPE_Q8_0 ? 2 : 1;
    const uint32_t zero_point = type == TYPE_Q8_0 ? 0x80808080u : 0;
    const words_4 flip = {zero_point, zero_point, zero_point, zero_point};
    uint16_t half[SLICE_BLOCKS * PANEL_ROWS] = {0};
    uint8_t *vectors = panel + head;

    for (size_t b = 0; b < blocks; b++) {
        for (size_t r = 0; r < PANEL_ROWS; r++)
            half[b * PANEL_ROWS + r] = (uint16_t)load_le(rows + r * row_bytes, 2);
        rows += 2;
        for (size_t i = 0; i < quads; i++) {
            transpose_words(rows, row_bytes, flip, vectors);
            rows += sizeof(words_4);
            vectors += 4 * PANEL_VECTOR_BYTES;
        }
    }
    for (size_t at = 0; at < head; at += sizeof(words_4))
        store_words(panel + at, load_words((const uint8_t *)half + at));
}

void kernel_panel_pack(enum tensor_type type, const uint8_t *rows, size_t row_bytes, size_t row_count, size_t column_first, size_t columns,
                       void *panel)
{
    const struct tensor_type_info *info = tensor_type_info(type);
    const bool is_words = type == TYPE_Q8_0 || type == TYPE_Q4_0;
    struct panel_row row;

    assert(row_count >= 1 && row_count <= PANEL_ROWS && column_first % info->block_values == 0);
    assert((uintptr_t)panel % PANEL_VECTOR_BYTES == 0);
    rows += tensor_type_bytes(type, column_first);
    if (is_words && row_count == PANEL_ROWS) {
        words_panel_write(type, panel, columns, rows, row_bytes);
        return;
    }
    /* Whole panels of quantised rows have zeros only in their heads. */
    memset(panel, 0,
           info->is_float || row_count < PANEL_ROWS ? kernel_panel_bytes(type, columns)
                                                    : head_bytes(formats[type].scales, columns / BLOCK_COLUMNS));
    memset(&row, 0, sizeof row);
    for (size_t r = 0; r < row_count; r++) {
        if (info->is_float) {
            float_row_write(panel, columns, r, rows + r * row_bytes, info->block_bytes);
        } else if (is_words) {
            words_row_write(type, panel, columns, r, rows + r * row_bytes);
        } else {
            panel_row_from_gguf(type, rows + r * row_bytes, columns, &row);
            row_write(type, panel, columns, r, &row);
        }
    }
}
