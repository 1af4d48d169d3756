/* Memory in words, and how much the machine has. */
#ifndef NODE_MEMORY_TEXT_H
#define NODE_MEMORY_TEXT_H

#include <stddef.h>
#include <stdint.h>

enum { MEMORY_TEXT_BYTES = 24 };

/* "812 kB", "1.10 GB": powers of ten. */
void memory_text(uint64_t bytes, char out[MEMORY_TEXT_BYTES]);

/* Bytes that this program can have without swapping, by /proc/meminfo and the limits of its control group; UINT64_MAX when unknown. */
uint64_t memory_available_bytes(void);

/* The same in words: "an unknown amount", as without /proc. */
void memory_available_text(uint64_t bytes, char out[MEMORY_TEXT_BYTES]);

/* Anonymous memory of this process that is resident now; 0 when unknown. */
uint64_t memory_held_bytes(void);

#endif
