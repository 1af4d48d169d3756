/* The record of late answers. Paused members in the simulator are in test_members_busy.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "libmesh/core/cluster_parts.h"

enum { PEER = 1 };

/* An epoch of two that has gone on for a minute. */
static struct mesh_cluster *make(void)
{
    struct mesh_cluster *cluster = calloc(1, sizeof *cluster);

    assert_non_null(cluster);
    cluster->now_ns = 60 * CLUSTER_S;
    cluster->epoch.list.count = 2;
    cluster->peer_of[0] = -1;
    cluster->peers[0].rank = PEER;
    return cluster;
}

static void answer(struct mesh_cluster *cluster, uint64_t took_ms)
{
    cluster->now_ns += CLUSTER_S;
    mesh_cluster_response_add(cluster, &cluster->peers[0], cluster->now_ns - took_ms * CLUSTER_MS);
}

/* The timeout after a time in which the last answers were all in time. */
static uint64_t timeout_ms(struct mesh_cluster *cluster)
{
    for (int i = 0; i < CLUSTER_ANSWERS; i++)
        answer(cluster, 1);
    return mesh_cluster_response_timeout(cluster, &cluster->peers[0]) / CLUSTER_MS;
}

static void the_two_slowest_are_remembered_in_whatever_order_they_came(void **state)
{
    static const unsigned took_ms[][4] = {{60, 100, 10, 8}, {100, 60, 10, 8}, {10, 60, 8, 100}, {60, 10, 100, 8}, {10, 8, 100, 60}};

    (void)state;
    for (unsigned i = 0; i < sizeof took_ms / sizeof *took_ms; i++) {
        struct mesh_cluster *cluster = make();

        for (unsigned j = 0; j < 4; j++)
            answer(cluster, took_ms[i][j]);
        assert_int_equal(timeout_ms(cluster), 240); /* four times as long as the faster answer */
        free(cluster);
    }
}

static void each_is_forgotten_after_ten_minutes(void **state)
{
    struct mesh_cluster *cluster = make();

    (void)state;
    answer(cluster, 100);
    cluster->now_ns += 590 * CLUSTER_S;
    answer(cluster, 60);
    assert_int_equal(timeout_ms(cluster), 240);
    cluster->now_ns += 10 * CLUSTER_S;
    assert_int_equal(timeout_ms(cluster), 7); /* one late answer has no effect */
    answer(cluster, 10);
    assert_int_equal(timeout_ms(cluster), 120);
    free(cluster);
}

/* This process was paused, and the suspicion is the first datagram that it read afterwards. */
static void who_is_asked_later_has_not_missed_what_was_before(void **state)
{
    struct mesh_cluster *cluster = make();
    struct cluster_peer *peer = &cluster->peers[0];

    (void)state;
    for (unsigned later_ms = 0; later_ms <= 30; later_ms += 10) {
        peer->liveness = CLUSTER_ASKING;
        peer->asked_ns = cluster->now_ns - (30 - later_ms) * CLUSTER_MS;
        peer->asked_until_ns = peer->asked_ns + 7 * CLUSTER_MS;
        mesh_cluster_response_excuse(cluster, 30 * CLUSTER_MS);
        assert_int_equal((peer->asked_until_ns - peer->asked_ns) / CLUSTER_MS, 7 + 30 - later_ms);
    }
    free(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_two_slowest_are_remembered_in_whatever_order_they_came),
        cmocka_unit_test(each_is_forgotten_after_ten_minutes),
        cmocka_unit_test(who_is_asked_later_has_not_missed_what_was_before),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
