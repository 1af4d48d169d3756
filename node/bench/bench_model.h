/* Models of random weights for measuring: written to memory, gone with the process.
 *
 * The file loses its name as soon as it is written, so nothing is left behind however the program ends; this process and its children open
 * it by a path below /proc. */
#ifndef NODE_BENCH_MODEL_H
#define NODE_BENCH_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "mesh/program/fail.h"
#include "node/synth/synth.h"

enum { BENCH_PATH_BYTES = 64 };

struct bench_model {
    int file; /* -1: none */
    char path[BENCH_PATH_BYTES];
    uint64_t bytes;
};

/* Named by their numbers of weights; type is to be filled in. */
struct bench_shape {
    const char *name;
    struct synth_options options;
};
extern const struct bench_shape bench_shape_1b, bench_shape_110m, bench_shape_small;

/* Bytes of the weights of such a model, near enough to know whether it fits. */
uint64_t bench_model_bytes(const struct bench_shape *shape, enum tensor_type type);

/* In $TMPDIR, else /dev/shm, else /tmp. */
int bench_model_write(struct bench_model *model, const struct bench_shape *shape, enum tensor_type type, struct fail *fail);
/* On a disk, as far as $TMPDIR, or without it /var/tmp, is on one. */
int bench_model_write_to_disk(struct bench_model *model, const struct bench_shape *shape, enum tensor_type type, struct fail *fail);
void bench_model_close(struct bench_model *model);

#endif
