/* Computing while some of the input is late: a cluster of three on the simulator, one of whose links is slow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/engine/engine_state.h"
#include "tests/unit/simcluster.h"
#include "tests/unit/simmodel.h"
#include "tests/unit/simrequest.h"

enum { RANKS = 3, SLICE_ROW_BYTES = 8 * 34 /* of Q8_0: 8 blocks of 32 weights */, LATE_NS = 50000000, SOON_NS = 20000000 };

/* Each rank has two slices of x, of z and of h: 512 rows. */
static const struct synth_options shape = {
    .dim = 1536, .hidden = 1536, .layers = 1, .heads = 12, .kv_heads = 3, .vocab = 300, .context = 64, .type = TYPE_Q8_0, .seed = 1};
static const struct mesh_sim_link quick = {.rate_bits_per_s = 1000000000, .delay_ns = 50000, .queue_bytes = 200000};
static const struct mesh_sim_link slow = {.rate_bits_per_s = 1000000000, .delay_ns = LATE_NS, .queue_bytes = 200000};

static struct simmodel synth;
static struct simcluster cluster;

static int set_up(void **state)
{
    const struct simcluster_config config = {
        .model = synth.model, .rank_count = RANKS, .batch = 8, .ctx = 60, .seed = 5, .link = quick, .unit_ns = 15000};

    (void)state;
    if (simcluster_open(&cluster, &config) < 0)
        fail_msg("%s", cluster.reason);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    simcluster_close(&cluster);
    return 0;
}

static uint64_t bytes_read(uint16_t rank)
{
    struct engine_figures figures;

    engine_figures(cluster.node[rank].engine, &figures);
    return figures.weight_bytes_read;
}

/* Until all nodes wait for what rank 2 has sent to rank 0. */
static void run_until_it_is_missed(void)
{
    mesh_sim_set_link(cluster.sim, 2, 0, &slow);
    simcluster_submit(&cluster, &simrequest_one_token);
    assert_false(simcluster_run(&cluster, SOON_NS));
}

static void tiles_are_begun_with_what_is_there(void **state)
{
    const uint64_t qkv_rows = (4 + 1 + 1) * 128, slices_there = 4;

    (void)state;
    assert_int_equal(cluster.map.x[1], 16); /* blocks */
    assert_int_equal(cluster.map.z[1], 16);
    run_until_it_is_missed();
    assert_int_equal(bytes_read(0), (qkv_rows * 6 + 512 * slices_there) * SLICE_ROW_BYTES);
    assert_true(simcluster_run(&cluster, 1000 * (uint64_t)LATE_NS));
    assert_true(simcluster_agrees(&cluster));
}

static void tiles_that_nothing_is_there_for_are_left_to_other_workers(void **state)
{
    (void)state;
    mesh_sim_set_link(cluster.sim, 1, 0, &slow);
    run_until_it_is_missed();
    assert_int_equal(cluster.node[0].engine->worker[0].unit_count, 1);
    assert_true(simcluster_run(&cluster, 1000 * (uint64_t)LATE_NS));
    assert_true(simcluster_agrees(&cluster));
}

/* According to the model, a phase is sent in two runs, of eight blocks, where nothing is measured, and at once where peers are close. */
static void how_finely_blocks_are_sent_follows_the_round_trips(void **state)
{
    const struct simcluster_config config = {.model = synth.model,
                                             .rank_count = RANKS,
                                             .batch = 8,
                                             .ctx = 60,
                                             .seed = 5,
                                             .link = {.rate_bits_per_s = UINT64_C(1000000000000), .delay_ns = 100, .queue_bytes = 200000},
                                             .unit_ns = 100};
    const struct phase *phase;
    struct request longer = simrequest_one_token;

    (void)state;
    longer.predict = 12;
    if (simcluster_open(&cluster, &config) < 0)
        fail_msg("%s", cluster.reason);
    phase = &cluster.node[0].engine->phase[PHASE_GATE_UP];
    assert_int_equal(atomic_load(&phase->send_blocks), 8);
    simcluster_submit(&cluster, &longer);
    assert_true(simcluster_run(&cluster, 1000 * (uint64_t)LATE_NS));
    assert_true(simcluster_agrees(&cluster));
    assert_int_equal(atomic_load(&phase->send_blocks), 16);
}

/* That is rank 0's processor; rank 1 has its own. */
static void where_others_have_the_processor_a_phase_is_sent_at_once(void **state)
{
    struct request longer = simrequest_one_token;
    struct engine *e = cluster.node[0].engine;
    const struct phase *phase = &e->phase[PHASE_GATE_UP];

    (void)state;
    longer.predict = 12;
    assert_int_equal(atomic_load(&phase->send_blocks), 8);
    engine_note_given(e, UINT64_C(1000000000000));
    simcluster_submit(&cluster, &longer);
    assert_true(simcluster_run(&cluster, 1000 * (uint64_t)LATE_NS));
    assert_true(simcluster_agrees(&cluster));
    assert_int_equal(atomic_load(&phase->send_blocks), 16);
    assert_in_range(atomic_load(&cluster.node[1].engine->phase[PHASE_GATE_UP].send_blocks), 1, 8);
}

static uint64_t clock_ns;

static uint64_t read_clock(void *clock)
{
    (void)clock;
    return clock_ns;
}

static int count_look(void *driver, struct mesh *mesh)
{
    (void)mesh;
    ++*(int *)driver;
    return 0;
}

/* How often rank 0 looks for datagrams when it considers it every 10 us for 2 ms, beginning with a look. */
static int looks_of(struct engine *e, int *looks)
{
    struct worker *w = &e->worker[0];

    *looks = 0;
    w->polled_ns = 0;
    for (clock_ns = 1000000; clock_ns < 3000000; clock_ns += 10000)
        engine_poll_if_due(e, w);
    return *looks;
}

static void who_computes_looks_for_datagrams_now_and_then(void **state)
{
    struct engine *e = cluster.node[0].engine;
    int looks;

    (void)state;
    e->port.driver = (struct port_driver){.poll = count_look, .driver = &looks};
    e->port.now_ns = read_clock;
    assert_int_equal(looks_of(e, &looks), 10);
    e->port.answers_events = true; /* other nodes wait for what it passes on */
    assert_int_equal(looks_of(e, &looks), 20);
}

static int open_model(void **state)
{
    (void)state;
    simmodel_open(&synth, &shape);
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
        cmocka_unit_test_setup_teardown(tiles_are_begun_with_what_is_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tiles_that_nothing_is_there_for_are_left_to_other_workers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_computes_looks_for_datagrams_now_and_then, set_up, tear_down),
        cmocka_unit_test_setup_teardown(where_others_have_the_processor_a_phase_is_sent_at_once, set_up, tear_down),
        cmocka_unit_test_teardown(how_finely_blocks_are_sent_follows_the_round_trips, tear_down),
    };

    return cmocka_run_group_tests(tests, open_model, close_model);
}
