/* UTF-8, strictly. */
#include "mesh/program/text_decode.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

/* What the first byte says: length, and the range of the second byte, which is narrower where a longer form, a surrogate or a code point
 * above U+10FFFF would begin (Unicode 15, table 3-7). */
static size_t sequence_length(uint8_t first, uint8_t *second_min, uint8_t *second_max)
{
    *second_min = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    *second_max = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

size_t text_decode(const char *bytes, size_t size, uint32_t *code_point)
{
    const uint8_t *p = (const uint8_t *)bytes;
    uint8_t min;
    uint8_t max;

    assert(size > 0);

    const size_t length = sequence_length(p[0], &min, &max);
    uint32_t value = length <= 1 ? p[0] : p[0] & (0x7fu >> length);

    *code_point = TEXT_DECODE_INVALID;
    if (length == 0)
        return 1;
    for (size_t i = 1; i < length; i++, min = 0x80, max = 0xbf) {
        if (i >= size || p[i] < min || p[i] > max)
            return i;
        value = value << 6 | (p[i] & 0x3f);
    }
    *code_point = value;
    return length;
}

/* Characters that move the cursor, colour, or reorder what stands around them. */
static bool is_active(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe007f);
}

static void print_active(FILE *out, uint32_t c)
{
    if (c == '\n')
        fputs("\\n", out);
    else if (c == '\t')
        fputs("\\t", out);
    else if (c == '\r')
        fputs("\\r", out);
    else if (c < 0x80)
        fprintf(out, "\\x%02x", c);
    else
        fprintf(out, "\\u{%04x}", c);
}

void text_decode_print(FILE *out, const char *bytes, size_t size)
{
    while (size > 0) {
        uint32_t c;
        const size_t length = text_decode(bytes, size, &c);

        if (c == TEXT_DECODE_INVALID) {
            for (size_t i = 0; i < length; i++)
                fprintf(out, "\\x%02x", (unsigned char)bytes[i]);
        } else if (is_active(c)) {
            print_active(out, c);
        } else if (c == '\\') {
            fputs("\\\\", out);
        } else {
            fwrite(bytes, 1, length, out);
        }
        bytes += length;
        size -= length;
    }
}

static bool is_control(uint32_t c)
{
    return (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7f && c < 0xa0);
}

void text_decode_write(FILE *out, const char *bytes, size_t size)
{
    if (!isatty(fileno(out))) {
        fwrite(bytes, 1, size, out);
        return;
    }
    for (size_t length; size > 0; bytes += length, size -= length) {
        uint32_t c;

        length = text_decode(bytes, size, &c);
        if (c == TEXT_DECODE_INVALID || is_control(c))
            text_decode_print(out, bytes, length);
        else
            fwrite(bytes, 1, length, out);
    }
}

void text_decode_disarm(char *text)
{
    for (size_t left = strlen(text), length; left > 0; text += length, left -= length) {
        uint32_t c;

        length = text_decode(text, left, &c);
        if (c == TEXT_DECODE_INVALID || (is_active(c) && c != '\n'))
            memset(text, '?', length);
    }
}
