#include "hash.h"

#include "mesh/key.h"

static uint64_t load_le64(const uint8_t *p, size_t size)
{
    uint64_t word = 0;

    for (size_t i = 0; i < size; i++)
        word |= (uint64_t)p[i] << (8 * i);
    return word;
}

uint64_t hash_bytes(uint64_t seed, const void *data, size_t size)
{
    const uint8_t *p = data;
    uint64_t h = hash_mix64(seed ^ size);

    for (size_t left = size; left > 0;) {
        size_t part = left < 8 ? left : 8;

        h = hash_mix64(h ^ load_le64(p, part));
        p += part;
        left -= part;
    }
    return h;
}

uint64_t hash_random_seed(void)
{
    uint64_t seed = 0;

    (void)mesh_random(&seed, sizeof seed); /* without random numbers tables are slow at worst */
    return seed;
}
