#include "kernel.h"

#include <assert.h>
#include <fenv.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "kernel_list.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* Slowest first. */
static const struct kernel *const kernels[] = {
    &kernel_scalar,
#if defined(__x86_64__)
    &kernel_avx2,
#ifdef NODE_HAVE_AVXVNNI
    &kernel_avxvnni,
#endif
    &kernel_avx512,
#elif defined(__aarch64__)
    &kernel_neon,
    &kernel_neon_dot,
#endif
};

enum { KERNEL_COUNT = sizeof kernels / sizeof kernels[0] };

const struct kernel *kernel_at(size_t index)
{
    return index < KERNEL_COUNT ? kernels[index] : NULL;
}

const struct kernel *kernel_choose(const char *name)
{
    for (size_t i = KERNEL_COUNT; i-- > 0;)
        if ((name == NULL || strcasecmp(name, kernels[i]->name) == 0) && kernels[i]->supported())
            return kernels[i];
    assert(name != NULL); /* the scalar kernel is always supported */
    return NULL;
}

const struct kernel *kernel_option(const char *name, struct fail *fail)
{
    const struct kernel *kernel;
    char list[200] = "";
    size_t used = 0;

    for (size_t i = 0; i < KERNEL_COUNT; i++)
        if (kernels[i]->supported() && used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", used > 0 ? ", " : "", kernels[i]->name);
    kernel = kernel_choose(name);
    if (kernel == NULL)
        fail_set(fail, EXIT_USAGE, "--kernel %.60s: this machine has no such kernel: give one of %s", name, list);
    return kernel;
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
