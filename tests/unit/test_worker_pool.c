/* Waiting workers whose processor other threads want: the workers yield, and the engine learns how long the other threads had it. The test
 * runs on one processor, is itself the other thread, and uses the engine of a simulated cluster whose network stands still. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/udp.h"
#include "node/common/idle.h"
#include "node/engine/engine_state.h"
#include "node/epoch/worker_pool.h"
#include "tests/unit/simcluster.h"
#include "tests/unit/simmodel.h"
#include "tests/unit/simrequest.h"

enum { ROUNDS_MAX = 500, IN_VAIN = 20, BESIDE_NS = 200000 /* far more than counts as given */ };

static const struct synth_options shape = {
    .dim = 128, .hidden = 128, .layers = 1, .heads = 2, .kv_heads = 2, .vocab = 300, .context = 64, .type = TYPE_Q8_0, .seed = 1};

static struct simmodel synth;
static struct simcluster cluster;
static struct worker_pool workers;
static cpu_set_t all;

static int set_up(void **state)
{
    const struct mesh_sim_link slow = {.rate_bits_per_s = 1000000000, .delay_ns = 50000000, .queue_bytes = 200000};
    struct simcluster_config config = {.rank_count = 2, .batch = 8, .ctx = 60, .seed = 5, .link = slow, .unit_ns = 3000};
    cpu_set_t one;
    struct fail fail;

    (void)state;
    simmodel_open(&synth, &shape);
    config.model = synth.model;
    CPU_ZERO(&one);
    CPU_SET((size_t)sched_getcpu(), &one);
    if (sched_getaffinity(0, sizeof all, &all) != 0 || sched_setaffinity(0, sizeof one, &one) != 0)
        return -1;
    return simcluster_open(&cluster, &config) < 0 || worker_pool_open(&workers, &fail) < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    worker_pool_stop(&workers);
    worker_pool_close(&workers);
    simcluster_close(&cluster);
    simmodel_close(&synth);
    return sched_setaffinity(0, sizeof all, &all);
}

/* A worker begins to wait. This thread then computes until the worker has yielded or gone to sleep, and after that long enough to be
 * counted: the worker runs again only when this thread stops, or has used up its time slice. */
static void work_beside(struct engine *engine)
{
    const uint64_t before = idle_get_calls().yields;
    struct fail fail = {.text = ""};

    assert_int_equal(worker_pool_start(&workers, engine, 1, &fail), 0);
    while (idle_get_calls().yields == before && atomic_load(&workers.parking) == 0)
        ;
    for (const uint64_t end_ns = mesh_udp_now_ns() + BESIDE_NS; mesh_udp_now_ns() < end_ns;)
        ;
    worker_pool_stop(&workers);
}

static void what_a_worker_gives_while_it_waits_for_others_is_noted(void **state)
{
    struct engine *engine = cluster.node[0].engine;

    (void)state;
    simcluster_submit(&cluster, &simrequest_one_token);
    assert_false(simcluster_run(&cluster, 150000000)); /* a step is open, and waits for datagrams in flight */
    assert_int_equal(engine_work(engine, 0), ENGINE_WAITING);
    for (int i = 0; i < ROUNDS_MAX && atomic_load(&engine->given_ns) == 0; i++)
        work_beside(engine);
    assert_true(atomic_load(&engine->given_ns) > 0);
}

static void without_anything_to_wait_for_nothing_is_noted(void **state)
{
    struct engine *engine = cluster.node[0].engine;

    (void)state;
    assert_int_equal(engine_work(engine, 0), ENGINE_IDLE);
    for (int i = 0; i < IN_VAIN; i++)
        work_beside(engine);
    assert_int_equal(atomic_load(&engine->given_ns), 0);
}

static void count_wake(void *driver)
{
    ++*(unsigned *)driver;
}

/* Between its last look and its sleep a worker does not count as asleep, and the sleep can be long. */
static void news_wake_also_whoever_is_about_to_sleep(void **state)
{
    struct engine *engine = cluster.node[0].engine;
    const uint8_t message = 1;
    unsigned wakes = 0;

    (void)state;
    engine->port.driver.wake = count_wake;
    engine->port.driver.driver = &wakes;
    worker_pool_set_load(&workers, engine);
    worker_pool_wake(&workers);
    assert_int_equal(wakes, 1);
    assert_true(engine_post(engine, 1, &message, 1));
    assert_int_equal(wakes, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_a_worker_gives_while_it_waits_for_others_is_noted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_anything_to_wait_for_nothing_is_noted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(news_wake_also_whoever_is_about_to_sleep, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
