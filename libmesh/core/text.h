/* Short texts written without stdio, as the core uses none. What does not fit is left out. */
#ifndef MESH_TEXT_H
#define MESH_TEXT_H

#include <stdint.h>

struct mesh_text {
    char *at, *end; /* end: where the terminating zero goes at the latest */
};

static inline void mesh_text_add(struct mesh_text *out, const char *text)
{
    while (*text && out->at < out->end)
        *out->at++ = *text++;
    *out->at = '\0';
}

static inline void mesh_text_add_number(struct mesh_text *out, uint64_t value)
{
    char digits[21];
    char *digit = digits + sizeof digits - 1;

    *digit = '\0';
    do {
        *--digit = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    mesh_text_add(out, digit);
}

static inline void mesh_text_add_hex(struct mesh_text *out, uint64_t value)
{
    char digits[17];

    for (unsigned i = 0; i < 16; i++)
        digits[i] = "0123456789abcdef"[value >> (60 - 4 * i) & 15];
    digits[16] = '\0';
    mesh_text_add(out, digits);
}

#endif
