/* Ranges of bits in an array of 64-bit words. */
#ifndef MESH_BITS_H
#define MESH_BITS_H

#include <stdbool.h>
#include <stdint.h>

/* The bits of [first, end) that lie in `word`. */
static inline uint64_t mesh_bits_mask(unsigned word, unsigned first, unsigned end)
{
    uint64_t mask = UINT64_MAX;

    if (first > word * 64)
        mask <<= first - word * 64;
    if (end < word * 64 + 64)
        mask &= UINT64_MAX >> (word * 64 + 64 - end);
    return mask;
}

static inline void mesh_bits_set(uint64_t *words, unsigned first, unsigned end)
{
    for (unsigned word = first / 64; word * 64 < end; word++)
        words[word] |= mesh_bits_mask(word, first, end);
}

static inline bool mesh_bits_any(const uint64_t *words, unsigned first, unsigned end)
{
    for (unsigned word = first / 64; word * 64 < end; word++)
        if (words[word] & mesh_bits_mask(word, first, end))
            return true;
    return false;
}

/* The first bit of [first, end) that is `value`; end when there is none. */
static inline unsigned mesh_bits_find(const uint64_t *words, unsigned first, unsigned end, bool value)
{
    for (unsigned word = first / 64; first < end && word * 64 < end; word++) {
        uint64_t bits = (value ? words[word] : ~words[word]) & mesh_bits_mask(word, first, end);

        if (bits)
            return word * 64 + (unsigned)__builtin_ctzll(bits);
    }
    return end;
}

#endif
