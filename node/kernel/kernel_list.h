/* The kernels there are; kernel.c says which of them belong to this architecture. */
#ifndef NODE_KERNEL_LIST_H
#define NODE_KERNEL_LIST_H

#include "kernel.h"

extern const struct kernel kernel_scalar;
extern const struct kernel kernel_avx2;
extern const struct kernel kernel_avxvnni;
extern const struct kernel kernel_avx512;
extern const struct kernel kernel_neon;
extern const struct kernel kernel_neon_dot;

#endif
