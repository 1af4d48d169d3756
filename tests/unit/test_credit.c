#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "libmesh/core/core.h"
#include "net.h"

static struct net_gather gathers[8];

/* The kernel's cost of a datagram. */
static unsigned cost_of(size_t bytes)
{
    unsigned cost = 512;

    while (cost < bytes + 448)
        cost *= 2;
    return cost + 256;
}

/* What rank 0 has in flight to rank 1, as seen on the wire: sent, not yet read. */
struct meter {
    unsigned in_flight, largest;
    unsigned window;
    struct {
        uint64_t number;
        unsigned cost;
    } sent[4096];
    unsigned count;
};

static bool meter(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    struct meter *m = net->app;

    (void)to;
    if (from == 0 && message->header.type == MESH_TYPE_TILE && !(message->header.flags & MESH_FLAG_RESEND)) {
        m->in_flight += cost_of(bytes);
        m->sent[m->count].number = message->header.number;
        m->sent[m->count++].cost = cost_of(bytes);
        if (m->in_flight > m->largest)
            m->largest = m->in_flight;
    }
    /* Rank 1's reads become visible with its reports, at the earliest. */
    if (from == 1 && (message->header.type == MESH_TYPE_STATUS || message->header.type == MESH_TYPE_PONG)) {
        uint64_t seen = message->header.type == MESH_TYPE_STATUS ? message->as.status.seen_all : message->as.pong.seen_all;

        for (unsigned i = 0; i < m->count; i++)
            if (m->sent[i].number <= seen) {
                m->in_flight -= m->sent[i].cost;
                m->sent[i].cost = 0;
            }
    }
    return false;
}

static void a_large_gather_never_exceeds_the_credit(void **state)
{
    static const unsigned buffers[] = {8192, 30000, 100000, 212992};

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct net *net = net_new(2);
        static struct meter m;

        memset(&m, 0, sizeof m);
        net->config[1].receive_buffer_bytes = buffers[i];
        m.window = buffers[i] - buffers[i] / 8;
        net_up(net);
        net->drop = meter;
        net->app = &m;
        net_gather_init(net, &gathers[0], 1, 0, 64, 300);
        for (uint16_t rank = 0; rank < 2; rank++)
            assert_int_equal(net_gather_open(net, &gathers[0], rank), 0);
        assert_int_equal(net_gather_publish(net, &gathers[0], 0), 0);
        net_run(net, 500 * (uint64_t)NET_MS);
        assert_int_equal(net->events[1][MESH_EVENT_COMPLETE], 1);
        assert_in_range(m.largest, 2304, m.window);
        net_gather_release(net, &gathers[0]);
        net_free(net);
    }
}

/* What rank 0 has sent last in the space to all and to rank 1, and what rank 1 has reported of both. */
struct unreported {
    uint64_t sent[2], reported[2];
    bool is_silent; /* reports are lost */
};

static bool note_numbers(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    struct unreported *u = net->app;
    const struct mesh_header *header = &message->header;

    (void)bytes;
    if (from == 0 && to == 1)
        u->sent[header->flags & MESH_FLAG_ALL ? 0 : 1] = header->number;
    if (from != 1 || to != 0 || (header->type != MESH_TYPE_STATUS && header->type != MESH_TYPE_PONG))
        return false;
    if (u->is_silent)
        return true;
    u->reported[0] = header->type == MESH_TYPE_PONG ? message->as.pong.seen_all : message->as.status.seen_all;
    u->reported[1] = header->type == MESH_TYPE_PONG ? message->as.pong.seen_peer : message->as.status.seen_peer;
    return false;
}

/* However large the window, a sender waits when it has sent 1024 numbers without a report: it remembers the costs of no more. */
static void no_more_than_1024_numbers_are_unreported(void **state)
{
    (void)state;
    for (uint16_t ranks = 2; ranks <= 3; ranks++) { /* of three, only rank 1 reads: its own space */
        struct unreported u = {.is_silent = false};
        struct net *net = net_new(ranks);
        const unsigned space = ranks - 2u;

        net->drop = note_numbers;
        net->app = &u;
        for (uint16_t rank = 0; rank < ranks; rank++)
            net->config[rank].receive_buffer_bytes = 64 << 20;
        net_up(net);
        u.is_silent = true;
        net_gather_init(net, &gathers[0], 1, 0, 8, 200);
        for (uint16_t rank = 1; rank <= ranks; rank++)
            gathers[0].first[rank] = 200; /* all of rank 0 */
        net_gather_fill(net, &gathers[0], 0);
        for (uint16_t rank = 0; rank < 2; rank++) {
            gathers[0].gather[rank].readers = 3;
            assert_int_equal(net_gather_open(net, &gathers[0], rank), 0);
        }
        for (uint16_t i = 0; i < 1600; i++) {
            assert_int_equal(mesh_publish(net->mesh[0], net->now_ns, 1, 0, i / 200, 1, i % 200, 1), 0);
            net_flush(net);
        }
        assert_int_equal(u.sent[space] - u.reported[space], 1024);
        struct mesh_peer_stats stats;
        mesh_get_peer_stats(net->mesh[0], 1, &stats);
        assert_int_equal(stats.credit_waits, 1); /* one wait, however often it looks */
        u.is_silent = false;
        net_run(net, 500 * NET_MS);
        assert_int_equal(net->events[1][MESH_EVENT_COMPLETE], 1);
        net_gather_release(net, &gathers[0]);
        net_free(net);
    }
}

static unsigned tiles_again; /* sent to answer NAKs */

static bool drop_tiles_and_reports(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    uint64_t *until_ns = net->app;

    (void)from, (void)to, (void)bytes;
    tiles_again += message->header.type == MESH_TYPE_TILE && message->header.flags & MESH_FLAG_RESEND;
    return net->now_ns < *until_ns &&
           (message->header.type == MESH_TYPE_TILE || message->header.type == MESH_TYPE_STATUS || message->header.type == MESH_TYPE_PONG);
}

static void credit_lost_with_its_datagrams_comes_back(void **state)
{
    struct net *net = net_new(2);
    uint64_t until_ns;
    struct mesh_peer_stats stats;

    (void)state;
    net->config[1].receive_buffer_bytes = 20000;
    net_up(net);
    until_ns = net->now_ns + 30 * NET_MS;
    net->drop = drop_tiles_and_reports;
    net->app = &until_ns;
    net_gather_init(net, &gathers[0], 1, 0, 64, 300);
    for (uint16_t rank = 0; rank < 2; rank++)
        assert_int_equal(net_gather_open(net, &gathers[0], rank), 0);
    assert_int_equal(net_gather_publish(net, &gathers[0], 0), 0);
    tiles_again = 0;
    net_run(net, 30 * NET_MS);
    mesh_get_peer_stats(net->mesh[0], 1, &stats);
    assert_in_range(stats.credit_waits, 1, 1000000);
    assert_true(tiles_again > 0); /* without credit */
    assert_int_equal(net->events[1][MESH_EVENT_ARRIVED], 0);
    net_run(net, 500 * (uint64_t)NET_MS);
    assert_int_equal(net->events[1][MESH_EVENT_COMPLETE], 1);
    assert_true(mesh_is_quiet(net->mesh[0]));
    net_gather_release(net, &gathers[0]);
    net_free(net);
}

static void have_through_is_told_when_nothing_else_carries_it(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    net_up(net);
    net_gather_init(net, &gathers[0], 1, 0, 1, 20);
    for (uint16_t rank = 0; rank < 2; rank++)
        assert_int_equal(net_gather_open(net, &gathers[0], rank), 0);
    assert_int_equal(net_gather_publish(net, &gathers[0], 0), 0);
    assert_int_equal(net_gather_publish(net, &gathers[0], 1), 0);
    net_run(net, 900 * NET_US);
    assert_false(mesh_is_quiet(net->mesh[0]));
    net_run(net, 400 * NET_US);
    assert_true(mesh_is_quiet(net->mesh[0]));
    assert_int_equal(net->sent[1][MESH_TYPE_STATUS], 1);
    net_gather_release(net, &gathers[0]);
    net_free(net);
}

/* A rank without rows does not make others wait for the four gathers of the limit. */
static void a_rank_that_only_reads_tells_what_it_has_after_two_gathers(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    net_up(net);
    for (unsigned i = 0; i < 8; i++) {
        net_gather_init(net, &gathers[i], 1 + i / 5, (uint16_t)(i % 5), 1, 20);
        gathers[i].first[1] = 20; /* all of rank 0 */
        net_gather_fill(net, &gathers[i], 0);
        net_gather_fill(net, &gathers[i], 1);
        for (uint16_t rank = 0; rank < 2; rank++)
            assert_int_equal(net_gather_open(net, &gathers[i], rank), 0);
        assert_int_equal(net_gather_publish(net, &gathers[i], 0), 0);
    }
    net_run(net, 750 * NET_US);
    assert_int_equal(net->events[1][MESH_EVENT_COMPLETE], 8);
    for (unsigned i = 0; i < 8; i++)
        net_gather_release(net, &gathers[i]);
    net_free(net);
}

/* Not after one, which the next tile usually tells; and without a tile it would be told a millisecond later. */
static void the_second_of_two_gathers_is_told_at_once(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    net_up(net);
    for (unsigned i = 0; i < 2; i++) {
        net_gather_init(net, &gathers[i], 1, (uint16_t)i, 1, 20);
        gathers[i].first[1] = 20; /* all of rank 0 */
        net_gather_fill(net, &gathers[i], 0);
        for (uint16_t rank = 0; rank < 2; rank++)
            assert_int_equal(net_gather_open(net, &gathers[i], rank), 0);
        assert_int_equal(net_gather_publish(net, &gathers[i], 0), 0);
        net_run(net, 300 * NET_US);
        assert_int_equal(net->sent[1][MESH_TYPE_STATUS], i);
    }
    for (unsigned i = 0; i < 2; i++)
        net_gather_release(net, &gathers[i]);
    net_free(net);
}

/* For something else that is due. */
static void who_looks_too_early_tells_it_later(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    net_up(net);
    net_run(net, 50 * NET_MS);
    net_gather_init(net, &gathers[0], 1, 0, 1, 20);
    gathers[0].first[1] = 20; /* all of rank 0 */
    net_gather_fill(net, &gathers[0], 0);
    for (uint16_t rank = 0; rank < 2; rank++)
        assert_int_equal(net_gather_open(net, &gathers[0], rank), 0);
    assert_int_equal(net_gather_publish(net, &gathers[0], 0), 0);
    net_run(net, 300 * NET_US);
    net->mesh[1]->due_ns = net->now_ns;
    mesh_tick(net->mesh[1], net->now_ns);
    net_flush(net);
    assert_int_equal(net->sent[1][MESH_TYPE_STATUS], 0);
    net_run(net, 1200 * NET_US);
    assert_int_equal(net->sent[1][MESH_TYPE_STATUS], 1);
    net_gather_release(net, &gathers[0]);
    net_free(net);
}

static void what_a_tile_has_told_is_not_told_again(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    net_up(net);
    for (unsigned i = 0; i < 2; i++) {
        net_gather_init(net, &gathers[i], 1, (uint16_t)i, 1, 20);
        for (uint16_t rank = 0; rank < 2; rank++)
            assert_int_equal(net_gather_open(net, &gathers[i], rank), 0);
    }
    assert_int_equal(net_gather_publish(net, &gathers[0], 0), 0);
    net_run(net, 300 * NET_US);
    assert_int_equal(net->events[1][MESH_EVENT_COMPLETE], 1);
    assert_int_equal(net_gather_publish(net, &gathers[1], 1), 0);
    net_run(net, 1200 * NET_US);
    assert_int_equal(net->sent[1][MESH_TYPE_STATUS], 0);
    for (unsigned i = 0; i < 2; i++)
        net_gather_release(net, &gathers[i]);
    net_free(net);
}

/* The sender's and the receiver's kernel account alike, and so must both ends: see PROTOCOL.md. */
static void costs_and_windows_are_those_of_the_protocol(void **state)
{
    static const struct {
        size_t bytes;
        uint32_t cost;
    } costs[] = {{1, 768}, {64, 768}, {65, 1280}, {576, 1280}, {577, 2304}, {1200, 2304}, {1600, 2304}, {1601, 4352}, {65000, 65792}};
    struct mesh_config config = {.rank_count = 4, .receive_buffer_bytes = 240000};

    (void)state;
    for (size_t i = 0; i < sizeof costs / sizeof *costs; i++)
        assert_int_equal(mesh_credit_cost(costs[i].bytes), costs[i].cost);
    assert_int_equal(mesh_credit_grant(&config), 70000); /* seven eighths, by three */
    config.receive_buffer_bytes = 1000;
    assert_int_equal(mesh_credit_grant(&config), 4608);
    config.receive_buffer_bytes = UINT64_C(1) << 40;
    assert_int_equal(mesh_credit_grant(&config), INT32_MAX);
    for (uint32_t window = 4608; window < 100000000; window *= 2) { /* resends get half of the reserve, but one may always go */
        const struct mesh_peer peer = {.window_bytes = window};
        const uint64_t exempt = mesh_credit_exempt_resends(&peer);

        assert_true(exempt == 1 || exempt * 2304 <= window / 14);
        assert_true((exempt + 1) * 2304 > window / 14);
    }
    assert_int_equal(mesh_credit_datagram_max(4608), 1600); /* the smallest, however small the window */
    assert_int_equal(mesh_credit_datagram_max(4 * 4352 - 1), 1600);
    assert_int_equal(mesh_credit_datagram_max(4 * 4352), 3648);
    assert_int_equal(mesh_credit_datagram_max(INT32_MAX), 65088);
}

/* ---- queues on the way ---- */

/* A report of so many lost numbers, when round trips take rtt_ms, the shortest 1 ms. Returns the limit in parts of 64 of the window. */
static unsigned limit_after(struct net *net, uint64_t lost, unsigned rtt_ms)
{
    struct mesh_peer *peer = &net->mesh[0]->peers[1];

    peer->stats.rtt_ns_min = NET_MS;
    peer->rtt_ns = rtt_ms * (uint64_t)NET_MS;
    mesh_credit_lost(net->mesh[0], peer, lost);
    return peer->queue_bytes / (peer->window_bytes / 64);
}

static void losses_in_a_queue_limit_what_is_on_the_way(void **state)
{
    struct net *net = net_new(2);
    uint64_t *now_ns;
    uint32_t before;

    (void)state;
    net_up(net);
    now_ns = &net->mesh[0]->now_ns;
    assert_int_equal(limit_after(net, 10, 2), 0); /* no queue, */
    assert_int_equal(limit_after(net, 10, 3), 0); /* nothing lost */
    assert_int_equal(limit_after(net, 11, 3), 32);
    assert_int_equal(limit_after(net, 20, 3), 32); /* within the same round trip */
    *now_ns += 3 * NET_MS;
    assert_in_range(limit_after(net, 30, 3), 16, 18); /* no less than the peer reports at once, and two datagrams */
    *now_ns += 3 * NET_MS;
    assert_in_range(limit_after(net, 40, 3), 16, 18);
    before = net->mesh[0]->peers[1].queue_bytes;
    *now_ns += 3 * NET_MS;
    limit_after(net, 40, 60);
    assert_int_equal(net->mesh[0]->peers[1].queue_bytes, before + cost_of(MESH_DATAGRAM_BYTES_MIN));
    for (unsigned i = 0; i < 1000; i++) {
        *now_ns += 60 * NET_MS;
        limit_after(net, 40, 60);
    }
    assert_int_equal(net->mesh[0]->peers[1].queue_bytes, 0); /* as much as is granted */
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_gather_never_exceeds_the_credit),
        cmocka_unit_test(no_more_than_1024_numbers_are_unreported),
        cmocka_unit_test(credit_lost_with_its_datagrams_comes_back),
        cmocka_unit_test(have_through_is_told_when_nothing_else_carries_it),
        cmocka_unit_test(the_second_of_two_gathers_is_told_at_once),
        cmocka_unit_test(who_looks_too_early_tells_it_later),
        cmocka_unit_test(what_a_tile_has_told_is_not_told_again),
        cmocka_unit_test(costs_and_windows_are_those_of_the_protocol),
        cmocka_unit_test(a_rank_that_only_reads_tells_what_it_has_after_two_gathers),
        cmocka_unit_test(losses_in_a_queue_limit_what_is_on_the_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
