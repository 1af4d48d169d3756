/* Addresses that a member asks: how often, and what an answer leads to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "proposal_case.h"

static int open_calm(void **state)
{
    const int err = proposal_case_open(state);

    cluster->plan.stage = 0;
    joiner->is_joining = joiner->is_used = false;
    return err;
}

static bool asks(uint64_t *nonce)
{
    struct mesh_message message;
    uint16_t port;

    mesh_cluster_contact_tick(cluster);
    if (!proposal_case_sends(MESH_TYPE_ASK, &message, &port))
        return false;
    assert_int_equal(port, joiner->addr.port);
    *nonce = message.as.ask.nonce;
    return true;
}

static int answer(uint64_t nonce, const uint8_t id[16])
{
    struct mesh_message cookie = {.header.type = MESH_TYPE_COOKIE, .as.cookie = {.nonce = nonce, .members = 9, .number = NUMBER}};
    const struct cluster_input in = {.from = joiner->addr, .message = &cookie, .incarnation = joiner->incarnation};

    memcpy(cookie.as.cookie.id, id, sizeof cookie.as.cookie.id);
    return mesh_cluster_joining_cookie(cluster, &in);
}

/* The answer of a larger cluster to the question. */
static int meet(uint64_t nonce)
{
    return answer(nonce, (const uint8_t[16]){9});
}

static void a_process_that_leaves_joins_no_other_cluster(void **state)
{
    uint64_t nonce;

    (void)state;
    mesh_cluster_contact_learn(cluster, &joiner->addr, false);
    for (unsigned leaves = 2; leaves-- > 0;) {
        cluster->is_leaving = false;
        assert_true(asks(&nonce));
        cluster->is_leaving = leaves;
        assert_int_equal(meet(nonce), 0);
        assert_int_equal(cluster->joining.is_active, !leaves);
        cluster->now_ns += CLUSTER_S;
    }
}

static void a_process_that_joins_tells_all_of_itself(void **state)
{
    struct mesh_cluster_config *config = &cluster->config;
    struct mesh_message message;
    const struct mesh_join *join = &message.as.join;
    uint64_t nonce;
    uint16_t port;

    (void)state;
    config->speed = 11;
    config->flags = 12;
    config->features = 13;
    memset(config->cluster, 14, sizeof config->cluster);
    memset(config->fingerprint, 15, sizeof config->fingerprint);
    mesh_cluster_contact_learn(cluster, &joiner->addr, false);
    assert_true(asks(&nonce));
    assert_int_equal(meet(nonce), 0);
    mesh_cluster_joining_tick(cluster);
    assert_true(proposal_case_sends(MESH_TYPE_JOIN, &message, &port));
    assert_int_equal(port, joiner->addr.port);
    assert_int_equal(join->speed, 11);
    assert_int_equal(join->app_flags, 12);
    assert_int_equal(join->features, 13);
    assert_memory_equal(join->cluster, config->cluster, sizeof config->cluster);
    assert_memory_equal(join->fingerprint, config->fingerprint, sizeof config->fingerprint);
    assert_memory_equal(join->incarnation, config->incarnation, sizeof config->incarnation);
    assert_int_equal(join->number, NUMBER);
    assert_int_equal(join->nonce, cluster->joining.nonce);
    assert_int_equal(join->to_port, port);
}

/* A member that has met the other cluster has told the others where it is; of an address that was a member's it has not. */
static void the_others_are_told_of_a_better_cluster_unless_it_is_one_of_them_who_told(void **state)
{
    static const struct {
        bool is_by_move, is_lost;
    } cases[] = {{false, false}, {true, false}, {true, true}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mesh_message message;
        uint64_t nonce;
        uint16_t port;

        if (i > 0)
            assert_int_equal(open_calm(state), 0);
        mesh_cluster_contact_learn(cluster, &joiner->addr, cases[i].is_by_move);
        if (cases[i].is_lost)
            mesh_cluster_contact_lost(cluster, &joiner->addr);
        cluster->now_ns += CLUSTER_S;
        assert_true(asks(&nonce));
        assert_int_equal(meet(nonce), 0);
        assert_true(cluster->joining.is_active);
        assert_int_equal(proposal_case_sends(MESH_TYPE_MOVE, &message, &port), !cases[i].is_by_move || cases[i].is_lost);
        if (i + 1 < sizeof cases / sizeof *cases)
            proposal_case_close(state);
    }
}

/* How often the address is asked within these seconds. */
static unsigned count_questions(unsigned from_s, unsigned to_s)
{
    const uint64_t begun_ns = cluster->now_ns;
    unsigned asked = 0;
    uint64_t nonce;

    for (uint64_t ms = 0; ms < (to_s - from_s) * 1000; ms++) {
        cluster->now_ns = begun_ns + ms * CLUSTER_MS;
        asked += asks(&nonce);
    }
    cluster->now_ns = begun_ns + (to_s - from_s) * CLUSTER_S;
    return asked;
}

/* Ends with the first second, in which both know of each other and one of them joins. */
static void a_cluster_that_was_met_is_asked_every_twentieth_of_a_second(void **state)
{
    uint64_t nonce;

    (void)state;
    mesh_cluster_contact_learn(cluster, &joiner->addr, false);
    assert_true(asks(&nonce));
    cluster->now_ns += 70 * CLUSTER_S; /* the answer to a question that took long */
    assert_int_equal(meet(nonce), 0);
    assert_in_range(count_questions(0, 1), 17, 20);
    assert_in_range(count_questions(1, 10), 8, 14);
}

static void an_address_that_was_met_a_moment_ago_is_not_asked_anew(void **state)
{
    uint64_t nonce;

    (void)state;
    mesh_cluster_contact_learn(cluster, &joiner->addr, false);
    assert_true(asks(&nonce));
    assert_int_equal(meet(nonce), 0);
    cluster->now_ns += 50 * CLUSTER_MS - 1;
    mesh_cluster_contact_learn(cluster, &joiner->addr, false);
    assert_false(asks(&nonce));
    cluster->now_ns++;
    mesh_cluster_contact_learn(cluster, &joiner->addr, false);
    assert_true(asks(&nonce));
}

static void a_question_is_answered_once(void **state)
{
    uint64_t nonce, number;

    (void)state;
    mesh_cluster_contact_learn(cluster, &joiner->addr, false);
    assert_true(asks(&nonce));
    number = mesh_cluster_contact_by_nonce(cluster, nonce)->asked_number;
    assert_non_null(mesh_cluster_contact_by_number(cluster, number, &joiner->addr));
    assert_int_equal(meet(nonce), 0);
    assert_null(mesh_cluster_contact_by_number(cluster, number, &joiner->addr));
    cluster->now_ns += 3 * CLUSTER_S;
    assert_true(asks(&nonce));
    mesh_cluster_contact_denied(cluster, mesh_cluster_contact_by_nonce(cluster, nonce), true);
    assert_null(mesh_cluster_contact_by_nonce(cluster, nonce));
}

/* A member of the own epoch gives it to any question that somebody replays to it; the address that was asked may answer after that. */
static void a_cookie_of_the_own_epoch_neither_answers_a_question_nor_puts_the_next_one_off(void **state)
{
    uint64_t nonce;

    (void)state;
    mesh_cluster_contact_learn(cluster, &joiner->addr, false);
    assert_true(asks(&nonce));
    cluster->now_ns += 19 * CLUSTER_MS;
    assert_int_equal(answer(nonce, cluster->epoch.id), 0);
    cluster->now_ns += 4 * CLUSTER_MS; /* after 20 ms and up to an eighth, as without an answer */
    assert_true(asks(&nonce));
    for (unsigned i = 0; i < 10; i++) { /* and from then on every 2 s */
        assert_int_equal(answer(nonce, cluster->epoch.id), 0);
        cluster->now_ns += 1990 * CLUSTER_MS;
        assert_false(asks(&nonce));
        assert_int_equal(answer(nonce, cluster->epoch.id), 0);
        cluster->now_ns += 270 * CLUSTER_MS;
        assert_true(asks(&nonce));
    }
    assert_int_equal(answer(nonce, cluster->epoch.id), 0);
    assert_int_equal(meet(nonce), 0);
    assert_true(cluster->joining.is_active);
    assert_int_equal(answer(nonce, cluster->epoch.id), MESH_ESTATE);
}

/* To a process that asks itself, or by somebody who replays them. */
static void questions_that_come_back_are_repeated_as_if_they_did_not(void **state)
{
    const uint64_t begun_ns = cluster->now_ns;
    unsigned asked = 0;
    uint64_t nonce;

    (void)state;
    mesh_cluster_contact_learn(cluster, &joiner->addr, false);
    for (; cluster->now_ns - begun_ns < 60 * CLUSTER_S; cluster->now_ns += CLUSTER_MS)
        if (asks(&nonce)) {
            assert_true(mesh_cluster_contact_self(cluster, nonce));
            asked++;
        }
    assert_in_range(asked, 57, 67);
}

/* Its own questions come back for a while, from an address that another process gets afterwards. */
static void an_address_that_was_its_own_is_asked_as_often_as_others_again(void **state)
{
    uint64_t nonce;

    (void)state;
    mesh_cluster_contact_learn(cluster, &joiner->addr, false);
    for (unsigned i = 0; i < 9; i++) { /* the last time after five seconds */
        while (!asks(&nonce))
            cluster->now_ns += 10 * CLUSTER_MS;
        assert_true(mesh_cluster_contact_self(cluster, nonce));
    }
    assert_in_range(count_questions(0, 60), 12, 60);
}

/* After 20, 40, 80 ms and so on; every second; after a minute twice, four times as long and so on; each time up to an eighth longer. */
static void a_silent_address_is_asked_ever_less_often(void **state)
{
    (void)state;
    mesh_cluster_contact_learn(cluster, &joiner->addr, false);
    assert_in_range(count_questions(0, 1), 6, 7);
    assert_in_range(count_questions(1, 60), 51, 60);
    assert_in_range(count_questions(60, 120), 4, 6);
    assert_in_range(count_questions(120, 420), 8, 11);
}

#define CONTACTS_TEST(test) cmocka_unit_test_setup_teardown(test, open_calm, proposal_case_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTACTS_TEST(a_cluster_that_was_met_is_asked_every_twentieth_of_a_second),
        CONTACTS_TEST(a_process_that_leaves_joins_no_other_cluster),
        CONTACTS_TEST(a_process_that_joins_tells_all_of_itself),
        CONTACTS_TEST(the_others_are_told_of_a_better_cluster_unless_it_is_one_of_them_who_told),
        CONTACTS_TEST(an_address_that_was_met_a_moment_ago_is_not_asked_anew),
        CONTACTS_TEST(a_question_is_answered_once),
        CONTACTS_TEST(a_cookie_of_the_own_epoch_neither_answers_a_question_nor_puts_the_next_one_off),
        CONTACTS_TEST(questions_that_come_back_are_repeated_as_if_they_did_not),
        CONTACTS_TEST(an_address_that_was_its_own_is_asked_as_often_as_others_again),
        CONTACTS_TEST(a_silent_address_is_asked_ever_less_often),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
