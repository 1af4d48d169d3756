/* The project's own 64-bit hash: digests, fingerprints, counter-based random numbers.
 *
 * hash_mix64 is the finaliser of splitmix64 (Steele, Lea, Flood 2014). Integers only, so every machine
 * gives the same value. Not cryptographic. */
#ifndef NODE_HASH_H
#define NODE_HASH_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t hash_mix64(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Hash of three words, order matters: used for (seed, position, id) and (position, id, bits). */
static inline uint64_t hash_words3(uint64_t a, uint64_t b, uint64_t c)
{
    return hash_mix64(hash_mix64(hash_mix64(a) ^ b) ^ c);
}

/* Hash of size bytes, little-endian words, the last one padded with zeros, the size mixed in. */
uint64_t hash_bytes(uint64_t seed, const void *data, size_t size);

/* A different value on each call, as the seed of tables whose keys come from others: without it they could choose keys that collide. No
 * computed result may depend on it. */
uint64_t hash_random_seed(void);

#endif
