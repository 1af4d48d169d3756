/* The benchmark that a node runs before it joins: it ends, and gives a result, for every type of weights. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/kernel/kernel.h"
#include "node/serve/speed_test.h"

static uint32_t measure(enum tensor_type type, uint64_t bytes, uint16_t threads)
{
    struct fail fail;
    struct speed_test *test = speed_test_start(kernel_choose(NULL), type, bytes, threads, &fail);
    uint32_t speed;

    if (test == NULL)
        fail_msg("%s", fail.text);
    speed = speed_test_end(test);
    return speed;
}

static void every_type_has_a_speed(void **state)
{
    (void)state;
    for (int type = 0; type < TYPE_COUNT; type++)
        if (tensor_type_info((enum tensor_type)type) != NULL && kernel_choose(NULL)->dot[type] != NULL)
            assert_true(measure((enum tensor_type)type, 1 << 20, 1) >= 1);
}

static void a_model_may_be_smaller_than_a_piece_for_each_thread(void **state)
{
    (void)state;
    assert_true(measure(TYPE_Q8_0, 1, 3) >= 1);
    assert_true(measure(TYPE_F32, 100000, 2) >= 1);
}

static void it_is_done_when_it_says_so(void **state)
{
    struct fail fail;
    struct speed_test *test = speed_test_start(kernel_choose(NULL), TYPE_Q8_0, 1 << 20, 2, &fail);

    (void)state;
    assert_non_null(test);
    while (!speed_test_is_done(test))
        ;
    assert_true(speed_test_end(test) >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_has_a_speed),
        cmocka_unit_test(a_model_may_be_smaller_than_a_piece_for_each_thread),
        cmocka_unit_test(it_is_done_when_it_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
