#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "net.h"

static struct net_gather gathers[16];

static bool drop_tiles_to_rank_1(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    (void)net, (void)from, (void)bytes;
    return to == 1 && message->header.type == MESH_TYPE_TILE;
}

static void a_gather_is_freed_when_consumed_and_held_by_its_readers(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    net_up(net);
    net_gather_init(net, &gathers[0], 1, 0, 2, 20);
    for (uint16_t rank = 0; rank < 2; rank++) {
        assert_int_equal(net_gather_open(net, &gathers[0], rank), 0);
        assert_int_equal(net_gather_publish(net, &gathers[0], rank), 0);
    }
    assert_false(mesh_is_quiet(net->mesh[0]));
    net_run(net, 5 * NET_MS);
    assert_int_equal(net->events[0][MESH_EVENT_COMPLETE], 1);
    assert_true(net_gather_is_whole(net, &gathers[0], 0));
    assert_true(mesh_is_quiet(net->mesh[0]));
    assert_int_equal(net->events[0][MESH_EVENT_FREED], 0);
    mesh_consume(net->mesh[0], net->now_ns, 1, 0);
    net_flush(net);
    assert_int_equal(net->events[0][MESH_EVENT_FREED], 1);
    assert_int_equal(net->events[1][MESH_EVENT_FREED], 0);
    net_gather_release(net, &gathers[0]);
    net_free(net);
}

static void a_gather_that_a_reader_lacks_is_not_freed(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    net_up(net);
    net_gather_init(net, &gathers[0], 1, 0, 1, 20);
    net_gather_open(net, &gathers[0], 0);
    net_gather_open(net, &gathers[0], 1);
    net_gather_publish(net, &gathers[0], 1);
    net_run(net, 5 * NET_MS);
    mesh_consume(net->mesh[0], net->now_ns, 1, 0);
    net_run(net, 50 * NET_MS);
    assert_int_equal(net->events[0][MESH_EVENT_FREED], 0); /* rank 1 waits for blocks that are not published yet */
    net_gather_publish(net, &gathers[0], 0);
    net_run(net, 50 * NET_MS);
    assert_int_equal(net->events[0][MESH_EVENT_FREED], 1);
    net_gather_release(net, &gathers[0]);
    net_free(net);
}

/* Somebody may still be writing the blocks. */
static void a_gather_whose_readers_have_left_is_not_freed_before_its_own_blocks_are_published(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    net_up(net);
    net_gather_init(net, &gathers[0], 1, 0, 1, 20);
    net_gather_open(net, &gathers[0], 0);
    net_gather_open(net, &gathers[0], 1);
    net_gather_publish(net, &gathers[0], 1);
    net_run(net, 5 * NET_MS);
    mesh_goodbye(net->mesh[1], net->now_ns);
    net_run(net, 5 * NET_MS);
    assert_int_equal(net->events[0][MESH_EVENT_GONE], 1);
    mesh_consume(net->mesh[0], net->now_ns, 1, 0);
    net_flush(net);
    assert_int_equal(net->events[0][MESH_EVENT_FREED], 0);
    net_gather_publish(net, &gathers[0], 0);
    net_flush(net);
    assert_int_equal(net->events[0][MESH_EVENT_FREED], 1);
    net_gather_release(net, &gathers[0]);
    net_free(net);
}

static void a_gather_is_freed_when_the_last_reader_that_lacks_it_leaves(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    net_up(net);
    net_gather_init(net, &gathers[0], 1, 0, 1, 20);
    net_gather_open(net, &gathers[0], 0);
    net_gather_publish(net, &gathers[0], 0);
    net_gather_open(net, &gathers[0], 1);
    net_gather_publish(net, &gathers[0], 1);
    net->drop = drop_tiles_to_rank_1;
    net_run(net, 5 * NET_MS);
    mesh_consume(net->mesh[0], net->now_ns, 1, 0);
    net_flush(net);
    assert_int_equal(net->events[0][MESH_EVENT_FREED], 0);
    mesh_goodbye(net->mesh[1], net->now_ns);
    net_run(net, NET_MS);
    assert_int_equal(net->events[0][MESH_EVENT_GONE], 1);
    assert_int_equal(net->events[0][MESH_EVENT_FREED], 1);
    net_gather_release(net, &gathers[0]);
    net_free(net);
}

static void a_single_rank_has_every_gather_complete_and_freed_at_once(void **state)
{
    struct net *net = net_new(1);

    (void)state;
    net_start(net);
    for (unsigned i = 0; i < 16; i++) {
        net_gather_init(net, &gathers[i], i, 0, 1, 20);
        assert_int_equal(net_gather_open(net, &gathers[i], 0), 0);
        assert_int_equal(net_gather_publish(net, &gathers[i], 0), 0);
        mesh_consume(net->mesh[0], net->now_ns, i, 0);
        net_flush(net);
        net_gather_release(net, &gathers[i]);
    }
    assert_int_equal(net->events[0][MESH_EVENT_COMPLETE], 16);
    assert_int_equal(net->events[0][MESH_EVENT_FREED], 16);
    net_free(net);
}

static void the_ninth_gather_must_wait(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    net_up(net);
    for (unsigned i = 0; i < 9; i++) {
        net_gather_init(net, &gathers[i], 1 + i / 5, (uint16_t)(i % 5), 1, 20);
        assert_int_equal(net_gather_open(net, &gathers[i], 0), i < 8 ? 0 : MESH_AGAIN);
        net_gather_open(net, &gathers[i], 1);
    }
    net_gather_publish(net, &gathers[0], 0);
    net_gather_publish(net, &gathers[0], 1);
    net_run(net, 5 * NET_MS);
    mesh_consume(net->mesh[0], net->now_ns, 1, 0);
    assert_int_equal(net_gather_open(net, &gathers[8], 0), 0);
    for (unsigned i = 0; i < 9; i++)
        net_gather_release(net, &gathers[i]);
    net_free(net);
}

static void a_rank_that_does_not_read_a_gather_neither_gets_nor_expects_it(void **state)
{
    struct net *net = net_new(3);

    (void)state;
    net_up(net);
    net_gather_init(net, &gathers[0], 1, 0, 1, 30);
    net_gather_init(net, &gathers[1], 1, 1, 1, 30);
    for (uint16_t rank = 0; rank < 3; rank++) {
        gathers[0].gather[rank].readers = 3; /* 0 and 1 */
        net_gather_open(net, &gathers[0], rank);
        net_gather_open(net, &gathers[1], rank);
        net_gather_publish(net, &gathers[0], rank);
    }
    net_run(net, 20 * NET_MS);
    assert_int_equal(net->events[0][MESH_EVENT_COMPLETE], 1);
    assert_int_equal(net->events[1][MESH_EVENT_COMPLETE], 1);
    assert_int_equal(net->events[2][MESH_EVENT_COMPLETE], 0);
    assert_int_equal(net->events[2][MESH_EVENT_ARRIVED], 0);
    assert_int_equal(net->events[2][MESH_EVENT_FREED], 1); /* both readers hold its own blocks */
    assert_true(net_gather_is_whole(net, &gathers[0], 0) && net_gather_is_whole(net, &gathers[0], 1));
    net_gather_release(net, &gathers[0]);
    net_gather_release(net, &gathers[1]);
    net_free(net);
}

static void gathers_that_break_a_rule_are_refused(void **state)
{
    struct net *net = net_new(2);
    struct mesh_gather *gather = &gathers[0].gather[0];
    struct mesh_gather good;

    (void)state;
    net_up(net);
    net_gather_init(net, &gathers[0], 1, 0, 1, 20);
    good = *gather;
    gather->phase = 5;
    assert_int_equal(net_gather_open(net, &gathers[0], 0), MESH_EINVAL);
    *gather = good;
    gather->token_count = 65;
    assert_int_equal(net_gather_open(net, &gathers[0], 0), MESH_EINVAL);
    *gather = good;
    gather->block_bytes = MESH_BLOCK_BYTES_MAX + 1;
    assert_int_equal(net_gather_open(net, &gathers[0], 0), MESH_EINVAL);
    *gather = good;
    gather->block_count = 19;
    assert_int_equal(net_gather_open(net, &gathers[0], 0), MESH_EINVAL);
    *gather = good;
    gather->readers = 0;
    assert_int_equal(net_gather_open(net, &gathers[0], 0), MESH_EINVAL);
    gather->readers = ~UINT64_C(3); /* none of the two ranks */
    assert_int_equal(net_gather_open(net, &gathers[0], 0), MESH_EINVAL);
    *gather = good;
    assert_int_equal(net_gather_open(net, &gathers[0], 0), 0);
    assert_int_equal(net_gather_open(net, &gathers[0], 0), MESH_EINVAL); /* not later than the previous gather */
    net_gather_release(net, &gathers[0]);
    net_free(net);
}

static void so_are_those_with_nothing_in_them_or_with_blocks_out_of_order(void **state)
{
    enum { NO_TOKENS, NO_BLOCKS, EMPTY_BLOCKS, EMPTY_LAST, LONG_LAST, NO_DATA, LATE_STEP, NO_START, DOWNWARDS, BEYOND, RULES };
    struct net *net = net_new(2);
    struct mesh_gather *gather = &gathers[0].gather[0];
    struct mesh_gather good;

    (void)state;
    net_up(net);
    net_gather_init(net, &gathers[0], 1, 0, 1, 20);
    good = *gather;
    for (unsigned rule = 0; rule < RULES; rule++) {
        uint16_t first[3] = {rule == NO_START ? 1 : 0, rule == DOWNWARDS ? 21 : 10, rule == BEYOND ? 21 : 20};

        *gather = good;
        gather->first = first;
        if (rule == NO_TOKENS)
            gather->token_count = 0;
        if (rule == NO_BLOCKS) {
            gather->block_count = 0;
            memset(first, 0, sizeof first);
        }
        if (rule == EMPTY_BLOCKS)
            gather->block_bytes = gather->last_block_bytes = 0;
        if (rule == EMPTY_LAST)
            gather->last_block_bytes = 0;
        if (rule == LONG_LAST)
            gather->last_block_bytes = (uint16_t)(gather->block_bytes + 1);
        if (rule == NO_DATA)
            gather->data = NULL;
        if (rule == LATE_STEP)
            gather->step = MESH_STEP_MAX + 1;
        assert_int_equal(net_gather_open(net, &gathers[0], 0), MESH_EINVAL);
    }
    *gather = good;
    assert_int_equal(net_gather_open(net, &gathers[0], 0), 0);
    net_gather_release(net, &gathers[0]);
    net_free(net);
}

static void tokens_may_touch_but_not_overlap(void **state)
{
    enum { TOKEN_BYTES = 19 * 36 + 20 };
    struct net *net = net_new(2);
    struct mesh_gather *gather = &gathers[0].gather[0];

    (void)state;
    net_up(net);
    net_gather_init(net, &gathers[0], 1, 0, 2, 20);
    gather->token_stride = TOKEN_BYTES - 1;
    assert_int_equal(net_gather_open(net, &gathers[0], 0), MESH_EINVAL);
    gather->token_stride = 0;
    assert_int_equal(net_gather_open(net, &gathers[0], 0), MESH_EINVAL);
    gather->token_stride = TOKEN_BYTES;
    assert_int_equal(net_gather_open(net, &gathers[0], 0), 0);
    net_gather_release(net, &gathers[0]);
    net_gather_init(net, &gathers[1], 1, 1, 1, 20);
    gathers[1].gather[0].token_stride = 0; /* of one token it does not matter */
    assert_int_equal(net_gather_open(net, &gathers[1], 0), 0);
    net_gather_release(net, &gathers[1]);
    net_free(net);
}

/* net drains all events, and looks at none of ARRIVED. */
static void what_is_published_before_the_handshake_arrives_after_it(void **state)
{
    struct net *net = net_new(3);

    (void)state;
    net_start(net);
    net_gather_init(net, &gathers[0], 1, 0, 2, 30);
    for (uint16_t rank = 0; rank < 3; rank++) {
        assert_int_equal(net_gather_open(net, &gathers[0], rank), 0);
        assert_int_equal(net_gather_publish(net, &gathers[0], rank), 0);
        assert_int_equal(net->events[rank][MESH_EVENT_UP], 0);
    }
    net_run(net, 100 * NET_MS);
    for (uint16_t rank = 0; rank < 3; rank++) {
        assert_int_equal(net->events[rank][MESH_EVENT_UP], 2);
        assert_int_equal(net->events[rank][MESH_EVENT_COMPLETE], 1);
        assert_true(net_gather_is_whole(net, &gathers[0], rank));
    }
    net_gather_release(net, &gathers[0]);
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gather_is_freed_when_consumed_and_held_by_its_readers),
        cmocka_unit_test(a_gather_that_a_reader_lacks_is_not_freed),
        cmocka_unit_test(a_gather_whose_readers_have_left_is_not_freed_before_its_own_blocks_are_published),
        cmocka_unit_test(a_gather_is_freed_when_the_last_reader_that_lacks_it_leaves),
        cmocka_unit_test(a_single_rank_has_every_gather_complete_and_freed_at_once),
        cmocka_unit_test(the_ninth_gather_must_wait),
        cmocka_unit_test(a_rank_that_does_not_read_a_gather_neither_gets_nor_expects_it),
        cmocka_unit_test(gathers_that_break_a_rule_are_refused),
        cmocka_unit_test(so_are_those_with_nothing_in_them_or_with_blocks_out_of_order),
        cmocka_unit_test(tokens_may_touch_but_not_overlap),
        cmocka_unit_test(what_is_published_before_the_handshake_arrives_after_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
