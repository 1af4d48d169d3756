/* NEON of any aarch64. */
#ifdef __aarch64__

#include "kernel_dot_neon.h"

#include "kernel_common.h"
#include "kernel_dot.h"

static bool supported(void)
{
    return true;
}

const struct kernel kernel_neon = {
    .name = "neon",
    .supported = supported,
    .dot = DOT_TABLE,
    KERNEL_COMMON,
};

#endif
