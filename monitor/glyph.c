#include "glyph.h"

#include <stdbool.h>
#include <string.h>

#include "mesh/program/text_decode.h"

/* Substitutes for characters that cannot be shown, in the order of code points. */
static const struct substitute {
    uint32_t code, box;
    char ascii;
} substitutes[] = {
    {0xb0, 0xb0, 'o'},     {0xb1, 0xb1, '~'},     {0xb5, 0xb5, 'u'},     {0xb7, 0xb7, '-'},     {0xd7, 0xd7, 'x'},
    {0x2013, '-', '-'},    {0x2026, '.', '.'},    {0x2190, '<', '<'},    {0x2191, '^', '^'},    {0x2192, '>', '>'},
    {0x2193, 'v', 'v'},    {0x2500, 0x2500, '-'}, {0x2502, 0x2502, '|'}, {0x250c, 0x250c, '+'}, {0x2510, 0x2510, '+'},
    {0x2514, 0x2514, '+'}, {0x2518, 0x2518, '+'}, {0x251c, 0x251c, '+'}, {0x2524, 0x2524, '+'}, {0x252c, 0x252c, '+'},
    {0x2534, 0x2534, '+'}, {0x253c, 0x253c, '+'}, {0x2581, '_', '_'},    {0x2582, '_', '.'},    {0x2583, 0x2584, '-'},
    {0x2584, 0x2584, '='}, {0x2585, 0x2584, '+'}, {0x2586, 0x2588, '*'}, {0x2587, 0x2588, '%'}, {0x2588, 0x2588, '#'},
    {0x2589, 0x2588, '#'}, {0x258a, 0x2588, '#'}, {0x258b, 0x258c, '#'}, {0x258c, 0x258c, '='}, {0x258d, 0x258c, '-'},
    {0x258e, ' ', ' '},    {0x258f, ' ', ' '},    {0x2591, 0x2591, 'w'}, {0x2592, 0x2592, ':'}, {0x2593, 0x2593, '>'},
    {0x25a0, 0x2588, '#'}, {0x25b2, '^', '^'},    {0x25bc, 'v', 'v'},    {0x25b6, '>', '>'},    {0x25cb, 'o', 'o'},
    {0x25cf, '*', '*'},    {0x2713, '+', '+'},    {0x2717, 'x', 'x'},
};

enum { SUBSTITUTES = sizeof substitutes / sizeof *substitutes };

uint32_t glyph_next(const char **text)
{
    uint32_t code;

    *text += text_decode(*text, strnlen(*text, GLYPH_BYTES - 1), &code);
    return code == TEXT_DECODE_INVALID ? 0xfffd : code;
}

/* Write a code point below 0x110000 as UTF-8. */
static void encode(uint32_t code, char out[GLYPH_BYTES])
{
    const size_t bytes = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};

    for (size_t i = bytes; i-- > 1; code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)(lead[bytes] | code);
    out[bytes] = '\0';
}

/* One column wide in every font: no combining marks, no characters that join or change direction. */
static bool is_letter(uint32_t code)
{
    return (code >= 0xa1 && code < 0x250 && code != 0xad) || (code >= 0x391 && code < 0x482) || (code >= 0x48a && code < 0x530);
}

static const struct substitute *find(uint32_t code)
{
    for (unsigned i = 0; i < SUBSTITUTES; i++)
        if (substitutes[i].code == code)
            return &substitutes[i];
    return NULL;
}

/* How many of the eight dots are set. */
static int braille_dots(uint32_t code)
{
    return __builtin_popcount(code & 0xff);
}

static uint32_t shown(uint32_t code, enum glyph_level level)
{
    const struct substitute *substitute;

    if (code >= 0x20 && code < 0x7f)
        return code;
    if (code >= 0x2800 && code < 0x2900)
        return level == GLYPHS_FULL ? code : braille_dots(code) == 0 ? ' ' : braille_dots(code) < 4 ? '.' : ':';
    substitute = find(code);
    if (substitute != NULL)
        return level == GLYPHS_FULL ? code : level == GLYPHS_BOX ? substitute->box : (uint32_t)substitute->ascii;
    return level != GLYPHS_ASCII && is_letter(code) ? code : '?';
}

void glyph_show(uint32_t code, enum glyph_level level, char out[GLYPH_BYTES])
{
    encode(shown(code, level), out);
}

int glyph_columns(const char *text)
{
    int columns = 0;

    for (; *text != '\0'; columns++)
        glyph_next(&text);
    return columns;
}
