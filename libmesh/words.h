/* Short texts written without stdio, as the core uses none. What does not fit is left out. */
#ifndef MESH_WORDS_H
#define MESH_WORDS_H

#include <stdint.h>

struct mesh_words {
    char *at, *end; /* end: where the terminating zero goes at the latest */
};

static inline void mesh_words_add(struct mesh_words *words, const char *text)
{
    while (*text && words->at < words->end)
        *words->at++ = *text++;
    *words->at = '\0';
}

static inline void mesh_words_add_number(struct mesh_words *words, uint64_t value)
{
    char digits[21];
    char *digit = digits + sizeof digits - 1;

    *digit = '\0';
    do {
        *--digit = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    mesh_words_add(words, digit);
}

static inline void mesh_words_add_hex(struct mesh_words *words, uint64_t value)
{
    char digits[17];

    for (unsigned i = 0; i < 16; i++)
        digits[i] = "0123456789abcdef"[value >> (60 - 4 * i) & 15];
    digits[16] = '\0';
    mesh_words_add(words, digits);
}

#endif
