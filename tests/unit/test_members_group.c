/* Processes that find one another by a multicast group: several answer one question, some of them for another cluster. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "simmembers.h"

static struct simmembers members; /* too large for the stack */

/* All have the group as their only seed. Place 0 is nearer than the others, so that its answer is always the first. */
static void open_members(uint16_t count)
{
    struct mesh_sim_link far = simmembers_link();
    const struct mesh_sim_link near = far;

    far.delay_ns *= 10;
    simmembers_open(&members, count, 1, &far);
    for (uint16_t place = 0; place < count; place++) {
        simmembers_add_group(&members, place);
        if (place == 0)
            continue;
        mesh_sim_set_link(members.sim, 0, place, &near);
        mesh_sim_set_link(members.sim, place, 0, &near);
    }
}

static int close_members(void **state)
{
    (void)state;
    simmembers_close(&members);
    return 0;
}

static void start(uint16_t first, uint16_t end)
{
    for (uint16_t place = first; place < end; place++)
        simmembers_start(&members, place);
}

static void five_processes_find_one_another(void **state)
{
    (void)state;
    open_members(5);
    start(0, 5);
    assert_true(simmembers_run_agree(&members, simmembers_all(&members), 2 * SIMMEMBERS_S) != UINT64_MAX);
}

static void a_process_of_another_version_says_why_it_is_alone(void **state)
{
    (void)state;
    open_members(2);
    members.at[1].config.version = MESH_WIRE_VERSION + 1;
    start(0, 2);
    assert_true(simmembers_run(&members, 5 * SIMMEMBERS_S));
    for (uint16_t place = 0; place < 2; place++) {
        assert_int_equal(members.at[place].events[MESH_CLUSTER_REFUSED], 1);
        assert_int_equal(members.at[place].refused.reason_code, MESH_DENY_VERSION);
        assert_int_equal(members.at[place].refused.addr.port, !place);
    }
}

static void one_that_refuses_first_hides_no_cluster(void **state)
{
    (void)state;
    open_members(3);
    members.at[0].config.fingerprint[7] = 1;
    start(0, 1);
    assert_true(simmembers_run(&members, SIMMEMBERS_S));
    start(1, 2);
    assert_true(simmembers_run(&members, SIMMEMBERS_S));
    start(2, 3);
    assert_true(simmembers_run_agree(&members, 6, 2 * SIMMEMBERS_S) != UINT64_MAX);
    assert_true(simmembers_run(&members, 60 * SIMMEMBERS_S));
    for (uint16_t place = 0; place < 3; place++) /* each told once, however many have refused it, and how often */
        assert_int_equal(members.at[place].events[MESH_CLUSTER_REFUSED], 1);
}

/* Nothing but questions reaches place 0, so nobody can join it. */
static bool loses_all_but_questions(struct simmembers *all, uint16_t from, uint16_t to, const struct mesh_message *message)
{
    (void)all, (void)from;
    return to == 0 && message->header.type != MESH_TYPE_ASK;
}

static void one_that_cannot_be_joined_and_answers_first_hides_no_better_cluster(void **state)
{
    (void)state;
    open_members(4);
    members.loses = loses_all_but_questions;
    start(2, 4);
    assert_true(simmembers_run_agree(&members, 12, 2 * SIMMEMBERS_S) != UINT64_MAX);
    start(0, 1);
    assert_true(simmembers_run(&members, 2 * SIMMEMBERS_S));
    start(1, 2);
    assert_true(simmembers_run_agree(&members, 14, 2 * SIMMEMBERS_S) != UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(five_processes_find_one_another, close_members),
        cmocka_unit_test_teardown(a_process_of_another_version_says_why_it_is_alone, close_members),
        cmocka_unit_test_teardown(one_that_refuses_first_hides_no_cluster, close_members),
        cmocka_unit_test_teardown(one_that_cannot_be_joined_and_answers_first_hides_no_better_cluster, close_members),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
