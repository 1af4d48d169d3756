/* How fast this machine reads and multiplies weights, before it has any: a benchmark of some hundredths of a second.
 *
 * Each thread multiplies weights of its own by one token, as decoding does, for many short times; the fastest of them counts, since
 * disturbances only slow it down. */
#ifndef NODE_SPEED_TEST_H
#define NODE_SPEED_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mesh/program/fail.h"
#include "node/kernel/kernel.h"

enum { SPEED_TEST_BYTES_MAX = 64 << 20 /* more than most caches hold */ };

struct speed_test;

/* Start it on threads of its own, with this many bytes of weights (at most SPEED_TEST_BYTES_MAX are used). NULL and fail set on error. */
struct speed_test *speed_test_start(const struct kernel *kernel, enum tensor_type type, uint64_t bytes, uint16_t threads,
                                    struct fail *fail);
bool speed_test_is_done(const struct speed_test *test);

/* Wait for it and free everything. Returns kB/s, at least 1. */
uint32_t speed_test_end(struct speed_test *test);

#endif
