/* What an attacker on the path can do without the key, by replaying what members have sent: to other members, later, from other
 * addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "simattack.h"

static struct simmembers members; /* too large for the stack */
static struct simattack attack;

#define NEVER (UINT64_C(1) << 31) /* interval between random replays */

static void open_members(uint16_t count)
{
    struct mesh_sim_link link = simmembers_link();

    simmembers_open(&members, count, 1, &link);
}

static int close_members(void **state)
{
    (void)state;
    simmembers_close(&members);
    return 0;
}

/* Sends a message as if from that place with that number. */
static int say(uint16_t from, uint16_t to, uint64_t number, struct mesh_message *message)
{
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN];
    size_t bytes;
    int err;

    message->header.magic = MESH_WIRE_MAGIC;
    message->header.version = MESH_WIRE_VERSION;
    message->header.number = number;
    memcpy(&message->as, members.at[from].config.incarnation, 16);
    bytes = mesh_wire_encode(message, packet, sizeof packet);
    err = mesh_cluster_receive(members.at[to].cluster, simmembers_clock(&members, to), mesh_sim_addr(from), packet, bytes);
    mesh_sim_wake(members.sim, to);
    return err;
}

static bool is_suspected(uint16_t by, uint16_t of)
{
    struct mesh_cluster_peer_stats stats;

    for (uint16_t rank = 0; rank < members.at[by].count; rank++)
        if (members.at[by].list[rank].addr.port == of && mesh_cluster_get_peer_stats(members.at[by].cluster, rank, &stats) == 0)
            return stats.is_suspected;
    fail_msg("%u is no member for %u", of, by);
    return false;
}

/* ---- questions and cookies ---- */

static void a_question_that_comes_back_does_not_silence_who_asks(void **state)
{
    (void)state;
    open_members(2);
    simattack_begin(&attack, &members, 1, NEVER);
    simmembers_add_seed(&members, 1, 0);
    simmembers_start(&members, 1);
    assert_true(simmembers_run(&members, 10 * SIMMEMBERS_MS));
    assert_true(simattack_play(&attack, MESH_TYPE_ASK, 0, 1)); /* as its seed would send it */
    simmembers_start(&members, 0);
    assert_true(simmembers_run_agree(&members, 3, 3 * SIMMEMBERS_S) < UINT64_MAX);
}

static void nor_do_many_delay_its_questions(void **state)
{
    unsigned replayed = 0;

    (void)state;
    open_members(2);
    simattack_begin(&attack, &members, 1, NEVER);
    simmembers_add_seed(&members, 1, 0);
    simmembers_start(&members, 1);
    for (unsigned i = 0; i < 400; i++) {
        assert_true(simmembers_run(&members, 100 * SIMMEMBERS_MS));
        replayed += simattack_play(&attack, MESH_TYPE_ASK, 0, 1); /* if it is a new one */
    }
    assert_in_range(replayed, 35, 45);
    simmembers_start(&members, 0);
    assert_true(simmembers_run_agree(&members, 3, 2 * SIMMEMBERS_S) < UINT64_MAX);
}

/* Place 2 is farther away than the other member, which gets each question to it first. */
static void a_question_that_a_member_gets_is_still_one_to_another_process(void **state)
{
    const struct mesh_addr seed = mesh_sim_addr(2);
    struct mesh_sim_link far = simmembers_link();

    (void)state;
    open_members(3);
    far.delay_ns = SIMMEMBERS_MS;
    mesh_sim_set_link(members.sim, 1, 2, &far);
    simmembers_add_seed(&members, 1, 0);
    for (uint16_t place = 0; place < 3; place++)
        simmembers_start(&members, place);
    assert_true(simmembers_run(&members, SIMMEMBERS_S));
    assert_true(simmembers_agree(&members, 3));
    simattack_begin(&attack, &members, 1, NEVER);
    assert_int_equal(mesh_cluster_join(members.at[1].cluster, simmembers_clock(&members, 1), &seed, 1), 0);
    mesh_sim_wake(members.sim, 1);
    for (unsigned i = 0; i < 30000 && !simmembers_agree(&members, 7); i++) {
        assert_true(simmembers_run(&members, SIMMEMBERS_MS / 10));
        (void)simattack_play(&attack, MESH_TYPE_ASK, SIMMEMBERS_MAX, 0);
    }
    assert_true(simmembers_agree(&members, 7));
}

static bool loses_cookies(struct simmembers *all, uint16_t from, uint16_t to, const struct mesh_message *message)
{
    (void)all, (void)from;
    return to == 1 && message->header.type == MESH_TYPE_COOKIE;
}

static void a_cookie_as_if_from_the_own_address_makes_no_loop(void **state)
{
    struct mesh_cluster_stats stats;

    (void)state;
    open_members(2);
    simattack_begin(&attack, &members, 1, NEVER);
    members.loses = loses_cookies;
    simmembers_add_seed(&members, 1, 0);
    simmembers_start(&members, 0);
    assert_true(simmembers_run_agree(&members, 1, SIMMEMBERS_S) < UINT64_MAX);
    simmembers_start(&members, 1);
    assert_true(simmembers_run(&members, 5 * SIMMEMBERS_MS));
    assert_true(simattack_play(&attack, MESH_TYPE_COOKIE, 1, 1));
    assert_true(simmembers_run(&members, 100 * SIMMEMBERS_MS));
    mesh_cluster_get_stats(members.at[1].cluster, &stats);
    assert_in_range(stats.sent, 1, 50);
    members.loses = NULL;
    assert_true(simmembers_run_agree(&members, 3, 3 * SIMMEMBERS_S) < UINT64_MAX);
}

/* Place 1 sends its first JOIN where the COOKIE of place 0 seems to come from, and somebody replays that to place 0, which is alone and
 * takes the address in it for its own. There, a cluster begins that is better. */
static void a_process_asks_also_where_a_replayed_join_says_that_it_is_itself(void **state)
{
    const struct mesh_addr seed = mesh_sim_addr(0);

    (void)state;
    open_members(4);
    simattack_begin(&attack, &members, 1, NEVER);
    members.loses = loses_cookies;
    simmembers_add_seed(&members, 1, 0);
    simmembers_add_seed(&members, 3, 2);
    simmembers_start(&members, 0);
    simmembers_start(&members, 1);
    assert_true(simmembers_run(&members, 5 * SIMMEMBERS_MS));
    assert_true(simattack_play(&attack, MESH_TYPE_COOKIE, 2, 1));
    assert_true(simmembers_run(&members, SIMMEMBERS_MS));
    assert_true(simattack_play(&attack, MESH_TYPE_JOIN, 1, 0));
    simmembers_crash(&members, 1);
    assert_true(simmembers_run(&members, 3 * SIMMEMBERS_S));
    members.loses = NULL;
    simmembers_start(&members, 2);
    simmembers_start(&members, 3);
    assert_true(simmembers_run_agree(&members, 12, SIMMEMBERS_S) < UINT64_MAX);
    assert_int_equal(mesh_cluster_join(members.at[3].cluster, simmembers_clock(&members, 3), &seed, 1), 0);
    mesh_sim_wake(members.sim, 3);
    assert_true(simmembers_run_agree(&members, 13, SIMMEMBERS_S) < UINT64_MAX);
}

static unsigned sent_elsewhere;

static bool counts_elsewhere(struct simmembers *all, uint16_t from, uint16_t to, const struct mesh_message *message)
{
    (void)all, (void)from, (void)message;
    sent_elsewhere += to == 5;
    return false;
}

/* The other members are told to ask where this one asked, not where the answer seems to come from: they would go on asking there. Place 5
 * answers nobody. */
static void a_cookie_as_if_from_elsewhere_sends_no_other_members_there(void **state)
{
    const struct mesh_addr seed = mesh_sim_addr(0);

    (void)state;
    open_members(6);
    simattack_begin(&attack, &members, 1, NEVER);
    for (uint16_t place = 0; place < 5; place++)
        mesh_sim_block(members.sim, 5, place, true);
    simmembers_add_seed(&members, 2, 1);
    simmembers_add_seed(&members, 3, 0);
    simmembers_add_seed(&members, 4, 0);
    for (uint16_t place = 0; place < 6; place++)
        simmembers_start(&members, place);
    assert_true(simmembers_run(&members, 3 * SIMMEMBERS_S));
    assert_true(simmembers_agree(&members, 6));
    assert_true(simmembers_agree(&members, 25));
    members.loses = loses_cookies;
    assert_int_equal(mesh_cluster_join(members.at[1].cluster, simmembers_clock(&members, 1), &seed, 1), 0);
    mesh_sim_wake(members.sim, 1);
    assert_true(simmembers_run(&members, 5 * SIMMEMBERS_MS));
    sent_elsewhere = 0;
    members.loses = counts_elsewhere;
    assert_true(simattack_play(&attack, MESH_TYPE_COOKIE, 5, 1));
    assert_true(simmembers_run_agree(&members, 31, SIMMEMBERS_S) < UINT64_MAX);
    assert_true(simmembers_run(&members, 10 * SIMMEMBERS_S));
    assert_int_equal(sent_elsewhere, 1); /* the first JOIN */
}

/* ---- signs of life ---- */

/* Machines' clocks differ, so a question of one may seem to follow a later one of another. */
static void an_answer_to_another_member_is_no_sign_of_life(void **state)
{
    struct mesh_message message = {.header.type = MESH_TYPE_ALIVE, .as.alive = {.state = MESH_ALIVE_ANSWERS, .origin_ns = UINT64_MAX / 2}};
    uint16_t coordinator, dead;
    uint64_t number = UINT64_C(1) << 40;

    (void)state;
    open_members(3);
    simmembers_form(&members);
    coordinator = simmembers_place(&members, 0);
    dead = simmembers_place(&members, 2);
    message.as.alive.number = members.at[coordinator].number;
    memcpy(message.as.alive.id, members.at[coordinator].id, sizeof message.as.alive.id);
    simmembers_crash(&members, dead);
    for (unsigned i = 0; i < 500 && !simmembers_agree(&members, 7u & ~(1u << dead)); i++) {
        simmembers_suspect(&members, coordinator, dead);
        assert_true(simmembers_run(&members, SIMMEMBERS_MS));
        if (members.at[coordinator].count == 3)
            (void)say(dead, coordinator, ++number, &message);
    }
    assert_true(simmembers_agree(&members, 7u & ~(1u << dead)));
}

static bool loses_alive_of_two(struct simmembers *all, uint16_t from, uint16_t to, const struct mesh_message *message)
{
    (void)all;
    return from == 2 && to == 1 && message->header.type == MESH_TYPE_ALIVE;
}

/* A newcomer's datagrams to others from before it was admitted are new to a member that has received only its tiles. */
static void a_sign_of_life_from_before_an_epoch_does_not_end_a_membership(void **state)
{
    struct mesh_message message = {.header.type = MESH_TYPE_ALIVE, .as.alive = {.state = MESH_ALIVE_ANSWERS, .origin_ns = 5}};
    uint32_t number;

    (void)state;
    open_members(3);
    simmembers_add_seed(&members, 1, 0);
    simmembers_add_seed(&members, 2, 0);
    simmembers_start(&members, 0);
    simmembers_start(&members, 1);
    assert_true(simmembers_run_agree(&members, 3, 3 * SIMMEMBERS_S) < UINT64_MAX);
    members.loses = loses_alive_of_two;
    simmembers_start(&members, 2);
    assert_true(simmembers_run_agree(&members, 7, 3 * SIMMEMBERS_S) < UINT64_MAX);
    number = members.at[1].number;
    mesh_cluster_heard(members.at[1].cluster, simmembers_clock(&members, 1), members.at[2].rank);
    assert_int_equal(say(2, 1, 1, &message), 0);
    assert_false(is_suspected(1, 2));
    members.loses = NULL;
    assert_true(simmembers_run(&members, 3 * SIMMEMBERS_S));
    assert_true(simmembers_agree(&members, 7));
    assert_int_equal(members.at[1].number, number);
}

/* ---- suspicions ---- */

static uint64_t kept_back[64]; /* numbers of the last rank that the coordinator has not received */
static unsigned kept_back_count;

static bool keeps_back(struct simmembers *all, uint16_t from, uint16_t to, const struct mesh_message *message)
{
    if (from != simmembers_place(all, 2) || to != simmembers_place(all, 0) || kept_back_count == 64)
        return false;
    kept_back[kept_back_count++] = message->header.number;
    return true;
}

static void suspicions_that_are_played_back_leave_nobody_out(void **state)
{
    struct mesh_message message = {.header.type = MESH_TYPE_SUSPECT, .as.suspect = {.ranks = 2, .unheard = 2}};
    uint16_t coordinator, last;
    uint32_t number;

    (void)state;
    open_members(3);
    simmembers_form(&members);
    coordinator = simmembers_place(&members, 0);
    last = simmembers_place(&members, 2);
    number = members.at[coordinator].number;
    memcpy(message.as.suspect.id, members.at[coordinator].id, sizeof message.as.suspect.id);
    kept_back_count = 0;
    members.loses = keeps_back;
    assert_true(simmembers_run(&members, SIMMEMBERS_S));
    members.loses = NULL;
    assert_true(simmembers_run(&members, SIMMEMBERS_S));
    assert_in_range(kept_back_count, 3, 64);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(say(last, coordinator, kept_back[i], &message), MESH_ESTATE);
        assert_true(simmembers_run(&members, 300 * SIMMEMBERS_MS));
    }
    assert_true(simmembers_agree(&members, 7));
    assert_int_equal(members.at[coordinator].number, number);
}

/* ---- votes ---- */

static struct mesh_message vote; /* the last one to the coordinator */

static bool keeps_votes(struct simmembers *all, uint16_t from, uint16_t to, const struct mesh_message *message)
{
    (void)all, (void)from, (void)to;
    if (message->header.type != MESH_TYPE_VOTE)
        return false;
    vote = *message;
    return true;
}

/* Two proposers each count their own rounds, so a vote names its proposer. */
static void a_vote_for_the_plan_of_another_does_not_count(void **state)
{
    const uint32_t shares[] = {1, 2};
    uint16_t coordinator, other;

    (void)state;
    open_members(2);
    simmembers_form(&members);
    coordinator = simmembers_place(&members, 0);
    other = simmembers_place(&members, 1);
    memset(&vote, 0, sizeof vote);
    members.loses = keeps_votes;
    assert_int_equal(mesh_cluster_propose_shares(members.at[coordinator].cluster, simmembers_clock(&members, coordinator), shares, 2), 0);
    mesh_sim_wake(members.sim, coordinator);
    assert_true(simmembers_run(&members, 10 * SIMMEMBERS_MS));
    assert_int_equal(vote.header.type, MESH_TYPE_VOTE);
    vote.as.vote.rival[3] ^= 1;
    assert_int_equal(say(other, coordinator, (UINT64_C(1) << 40) + 1, &vote), MESH_ESTATE);
    vote.as.vote.rival[3] ^= 1;
    assert_int_equal(say(other, coordinator, (UINT64_C(1) << 40) + 2, &vote), 0);
}

/* ---- at random ---- */

static void whoever_plays_back_what_it_hears_changes_no_epoch(void **state)
{
    uint32_t number;

    (void)state;
    open_members(6);
    for (uint16_t place = 0; place < 6; place++)
        members.at[place].clock_offset_ns = place * 977 * SIMMEMBERS_S;
    simattack_begin(&attack, &members, 1, 4 * SIMMEMBERS_MS);
    simmembers_form(&members);
    number = members.at[0].number;
    assert_true(simmembers_run(&members, 60 * SIMMEMBERS_S));
    assert_in_range(attack.played, 10000, 1000000);
    assert_true(simmembers_agree(&members, 63));
    assert_int_equal(members.at[0].number, number);
    simmembers_crash(&members, 3);
    assert_true(simmembers_run(&members, 3 * SIMMEMBERS_S));
    assert_true(simmembers_agree(&members, 63 & ~8));
    simmembers_start(&members, 3);
    assert_true(simmembers_run(&members, 3 * SIMMEMBERS_S));
    assert_true(simmembers_agree(&members, 63));
}

int main(void)
{
#define MEMBERS_TEST(name) cmocka_unit_test_teardown(name, close_members)
    const struct CMUnitTest tests[] = {
        MEMBERS_TEST(a_question_that_comes_back_does_not_silence_who_asks),
        MEMBERS_TEST(nor_do_many_delay_its_questions),
        MEMBERS_TEST(a_question_that_a_member_gets_is_still_one_to_another_process),
        MEMBERS_TEST(a_cookie_as_if_from_the_own_address_makes_no_loop),
        MEMBERS_TEST(a_process_asks_also_where_a_replayed_join_says_that_it_is_itself),
        MEMBERS_TEST(a_cookie_as_if_from_elsewhere_sends_no_other_members_there),
        MEMBERS_TEST(an_answer_to_another_member_is_no_sign_of_life),
        MEMBERS_TEST(a_sign_of_life_from_before_an_epoch_does_not_end_a_membership),
        MEMBERS_TEST(suspicions_that_are_played_back_leave_nobody_out),
        MEMBERS_TEST(a_vote_for_the_plan_of_another_does_not_count),
        MEMBERS_TEST(whoever_plays_back_what_it_hears_changes_no_epoch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
