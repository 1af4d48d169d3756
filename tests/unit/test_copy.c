/* Copies: without loss there are none; with loss tiles are sent twice, and fewer have to be asked for; copies end when the loss ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net.h"

enum { RANKS = 3, PHASES = 5, BLOCKS = 30 };

struct lossy {
    uint32_t state; /* of a generator of the test's own */
    uint32_t loss_ppm;
    uint64_t step;
    unsigned copies, copies_to_all, lost, to_delay;
    struct mesh_tile copied[RANKS][RANKS]; /* last, from rank to rank */
};

/* Nobody gets a second copy of a tile. */
static void assert_first_copy(struct mesh_tile *last, const struct mesh_tile *tile)
{
    assert_false(last->token_count > 0 && last->step == tile->step && last->phase == tile->phase &&
                 last->token_first == tile->token_first && last->block_first == tile->block_first);
    *last = *tile;
}

static bool lose(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    struct lossy *lossy = net->app;

    (void)bytes;
    if (message->header.flags & MESH_FLAG_COPY) {
        assert_int_equal(message->header.type, MESH_TYPE_TILE);
        assert_first_copy(&lossy->copied[from][to], &message->as.tile);
        lossy->copies++;
        lossy->copies_to_all += message->header.flags & MESH_FLAG_ALL;
    }
    lossy->state = lossy->state * 1664525u + 1013904223u;
    if ((lossy->state >> 8) % 1000000 >= lossy->loss_ppm)
        return false;
    lossy->lost++;
    return true;
}

static struct net *open_lossy(struct lossy *lossy, uint32_t copy_loss_ppm)
{
    struct net *net = net_new(RANKS);

    for (uint16_t rank = 0; rank < RANKS; rank++)
        net->config[rank].copy_loss_ppm = copy_loss_ppm;
    net_up(net);
    *lossy = (struct lossy){.state = 77};
    net->app = lossy;
    net->drop = lose;
    return net;
}

static void on_event(struct net *net, uint16_t rank, const struct mesh_event *event)
{
    if (event->type == MESH_EVENT_COMPLETE)
        mesh_consume(net->mesh[rank], net->now_ns, event->step, event->phase);
}

/* Gathers of so many tokens, one after the other, each of which must arrive whole. */
static void work(struct net *net, unsigned gathers, uint16_t tokens)
{
    struct lossy *lossy = net->app;
    struct net_gather gather;

    net->on_event = on_event;
    for (unsigned i = 0; i < gathers; i++) {
        const unsigned before = net->events[0][MESH_EVENT_COMPLETE];

        net_gather_init(net, &gather, lossy->step / PHASES, (uint16_t)(lossy->step % PHASES), tokens, BLOCKS);
        lossy->step++;
        for (uint16_t rank = 0; rank < RANKS; rank++)
            assert_int_equal(net_gather_open(net, &gather, rank), 0);
        for (uint16_t rank = 0; rank < RANKS; rank++)
            assert_int_equal(net_gather_publish(net, &gather, rank), 0);
        for (unsigned tries = 0;
             tries < 1000 && net->events[0][MESH_EVENT_FREED] + net->events[1][MESH_EVENT_FREED] + net->events[2][MESH_EVENT_FREED] <
                                 RANKS * (unsigned)lossy->step;
             tries++)
            net_run(net, 200 * NET_US);
        assert_int_equal(net->events[0][MESH_EVENT_COMPLETE], before + 1);
        for (uint16_t rank = 0; rank < RANKS; rank++)
            assert_true(net_gather_is_whole(net, &gather, rank));
        net_gather_release(net, &gather);
    }
}

static struct mesh_peer_stats sum(const struct net *net)
{
    struct mesh_peer_stats sum = {0}, stats;

    for (uint16_t rank = 0; rank < RANKS; rank++)
        for (uint16_t peer = 0; peer < RANKS; peer++) {
            if (peer == rank)
                continue;
            mesh_get_peer_stats(net->mesh[rank], peer, &stats);
            sum.resent += stats.resent;
            sum.duplicate += stats.duplicate;
            sum.duplicates_sent += stats.duplicates_sent;
            sum.duplicates_used += stats.duplicates_used;
            sum.lost += stats.lost;
        }
    return sum;
}

static void without_loss_nothing_is_sent_twice(void **state)
{
    struct lossy lossy;
    struct net *net = open_lossy(&lossy, 0);

    (void)state;
    work(net, 1500, 1);
    assert_int_equal(sum(net).duplicates_sent, 0);
    assert_int_equal(lossy.copies, 0);
    net_free(net);
}

static uint64_t resent_at(uint32_t loss_ppm, uint32_t copy_loss_ppm)
{
    struct lossy lossy;
    struct net *net = open_lossy(&lossy, copy_loss_ppm);
    uint64_t before;

    lossy.loss_ppm = loss_ppm;
    work(net, 1500, 1); /* until the loss is known */
    before = sum(net).resent;
    work(net, 1500, 1);
    assert_true(lossy.lost > 0);
    assert_int_equal(lossy.copies, sum(net).duplicates_sent);
    if (copy_loss_ppm == UINT32_MAX)
        assert_int_equal(lossy.copies, 0);
    before = sum(net).resent - before;
    net_free(net);
    return before;
}

static void with_loss_few_tiles_have_to_be_asked_for(void **state)
{
    static const uint32_t losses_ppm[] = {20000, 50000};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        const uint64_t alone = resent_at(losses_ppm[i], UINT32_MAX), twice = resent_at(losses_ppm[i], 0);

        print_message("loss of %u ppm: %u tiles asked for, %u with copies\n", losses_ppm[i], (unsigned)alone, (unsigned)twice);
        assert_true(alone > 100);
        assert_true(twice * 5 < alone);
    }
}

static void a_copy_has_a_number_of_its_own_and_is_no_duplicate(void **state)
{
    struct lossy lossy;
    struct net *net = open_lossy(&lossy, 1);
    struct mesh_peer_stats stats;

    (void)state;
    lossy.loss_ppm = 50000;
    work(net, 1000, 1);
    stats = sum(net);
    assert_true(lossy.copies_to_all > 0);
    assert_true(stats.duplicates_used > 0 && stats.duplicates_used < stats.duplicates_sent / 10);
    assert_true(stats.duplicate <= stats.resent);                         /* a retransmission that crossed its tile */
    assert_in_range(stats.lost, lossy.lost * 9 / 10, lossy.lost + RANKS); /* losses that nothing followed are not known */
    net_free(net);
}

/* Once begun, copying goes on at a loss at which it would not begin. */
static void copies_go_on_until_the_loss_is_below_a_third(void **state)
{
    struct lossy lossy;
    struct net *net = open_lossy(&lossy, 30000);
    unsigned before;

    (void)state;
    lossy.loss_ppm = 18000;
    work(net, 1500, 1);
    assert_int_equal(lossy.copies, 0);
    lossy.loss_ppm = 60000;
    work(net, 1500, 1);
    assert_true(lossy.copies > 0);
    lossy.loss_ppm = 18000;
    work(net, 1500, 1);
    before = lossy.copies;
    work(net, 200, 1);
    assert_true(lossy.copies - before > 200);
    net_free(net);
}

/* Longer than it takes to send as many datagrams as a sample has. */
static uint64_t delay_some(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message)
{
    struct lossy *lossy = net->app;

    (void)to;
    if (from != 0 || message->header.type != MESH_TYPE_TILE || lossy->to_delay == 0)
        return 0;
    lossy->to_delay--;
    return 500 * NET_MS;
}

/* First it counts as lost, then there are fewer losses than before. */
static void what_is_late_is_not_taken_for_loss(void **state)
{
    struct lossy lossy;
    struct net *net = open_lossy(&lossy, 0);
    struct mesh_peer_stats stats;

    (void)state;
    net->delay = delay_some;
    for (unsigned i = 0; i < 4; i++) {
        lossy.to_delay = 4;
        work(net, 2500, 1);
    }
    mesh_get_peer_stats(net->mesh[1], 0, &stats);
    assert_in_range(stats.late, 4, 16);
    assert_int_equal(stats.lost, 0);
    assert_int_equal(lossy.copies, 0);
    net_free(net);
}

static void copies_end_with_the_loss(void **state)
{
    struct lossy lossy;
    struct net *net = open_lossy(&lossy, 0);
    struct mesh_peer_stats stats;
    uint64_t before;

    (void)state;
    lossy.loss_ppm = 30000;
    work(net, 1500, 1);
    lossy.loss_ppm = 0;
    work(net, 5000, 1);
    before = sum(net).duplicates_sent;
    assert_true(before > 0);
    work(net, 500, 1);
    assert_int_equal(sum(net).duplicates_sent, before);
    mesh_get_peer_stats(net->mesh[0], 1, &stats);
    assert_in_range(stats.loss_ppm, 0, 3000);
    net_free(net);
}

static void prompts_are_not_sent_twice(void **state)
{
    struct lossy lossy;
    struct net *net = open_lossy(&lossy, 1);

    (void)state;
    lossy.loss_ppm = 20000;
    work(net, 500, 17);
    assert_int_equal(sum(net).duplicates_sent, 0);
    work(net, 1500, 16);
    assert_true(sum(net).duplicates_sent > 0);
    net_free(net);
}

/* What rank 0 has on its way to rank 1: rank 1 has sent neither a report of it, nor that it has the gather. */
struct on_the_way {
    struct lossy lossy; /* first: net->app */
    struct {
        uint64_t number;
        unsigned bytes, space;
    } tile[64];
    unsigned count;
    uint64_t largest, have_step, have_phase;
};

static uint64_t cost_of(size_t bytes)
{
    uint64_t cost = 512;

    while (cost < bytes + 448)
        cost *= 2;
    return cost + 256;
}

static bool lose_and_measure(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    struct on_the_way *way = net->app;
    const struct mesh_header *header = &message->header;
    uint64_t sum = 0, seen[2] = {0};

    if (from == 0 && to == 1 && header->type == MESH_TYPE_TILE && !(header->flags & MESH_FLAG_RESEND)) {
        assert_in_range(way->count, 0, 63);
        way->tile[way->count].number = header->number;
        way->tile[way->count].space = header->flags & MESH_FLAG_ALL ? 0 : 1;
        way->tile[way->count++].bytes = (unsigned)cost_of(bytes);
        for (unsigned i = 0; i < way->count; i++)
            sum += way->tile[i].bytes;
        way->largest = sum > way->largest ? sum : way->largest;
    }
    if (from == 1 && to == 0 && (header->have_step != way->have_step || header->have_phase != way->have_phase)) {
        way->have_step = header->have_step;
        way->have_phase = header->have_phase;
        way->count = 0;
    }
    if (from == 1 && to == 0 && (header->type == MESH_TYPE_STATUS || header->type == MESH_TYPE_PONG)) {
        seen[0] = header->type == MESH_TYPE_PONG ? message->as.pong.seen_all : message->as.status.seen_all;
        seen[1] = header->type == MESH_TYPE_PONG ? message->as.pong.seen_peer : message->as.status.seen_peer;
        const unsigned count = way->count;
        way->count = 0;
        for (unsigned i = 0; i < count; i++)
            if (way->tile[i].number > seen[way->tile[i].space])
                way->tile[way->count++] = way->tile[i];
    }
    return lose(net, from, to, message, bytes);
}

/* Each rank has tiles of five datagrams for a window of three. */
static void copies_stay_within_the_credit(void **state)
{
    static struct on_the_way way;
    struct net *net = net_new(RANKS);

    (void)state;
    for (uint16_t rank = 0; rank < RANKS; rank++) {
        net->config[rank].copy_loss_ppm = 1;
        net->config[rank].receive_buffer_bytes = 20000;
    }
    net_up(net);
    way = (struct on_the_way){.lossy = {.state = 77, .loss_ppm = 50000}};
    net->app = &way;
    net->drop = lose_and_measure;
    work(net, 1500, 16);
    assert_true(way.lossy.copies > 100);
    assert_in_range(way.largest, 2304, 17500 / (RANKS - 1));
    net_free(net);
}

/* A queue that prompts fill loses nothing between them. */
static void loss_in_prompts_alone_makes_no_copies(void **state)
{
    struct lossy lossy;
    struct net *net = open_lossy(&lossy, 1);
    struct mesh_peer_stats stats;

    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        lossy.loss_ppm = 20000;
        work(net, 100, 40);
        lossy.loss_ppm = 0;
        work(net, 300, 1);
    }
    assert_int_equal(sum(net).duplicates_sent, 0);
    mesh_get_peer_stats(net->mesh[0], 1, &stats);
    assert_true(stats.loss_ppm > 1000); /* and is reported nevertheless */
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_loss_nothing_is_sent_twice),
        cmocka_unit_test(with_loss_few_tiles_have_to_be_asked_for),
        cmocka_unit_test(a_copy_has_a_number_of_its_own_and_is_no_duplicate),
        cmocka_unit_test(copies_go_on_until_the_loss_is_below_a_third),
        cmocka_unit_test(what_is_late_is_not_taken_for_loss),
        cmocka_unit_test(copies_end_with_the_loss),
        cmocka_unit_test(prompts_are_not_sent_twice),
        cmocka_unit_test(loss_in_prompts_alone_makes_no_copies),
        cmocka_unit_test(copies_stay_within_the_credit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
