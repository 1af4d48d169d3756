/* AVX2 with FMA and F16C: Intel since Haswell, AMD since Zen. */
#ifdef __x86_64__

#include <cpuid.h>

#include "kernel_dot_avx2.h"

#include "kernel_common.h"
#include "kernel_dot.h"

/* By cpuid, since not every compiler's builtin knows f16c. */
static bool has_f16c(void)
{
    unsigned a, b, c, d;

    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}

static bool supported(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
}

const struct kernel kernel_avx2 = {
    .name = "avx2",
    .supported = supported,
    .dot = DOT_TABLE,
    KERNEL_COMMON,
};

#endif
