/* From one epoch to the next: who is forgotten, what is known of members, and how often they are asked in it. */
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

/* The next epoch, of this process and one with that byte in its incarnation. */
static void install_with(int which, uint32_t flags)
{
    struct cluster_ballot ballot = {.number = cluster->epoch.number + 1, .round = 1};
    struct cluster_list list = {.count = 2};
    uint8_t id[16] = {0};

    list.members[0] = cluster->epoch.list.members[cluster->epoch.rank];
    memset(list.members[1].incarnation, which, sizeof list.members[1].incarnation);
    list.members[1].addr.port = (uint16_t)(7000 + which);
    list.members[1].flags = flags;
    memset(ballot.proposer, SELF, sizeof ballot.proposer);
    id[0] = (uint8_t)ballot.number;
    mesh_cluster_install(cluster, &ballot, id, &list);
}

static unsigned count_known(void)
{
    unsigned count = 0;

    for (unsigned i = 0; i < CLUSTER_PEERS_MAX; i++)
        count += cluster->peers[i].is_used;
    return count;
}

/* There is room for 128 members and newcomers at a time. */
static void members_of_earlier_epochs_take_no_room(void **state)
{
    (void)state;
    for (int which = 10; which < 250; which++) {
        install_with(which, 0);
        assert_int_equal(count_known(), 1);
    }
}

static void one_that_is_not_in_the_next_epoch_and_asks_to_join_stays_a_newcomer(void **state)
{
    (void)state;
    member->is_joining = true;
    install_with(NOBODY, 0);
    assert_int_equal(count_known(), 2);
    assert_true(member->is_joining && member->rank < 0);
    assert_int_equal(member->liveness, CLUSTER_TRUSTED);
}

static void flags_of_members_are_those_of_the_list(void **state)
{
    struct mesh_cluster_peer_stats stats;

    (void)state;
    install_with(MEMBER, 77);
    assert_int_equal(mesh_cluster_get_peer_stats(cluster, 1, &stats), 0);
    assert_int_equal(stats.flags, 77);
}

static void an_epoch_that_is_over_for_this_process_is_counted(void **state)
{
    struct mesh_cluster_stats stats;

    (void)state;
    mesh_cluster_evict(cluster);
    mesh_cluster_get_stats(cluster, &stats);
    assert_int_equal(stats.evictions, 1);
}

/* How often the member is asked in two seconds; it is heard all the time. */
static unsigned count_questions(uint64_t answers)
{
    const uint64_t begun_ns = cluster->now_ns;
    struct mesh_message message;
    unsigned asked = 0;
    uint16_t port;

    member->answers = answers;
    member->ping_at_ns = begun_ns;
    for (uint64_t ms = 0; ms < 2000; ms++) {
        cluster->now_ns = member->heard_ns = begun_ns + ms * CLUSTER_MS;
        mesh_cluster_alive_tick(cluster);
        while (proposal_case_sends(MESH_TYPE_ALIVE, &message, &port))
            asked++;
    }
    return asked;
}

static void a_member_is_asked_often_until_its_time_of_answering_is_known(void **state)
{
    (void)state;
    member->rtt_ns = CLUSTER_MS;
    assert_in_range(count_questions(CLUSTER_ANSWERS - 1), 40, 46);
    assert_in_range(count_questions(CLUSTER_ANSWERS), 8, 10);
}

static void a_member_without_a_time_of_answering_is_asked_even_if_the_mesh_layer_hears_it(void **state)
{
    struct mesh_message message;
    uint16_t port;

    (void)state;
    member->is_in = true;
    for (unsigned is_known = 0; is_known < 2; is_known++) {
        member->rtt_ns = is_known ? CLUSTER_MS : 0;
        member->mesh_heard_ns = member->ping_at_ns = cluster->now_ns;
        mesh_cluster_alive_tick(cluster);
        assert_int_equal(proposal_case_sends(MESH_TYPE_ALIVE, &message, &port), !is_known);
    }
}

/* A verdict that is played back says nothing of now. */
static void only_a_members_newest_verdict_ends_a_suspicion(void **state)
{
    struct mesh_message verdict = {.header.type = MESH_TYPE_VERDICT, .as.verdict.alive = 2};
    struct cluster_input in = {.from = member->addr, .message = &verdict, .incarnation = member->incarnation, .peer = member};

    (void)state;
    memcpy(verdict.as.verdict.id, cluster->epoch.id, sizeof verdict.as.verdict.id);
    member->liveness = CLUSTER_SUSPECTED;
    assert_int_equal(mesh_cluster_suspect_verdict(cluster, &in), MESH_ESTATE);
    assert_int_equal(member->liveness, CLUSTER_SUSPECTED);
    in.is_newest = true;
    assert_int_equal(mesh_cluster_suspect_verdict(cluster, &in), 0);
    assert_int_equal(member->liveness, CLUSTER_TRUSTED);
    verdict.as.verdict.id[0] ^= 1;
    assert_int_equal(mesh_cluster_suspect_verdict(cluster, &in), MESH_ESENDER);
}

/* A newcomer that has gone away is not planned for. */
static void a_newcomer_that_is_silent_for_a_second_is_forgotten(void **state)
{
    (void)state;
    joiner->is_used = joiner->is_joining = true;
    joiner->join_heard_ns = cluster->now_ns;
    cluster->now_ns += CLUSTER_S - 1;
    mesh_cluster_admission_tick(cluster);
    assert_int_equal(count_known(), 2);
    cluster->now_ns++;
    mesh_cluster_admission_tick(cluster);
    assert_int_equal(count_known(), 1);
    member->is_joining = true;
    mesh_cluster_admission_tick(cluster);
    assert_true(member->is_used && !member->is_joining);
}

#define EPOCHS_TEST(test) cmocka_unit_test_setup_teardown(test, open_calm, proposal_case_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EPOCHS_TEST(members_of_earlier_epochs_take_no_room),
        EPOCHS_TEST(one_that_is_not_in_the_next_epoch_and_asks_to_join_stays_a_newcomer),
        EPOCHS_TEST(flags_of_members_are_those_of_the_list),
        EPOCHS_TEST(an_epoch_that_is_over_for_this_process_is_counted),
        EPOCHS_TEST(a_member_is_asked_often_until_its_time_of_answering_is_known),
        EPOCHS_TEST(a_member_without_a_time_of_answering_is_asked_even_if_the_mesh_layer_hears_it),
        EPOCHS_TEST(only_a_members_newest_verdict_ends_a_suspicion),
        EPOCHS_TEST(a_newcomer_that_is_silent_for_a_second_is_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
