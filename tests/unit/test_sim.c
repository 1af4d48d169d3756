/* Nodes in virtual time: the same seed gives the same run, work takes time, crashed nodes hear nothing, partitions heal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "simbench.h"

static struct simbench bench; /* too large for the stack */

static void expect(bool good)
{
    if (!good) {
        fail_msg("%s", bench.error);
    }
}

static void open_even(uint16_t rank_count, const struct mesh_sim_link *link)
{
    struct simshape shape;

    simshape_even(&shape, rank_count, 4, 4, 36);
    shape.step_count = 5;
    simbench_init(&bench, &shape, 11, link);
    simbench_start(&bench);
}

struct run {
    uint64_t transcript, state, now_ns;
};

static struct run run_with_seed(uint64_t seed)
{
    struct mesh_sim_link link = simbench_ethernet();
    struct simshape shape;
    struct run run;

    link.loss_ppm = 30000;
    link.duplicate_ppm = 10000;
    link.reorder_ppm = 30000;
    link.reorder_ns = SIM_US(200);
    simshape_random(&shape, 5, 4, 5, 30);
    shape.step_count = 6;
    simbench_init(&bench, &shape, seed, &link);
    simbench_start(&bench);
    expect(simbench_join(&bench, SIM_S(5)));
    expect(simbench_exchange(&bench, SIM_S(5)));
    run = (struct run){bench.transcript, simbench_state(&bench), mesh_sim_now_ns(bench.sim)};
    simbench_close(&bench);
    return run;
}

static void equal_seeds_give_equal_datagrams_and_states(void **state)
{
    const struct run a = run_with_seed(1), b = run_with_seed(1);

    (void)state;
    assert_true(a.transcript == b.transcript);
    assert_true(a.state == b.state);
    assert_true(a.now_ns == b.now_ns);
}

static void different_seeds_give_different_datagrams(void **state)
{
    const struct run a = run_with_seed(1), b = run_with_seed(2);

    (void)state;
    assert_true(a.transcript != b.transcript);
}

struct watched {
    struct mesh *mesh;
    uint64_t calls, work_ns, said_ns; /* when the first goodbye was on the wire */
};

static uint64_t say_goodbye_while_working(void *void_watched, uint64_t now_ns)
{
    struct watched *watched = void_watched;

    if (watched->calls++ > 0) {
        return 0;
    }
    mesh_goodbye(watched->mesh, now_ns);
    return watched->work_ns;
}

static void note_goodbye(void *void_watched, uint64_t now_ns, uint16_t from, uint16_t to, const uint8_t *packet, size_t bytes, bool dropped)
{
    struct watched *watched = void_watched;

    (void)from, (void)to, (void)bytes, (void)dropped;
    if (packet[offsetof(struct mesh_header_bytes, type)] == MESH_TYPE_GOODBYE && watched->said_ns == 0) {
        watched->said_ns = now_ns;
    }
}

static void output_of_work_leaves_when_the_work_ends(void **state)
{
    const struct mesh_sim_link link = simbench_ethernet();
    struct watched watched = {.work_ns = 12345};
    uint64_t start_ns;

    (void)state;
    open_even(2, &link);
    expect(simbench_join(&bench, SIM_S(1)));
    mesh_sim_crash(bench.sim, 0); /* the same endpoint continues with another application */
    watched.mesh = bench.apps[0].mesh;
    mesh_sim_watch(bench.sim, note_goodbye, &watched);
    mesh_sim_attach(bench.sim, 0, watched.mesh, say_goodbye_while_working, &watched);
    start_ns = mesh_sim_now_ns(bench.sim);
    mesh_sim_run(bench.sim, start_ns + SIM_MS(1), NULL, NULL);
    assert_int_equal(watched.said_ns, start_ns + 12345);
    assert_int_equal(bench.apps[1].gone_count, 1);
    simbench_close(&bench);
}

static void a_run_ends_at_its_deadline(void **state)
{
    const struct mesh_sim_link link = simbench_ethernet();

    (void)state;
    open_even(2, &link);
    assert_false(mesh_sim_run(bench.sim, SIM_MS(7), NULL, NULL));
    assert_int_equal(mesh_sim_now_ns(bench.sim), SIM_MS(7));
    assert_false(mesh_sim_run(bench.sim, SIM_MS(9), NULL, NULL));
    assert_int_equal(mesh_sim_now_ns(bench.sim), SIM_MS(9));
    simbench_close(&bench);
}

static void what_is_under_way_to_a_crashed_node_is_lost(void **state)
{
    const struct mesh_sim_link link = simbench_ethernet();
    struct mesh_sim_stats stats;

    (void)state;
    open_even(2, &link);
    mesh_sim_run(bench.sim, SIM_US(10), NULL, NULL); /* the first hellos are on the wire */
    mesh_sim_crash(bench.sim, 1);
    mesh_sim_run(bench.sim, SIM_MS(1), NULL, NULL);
    mesh_sim_get_stats(bench.sim, &stats);
    assert_true(stats.lost_to_crashed > 0);
    assert_int_equal(stats.lost, stats.lost_to_crashed);
    assert_int_equal(bench.apps[1].up, 0);
    simbench_close(&bench);
}

/* A dead peer is asked again and again, but ever more rarely: at most once in 10 ms per gather in the long run. */
static void a_dead_peer_is_not_asked_too_often(void **state)
{
    const struct mesh_sim_link link = simbench_ethernet();
    uint64_t before;

    (void)state;
    open_even(3, &link);
    expect(simbench_join(&bench, SIM_S(1)));
    bench.apps[2].is_started = false;
    mesh_sim_crash(bench.sim, 2);
    bench.apps[0].is_started = bench.apps[1].is_started = true;
    mesh_sim_run(bench.sim, mesh_sim_now_ns(bench.sim) + SIM_MS(200), NULL, NULL);
    before = simbench_sent_all(&bench);
    mesh_sim_run(bench.sim, mesh_sim_now_ns(bench.sim) + SIM_S(1), NULL, NULL);
    assert_in_range(simbench_sent_all(&bench) - before, 0, 2 * 3 * 110 + 200);
    simbench_close(&bench);
}

static void a_restarted_node_is_refused_within_the_epoch(void **state)
{
    const struct mesh_sim_link link = simbench_ethernet();

    (void)state;
    open_even(2, &link);
    expect(simbench_join(&bench, SIM_S(1)));
    mesh_sim_crash(bench.sim, 1);
    bench.configs[1].incarnation[0] ^= 1;
    simapp_release(&bench.apps[1]);
    simapp_init(&bench.apps[1], &bench.shape, 1);
    assert_int_equal(mesh_init(&bench.apps[1].mesh, &bench.configs[1], bench.memory[1], mesh_memory_bytes(&bench.configs[1]),
                               mesh_sim_now_ns(bench.sim)),
                     0);
    mesh_sim_attach(bench.sim, 1, bench.apps[1].mesh, simapp_work, &bench.apps[1]);
    mesh_sim_run(bench.sim, mesh_sim_now_ns(bench.sim) + SIM_S(1), NULL, NULL);
    assert_int_equal(bench.apps[1].up, 0);
    assert_true(bench.apps[1].refused_count > 0);
    assert_true(bench.apps[1].reason[0] != '\0');
    simbench_close(&bench);
}

static void an_exchange_goes_on_after_a_partition_heals(void **state)
{
    const struct mesh_sim_link link = simbench_ethernet();

    (void)state;
    open_even(4, &link);
    expect(simbench_join(&bench, SIM_S(1)));
    for (uint16_t rank = 0; rank < 4; rank++) {
        bench.apps[rank].is_started = true;
    }
    mesh_sim_run(bench.sim, mesh_sim_now_ns(bench.sim) + SIM_US(300), NULL, NULL);
    for (uint16_t from = 0; from < 4; from++) {
        for (uint16_t to = 0; to < 4; to++) {
            if (from != to && (from < 2) != (to < 2)) {
                mesh_sim_block(bench.sim, from, to, true);
            }
        }
    }
    mesh_sim_run(bench.sim, mesh_sim_now_ns(bench.sim) + SIM_MS(100), NULL, NULL);
    for (uint16_t rank = 0; rank < 4; rank++) {
        assert_false(simapp_is_done(&bench.apps[rank]));
        for (uint16_t to = 0; to < 4; to++) {
            if (rank != to) {
                mesh_sim_block(bench.sim, rank, to, false);
            }
        }
    }
    expect(simbench_exchange(&bench, SIM_MS(100)));
    simbench_close(&bench);
}

static void a_small_receive_buffer_loses_what_comes_while_the_node_works(void **state)
{
    const struct mesh_sim_link link = simbench_ethernet();
    struct mesh_sim_stats stats;

    (void)state;
    open_even(2, &link);
    expect(simbench_join(&bench, SIM_S(1)));
    mesh_sim_set_receive_buffer(bench.sim, 1, 1); /* nothing fits */
    bench.apps[0].is_started = true;
    mesh_sim_run(bench.sim, mesh_sim_now_ns(bench.sim) + SIM_MS(20), NULL, NULL);
    mesh_sim_get_stats(bench.sim, &stats);
    assert_true(stats.lost_in_buffer > 0);
    mesh_sim_set_receive_buffer(bench.sim, 1, 0);
    expect(simbench_exchange(&bench, SIM_S(1)));
    simbench_close(&bench);
}

static void when_nothing_is_under_way_every_datagram_is_accounted_for(void **state)
{
    struct mesh_sim_link link = simbench_ethernet();
    struct mesh_sim_stats stats;

    (void)state;
    link.loss_ppm = 100000;
    link.duplicate_ppm = 50000;
    open_even(3, &link);
    expect(simbench_join(&bench, SIM_S(5)));
    expect(simbench_exchange(&bench, SIM_S(5)));
    for (uint16_t from = 0; from < 3; from++) {
        for (uint16_t to = 0; to < 3; to++) {
            if (from != to) {
                mesh_sim_block(bench.sim, from, to, true);
            }
        }
    }
    mesh_sim_run(bench.sim, mesh_sim_now_ns(bench.sim) + SIM_MS(1), NULL, NULL);
    mesh_sim_get_stats(bench.sim, &stats);
    assert_int_equal(stats.delivered + stats.lost, stats.sent + stats.duplicated);
    simbench_close(&bench);
}

static void impossible_networks_are_refused(void **state)
{
    const struct mesh_sim_link good = {.rate_bits_per_s = 1000, .loss_ppm = 1000000};
    struct mesh_sim *sim = NULL;
    struct mesh_sim_link link = good;

    (void)state;
    assert_int_equal(mesh_sim_open(&sim, 2, 1, NULL), MESH_EINVAL);
    assert_int_equal(mesh_sim_open(&sim, 0, 1, &good), MESH_EINVAL);
    assert_int_equal(mesh_sim_open(&sim, MESH_RANKS_MAX + 1, 1, &good), MESH_EINVAL);
    link.rate_bits_per_s = 999;
    assert_int_equal(mesh_sim_open(&sim, 2, 1, &link), MESH_EINVAL);
    link = good;
    link.reorder_ppm = 1000001;
    assert_int_equal(mesh_sim_open(&sim, 2, 1, &link), MESH_EINVAL);
    assert_null(sim);
    assert_int_equal(mesh_sim_open(&sim, 2, 1, &good), 0);
    mesh_sim_close(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_seeds_give_equal_datagrams_and_states),
        cmocka_unit_test(different_seeds_give_different_datagrams),
        cmocka_unit_test(output_of_work_leaves_when_the_work_ends),
        cmocka_unit_test(a_run_ends_at_its_deadline),
        cmocka_unit_test(what_is_under_way_to_a_crashed_node_is_lost),
        cmocka_unit_test(a_dead_peer_is_not_asked_too_often),
        cmocka_unit_test(a_restarted_node_is_refused_within_the_epoch),
        cmocka_unit_test(an_exchange_goes_on_after_a_partition_heals),
        cmocka_unit_test(a_small_receive_buffer_loses_what_comes_while_the_node_works),
        cmocka_unit_test(when_nothing_is_under_way_every_datagram_is_accounted_for),
        cmocka_unit_test(impossible_networks_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
