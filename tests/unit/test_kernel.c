/* The state of a thread that computes. */
#include <fenv.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/kernel.h"
#include "odd_float.h"

static volatile float tiny = 0x1p-126f, half = 0.5f, one = 1.0f, little = 0x1p-24f;

/* What canonical arithmetic needs, seen from outside: ties to even, and subnormals on both sides. */
static void assert_canonical(void)
{
    volatile float subnormal = tiny * half;

    assert_true(subnormal > 0.0f || subnormal < 0.0f);
    assert_true(subnormal * 2.0f == tiny);
    assert_true(one + little == one);
    assert_true(-one - little == -one);
    assert_int_equal(fegetround(), FE_TONEAREST);
}

static void nothing_is_left_of_what_a_thread_has_inherited(void **state)
{
    (void)state;
    assert_canonical(); /* as a process begins */
    odd_float_set();
    assert_int_equal(fegetround(), FE_UPWARD);
    kernel_thread_init();
    assert_canonical();
#if defined(__aarch64__)
    uint64_t control;

    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    assert_int_equal(control, 0);
#endif
}

/* Compilers compute ahead what may not be needed (-fno-trapping-math): a trap would end the process for it. */
static void no_operation_traps(void **state)
{
    volatile float zero = 0.0f, infinite;

    (void)state;
#if defined(__GLIBC__)
    (void)feenableexcept(FE_DIVBYZERO | FE_INVALID | FE_OVERFLOW); /* some kinds of machines have no traps */
#endif
    kernel_thread_init();
    infinite = one / zero;
    assert_true(infinite > 1e38f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_left_of_what_a_thread_has_inherited),
        cmocka_unit_test(no_operation_traps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
