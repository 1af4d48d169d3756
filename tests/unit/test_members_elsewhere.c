/* A process that asks at one address and is answered from another: by a replay, which may come from anywhere, or by a process that has
 * several addresses. Two cores without a simulator. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/cluster.h"
#include "mesh/seal.h"
#include "mesh/sim.h"
#include "mesh/wire.h"

#define MS UINT64_C(1000000)

enum place { HOST, HOST_TOO, JOINER, ELSEWHERE, PLACES };

struct pair {
    struct mesh_cluster *host, *joiner;
    void *memory[2];
    uint64_t now_ns, start_ns;
    enum place source;          /* that the host's datagrams seem to come from */
    unsigned replays;           /* COOKIEs that come as from ELSEWHERE, the first ones: a node drops the real ones for their numbers */
    unsigned joins_lost;        /* the first ones */
    unsigned sent_to[PLACES];   /* by the joiner */
    struct mesh_addr host_addr; /* in the list of the epoch of both */
    uint64_t joined_ns;         /* since the start; 0: not yet */
    uint64_t lost;              /* times that the joiner has lost the host */
};

static struct mesh_cluster *open_core(struct pair *pair, unsigned which, const struct mesh_addr *addr, const struct mesh_addr *seed)
{
    const size_t bytes = (mesh_cluster_memory_bytes() + 63) / 64 * 64;
    struct mesh_cluster_config config = {.hash = mesh_hash16, .seeds = seed, .seed_count = seed ? 1 : 0};
    struct mesh_cluster *cluster;

    if (addr)
        config.addr = *addr;
    memset(config.incarnation, (int)which + 1, sizeof config.incarnation);
    memset(config.secret, (int)which + 1, sizeof config.secret);
    pair->memory[which] = aligned_alloc(64, bytes);
    assert_non_null(pair->memory[which]);
    assert_int_equal(mesh_cluster_init(&cluster, &config, pair->memory[which], bytes, pair->now_ns), 0);
    return cluster;
}

/* The host is asked at the address of HOST. */
static void open_pair(struct pair *pair, bool knows_its_address)
{
    const struct mesh_addr host = mesh_sim_addr(HOST), joiner = mesh_sim_addr(JOINER);

    *pair = (struct pair){.now_ns = 1000 * MS, .start_ns = 1000 * MS, .source = HOST};
    pair->host = open_core(pair, 0, knows_its_address ? &host : NULL, NULL);
    pair->joiner = open_core(pair, 1, &joiner, &host);
}

static void close_pair(struct pair *pair)
{
    free(pair->memory[0]);
    free(pair->memory[1]);
}

static bool loses(struct pair *pair, const uint8_t *packet)
{
    return packet[offsetof(struct mesh_header_bytes, type)] == MESH_TYPE_JOIN && pair->joins_lost && pair->joins_lost--;
}

static void carry(struct pair *pair)
{
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN];
    struct mesh_output output;

    while (mesh_cluster_next_datagram(pair->host, pair->now_ns, packet, sizeof packet, &output)) {
        const bool is_cookie = packet[offsetof(struct mesh_header_bytes, type)] == MESH_TYPE_COOKIE;
        const uint16_t source = (uint16_t)(is_cookie && pair->replays && pair->replays-- ? ELSEWHERE : pair->source);

        (void)mesh_cluster_receive(pair->joiner, pair->now_ns, mesh_sim_addr(source), packet, output.bytes);
    }
    while (mesh_cluster_next_datagram(pair->joiner, pair->now_ns, packet, sizeof packet, &output)) {
        assert_true(output.addr.port < PLACES);
        pair->sent_to[output.addr.port]++;
        if ((output.addr.port == HOST || output.addr.port == HOST_TOO) && !loses(pair, packet))
            (void)mesh_cluster_receive(pair->host, pair->now_ns, mesh_sim_addr(JOINER), packet, output.bytes);
    }
}

static void note(struct pair *pair, const struct mesh_cluster_event *event)
{
    pair->lost += event->type == MESH_CLUSTER_PEER_LOST;
    if (event->type != MESH_CLUSTER_EPOCH || event->member_count != 2)
        return;
    pair->host_addr = event->members[1 - event->own_rank].addr;
    if (!pair->joined_ns)
        pair->joined_ns = pair->now_ns - pair->start_ns;
}

static void run(struct pair *pair, uint64_t span_ns)
{
    struct mesh_cluster_event event;

    for (const uint64_t end_ns = pair->now_ns + span_ns; pair->now_ns < end_ns; pair->now_ns += MS / 2) {
        mesh_cluster_tick(pair->host, pair->now_ns);
        mesh_cluster_tick(pair->joiner, pair->now_ns);
        for (unsigned i = 0; i < 4; i++)
            carry(pair);
        while (mesh_cluster_next_event(pair->host, &event))
            ;
        while (mesh_cluster_next_event(pair->joiner, &event))
            note(pair, &event);
    }
}

static void a_cookie_as_if_from_elsewhere_sends_one_join_there_and_delays_nothing(void **state)
{
    struct pair pair;

    (void)state;
    open_pair(&pair, true);
    pair.replays = 1;
    run(&pair, 2000 * MS);
    assert_int_equal(pair.sent_to[ELSEWHERE], 1);
    assert_in_range(pair.joined_ns, 1, 30 * MS);
    assert_int_equal(pair.host_addr.port, HOST);
    close_pair(&pair);
}

static void nor_do_cookies_that_all_come_as_if_from_elsewhere_first(void **state)
{
    struct pair pair;

    (void)state;
    open_pair(&pair, true);
    pair.replays = UINT32_MAX;
    run(&pair, 2000 * MS);
    assert_int_equal(pair.sent_to[ELSEWHERE], 1);
    assert_in_range(pair.joined_ns, 1, 30 * MS);
    close_pair(&pair);
}

static void a_process_that_is_heard_from_another_address_is_a_member_by_that(void **state)
{
    struct pair pair;

    (void)state;
    open_pair(&pair, false);
    pair.source = HOST_TOO;
    run(&pair, 2000 * MS);
    assert_in_range(pair.joined_ns, 1, 20 * MS);
    assert_int_equal(pair.host_addr.port, HOST_TOO);
    close_pair(&pair);
}

/* The joiner then asks where it asked at first, and does not tell the host that this is its address. */
static void so_it_is_when_the_first_join_is_lost(void **state)
{
    struct pair pair;

    (void)state;
    open_pair(&pair, false);
    pair.source = HOST_TOO;
    pair.joins_lost = 1;
    run(&pair, 5000 * MS);
    assert_in_range(pair.joined_ns, 1, 1000 * MS);
    assert_int_equal(pair.host_addr.port, HOST_TOO);
    close_pair(&pair);
}

static void a_replayed_cookie_does_not_keep_a_process_from_learning_its_address(void **state)
{
    struct pair pair;

    (void)state;
    open_pair(&pair, false);
    pair.replays = 1;
    run(&pair, 2000 * MS);
    assert_in_range(pair.joined_ns, 1, 30 * MS);
    assert_int_equal(pair.host_addr.port, HOST);
    close_pair(&pair);
}

/* Its mesh layer would drop what comes from there, so the joiner would wait for the host without end. */
static void a_member_whose_address_has_changed_comes_back_with_the_new_one(void **state)
{
    struct mesh_cluster_event epoch;
    struct pair pair;

    (void)state;
    open_pair(&pair, false);
    run(&pair, 2000 * MS);
    assert_int_equal(pair.host_addr.port, HOST);
    pair.source = HOST_TOO; /* and is reached at both */
    run(&pair, 10000 * MS);
    mesh_cluster_get_epoch(pair.joiner, &epoch);
    assert_int_equal(epoch.member_count, 2);
    assert_int_equal(pair.host_addr.port, HOST_TOO);
    assert_int_equal(pair.lost, 1);
    close_pair(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cookie_as_if_from_elsewhere_sends_one_join_there_and_delays_nothing),
        cmocka_unit_test(nor_do_cookies_that_all_come_as_if_from_elsewhere_first),
        cmocka_unit_test(a_process_that_is_heard_from_another_address_is_a_member_by_that),
        cmocka_unit_test(so_it_is_when_the_first_join_is_lost),
        cmocka_unit_test(a_replayed_cookie_does_not_keep_a_process_from_learning_its_address),
        cmocka_unit_test(a_member_whose_address_has_changed_comes_back_with_the_new_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
