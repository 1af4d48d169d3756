#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "net.h"

/* What the application saw: every record must be the next of its sender. */
struct inbox {
    unsigned next[NET_RANKS_MAX][NET_RANKS_MAX]; /* by receiver and sender */
    size_t bytes;
};

static void fill(uint8_t *record, size_t bytes, unsigned number, uint16_t from)
{
    for (size_t i = 0; i < bytes; i++)
        record[i] = (uint8_t)(number * 31 + from * 7 + i + i / 256);
}

static size_t size_of(unsigned number)
{
    static const size_t sizes[] = {1, 50, 1126, 1127, 1128, 5000, 60000, 3};

    return sizes[number % 8];
}

static void on_event(struct net *net, uint16_t rank, const struct mesh_event *event)
{
    static uint8_t expected[MESH_RECORD_BYTES_MAX];
    struct inbox *inbox = net->app;
    unsigned number;

    if (event->type != MESH_EVENT_RECORD)
        return;
    number = inbox->next[rank][event->rank]++;
    assert_int_equal(event->record_bytes, size_of(number));
    fill(expected, event->record_bytes, number, event->rank);
    assert_memory_equal(event->record, expected, event->record_bytes);
}

static int send(struct net *net, uint16_t from, uint16_t to, unsigned number)
{
    static uint8_t record[MESH_RECORD_BYTES_MAX];

    fill(record, size_of(number), number, from);
    return mesh_send_record(net->mesh[from], net->now_ns, to, record, size_of(number));
}

static void send_many(struct net *net, unsigned count, unsigned rounds_max)
{
    struct inbox inbox = {0};
    unsigned sent[2] = {0};

    net->app = &inbox;
    net->on_event = on_event;
    for (unsigned round = 0; round < rounds_max && (inbox.next[0][1] < count || inbox.next[1][0] < count); round++) {
        for (uint16_t from = 0; from < 2; from++)
            while (sent[from] < count && send(net, from, (uint16_t)(1 - from), sent[from]) == 0)
                sent[from]++;
        net_run(net, NET_MS);
    }
    assert_int_equal(inbox.next[0][1], count);
    assert_int_equal(inbox.next[1][0], count);
    net_run(net, 1000 * (uint64_t)NET_MS);
    assert_true(mesh_is_quiet(net->mesh[0]) && mesh_is_quiet(net->mesh[1]));
    net->on_event = NULL;
}

static void records_arrive_whole_and_in_order(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    net_up(net);
    send_many(net, 40, 200);
    net_free(net);
}

static uint64_t seed = 3;

static uint64_t next_random(uint64_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (seed >> 33) % below;
}

static bool drop_a_fifth(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    (void)net, (void)from, (void)to, (void)message, (void)bytes;
    return next_random(5) == 0;
}

static uint64_t delay_some(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message)
{
    (void)net, (void)from, (void)to, (void)message;
    return next_random(4) == 0 ? next_random(NET_MS) : 0;
}

static void records_survive_loss_and_reordering(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    net_up(net);
    net->drop = drop_a_fifth;
    net->delay = delay_some;
    send_many(net, 40, 20000);
    net_free(net);
}

static void a_full_queue_says_again_and_takes_more_when_acknowledged(void **state)
{
    struct net *net = net_new(2);
    unsigned sent = 0;
    uint8_t byte = 5;

    (void)state;
    net_up(net);
    while (mesh_send_record(net->mesh[0], net->now_ns, 1, &byte, 1) == 0)
        assert_in_range(++sent, 1, 1000);
    assert_int_equal(mesh_send_record(net->mesh[0], net->now_ns, 1, &byte, 1), MESH_AGAIN);
    net_run(net, 20 * NET_MS);
    assert_int_equal(mesh_send_record(net->mesh[0], net->now_ns, 1, &byte, 1), 0);
    assert_int_equal(net->events[1][MESH_EVENT_RECORD], sent);
    net_free(net);
}

static bool drop_second_record(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    (void)net, (void)from, (void)to, (void)bytes;
    return message->header.type == MESH_TYPE_RECORD && message->as.record.sequence == 2 && !(message->header.flags & MESH_FLAG_RESEND);
}

static void a_lost_fragment_is_sent_again_when_a_later_one_is_acknowledged(void **state)
{
    struct net *net = net_new(2);
    uint8_t byte = 5;

    (void)state;
    net_up(net);
    net->drop = drop_second_record;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(mesh_send_record(net->mesh[0], net->now_ns, 1, &byte, 1), 0);
        net_run(net, 300 * NET_US);
    }
    net_run(net, 400 * NET_US); /* before the timeout */
    assert_int_equal(net->events[1][MESH_EVENT_RECORD], 3);
    assert_int_equal(net->sent[0][MESH_TYPE_RECORD], 4);
    net_free(net);
}

static uint64_t delay_first_record(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message)
{
    (void)net, (void)from, (void)to;
    return message->header.type == MESH_TYPE_RECORD && message->as.record.sequence == 1 ? 30 * NET_US : 0;
}

static void reordering_within_the_delay_costs_no_fragment(void **state)
{
    struct net *net = net_new(2);
    uint8_t byte = 5;

    (void)state;
    net_up(net);
    net->delay = delay_first_record;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(mesh_send_record(net->mesh[0], net->now_ns, 1, &byte, 1), 0);
        net_run(net, 5 * NET_US);
    }
    net_run(net, 50 * NET_MS);
    assert_int_equal(net->events[1][MESH_EVENT_RECORD], 3);
    assert_int_equal(net->sent[0][MESH_TYPE_RECORD], 3);
    net_free(net);
}

static bool drop_records(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    unsigned *left = net->app;

    (void)from, (void)to, (void)bytes;
    return message->header.type == MESH_TYPE_RECORD && *left > 0 && (*left)-- > 0;
}

static void after_a_long_silence_a_lost_record_is_sent_again_as_soon_as_ever(void **state)
{
    struct net *net = net_new(2);
    unsigned left = UINT32_MAX;
    uint8_t byte = 5;

    (void)state;
    net_up(net);
    net->drop = drop_records;
    net->app = &left;
    assert_int_equal(mesh_send_record(net->mesh[0], net->now_ns, 1, &byte, 1), 0);
    net_run(net, 2000 * (uint64_t)NET_MS);
    left = 0;
    net_run(net, 300 * NET_MS);
    assert_int_equal(net->events[1][MESH_EVENT_RECORD], 1);
    left = 1;
    assert_int_equal(mesh_send_record(net->mesh[0], net->now_ns, 1, &byte, 1), 0);
    net_run(net, 5 * NET_MS);
    assert_int_equal(left, 0);
    assert_int_equal(net->events[1][MESH_EVENT_RECORD], 2);
    net_free(net);
}

/* An answer takes 600 ms there, so a shorter delay would send again what has arrived. */
static void on_a_slow_path_a_lost_record_is_sent_again_once(void **state)
{
    struct net *net = net_new(2);
    unsigned left = 0;
    uint8_t byte = 5;

    (void)state;
    net_up(net);
    net->delay_ns = 300 * NET_MS;
    net_run(net, 20000 * (uint64_t)NET_MS); /* so that it is measured */
    net->drop = drop_records;
    net->app = &left;
    left = 4;
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(mesh_send_record(net->mesh[0], net->now_ns, 1, &byte, 1), 0);
    net_run(net, 8000 * (uint64_t)NET_MS);
    assert_int_equal(left, 0);
    assert_int_equal(net->events[1][MESH_EVENT_RECORD], 4);
    assert_int_equal(net->sent[0][MESH_TYPE_RECORD], 8);
    net_free(net);
}

/* A millisecond after rank 1 had the gather it would tell that; a moment before, its record, which tells it, too, is lost. */
static void a_lost_record_is_sent_again_in_time_by_who_has_something_else_to_do_before(void **state)
{
    struct net *net = net_new(2);
    struct net_gather gather;
    unsigned left = 1;
    uint8_t byte = 5;

    (void)state;
    net_up(net);
    net_gather_init(net, &gather, 1, 0, 1, 20);
    for (uint16_t rank = 0; rank < 2; rank++)
        assert_int_equal(net_gather_open(net, &gather, rank), 0);
    assert_int_equal(net_gather_publish(net, &gather, 0), 0);
    net_run(net, 1000 * NET_US);
    net->drop = drop_records;
    net->app = &left;
    assert_int_equal(mesh_send_record(net->mesh[1], net->now_ns, 0, &byte, 1), 0);
    net_run(net, 150 * NET_US);
    assert_int_equal(net->sent[1][MESH_TYPE_RECORD], 1);
    net_run(net, 2500 * NET_US);
    assert_int_equal(net->sent[1][MESH_TYPE_RECORD], 2);
    assert_int_equal(net->events[0][MESH_EVENT_RECORD], 1);
    net_gather_release(net, &gather);
    net_free(net);
}

static void records_queued_before_the_handshake_are_sent_after_it(void **state)
{
    struct net *net = net_new(2);
    uint8_t byte = 5;

    (void)state;
    net_start(net);
    assert_int_equal(mesh_send_record(net->mesh[0], net->now_ns, 1, &byte, 1), 0);
    net_run(net, 10 * NET_MS);
    assert_int_equal(net->events[1][MESH_EVENT_RECORD], 1);
    net_free(net);
}

static void records_to_nobody_and_of_wrong_size_are_refused(void **state)
{
    static uint8_t record[MESH_RECORD_BYTES_MAX + 1];
    struct net *net = net_new(2);

    (void)state;
    net_start(net);
    assert_int_equal(mesh_send_record(net->mesh[0], net->now_ns, 0, record, 1), MESH_EINVAL);
    assert_int_equal(mesh_send_record(net->mesh[0], net->now_ns, 2, record, 1), MESH_EINVAL);
    assert_int_equal(mesh_send_record(net->mesh[0], net->now_ns, 1, record, 0), MESH_EINVAL);
    assert_int_equal(mesh_send_record(net->mesh[0], net->now_ns, 1, record, sizeof record), MESH_EINVAL);
    net_free(net);
}

enum { PART_BYTES = 33000, PART_FRAGMENTS = 30 };

/* Two records joined to one of 66000 bytes, because the first has lost its end. */
static void join_records(struct net *net)
{
    for (unsigned i = 0; i < net->flight_count; i++) {
        const struct net_flight *flight = &net->flights[i];
        struct mesh_message message;

        if (flight->from == 0 && mesh_wire_decode(flight->packet, flight->bytes, &message) == 0 &&
            message.header.type == MESH_TYPE_RECORD && message.as.record.sequence == PART_FRAGMENTS)
            flight->packet[sizeof(struct mesh_header_bytes) + offsetof(struct mesh_record_bytes, fragment)] &= (uint8_t)~MESH_FRAGMENT_LAST;
    }
}

static uint64_t hold_one(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message)
{
    (void)net, (void)from, (void)to;
    return message->header.type == MESH_TYPE_RECORD && message->as.record.sequence == PART_FRAGMENTS + 1 ? NET_MS : 0;
}

static void send_too_long(struct net *net)
{
    static uint8_t record[PART_BYTES];
    struct mesh_stats stats;

    net_up(net);
    for (int i = 0; i < 2; i++)
        assert_int_equal(mesh_send_record(net->mesh[0], net->now_ns, 1, record, sizeof record), 0);
    for (int i = 0; i < 2000; i++) {
        net_flush(net);
        join_records(net);
        net_run(net, net->delay_ns / 2);
    }
    assert_int_equal(net->events[1][MESH_EVENT_RECORD], 0);
    mesh_get_stats(net->mesh[1], &stats);
    assert_true(stats.dropped[-MESH_ERANGE] > 0);
    net_free(net);
}

static void a_record_that_is_longer_than_any_may_be_is_refused(void **state)
{
    (void)state;
    send_too_long(net_new(2));
}

/* It is also refused when the fragments behind a late one arrive first. */
static void it_is_refused_when_it_comes_out_of_order(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    net->delay = hold_one;
    send_too_long(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_arrive_whole_and_in_order),
        cmocka_unit_test(records_survive_loss_and_reordering),
        cmocka_unit_test(a_full_queue_says_again_and_takes_more_when_acknowledged),
        cmocka_unit_test(a_lost_fragment_is_sent_again_when_a_later_one_is_acknowledged),
        cmocka_unit_test(reordering_within_the_delay_costs_no_fragment),
        cmocka_unit_test(after_a_long_silence_a_lost_record_is_sent_again_as_soon_as_ever),
        cmocka_unit_test(on_a_slow_path_a_lost_record_is_sent_again_once),
        cmocka_unit_test(records_queued_before_the_handshake_are_sent_after_it),
        cmocka_unit_test(a_lost_record_is_sent_again_in_time_by_who_has_something_else_to_do_before),
        cmocka_unit_test(records_to_nobody_and_of_wrong_size_are_refused),
        cmocka_unit_test(a_record_that_is_longer_than_any_may_be_is_refused),
        cmocka_unit_test(it_is_refused_when_it_comes_out_of_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
