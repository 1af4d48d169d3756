/* Serving nodes in the simulator with limited memory: which node gets which rows, and what happens when all together have too little. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/epoch/balance.h"
#include "node/serve/serve_memory.h"
#include "serve_case.h"

enum { FOUR = 4, MODEL = 3 /* of five heads: its parts are fine enough */ };

static struct simserve serve; /* too large for the stack */
static unsigned question;     /* one with a long answer */
static int first;             /* the first ask */

/* What a node holds that has the whole model. */
static uint64_t whole_bytes(void)
{
    const struct epoch_run_config *c = &serve.node[0].epoch_run_config;
    const uint32_t share = 1;
    struct balance_load load;
    struct rowmap map;
    struct fail fail;

    balance_load_init(&load, c->model);
    balance_load_cache(&load, c->kv_type, c->ctx, c->slots);
    assert_int_equal(rowmap_init(&map, c->model, &share, 1, &fail), 0);
    return balance_part_bytes(&load, &map, 0);
}

/* Four nodes, each with so many percent of what the model needs. */
static void form(const unsigned percent[FOUR])
{
    const struct simserve_config config = {.count = FOUR,
                                           .seed = 1,
                                           .model = MODEL,
                                           .batch = 8,
                                           .slots = 4,
                                           .datagram_bytes = 1472,
                                           .unit_ns = SIMMEMBERS_MS,
                                           .load_ns = 100000,
                                           .link = {.delay_ns = 100000}};

    question = serve_case_question(MODEL);
    simserve_open(&serve, &config);
    for (uint16_t place = 0; place < FOUR; place++)
        serve.members.at[place].summary = whole_bytes() * percent[place] / 100;
    simserve_form(&serve);
}

static int close_four(void **state)
{
    (void)state;
    simserve_close(&serve);
    return 0;
}

static void expect_answered(void)
{
    serve_case_expect(&serve, simserve_run_until(&serve, simserve_is_settled, 20 * SIMMEMBERS_S));
    assert_true(serve.ask[first].is_done);
}

/* No live node holds more than it can. */
static void expect_fits(void)
{
    for (uint64_t alive = simserve_alive(&serve); alive != 0; alive &= alive - 1) {
        const struct simserve_node *node = &serve.node[__builtin_ctzll(alive)];
        struct balance_load load;

        balance_load_init(&load, node->epoch_run_config.model);
        balance_load_cache(&load, node->epoch_run_config.kv_type, node->epoch_run_config.ctx, node->epoch_run_config.slots);
        assert_true(node->run->is_started && node->missing_bytes == 0);
        assert_true(balance_part_bytes(&load, &node->run->map, node->run->rank) <= node->member->summary);
    }
}

/* All live nodes are in one epoch and hold nothing, and the answer is suspended. */
static void expect_waits(uint64_t missing_bytes)
{
    const uint64_t alive = simserve_alive(&serve);
    uint32_t told;

    serve_case_expect(&serve, simserve_run(&serve, 3 * SIMMEMBERS_S));
    told = serve.ask[first].told;
    serve_case_expect(&serve, simserve_run(&serve, 60 * SIMMEMBERS_S));
    assert_true(simmembers_agree(&serve.members, alive));
    assert_false(serve.ask[first].is_done);
    assert_int_equal(serve.ask[first].told, told);
    for (uint64_t left = alive; left != 0; left &= left - 1) {
        const struct simserve_node *node = &serve.node[__builtin_ctzll(left)];

        assert_true(node->run->engine == NULL && node->next->engine == NULL);
        assert_in_range(node->missing_bytes, missing_bytes - FOUR, missing_bytes + FOUR);
    }
}

static void after_a_death_each_gets_what_it_can_hold(void **state)
{
    static const unsigned percent[FOUR] = {100, 25, 100, 100};

    (void)state;
    form(percent);
    expect_fits();
    first = serve_case_ask(&serve, 3, question);
    simserve_crash(&serve, 0);
    expect_answered();
    expect_fits();
    first = simserve_ask(&serve, 3, question);
    simserve_crash(&serve, 2);
    expect_answered();
    expect_fits();
    assert_int_equal(serve.members.at[1].count, 2);
}

static void who_cannot_hold_the_model_waits_until_one_joins(void **state)
{
    static const unsigned percent[FOUR] = {45, 45, 45, 45};
    uint32_t number;

    (void)state;
    form(percent);
    first = serve_case_ask(&serve, 3, question);
    simserve_crash(&serve, 0);
    simserve_crash(&serve, 1);
    expect_waits(whole_bytes() - 2 * (whole_bytes() * 45 / 100));
    number = serve.members.at[3].number;
    simserve_start(&serve, 1);
    expect_answered();
    expect_fits();
    assert_int_equal(serve.members.at[3].count, 3);
    assert_in_range(serve.members.at[3].number, number + 1, number + 2);
}

/* The new node holds nothing of the model either, as long as memory is missing. */
static void one_that_joins_with_too_little_waits_with_the_others(void **state)
{
    static const unsigned percent[FOUR] = {80, 80, 30, 30};

    (void)state;
    form(percent);
    first = serve_case_ask(&serve, 3, question);
    simserve_crash(&serve, 0);
    simserve_crash(&serve, 1);
    expect_waits(whole_bytes() - 2 * (whole_bytes() * 30 / 100));
    serve.members.at[1].summary = whole_bytes() * 30 / 100;
    simserve_start(&serve, 1);
    expect_waits(whole_bytes() - 3 * (whole_bytes() * 30 / 100));
    assert_int_equal(serve.members.at[3].count, 3);
    simserve_start(&serve, 0);
    expect_answered();
    expect_fits();
}

/* As serve_memory.c proposes now and then. */
static void propose_again(uint16_t place)
{
    static const uint32_t even[FOUR] = {1, 1, 1, 1};
    const struct simmember *member = &serve.members.at[place];

    assert_int_equal(mesh_cluster_propose_shares(member->cluster, simmembers_clock(&serve.members, place), even, member->count), 0);
    mesh_sim_wake(serve.members.sim, place);
}

static void memory_that_becomes_free_counts_with_the_next_agreement(void **state)
{
    static const unsigned percent[FOUR] = {45, 45, 45, 45};

    (void)state;
    form(percent);
    first = serve_case_ask(&serve, 3, question);
    for (uint16_t place = 0; place < 3; place++)
        simserve_crash(&serve, place);
    expect_waits(whole_bytes() - whole_bytes() * 45 / 100);
    propose_again(3);
    expect_waits(whole_bytes() - whole_bytes() * 45 / 100);
    serve.members.at[3].summary = whole_bytes();
    mesh_cluster_set_summary(serve.members.at[3].cluster, whole_bytes());
    propose_again(3);
    expect_answered();
    expect_fits();
}

/* Fluctuating figures would make an epoch every two seconds. */
static void only_as_much_as_is_missing_is_worth_an_epoch_at_once(void **state)
{
    static struct serve_memory memory = {.rank = 1, .member[0].summary = 700, .member[1].summary = 400};

    (void)state;
    assert_false(serve_memory_suffices(&memory, UINT64_MAX));
    memory.missing_bytes = 100;
    assert_false(serve_memory_suffices(&memory, 300));
    assert_false(serve_memory_suffices(&memory, 499));
    assert_true(serve_memory_suffices(&memory, 500));
}

/* A node that was reported with 984 would wait for ever for 1000, although it has 1010. */
static void what_is_waited_for_is_told_however_little(void **state)
{
    static struct serve_memory memory = {.reported_bytes = 984};

    (void)state;
    assert_false(serve_memory_is_news(&memory, 1010));
    assert_true(serve_memory_is_news(&memory, 1020));
    memory.missing_bytes = 16;
    assert_true(serve_memory_is_news(&memory, 1010));
    assert_false(serve_memory_is_news(&memory, 984));
    assert_false(serve_memory_is_news(&memory, 960)); /* a decrease counts only when it is large */
    assert_true(serve_memory_is_news(&memory, 900));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(after_a_death_each_gets_what_it_can_hold, close_four),
        cmocka_unit_test_teardown(who_cannot_hold_the_model_waits_until_one_joins, close_four),
        cmocka_unit_test_teardown(one_that_joins_with_too_little_waits_with_the_others, close_four),
        cmocka_unit_test_teardown(memory_that_becomes_free_counts_with_the_next_agreement, close_four),
        cmocka_unit_test(what_is_waited_for_is_told_however_little),
        cmocka_unit_test(only_as_much_as_is_missing_is_worth_an_epoch_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
