/* Who may ask when many clients do, and whose session gives way to others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/serve/client_places.h"

#define SECOND UINT64_C(1000000000)

static struct client_places places;
static enum client_use uses[1000]; /* by session */

static enum client_use use_of(void *app, uint32_t session)
{
    (void)app;
    return uses[session];
}

static int set_up(void **state)
{
    (void)state;
    memset(&places, 0, sizeof places);
    memset(uses, 0, sizeof uses);
    return 0;
}

/* Sessions first..last, one each second. */
static void open_range(uint32_t first, uint32_t last)
{
    for (uint32_t session = first; session <= last; session++)
        client_places_open(&places, session * SECOND, session);
}

static uint32_t give_way(uint64_t now_ns)
{
    return client_places_give_way(&places, now_ns, use_of, NULL);
}

static bool may_work(uint32_t session)
{
    return client_places_may_work(&places, session, use_of, NULL);
}

static void as_many_clients_may_work_as_there_are_places_for_it(void **state)
{
    (void)state;
    open_range(1, CLIENT_PLACES);
    for (uint32_t session = 1; session <= CLIENT_PLACES_WORKING; session++) {
        assert_true(may_work(session));
        uses[session] = CLIENT_WORKS;
    }
    assert_true(may_work(1)); /* one of them may have one more */
    assert_false(may_work(CLIENT_PLACES));
    uses[2] = CLIENT_LOOKS;
    assert_true(may_work(CLIENT_PLACES));
    uses[2] = CLIENT_WORKS;
    client_places_close(&places, 3);
    assert_true(may_work(CLIENT_PLACES));
}

static void nobody_gives_way_while_places_are_free(void **state)
{
    (void)state;
    open_range(1, CLIENT_PLACES - CLIENT_PLACES_FREE);
    assert_int_equal(give_way(1000 * SECOND), 0);
    open_range(500, 500);
    assert_int_equal(give_way(1000 * SECOND), 1);
    client_places_close(&places, 1);
    assert_int_equal(give_way(1000 * SECOND), 0);
}

static void who_asked_longest_ago_gives_way_first(void **state)
{
    (void)state;
    open_range(1, CLIENT_PLACES);
    client_places_ask(&places, 100 * SECOND, 1);
    for (uint32_t session = 2; session < 2 + CLIENT_PLACES_FREE; session++) {
        assert_int_equal(give_way(100 * SECOND), session);
        client_places_close(&places, session);
    }
    assert_int_equal(give_way(100 * SECOND), 0);
}

static void who_has_just_come_has_time_to_ask(void **state)
{
    (void)state;
    for (uint32_t session = 1; session <= CLIENT_PLACES; session++)
        client_places_open(&places, 10 * SECOND, session);
    assert_int_equal(give_way(10 * SECOND + CLIENT_IDLE_NS - 1), 0);
    assert_int_not_equal(give_way(10 * SECOND + CLIENT_IDLE_NS), 0);
}

static void who_works_or_looks_does_not_give_way(void **state)
{
    (void)state;
    open_range(1, CLIENT_PLACES);
    for (uint32_t session = 1; session <= CLIENT_PLACES; session++)
        uses[session] = session % 2 == 0 ? CLIENT_LOOKS : CLIENT_WORKS;
    assert_int_equal(give_way(1000 * SECOND), 0);
    uses[7] = CLIENT_IDLE; /* since now, not since it asked */
    assert_int_equal(give_way(1001 * SECOND), 0);
    assert_int_equal(give_way(1000 * SECOND + CLIENT_IDLE_NS), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(as_many_clients_may_work_as_there_are_places_for_it, set_up),
        cmocka_unit_test_setup(nobody_gives_way_while_places_are_free, set_up),
        cmocka_unit_test_setup(who_asked_longest_ago_gives_way_first, set_up),
        cmocka_unit_test_setup(who_has_just_come_has_time_to_ask, set_up),
        cmocka_unit_test_setup(who_works_or_looks_does_not_give_way, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
