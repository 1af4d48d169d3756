/* How long a suspect has to answer, worked out from times of answering, late answers and mistakes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "libmesh/core/cluster_parts.h"
#include "simmembers.h"

#define MS  CLUSTER_MS
#define NOW (5000 * CLUSTER_S)

static struct mesh_cluster *cluster;
static struct cluster_peer *suspect, *other;

/* An epoch of three, this process in its middle. */
static int open_epoch(void **state)
{
    void *memory = aligned_alloc(64, mesh_cluster_memory_bytes());
    struct mesh_cluster_config config = {.hash = simmembers_hash, .version = MESH_WIRE_VERSION};
    const struct cluster_ballot ballot = {.number = 5, .round = 1};
    struct cluster_list list = {.count = 3};
    const uint8_t id[16] = {55};

    (void)state;
    for (int i = 0; i < 3; i++) {
        memset(list.members[i].incarnation, i + 1, sizeof list.members[i].incarnation);
        list.members[i].addr.port = (uint16_t)(7000 + i);
    }
    memcpy(config.incarnation, list.members[1].incarnation, sizeof config.incarnation);
    if (!memory || mesh_cluster_init(&cluster, &config, memory, mesh_cluster_memory_bytes(), NOW) != 0)
        return -1;
    mesh_cluster_install(cluster, &ballot, id, &list);
    suspect = mesh_cluster_peer_find(cluster, list.members[0].incarnation);
    other = mesh_cluster_peer_find(cluster, list.members[2].incarnation);
    cluster->now_ns = NOW + 2000 * CLUSTER_S;
    return 0;
}

static int close_epoch(void **state)
{
    (void)state;
    free(cluster);
    return 0;
}

static uint64_t time_ms(void)
{
    return mesh_cluster_response_timeout(cluster, suspect) / MS;
}

/* It is asked, and answers so much later. */
static void answer_after(struct cluster_peer *peer, uint64_t took_ns)
{
    const uint64_t asked_ns = cluster->now_ns;

    cluster->now_ns += took_ns;
    mesh_cluster_response_add(cluster, peer, asked_ns);
    cluster->now_ns += CLUSTER_S;
}

static void a_suspect_has_four_times_its_second_slowest_answer(void **state)
{
    (void)state;
    assert_int_equal(time_ms(), 7);
    answer_after(other, 6 * MS); /* of one that has never answered, others tell */
    assert_int_equal(time_ms(), 24);
    answer_after(suspect, 3 * MS);
    assert_int_equal(time_ms(), 12);
    answer_after(suspect, 5 * MS);
    answer_after(suspect, 4 * MS);
    assert_int_equal(time_ms(), 16);
    for (int i = 0; i < 6; i++)
        answer_after(suspect, 2 * MS);
    assert_int_equal(time_ms(), 16); /* of the last eight */
    answer_after(suspect, 2 * MS);
    assert_int_equal(time_ms(), 8);
    answer_after(suspect, MS);
    assert_int_equal(mesh_cluster_response_usual(cluster, &cluster->epoch.list), 6 * MS);
}

static void late(struct cluster_late *late, uint64_t ago_ns, uint64_t took_ns)
{
    *late = (struct cluster_late){.at_ns = cluster->now_ns - ago_ns, .took_ns = took_ns};
}

static void two_late_answers_give_four_times_the_faster_and_twice_the_slower(void **state)
{
    (void)state;
    for (unsigned own = 0; own < 2; own++) { /* its own, or those of this process */
        struct cluster_late *of = own ? cluster->late : suspect->late;

        late(&of[0], 100 * CLUSTER_S, 50 * MS);
        assert_int_equal(time_ms(), 7);
        late(&of[1], 50 * CLUSTER_S, 60 * MS);
        assert_int_equal(time_ms(), 200);
        late(&of[1], 50 * CLUSTER_S, 150 * MS);
        assert_int_equal(time_ms(), 300);
        late(&of[0], 600 * CLUSTER_S, 50 * MS);
        assert_int_equal(time_ms(), 300);
        late(&of[0], 600 * CLUSTER_S + 1, 50 * MS);
        assert_int_equal(time_ms(), 7);
        memset(of, 0, 2 * sizeof *of);
    }
}

static void mistakes_double_the_time_and_calm_minutes_halve_it(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= 4; i++) {
        mesh_cluster_response_lost(cluster, suspect);
        cluster->now_ns += 3 * CLUSTER_S + (i == 4); /* the last time it comes back a little too late */
        mesh_cluster_response_back(cluster, suspect);
        assert_int_equal(time_ms(), i < 4 ? 7 << i : 56);
    }
    cluster->now_ns += 60 * CLUSTER_S;
    assert_int_equal(time_ms(), 28);
    for (unsigned i = 0; i < 20; i++) {
        mesh_cluster_response_lost(cluster, suspect);
        mesh_cluster_response_back(cluster, suspect);
    }
    assert_int_equal(time_ms(), 7 << 8); /* eight count */
}

#define RESPONSE_TEST(test) cmocka_unit_test_setup_teardown(test, open_epoch, close_epoch)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RESPONSE_TEST(a_suspect_has_four_times_its_second_slowest_answer),
        RESPONSE_TEST(two_late_answers_give_four_times_the_faster_and_twice_the_slower),
        RESPONSE_TEST(mistakes_double_the_time_and_calm_minutes_halve_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
