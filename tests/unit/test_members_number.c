/* Lies about numbers of epochs, by a process that has the key: they leave numbers for splits that heal and for new processes, and who is
 * not admitted for its number is told so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "members_case.h"

#define BELIEVED (MESH_EPOCH_MAX / 2)
#define AHEAD    UINT32_C(65536)

enum { LIAR = 3 }; /* a place without a process */

static struct mesh_message answer;
static uint8_t liar = 100; /* its incarnation's bytes */

/* What the member answers is in answer. */
static int say(uint16_t to, struct mesh_message *message, uint8_t who, uint64_t number)
{
    struct mesh_cluster *cluster = members.at[to].cluster;
    const struct mesh_addr addr = mesh_sim_addr(LIAR);
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN];
    struct mesh_output output;
    size_t bytes;
    int err;

    message->header.magic = MESH_WIRE_MAGIC;
    message->header.version = MESH_WIRE_VERSION;
    message->header.number = number;
    memset(&message->as, who, 16);
    bytes = mesh_wire_encode(message, packet, sizeof packet);
    err = mesh_cluster_receive(cluster, simmembers_clock(&members, to), addr, packet, bytes);
    memset(&answer, 0, sizeof answer);
    while (mesh_cluster_next_datagram(cluster, simmembers_clock(&members, to), packet, sizeof packet, &output))
        if (memcmp(&output.addr, &addr, sizeof addr) == 0)
            assert_int_equal(mesh_wire_decode(packet, output.bytes, &answer), 0);
    mesh_sim_wake(members.sim, to);
    return err;
}

/* A new process asks to join and says that its last epoch had that number. */
static int lie(uint16_t to, uint32_t number)
{
    struct mesh_message ask = {.header.type = MESH_TYPE_ASK, .as.ask = {.nonce = 77, .members = 1}};
    struct mesh_message join = {.header.type = MESH_TYPE_JOIN, .as.join = {.nonce = 78, .number = number, .to_port = to}};

    liar++;
    memcpy(ask.as.ask.cluster, members.at[to].config.cluster, sizeof ask.as.ask.cluster);
    memcpy(ask.as.ask.fingerprint, members.at[to].config.fingerprint, sizeof ask.as.ask.fingerprint);
    assert_int_equal(say(to, &ask, liar, 1), 0);
    assert_int_equal(answer.header.type, MESH_TYPE_COOKIE);
    memcpy(join.as.join.cookie, answer.as.cookie.cookie, sizeof join.as.join.cookie);
    memcpy(join.as.join.cluster, ask.as.ask.cluster, sizeof join.as.join.cluster);
    memcpy(join.as.join.fingerprint, ask.as.ask.fingerprint, sizeof join.as.join.fingerprint);
    return say(to, &join, liar, 2);
}

static uint32_t highest_believed(uint16_t place)
{
    const uint32_t own = members.at[place].number;

    return (own > BELIEVED ? own : BELIEVED) + AHEAD;
}

/* Places 0 to 2 in one epoch; place 0 coordinates. */
static void open_members(void)
{
    struct mesh_sim_link link = simmembers_link();

    simmembers_open(&members, 4, 1, &link);
    simmembers_add_seed(&members, 1, 0);
    simmembers_add_seed(&members, 2, 0);
    for (uint16_t place = 0; place < 3; place++) {
        simmembers_start(&members, place);
        assert_true(simmembers_run(&members, 100 * SIMMEMBERS_MS));
    }
    members_case_expect_agreement(7, SIMMEMBERS_S);
    assert_int_equal(members.at[0].rank, 0);
}

/* The lie's number is that of an epoch that place 2 is not in; then it is started again. */
static void lie_and_restart_the_last(void)
{
    const uint32_t number = highest_believed(0);

    assert_int_equal(lie(0, number), 0);
    simmembers_crash(&members, 2);
    members_case_expect_agreement(3, 5 * SIMMEMBERS_S);
    assert_in_range(members.at[0].number, number + 1, number + 100);
    simmembers_start(&members, 2);
    members_case_expect_agreement(7, 3 * SIMMEMBERS_S);
}

static void cut_last(bool is_cut)
{
    for (uint16_t place = 0; place < 2; place++) {
        mesh_sim_block(members.sim, place, 2, is_cut);
        mesh_sim_block(members.sim, 2, place, is_cut);
    }
}

static void each_lie_leaves_room_for_splits_and_new_processes(void **state)
{
    (void)state;
    open_members();
    for (unsigned lies = 0; lies < 5; lies++) {
        lie_and_restart_the_last();
        cut_last(true);
        members_case_expect_agreement(3, 5 * SIMMEMBERS_S);
        assert_true(simmembers_run(&members, 5 * SIMMEMBERS_S));
        cut_last(false);
        members_case_expect_agreement(7, 5 * SIMMEMBERS_S);
    }
}

/* A process that was started apart, and so has an epoch of its own with a low number, is taken in. */
static void nor_do_lies_shut_out_a_process_that_was_alone(void **state)
{
    (void)state;
    open_members();
    lie_and_restart_the_last();
    lie_and_restart_the_last();
    simmembers_crash(&members, 2);
    members_case_expect_agreement(3, 5 * SIMMEMBERS_S);
    cut_last(true);
    simmembers_start(&members, 2);
    assert_true(simmembers_run(&members, 3 * SIMMEMBERS_S));
    assert_int_equal(members.at[2].number, 1);
    cut_last(false);
    members_case_expect_agreement(7, 60 * SIMMEMBERS_S);
}

/* What was the highest number to be believed from JOINs. */
static void a_lie_at_the_end_of_what_is_believed_stops_no_joining(void **state)
{
    (void)state;
    open_members();
    assert_int_equal(lie(0, BELIEVED), 0);
    cut_last(true);
    members_case_expect_agreement(3, 5 * SIMMEMBERS_S);
    cut_last(false);
    members_case_expect_agreement(7, 5 * SIMMEMBERS_S);
    assert_true(members.at[0].number > BELIEVED);
}

static void a_number_that_is_not_believed_is_answered(void **state)
{
    uint32_t number;

    (void)state;
    open_members();
    number = members.at[0].number;
    assert_int_equal(lie(0, highest_believed(0) + 1), MESH_EREFUSED);
    assert_int_equal(answer.header.type, MESH_TYPE_DENY);
    assert_int_equal(answer.as.deny.reason, MESH_DENY_NUMBER);
    assert_int_equal(answer.as.deny.nonce, 78);
    assert_int_equal(answer.as.deny.found, highest_believed(0) + 1);
    assert_int_equal(answer.as.deny.expected, highest_believed(0));
    assert_true(simmembers_run(&members, 3 * SIMMEMBERS_S));
    assert_true(simmembers_agree(&members, 7));
    assert_int_equal(members.at[0].number, number);
}

static struct mesh_message last_plan;

static void keep_plan(void *app, uint64_t now_ns, uint16_t from, uint16_t to, const uint8_t *packet, size_t bytes, bool dropped)
{
    struct mesh_message message;

    (void)app, (void)now_ns, (void)from, (void)dropped;
    if (to == LIAR && mesh_wire_decode(packet, bytes, &message) == 0 && message.header.type == MESH_TYPE_PLAN)
        last_plan = message;
}

/* A vote tells the number that a JOIN did not: no higher number can be proposed, so its process is not admitted. */
static void nor_is_such_a_number_believed_from_a_vote(void **state)
{
    struct mesh_message vote = {.header.type = MESH_TYPE_VOTE, .as.vote = {.answer = MESH_ANSWER_ELSEWHERE, .epoch = MESH_EPOCH_MAX}};

    (void)state;
    open_members();
    mesh_sim_watch(members.sim, keep_plan, NULL);
    assert_int_equal(lie(0, 0), 0);
    assert_true(simmembers_run(&members, 20 * SIMMEMBERS_MS));
    assert_int_equal(last_plan.header.type, MESH_TYPE_PLAN);
    vote.as.vote.stage = last_plan.as.plan.stage;
    vote.as.vote.number = last_plan.as.plan.number;
    vote.as.vote.round = last_plan.as.plan.round;
    memcpy(vote.as.vote.rival, last_plan.as.plan.proposer, sizeof vote.as.vote.rival);
    assert_int_equal(say(0, &vote, liar, 3), 0);
    assert_int_equal(answer.header.type, MESH_TYPE_DENY);
    assert_int_equal(answer.as.deny.reason, MESH_DENY_NUMBER);
    assert_int_equal(answer.as.deny.found, MESH_EPOCH_MAX);
    assert_true(simmembers_run(&members, 3 * SIMMEMBERS_S));
    assert_true(simmembers_agree(&members, 7));
}

/* Place 2 is what remains of a cluster that was lied to twice, and meets a new, larger one. */
static void a_process_says_why_it_is_alone_with_its_number(void **state)
{
    (void)state;
    open_members();
    lie_and_restart_the_last();
    lie_and_restart_the_last();
    simmembers_crash(&members, 0);
    simmembers_crash(&members, 1);
    members_case_expect_agreement(4, 5 * SIMMEMBERS_S);
    mesh_sim_block(members.sim, 0, 2, true);
    mesh_sim_block(members.sim, 1, 2, true);
    simmembers_start(&members, 0);
    simmembers_start(&members, 1);
    mesh_sim_block(members.sim, 2, 0, true);
    mesh_sim_block(members.sim, 2, 1, true);
    members_case_expect_agreement(3, 3 * SIMMEMBERS_S);
    cut_last(false);
    assert_true(simmembers_run(&members, 60 * SIMMEMBERS_S));
    assert_true(simmembers_agree(&members, 3));
    assert_int_equal(members.at[2].events[MESH_CLUSTER_REFUSED], 1);
    assert_int_equal(members.at[2].refused.reason_code, MESH_DENY_NUMBER);
    assert_non_null(strstr(members.at[2].reason, "number of its last epoch is 10738"));
    assert_non_null(strstr(members.at[2].reason, ", at most 1073807359: start it again"));
    simmembers_crash(&members, 2);
    simmembers_start(&members, 2);
    members_case_expect_agreement(7, 3 * SIMMEMBERS_S);
}

int main(void)
{
#define MEMBERS_TEST(name) cmocka_unit_test_teardown(name, members_case_close)
    const struct CMUnitTest tests[] = {
        MEMBERS_TEST(each_lie_leaves_room_for_splits_and_new_processes),
        MEMBERS_TEST(nor_do_lies_shut_out_a_process_that_was_alone),
        MEMBERS_TEST(a_lie_at_the_end_of_what_is_believed_stops_no_joining),
        MEMBERS_TEST(a_number_that_is_not_believed_is_answered),
        MEMBERS_TEST(nor_is_such_a_number_believed_from_a_vote),
        MEMBERS_TEST(a_process_says_why_it_is_alone_with_its_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
