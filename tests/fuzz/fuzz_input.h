/* For targets whose input is a list of operations with arguments: a cursor over its bytes, and what has to hold. */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

struct input {
    const uint8_t *at, *end;
};

/* As assert, but with any compiler flags. */
static inline void require(bool holds)
{
    if (!holds)
        abort();
}

/* A little-endian number of 1 to 8 bytes; what is missing at the end is zero. */
static inline uint64_t take(struct input *input, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes && input->at < input->end; i++)
        value |= (uint64_t)*input->at++ << (8 * i);
    return value;
}

#endif
