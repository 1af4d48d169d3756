/* NEON with the dot product instructions of ARMv8.2: Cortex-A55, A75 and later. */
#ifdef __aarch64__

#include <sys/auxv.h>

#include "kernel_dot_neon.h"

#include "kernel_common.h"
#include "kernel_dot.h"

static bool supported(void)
{
    enum { DOT_PRODUCT = 1 << 20 }; /* HWCAP_ASIMDDP */

    return (getauxval(AT_HWCAP) & DOT_PRODUCT) != 0;
}

const struct kernel kernel_neon_dot = {
    .name = "neon_dot",
    .supported = supported,
    .dot = DOT_TABLE,
    KERNEL_COMMON,
};

#endif
