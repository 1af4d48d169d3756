/* Telemetry of a whole cluster on the simulator, where every loss and every delay is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "node/engine/engine_time.h"
#include "tests/unit/simcluster.h"
#include "tests/unit/simmodel.h"

#define SECONDS(n) ((uint64_t)(n)*1000000000u)

enum { RANKS = 3, STEPS = 240 };

static const struct synth_options small = {
    .dim = 512, .hidden = 1024, .layers = 4, .heads = 8, .kv_heads = 4, .vocab = 400, .context = 256, .type = TYPE_Q8_0, .seed = 1};
static const struct mesh_sim_link gigabit = {.rate_bits_per_s = 1000000000, .delay_ns = 50000, .queue_bytes = 200000};
static uint32_t prompt[] = {1, 300, 17, 311};
static const struct request request = {.id = 1,
                                       .prompt = prompt,
                                       .prompt_count = 4,
                                       .predict = STEPS,
                                       .sampling = {.temperature = 0.9f, .top_k = 40, .top_p = 0.95f, .repeat_penalty = 1.0f, .seed = 7},
                                       .ignore_end = true};

static struct simmodel synth;
static struct simcluster cluster;

static void open_cluster(uint64_t unit_ns)
{
    const struct simcluster_config config = {
        .model = synth.model, .rank_count = RANKS, .batch = 8, .ctx = 250, .seed = 5, .link = gigabit, .unit_ns = unit_ns};

    if (simcluster_open(&cluster, &config) < 0)
        fail_msg("%s", cluster.reason);
}

static void run_cluster(void)
{
    simcluster_submit(&cluster, &request);
    assert_true(simcluster_run(&cluster, SECONDS(600)));
    assert_true(simcluster_agrees(&cluster));
}

static struct mesh_peer_stats link_of(uint16_t from, uint16_t to)
{
    struct mesh_peer_stats stats;

    engine_peer_stats(cluster.node[to].engine, from, &stats);
    return stats;
}

static void loss_on_one_directed_link_shows_there_and_nowhere_else(void **state)
{
    struct mesh_sim_link bad = gigabit;
    struct mesh_sim_stats sim;
    uint64_t lost, all;

    (void)state;
    open_cluster(3000);
    bad.loss_ppm = 10000;
    mesh_sim_set_link(cluster.sim, 1, 2, &bad);
    run_cluster();
    mesh_sim_get_stats(cluster.sim, &sim);
    for (uint16_t from = 0; from < RANKS; from++)
        for (uint16_t to = 0; to < RANKS; to++)
            if (from != to && !(from == 1 && to == 2))
                assert_int_equal(link_of(from, to).lost, 0);
    lost = link_of(1, 2).lost;
    all = lost + link_of(1, 2).datagrams_received;
    print_message("lost %llu of %llu\n", (unsigned long long)lost, (unsigned long long)all);
    assert_in_range(lost, sim.lost - 3, sim.lost); /* some may be the last datagram, which nothing follows, or precede the handshake */
    assert_in_range(lost * 1000000 / all, 8000, 12000);
    assert_int_equal(link_of(1, 2).late, 0);
    simcluster_close(&cluster);
}

static void a_slow_node_is_the_one_that_the_others_wait_for(void **state)
{
    enum { SLOW = 1 };
    struct mesh_telemetry_phase phases[64];
    struct mesh_telemetry_step step;
    uint64_t serial = 0;
    unsigned steps = 0, named = 0;

    (void)state;
    open_cluster(3000);
    cluster.node[SLOW].unit_ns = 60000;
    run_cluster();
    for (uint16_t r = 0; r < RANKS; r++) {
        struct mesh_telemetry_worker worker;

        engine_worker_time(cluster.node[r].engine, 0, &worker);
        if (r == SLOW) {
            assert_true(worker.wait_ns < engine_waited_ns(cluster.node[0].engine, SLOW) / 4);
            continue;
        }
        assert_true(engine_waited_ns(cluster.node[r].engine, SLOW) > 3 * engine_waited_ns(cluster.node[r].engine, (uint16_t)(2 - r)));
        assert_true(engine_waited_ns(cluster.node[r].engine, SLOW) > worker.wait_ns / 2);
    }
    while (engine_next_step(cluster.node[0].engine, &serial, &step, phases)) {
        steps++;
        named += step.stall_rank == SLOW;
    }
    assert_in_range(steps, 20, 64);
    assert_in_range(named, steps * 9 / 10, steps);
    simcluster_close(&cluster);
}

static void the_steps_of_all_nodes_are_the_same_ones(void **state)
{
    struct mesh_telemetry_phase phases[64];
    struct mesh_telemetry_step step[RANKS];
    uint64_t serial[RANKS] = {0};

    (void)state;
    open_cluster(3000);
    run_cluster();
    assert_in_range(engine_phase_count(cluster.node[0].engine), 4 * 4 + 1, 64);
    while (engine_next_step(cluster.node[0].engine, &serial[0], &step[0], phases)) {
        uint32_t last = 0;

        for (uint16_t p = 0; p < step[0].phase_total; p++) {
            assert_true(phases[p].duration > 0 && phases[p].begin >= last);
            last = phases[p].begin;
        }
        assert_true((uint64_t)last * MESH_TELEMETRY_PHASE_NS <= step[0].duration_ns);
        assert_true(step[0].stall_ns <= step[0].duration_ns);
        for (uint16_t r = 1; r < RANKS; r++) {
            assert_true(engine_next_step(cluster.node[r].engine, &serial[r], &step[r], phases));
            assert_true(step[r].step == step[0].step && step[r].tokens == step[0].tokens);
        }
    }
    simcluster_close(&cluster);
}

/* A worker's time is computing, sending, polling, waiting or idle. On the simulator a unit takes its time all at once, so the unaccounted
 * time is at most that of the last unit. */
static void figures_count_what_was_done(void **state)
{
    struct engine_figures figures;
    struct mesh_histogram use;

    (void)state;
    open_cluster(3000);
    run_cluster();
    for (uint16_t r = 0; r < RANKS; r++) {
        engine_figures(cluster.node[r].engine, &figures);
        assert_int_equal(figures.tokens, STEPS);
        assert_int_equal(figures.positions, STEPS + 4 - 1);
        assert_int_equal(figures.steps, STEPS);
        assert_true(figures.stepping_ns > 0);
        for (uint16_t peer = 0; peer < RANKS; peer++) {
            if (peer == r)
                continue;
            engine_use_latency(cluster.node[r].engine, peer, &use);
            assert_in_range(use.count, STEPS, UINT32_MAX);
            /* No block is used before it arrives: the wire takes 50 us, and all nodes use the simulator's clock. */
            assert_true(mesh_histogram_quantile(&use, 1) >= 50000);
            assert_true(mesh_histogram_quantile(mesh_tile_latency(cluster.node[r].mesh, peer), 500) <= mesh_histogram_quantile(&use, 500));
            assert_in_range(mesh_round_trips(cluster.node[r].mesh, peer)->count, 1, UINT32_MAX);
        }
    }
    simcluster_close(&cluster);
}

static int open_model(void **state)
{
    (void)state;
    simmodel_open(&synth, &small);
    return 0;
}

static int close_model(void **state)
{
    (void)state;
    simmodel_close(&synth);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_on_one_directed_link_shows_there_and_nowhere_else),
        cmocka_unit_test(a_slow_node_is_the_one_that_the_others_wait_for),
        cmocka_unit_test(the_steps_of_all_nodes_are_the_same_ones),
        cmocka_unit_test(figures_count_what_was_done),
    };

    return cmocka_run_group_tests(tests, open_model, close_model);
}
