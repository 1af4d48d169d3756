/* What a node measures of the requests of its clients, and of what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/telemetry/node_metrics.h"
#include "simquestion.h"

static struct mesh_udp *udp; /* of the node; NULL: none */

static void take(struct node_metrics *measure, const struct jobs *jobs, uint32_t waiting)
{
    static const struct node_metrics_requests over = {.begun = 7};
    const struct packet_filter_stats filter = {.cluster = {[MESH_SEAL_EPOCH] = 40, [MESH_SEAL_TAG] = 2}};
    static const struct mesh_lab lab;
    const struct epoch_run_config config = {.model = simquestion_model(0)->model, .udp = udp};
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

/* A node that the others have left out is in no epoch for a moment. */
static void what_the_socket_counts_since_the_start_is_there_without_an_epoch(void **state)
{
    static struct jobs jobs;
    static const uint8_t byte[1];
    struct node_metrics measure = {0};
    struct mesh_udp *other;
    struct mesh_udp_stats stats;
    struct mesh_addr addr, nobody;
    char reason[100];

    (void)state;
    assert_int_equal(node_metrics_init(&measure), 0);
    assert_int_equal(mesh_addr_parse("127.0.0.1:0", &addr, reason, sizeof reason), 0);
    assert_int_equal(mesh_udp_open(&udp, addr, NULL), 0);
    assert_int_equal(mesh_udp_open(&other, addr, NULL), 0);
    nobody = mesh_udp_local(other);
    mesh_udp_close(other);
    for (int i = 0; i < 3; i++) { /* the system tells of the one before */
        mesh_udp_send_to(udp, nobody, byte, sizeof byte);
        mesh_udp_poll(udp, NULL);
    }
    mesh_udp_get_stats(udp, &stats);
    assert_true(stats.unreachable > 0);
    take(&measure, &jobs, 0);
    assert_int_equal(measure.node.unreachable, stats.unreachable);
    mesh_udp_close(udp);
    udp = NULL;
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
        cmocka_unit_test(what_the_socket_counts_since_the_start_is_there_without_an_epoch),
        cmocka_unit_test(a_datagram_that_comes_late_takes_nothing_from_the_count_of_lost_ones),
        cmocka_unit_test(datagrams_of_an_epoch_that_ended_are_not_of_strangers),
        cmocka_unit_test(requests_that_wait_to_be_tokenised_are_running),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
