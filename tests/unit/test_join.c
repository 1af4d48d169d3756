/* Members that have joined: when they are complete, and what is reported of those that refuse or are late. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "node/run/join.h"

static struct mesh_addr peers[MESH_RANKS_MAX];

static int make_peers(void **state)
{
    char reason[MESH_REASON_BYTES], text[32];

    (void)state;
    for (unsigned r = 0; r < MESH_RANKS_MAX; r++) {
        snprintf(text, sizeof text, "127.0.0.1:%u", 7000 + r);
        if (mesh_addr_parse(text, &peers[r], reason, sizeof reason) != MESH_OK)
            return -1;
    }
    return 0;
}

static struct join make_join(uint16_t rank, uint16_t rank_count)
{
    struct join join = {0};

    join_init(&join, rank, rank_count, peers);
    return join;
}

static void one_node_alone_has_joined(void **state)
{
    struct join join = make_join(0, 1);
    struct fail fail;

    (void)state;
    assert_true(join_is_complete(&join));
    assert_int_equal(join_check(&join, &fail), 0);
}

static void rank_0_waits_until_all_have_loaded(void **state)
{
    struct join join = make_join(0, 3);

    (void)state;
    join_up(&join, 1);
    join_ready(&join, 1);
    assert_false(join_is_complete(&join));
    join_up(&join, 2);
    assert_false(join_is_complete(&join));
    join_ready(&join, 2);
    assert_true(join_is_complete(&join));
}

static void an_address_is_a_rank_that_has_answered_or_none(void **state)
{
    struct join join = make_join(1, 3);

    (void)state;
    assert_int_equal(join_up_at(&join, &peers[2]), -1); /* it may not have been started yet */
    join_up(&join, 2);
    assert_int_equal(join_up_at(&join, &peers[2]), 2);
    assert_int_equal(join_up_at(&join, &peers[0]), -1);
    assert_int_equal(join_up_at(&join, &peers[3]), -1);
}

static void the_others_wait_until_all_have_answered(void **state)
{
    struct join join = make_join(2, 3);

    (void)state;
    join_up(&join, 0);
    join_up(&join, 0);
    assert_false(join_is_complete(&join));
    join_up(&join, 1);
    assert_true(join_is_complete(&join));
}

static void the_largest_mesh_can_join(void **state)
{
    for (uint16_t rank = 0; rank < MESH_RANKS_MAX; rank += 63) {
        struct join join = make_join(rank, MESH_RANKS_MAX);

        (void)state;
        for (uint16_t r = 0; r < MESH_RANKS_MAX; r++) {
            if (r == rank)
                continue;
            assert_false(join_is_complete(&join));
            join_up(&join, r);
            join_ready(&join, r);
        }
        assert_true(join_is_complete(&join));
    }
}

static void the_first_refusal_is_told_with_its_address(void **state)
{
    struct join join = make_join(0, 3);
    struct fail fail;

    (void)state;
    join_refused(&join, 2, "another model");
    join_refused(&join, 1, "another version");
    assert_int_equal(join_check(&join, &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_ENVIRONMENT);
    assert_string_equal(fail.text, "127.0.0.1:7002: another model");
}

static void a_long_refusal_is_cut(void **state)
{
    struct join join = make_join(0, 2);
    struct fail fail;
    char reason[2 * JOIN_REFUSAL_BYTES];

    (void)state;
    memset(reason, 'x', sizeof reason);
    reason[sizeof reason - 1] = '\0';
    join_refused(&join, 1, reason);
    assert_int_equal(join_check(&join, &fail), -1);
    assert_int_equal(strlen(fail.text), JOIN_REFUSAL_BYTES - 1);
}

static void who_has_not_answered_is_named(void **state)
{
    struct join join = make_join(0, 4);
    struct fail fail;

    (void)state;
    join_up(&join, 2);
    assert_int_equal(join_late(&join, UINT64_C(30000000000), NULL, &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_ENVIRONMENT);
    assert_string_equal(fail.text,
                        "rank 1 (127.0.0.1:7001) and 1 more: no answer within 30 s: start it, check the addresses, or wait longer "
                        "with --join-timeout");
}

static void who_has_answered_may_load_as_long_as_it_likes(void **state)
{
    struct join join = make_join(0, 3);
    struct fail fail;

    (void)state;
    join_up(&join, 1);
    assert_false(join_all_up(&join));
    join_up(&join, 2);
    assert_true(join_all_up(&join));
    assert_false(join_is_complete(&join));
    assert_int_equal(join_late(&join, UINT64_C(5000000000), NULL, &fail), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_node_alone_has_joined),
        cmocka_unit_test(rank_0_waits_until_all_have_loaded),
        cmocka_unit_test(an_address_is_a_rank_that_has_answered_or_none),
        cmocka_unit_test(the_others_wait_until_all_have_answered),
        cmocka_unit_test(the_largest_mesh_can_join),
        cmocka_unit_test(the_first_refusal_is_told_with_its_address),
        cmocka_unit_test(a_long_refusal_is_cut),
        cmocka_unit_test(who_has_not_answered_is_named),
        cmocka_unit_test(who_has_answered_may_load_as_long_as_it_likes),
    };

    return cmocka_run_group_tests(tests, make_peers, NULL);
}
