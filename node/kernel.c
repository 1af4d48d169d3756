#include "kernel.h"

#include <assert.h>
#include <fenv.h>
#include <string.h>

#include "kernel_list.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* Slowest first. */
static const struct kernel *const kernels[] = {
    &kernel_scalar,
#if defined(__x86_64__)
    &kernel_avx2,
    &kernel_avx512,
#elif defined(__aarch64__)
    &kernel_neon,
    &kernel_neon_dot,
#endif
};
#if defined(__x86_64__)
static const char names[] = "scalar avx2 avx512";
#elif defined(__aarch64__)
static const char names[] = "scalar neon neon_dot";
#else
static const char names[] = "scalar";
#endif

enum { KERNEL_COUNT = sizeof kernels / sizeof kernels[0] };

const struct kernel *kernel_at(size_t index)
{
    return index < KERNEL_COUNT ? kernels[index] : NULL;
}

const char *kernel_names(void)
{
    return names;
}

const struct kernel *kernel_choose(const char *name)
{
    for (size_t i = KERNEL_COUNT; i-- > 0;)
        if ((name == NULL || strcmp(name, kernels[i]->name) == 0) && kernels[i]->supported())
            return kernels[i];
    assert(name != NULL); /* the scalar kernel is always supported */
    return NULL;
}

void kernel_thread_init(void)
{
    int failed = fesetround(FE_TONEAREST);

    assert(failed == 0);
    (void)failed;
#if defined(__x86_64__)
    _mm_setcsr(_MM_MASK_MASK); /* to nearest, no trap, neither FTZ nor DAZ: the state at process start */
#elif defined(__aarch64__)
    /* Likewise: no FZ, FZ16, FIZ, no trap, halves with infinities (no AHP), and no NEP, which changes the elements beside a scalar. */
    __asm__ volatile("msr fpcr, xzr");
#endif
}
