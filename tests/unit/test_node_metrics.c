/* What a node measures of the requests of its clients, and of what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/node_metrics.h"
#include "simquestion.h"

static void take(struct node_metrics *measure, const struct jobs *jobs, uint32_t waiting)
{
    static const struct node_metrics_requests over = {.begun = 7};
    const struct packet_filter_stats filter = {.cluster = {[MESH_SEAL_EPOCH] = 40, [MESH_SEAL_TAG] = 2}};
    static const struct mesh_lab lab;
    const struct epoch_run_config config = {.model = simquestion_model(0)->model};
    const struct node_metrics_source source = {.now_ns = 1000,
                                               .config = &config,
                                               .filter = &filter,
                                               .jobs = jobs,
                                               .waiting = waiting,
                                               .requests = &over,
                                               .lab = &lab,
                                               .refused = {[MESH_SEAL_PLAIN] = 1, [MESH_SEAL_EPOCH] = 300}};

    node_metrics_take(measure, &source);
}

static void requests_that_wait_to_be_tokenised_are_running(void **state)
{
    static struct jobs jobs;
    struct node_metrics measure = {0};

    (void)state;
    assert_int_equal(node_metrics_init(&measure), 0);
    take(&measure, &jobs, 0);
    assert_int_equal(measure.node.requests_running, 0);
    jobs.job[0] = (struct job){.id = 1};
    jobs.job[1] = (struct job){.id = 2, .is_done = true};
    take(&measure, &jobs, 3);
    assert_int_equal(measure.node.requests_running, 3 + 1);
    assert_int_equal(measure.node.requests_begun, 7 + 2); /* a counter: a question that is refused must not take anything from it */
    assert_int_equal(measure.requests, 2);
    node_metrics_release(&measure);
}

static void datagrams_of_an_epoch_that_ended_are_not_of_strangers(void **state)
{
    static struct jobs jobs;
    struct node_metrics measure = {0};

    (void)state;
    assert_int_equal(node_metrics_init(&measure), 0);
    take(&measure, &jobs, 0);
    assert_int_equal(measure.node.refused_auth, 1 + 2);
    node_metrics_release(&measure);
}

/* Prometheus takes a counter that is less than before for one that began at 0 again, and adds all of it. */
static void a_datagram_that_comes_late_takes_nothing_from_the_count_of_lost_ones(void **state)
{
    struct node_metrics measure = {.epoch = 4};

    (void)state;
    assert_int_equal(node_metrics_lost(&measure, 1, 1000), 1000);
    assert_int_equal(node_metrics_lost(&measure, 1, 998), 1000); /* two of them came */
    assert_int_equal(node_metrics_lost(&measure, 1, 1001), 1001);
    assert_int_equal(node_metrics_lost(&measure, 2, 5), 5);
    measure.epoch = 5;
    assert_int_equal(node_metrics_lost(&measure, 1, 3), 3);
    assert_int_equal(node_metrics_lost(&measure, 2, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_datagram_that_comes_late_takes_nothing_from_the_count_of_lost_ones),
        cmocka_unit_test(datagrams_of_an_epoch_that_ended_are_not_of_strangers),
        cmocka_unit_test(requests_that_wait_to_be_tokenised_are_running),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
