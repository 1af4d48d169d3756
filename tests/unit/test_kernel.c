/* The floating-point state of a thread that computes. */
#include <fenv.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/kernel/kernel.h"
#include "odd_float.h"

static volatile float tiny = 0x1p-126f, half = 0.5f, one = 1.0f, little = 0x1p-24f;

/* What canonical arithmetic requires, observed from outside: ties to even, and subnormals as operands and results. */
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
    assert_canonical(); /* the state in which a process begins */
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

/* Compilers compute values ahead that may not be needed (-fno-trapping-math): a trap on one would end the process. */
static void no_operation_traps(void **state)
{
    volatile float zero = 0.0f, infinite;

    (void)state;
#if defined(__GLIBC__)
    (void)feenableexcept(FE_DIVBYZERO | FE_INVALID | FE_OVERFLOW); /* some architectures have no traps */
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
