/* Counter-based random numbers: a draw is a hash of (seed, which, counter), so it depends on nothing that was drawn before.
 *
 * The finaliser is splitmix64's (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014). */
#ifndef MESH_MIX_H
#define MESH_MIX_H

#include <stdbool.h>
#include <stdint.h>

/* The finaliser alone; 0 stays 0. */
static inline uint64_t mesh_finalise64(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static inline uint64_t mesh_mix64(uint64_t x)
{
    return mesh_finalise64(x + 0x9e3779b97f4a7c15u);
}

static inline uint64_t mesh_draw(uint64_t seed, uint64_t which, uint64_t counter)
{
    return mesh_mix64(mesh_mix64(mesh_mix64(seed) ^ which) ^ counter);
}

/* True for ppm of a million draws. */
static inline bool mesh_draw_ppm(uint64_t draw, uint32_t ppm)
{
    return (draw >> 32) * 1000000 >> 32 < ppm;
}

/* 0 .. limit-1, for limits below 2^32. */
static inline uint64_t mesh_draw_below(uint64_t draw, uint64_t limit)
{
    return (draw >> 32) * limit >> 32;
}

#endif
