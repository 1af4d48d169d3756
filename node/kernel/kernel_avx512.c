/* AVX-512 with VNNI: Intel since Ice Lake, AMD since Zen 4. */
#ifdef __x86_64__

#include "kernel_dot_avx512.h"

#include "kernel_common.h"
#include "kernel_dot.h"
#include "kernel_dot_tokens.h"

/* All of these CPUs have FMA and F16C. */
static bool supported(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
}

const struct kernel kernel_avx512 = {
    .name = "avx512",
    .supported = supported,
    .dot = DOT_TABLE,
    .tokens = &dot_tokens_kernel,
    KERNEL_COMMON,
};

#endif
