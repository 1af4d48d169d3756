#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/epoch/epoch_change.h"

#define MS UINT64_C(1000000)

/* An epoch that was agreed at 100 ms, was loaded at 130 ms, and produced its first token at 200 ms. */
static struct epoch_change changed(uint64_t recomputed)
{
    struct epoch_change change = {0};

    epoch_change_suspect(&change, 90 * MS);
    epoch_change_agree(&change, 7, 100 * MS);
    epoch_change_load(&change, 130 * MS);
    assert_true(epoch_change_token(&change, 200 * MS));
    change.recomputed = recomputed;
    return change;
}

static void each_part_of_a_change_has_its_time(void **state)
{
    const struct epoch_change change = changed(12);

    (void)state;
    assert_true(epoch_change_ms(change.suspected_ns, change.agreed_ns) == 10);
    assert_true(epoch_change_ms(change.agreed_ns, change.loaded_ns) == 30);
    assert_true(epoch_change_recompute_ms(&change) == 70);
}

static void where_nothing_is_computed_again_that_takes_no_time(void **state)
{
    const struct epoch_change change = changed(0);

    (void)state;
    assert_true(epoch_change_recompute_ms(&change) == 0);
}

static void only_the_first_token_of_an_epoch_counts(void **state)
{
    struct epoch_change change = changed(1);

    (void)state;
    assert_false(epoch_change_token(&change, 300 * MS));
    assert_true(epoch_change_recompute_ms(&change) == 70);
}

static void an_old_suspicion_has_nothing_to_do_with_a_change(void **state)
{
    struct epoch_change change = {0};

    (void)state;
    epoch_change_suspect(&change, 1 * MS);
    epoch_change_agree(&change, 8, EPOCH_CHANGE_DOUBT_NS_MAX + 2 * MS);
    assert_true(change.suspected_ns == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_part_of_a_change_has_its_time),
        cmocka_unit_test(where_nothing_is_computed_again_that_takes_no_time),
        cmocka_unit_test(only_the_first_token_of_an_epoch_counts),
        cmocka_unit_test(an_old_suspicion_has_nothing_to_do_with_a_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
