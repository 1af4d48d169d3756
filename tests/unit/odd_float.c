#include "odd_float.h"

#include <fenv.h>
#include <stdint.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

void odd_float_set(void)
{
    (void)fesetround(FE_UPWARD);
#if defined(__x86_64__)
    enum { FLUSH_TO_ZERO = 0x8000, DENORMALS_ARE_ZERO = 0x0040 };

    _mm_setcsr(_mm_getcsr() | FLUSH_TO_ZERO | DENORMALS_ARE_ZERO);
#elif defined(__aarch64__)
    const uint64_t odd = 1u << 26 | 1u << 25 | 1u << 24 | 1u << 19; /* AHP, DN, FZ, FZ16 */
    uint64_t control;

    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    __asm__ volatile("msr fpcr, %0" : : "r"(control | odd));
#endif
}
