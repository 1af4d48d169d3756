/* Memory that is read as fast as this machine can: the reference for all speeds of reading weights.
 *
 * The buffer stands for the weights of a model: every byte is 0x35, which is a weight, a normal number and a scale in every type.
 * Reading is sequential within chunks; a chunk comes again only after the whole buffer, so that no cache still holds it. */
#ifndef NODE_BENCH_MEMORY_H
#define NODE_BENCH_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "mesh/program/fail.h"

enum { BENCH_CHUNK_BYTES = 16 << 20 };

struct bench_memory {
    uint8_t *data; /* (bytes), in huge pages where the system has them */
    size_t bytes;  /* a multiple of BENCH_CHUNK_BYTES */
    size_t next;   /* chunk */
    int loop;      /* index of the fastest read loop */
};

/* Fill the memory, then find the fastest of the read loops. */
int bench_memory_open(struct bench_memory *memory, size_t bytes, struct fail *fail);
void bench_memory_close(struct bench_memory *memory);

/* The chunk after the one last returned. */
const uint8_t *bench_memory_next(struct bench_memory *memory);

/* Read bytes (a multiple of 8192) with the fastest read loop. Any thread. */
void bench_memory_read(const struct bench_memory *memory, const uint8_t *data, size_t bytes);
const char *bench_memory_loop_name(const struct bench_memory *memory);

/* Bytes of the last level of cache, 0 when unknown. */
size_t bench_memory_cache_bytes(void);

/* Processor time of the calling thread. */
uint64_t bench_memory_thread_ns(void);

#endif
