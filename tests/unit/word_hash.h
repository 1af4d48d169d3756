/* A hash of numbers that is the same on every machine and for ever, FNV-1a of their bytes: for tests that notice when something changes. */
#ifndef TESTS_WORD_HASH_H
#define TESTS_WORD_HASH_H

#include <stdint.h>

#define WORD_HASH_OF_NOTHING UINT64_C(0xcbf29ce484222325)

static inline uint64_t word_hash(uint64_t hash, uint64_t word)
{
    for (unsigned i = 0; i < 8; i++)
        hash = (hash ^ (word >> 8 * i & 0xff)) * UINT64_C(0x100000001b3);
    return hash;
}

#endif
