#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "net.h"

/* Every rank opens, publishes, waits for and consumes gather after gather, as an engine would. */
struct run {
    unsigned gather_count;
    uint16_t tokens, blocks;
    struct net_gather *gathers;     /* (gather_count) */
    unsigned opened[NET_RANKS_MAX]; /* per rank */
    unsigned complete[NET_RANKS_MAX];
    unsigned freed[NET_RANKS_MAX];
    bool is_complete[NET_RANKS_MAX][256];
};

static void open_next(struct net *net, struct run *run, uint16_t rank)
{
    while (run->opened[rank] < run->gather_count && run->opened[rank] < run->complete[rank] + 2) {
        struct net_gather *gather = &run->gathers[run->opened[rank]];

        if (net_gather_open(net, gather, rank) == MESH_AGAIN)
            return;
        run->opened[rank]++;
        if (run->opened[rank] == 1)
            assert_int_equal(net_gather_publish(net, gather, rank), 0);
    }
}

/* Gathers may complete out of order; an engine works through them in order. */
static void on_event(struct net *net, uint16_t rank, const struct mesh_event *event)
{
    struct run *run = net->app;

    if (event->type == MESH_EVENT_COMPLETE)
        run->is_complete[rank][event->step * 5 + event->phase] = true;
    if (event->type == MESH_EVENT_FREED)
        run->freed[rank]++;
    while (run->complete[rank] < run->opened[rank] && run->is_complete[rank][run->complete[rank]]) {
        unsigned index = run->complete[rank]++;

        assert_true(net_gather_is_whole(net, &run->gathers[index], rank));
        mesh_consume(net->mesh[rank], net->now_ns, index / 5, (uint16_t)(index % 5));
        open_next(net, run, rank);
        if (run->complete[rank] < run->gather_count)
            assert_int_equal(net_gather_publish(net, &run->gathers[run->complete[rank]], rank), 0);
    }
    open_next(net, run, rank);
}

static void exchange(struct net *net, unsigned gather_count, uint16_t tokens, uint16_t blocks, uint64_t span_ns)
{
    struct run run = {.gather_count = gather_count, .tokens = tokens, .blocks = blocks};

    run.gathers = calloc(gather_count, sizeof *run.gathers);
    for (unsigned i = 0; i < gather_count; i++)
        net_gather_init(net, &run.gathers[i], i / 5, (uint16_t)(i % 5), tokens, blocks);
    net->app = &run;
    net->on_event = on_event;
    for (uint16_t rank = 0; rank < net->count; rank++)
        open_next(net, &run, rank);
    net_run(net, span_ns);
    for (uint16_t rank = 0; rank < net->count; rank++) {
        assert_int_equal(run.complete[rank], gather_count);
        assert_int_equal(run.freed[rank], gather_count);
        assert_true(mesh_is_quiet(net->mesh[rank]));
    }
    for (unsigned i = 0; i < gather_count; i++)
        net_gather_release(net, &run.gathers[i]);
    free(run.gathers);
    net->on_event = NULL;
}

static void three_ranks_exchange_gathers_over_a_perfect_network(void **state)
{
    struct net *net = net_new(3);

    (void)state;
    net_up(net);
    exchange(net, 50, 1, 64, 100 * (uint64_t)NET_MS);
    for (uint16_t rank = 0; rank < 3; rank++)
        assert_int_equal(net->sent[rank][MESH_TYPE_NAK], 0);
    net_free(net);
}

static void prompt_batches_are_exchanged_within_the_credit(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    net_up(net);
    exchange(net, 20, 64, 300, 1000 * (uint64_t)NET_MS);
    net_free(net);
}

static bool drop_some(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    static uint64_t seed = 1;

    (void)net, (void)from, (void)to, (void)message, (void)bytes;
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (seed >> 33) % 100 < 10;
}

static void gathers_survive_a_tenth_of_all_datagrams_lost(void **state)
{
    struct net *net = net_new(3);

    (void)state;
    net_up(net);
    net->drop = drop_some;
    exchange(net, 200, 3, 100, 5000 * (uint64_t)NET_MS);
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_ranks_exchange_gathers_over_a_perfect_network),
        cmocka_unit_test(prompt_batches_are_exchanged_within_the_credit),
        cmocka_unit_test(gathers_survive_a_tenth_of_all_datagrams_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
