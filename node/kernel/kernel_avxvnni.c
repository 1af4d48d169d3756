/* AVX-VNNI, the dot product instructions of AVX-512 for 256 bits: Intel since Alder Lake, also processors without AVX-512 such as the N100;
 * AMD since Zen 5. */
#ifdef __AVXVNNI__

#include <cpuid.h>

#include "kernel_dot_avxvnni.h"

#include "kernel_common.h"
#include "kernel_dot.h"

/* By cpuid, since not every compiler's builtin knows it. */
static bool supported(void)
{
    enum { LEAF = 7, SUBLEAF = 1, AVX_VNNI = 1 << 4 };
    unsigned a, b, c, d;

    return kernel_avx2.supported() && __get_cpuid_count(LEAF, SUBLEAF, &a, &b, &c, &d) != 0 && (a & AVX_VNNI) != 0;
}

const struct kernel kernel_avxvnni = {
    .name = "avxvnni",
    .supported = supported,
    .dot = DOT_TABLE,
    KERNEL_COMMON,
};

#endif
