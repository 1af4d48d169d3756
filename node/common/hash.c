#include "hash.h"

#include "bytes.h"
#include "mesh/key.h"

uint64_t hash_bytes(uint64_t seed, const void *data, size_t size)
{
    const uint8_t *p = data;
    uint64_t h = hash_mix64(seed ^ size);
    size_t left = size;

    for (; left >= 8; left -= 8, p += 8)
        h = hash_mix64(h ^ bytes_load(p, 8));
    return left > 0 ? hash_mix64(h ^ bytes_load(p, left)) : h;
}

uint64_t hash_random_seed(void)
{
    uint64_t seed = 0;

    (void)mesh_random(&seed, sizeof seed); /* without random numbers tables are slow at worst */
    return seed;
}
