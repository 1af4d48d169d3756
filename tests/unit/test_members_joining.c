/* A newcomer: when and where it sends JOINs, by the answers that it gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "libmesh/core/cluster_parts.h"

enum { NONCE = 77, COORDINATOR = 1, JOINS_MAX = 20 }; /* ports are places */

#define START_NS CLUSTER_S

static struct mesh_cluster *cluster;
static uint64_t join_ms[JOINS_MAX]; /* since the start */
static uint16_t join_port[JOINS_MAX];
static uint8_t join_cookie[JOINS_MAX];
static unsigned joins;

static void hash(const void *data, size_t bytes, uint8_t out[16])
{
    memset(out, (int)(((const uint8_t *)data)[0] + bytes), 16);
}

static struct mesh_addr addr_of(uint16_t port)
{
    return (struct mesh_addr){.ip = {[15] = 1}, .port = port};
}

/* It is about to send its first JOIN to the coordinator of a cluster of five. */
static int open_newcomer(void **state)
{
    void *memory = aligned_alloc(64, mesh_cluster_memory_bytes());
    struct mesh_cluster_config config = {.hash = hash, .version = MESH_WIRE_VERSION};

    (void)state;
    memset(config.incarnation, 9, sizeof config.incarnation);
    if (!memory || mesh_cluster_init(&cluster, &config, memory, mesh_cluster_memory_bytes(), START_NS) != 0)
        return -1;
    cluster->joining = (struct cluster_joining){
        .is_active = true,
        .addr = addr_of(COORDINATOR),
        .via = addr_of(COORDINATOR),
        .nonce = NONCE,
        .standing.members = 5,
        .at_ns = START_NS,
        .interval_ns = 10 * CLUSTER_MS,
        .until_ns = START_NS + 500 * CLUSTER_MS,
    };
    mesh_cluster_arm(cluster, START_NS);
    joins = 0;
    return 0;
}

static int close_newcomer(void **state)
{
    (void)state;
    free(cluster);
    return 0;
}

static void note_joins(uint64_t now_ns)
{
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN];
    struct mesh_message message;
    struct mesh_output output;

    while (mesh_cluster_next_datagram(cluster, now_ns, packet, sizeof packet, &output)) {
        assert_int_equal(mesh_wire_decode(packet, output.bytes, &message), 0);
        if (message.header.type != MESH_TYPE_JOIN)
            continue;
        assert_in_range(joins, 0, JOINS_MAX - 1);
        assert_int_equal(message.as.join.nonce, NONCE);
        join_port[joins] = output.addr.port;
        join_cookie[joins] = message.as.join.cookie[0];
        join_ms[joins++] = (now_ns - START_NS) / CLUSTER_MS;
    }
}

/* Until so long after the start. */
static void run_until_ms(uint64_t ms)
{
    while (mesh_cluster_timeout(cluster) <= START_NS + ms * CLUSTER_MS) {
        const uint64_t now_ns = mesh_cluster_timeout(cluster) > cluster->now_ns ? mesh_cluster_timeout(cluster) : cluster->now_ns;

        mesh_cluster_tick(cluster, now_ns);
        note_joins(now_ns);
    }
    mesh_cluster_tick(cluster, START_NS + ms * CLUSTER_MS);
    note_joins(cluster->now_ns);
}

/* The coordinator that was asked answers: wait, or go there (0: it is it). */
static void answer(bool is_waiting, uint16_t port, uint16_t member_count)
{
    struct mesh_message message = {.header.type = MESH_TYPE_COOKIE,
                                   .as.cookie = {.nonce = NONCE, .is_waiting = is_waiting, .members = member_count, .number = 3}};
    struct cluster_input in = {.from = cluster->joining.addr, .message = &message, .number = 1};

    if (port) {
        memcpy(message.as.cookie.ip, addr_of(port).ip, sizeof message.as.cookie.ip);
        message.as.cookie.port = port;
    }
    memset(message.as.cookie.cookie, 100 + port, sizeof message.as.cookie.cookie);
    memset(message.as.cookie.id, 44, sizeof message.as.cookie.id);
    in.incarnation = message.as.cookie.incarnation;
    assert_int_equal(mesh_cluster_joining_cookie(cluster, &in), 0);
}

static void assert_joins_at(const uint64_t *ms, unsigned count)
{
    assert_int_equal(joins, count);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(join_ms[i], ms[i]);
}

static void without_an_answer_a_newcomer_gives_up_after_half_a_second(void **state)
{
    static const uint64_t ms[] = {0, 10, 30, 70, 150, 310, 470};

    (void)state;
    run_until_ms(499);
    assert_true(cluster->joining.is_active);
    run_until_ms(500);
    assert_false(cluster->joining.is_active);
    assert_int_equal(cluster->joining.backoff_until_ns, START_NS + 1000 * CLUSTER_MS); /* it joins nobody for as long */
    run_until_ms(2000);
    assert_joins_at(ms, 7);
}

static void who_waits_repeats_its_join_four_times_a_second_and_gives_up_after_one(void **state)
{
    static const uint64_t ms[] = {0, 250, 500, 950, 1200, 1450};

    (void)state;
    run_until_ms(0);
    answer(true, 0, 5);
    run_until_ms(700);
    answer(true, 0, 5); /* at 700: the next one is 250 ms later */
    run_until_ms(1699);
    assert_true(cluster->joining.is_active);
    run_until_ms(1700);
    assert_false(cluster->joining.is_active);
    assert_joins_at(ms, 6);
}

static void a_newcomer_follows_eight_coordinators_and_no_more(void **state)
{
    (void)state;
    run_until_ms(1);
    for (uint16_t port = 2; port <= 9; port++) {
        answer(false, port, 5);
        run_until_ms(port);
        assert_int_equal(joins, port);
        assert_int_equal(join_ms[joins - 1], port - 1u); /* at once */
        assert_int_equal(join_port[joins - 1], port);
        assert_int_equal(join_cookie[joins - 1], 100 + port);
    }
    answer(false, 10, 5);
    assert_false(cluster->joining.is_active);
    assert_int_equal(cluster->joining.backoff_until_ns, cluster->now_ns + 500 * CLUSTER_MS);
}

static void a_cluster_that_is_no_better_any_more_is_not_joined(void **state)
{
    (void)state;
    run_until_ms(0);
    cluster->epoch.number = 4; /* both of one, and its own number is higher */
    answer(true, 0, 1);
    assert_false(cluster->joining.is_active);
    assert_int_equal(cluster->joining.backoff_until_ns, cluster->now_ns);
}

static void another_nonce_is_no_answer(void **state)
{
    struct mesh_message message = {.header.type = MESH_TYPE_COOKIE, .as.cookie = {.nonce = NONCE + 1, .members = 5}};
    const struct cluster_input in = {.from = addr_of(COORDINATOR), .message = &message, .incarnation = message.as.cookie.incarnation};

    (void)state;
    assert_int_equal(mesh_cluster_joining_cookie(cluster, &in), MESH_ESTATE);
    message.as.cookie.nonce = NONCE;
    cluster->joining.is_active = false;
    assert_int_equal(mesh_cluster_joining_cookie(cluster, &in), MESH_ESTATE);
}

/* It comes back by a multicast group, or since it was sent to the own address. */
static void only_the_join_under_way_can_come_back(void **state)
{
    (void)state;
    assert_false(mesh_cluster_joining_self(cluster, NONCE + 1));
    assert_true(mesh_cluster_joining_self(cluster, NONCE));
    cluster->joining.is_active = false;
    assert_false(mesh_cluster_joining_self(cluster, NONCE));
}

/* What is believed of others' numbers depends on that of the cluster that it joins only while it is alone and joins it. */
static void the_number_of_a_cluster_is_believed_by_who_is_alone_and_joins_it(void **state)
{
    const uint32_t most = CLUSTER_NUMBER_BELIEVED + CLUSTER_NUMBER_AHEAD;

    (void)state;
    assert_int_equal(mesh_cluster_peer_limit(cluster), most);
    cluster->joining.standing.number = CLUSTER_NUMBER_BELIEVED + 10;
    assert_int_equal(mesh_cluster_peer_limit(cluster), most + 10);
    cluster->epoch.list.count = 2;
    assert_int_equal(mesh_cluster_peer_limit(cluster), most);
    cluster->epoch.list.count = 1;
    cluster->joining.is_active = false;
    assert_int_equal(mesh_cluster_peer_limit(cluster), most);
}

#define JOINING_TEST(test) cmocka_unit_test_setup_teardown(test, open_newcomer, close_newcomer)

int main(void)
{
    const struct CMUnitTest tests[] = {
        JOINING_TEST(without_an_answer_a_newcomer_gives_up_after_half_a_second),
        JOINING_TEST(who_waits_repeats_its_join_four_times_a_second_and_gives_up_after_one),
        JOINING_TEST(a_newcomer_follows_eight_coordinators_and_no_more),
        JOINING_TEST(a_cluster_that_is_no_better_any_more_is_not_joined),
        JOINING_TEST(another_nonce_is_no_answer),
        JOINING_TEST(only_the_join_under_way_can_come_back),
        JOINING_TEST(the_number_of_a_cluster_is_believed_by_who_is_alone_and_joins_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
