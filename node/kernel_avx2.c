/* AVX2 with FMA and F16C: Intel since Haswell, AMD since Zen. */
#ifdef __x86_64__

#include "kernel_dot_avx2.h"

#include "kernel_common.h"
#include "kernel_dot.h"

static bool supported(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

const struct kernel kernel_avx2 = {
    .name = "avx2",
    .supported = supported,
    .dot = DOT_TABLE,
    KERNEL_COMMON,
};

#endif
