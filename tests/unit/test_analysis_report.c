/* Which numbers the analysis takes a receiver's count of losses to mean: rank 0's datagrams are captured at its host, rank 1 reports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dissector/analysis.h"

static struct analysis analysis;
static uint64_t now_ns, back_number;
static uint64_t named; /* the number that was named last; 0: none was */

static void on_loss(void *context, const struct analysis_loss *loss)
{
    (void)context;
    if (loss->entry != NULL)
        named = loss->entry->number;
}

static int start(void **state)
{
    (void)state;
    analysis_init(&analysis, on_loss, NULL);
    now_ns = 1000000;
    back_number = named = 0;
    return 0;
}

static int stop(void **state)
{
    (void)state;
    analysis_release(&analysis);
    return 0;
}

/* 100 us later than the one before. */
static struct packet datagram(unsigned src, uint8_t type, uint64_t number)
{
    static struct frame frames[2];
    struct packet packet = {.ts_ns = now_ns, .state = PACKET_DECODED, .frame = &frames[src], .size = 100};

    frames[src].src.port = (uint16_t)(1 + src);
    frames[src].dst.port = (uint16_t)(2 - src);
    packet.message.header = (struct mesh_header){.magic = MESH_WIRE_MAGIC, .version = 1, .type = type, .number = number, .epoch = 1};
    packet.message.header.src = (uint16_t)src;
    packet.message.header.dst = (uint16_t)(1 - src);
    packet.message.header.have_step = MESH_STEP_NONE;
    packet.message.header.sent_ns = now_ns;
    now_ns += 100000;
    return packet;
}

static void tile(uint64_t number, uint16_t block, uint16_t flags)
{
    struct packet packet = datagram(0, MESH_TYPE_TILE, number);

    packet.message.header.flags = flags;
    packet.message.as.tile = (struct mesh_tile){.step = 1, .token_count = 1, .block_first = block, .block_count = 1};
    analysis_add(&analysis, &packet);
}

static void ping(uint64_t number, uint16_t dst, uint64_t origin_ns)
{
    struct packet packet = datagram(0, MESH_TYPE_PING, number);

    packet.message.header.dst = dst;
    packet.message.as.ping.origin_ns = origin_ns;
    analysis_add(&analysis, &packet);
}

static struct packet status_of(uint64_t seen, uint64_t lost)
{
    struct packet packet = datagram(1, MESH_TYPE_STATUS, ++back_number);

    packet.message.as.status = (struct mesh_status){.seen_peer = seen, .window_bytes = 1, .lost = lost};
    return packet;
}

static void status(uint64_t seen, uint64_t lost)
{
    const struct packet packet = status_of(seen, lost);

    analysis_add(&analysis, &packet);
}

static void pong(uint64_t origin_ns, uint64_t seen_all, uint64_t seen, uint64_t lost)
{
    struct packet packet = datagram(1, MESH_TYPE_PONG, ++back_number);

    packet.message.as.pong = (struct mesh_pong){.origin_ns = origin_ns, .seen_all = seen_all, .seen_peer = seen, .lost = lost};
    analysis_add(&analysis, &packet);
}

static void nak(uint16_t block)
{
    struct packet packet = datagram(1, MESH_TYPE_NAK, ++back_number);

    packet.message.as.nak = (struct mesh_nak){.step = 1, .range_count = 1};
    packet.message.ranges[0] = (struct mesh_range){.token_count = 1, .block_first = block, .block_count = 1};
    analysis_add(&analysis, &packet);
}

static void expect(uint64_t lost, uint64_t name)
{
    analysis_end(&analysis);
    assert_int_equal(analysis.sum.lost, lost);
    assert_int_equal(named, name);
}

static void the_highest_number_that_has_been_seen_has_come(void **state)
{
    (void)state;
    for (uint64_t number = 1; number <= 3; number++)
        tile(number, (uint16_t)number, 0);
    status(1, 0);
    status(3, 1);
    expect(1, 2);
}

/* A tile that came before its gather was opened, and found no room, is asked for and sent again. */
static void a_number_that_was_seen_long_before_is_not_what_is_counted_now(void **state)
{
    (void)state;
    for (uint64_t number = 1; number <= 3; number++)
        tile(number, (uint16_t)number, 0);
    for (unsigned i = 0; i < 5; i++, now_ns += 1000000)
        status(3, 0);
    nak(2);
    tile(4, 2, MESH_FLAG_RESEND);
    for (uint64_t number = 5; number <= 7; number++)
        tile(number, (uint16_t)number, 0);
    status(7, 1); /* 4, 5 or 6 */
    status(7, 1);
    expect(1, 0);
}

static void nothing_is_named_by_a_count_that_was_taken_back(void **state)
{
    (void)state;
    for (uint64_t number = 1; number <= 3; number++)
        tile(number, (uint16_t)number, 0);
    status(3, 1);
    nak(2);
    tile(4, 2, MESH_FLAG_RESEND);
    status(4, 1);
    status(4, 0); /* 2 was only late */
    expect(0, 0);
}

static void one_of_two_that_were_counted_came_late_so_neither_is_named(void **state)
{
    (void)state;
    for (uint64_t number = 1; number <= 4; number++)
        tile(number, (uint16_t)number, 0);
    status(4, 2);
    nak(2);
    nak(3);
    tile(5, 2, MESH_FLAG_RESEND);
    tile(6, 3, MESH_FLAG_RESEND);
    status(6, 2);
    status(6, 1);
    expect(1, 0);
}

static void a_report_that_was_overtaken_counts_nothing(void **state)
{
    struct packet old;

    (void)state;
    tile(1, 1, 0);
    status(1, 0);
    old = status_of(1, 0);
    for (uint64_t number = 2; number <= 5; number++)
        tile(number, (uint16_t)number, 0);
    status(5, 1); /* 2, 3 or 4 */
    old.ts_ns = now_ns;
    analysis_add(&analysis, &old);
    for (uint64_t number = 6; number <= 8; number++)
        tile(number, (uint16_t)number, 0);
    status(8, 1);
    nak(7); /* late */
    tile(9, 7, MESH_FLAG_RESEND);
    status(9, 1);
    expect(1, 0);
}

/* Both pings left at one moment; that to this rank alone was lost. */
static void an_answer_to_one_of_two_pings_does_not_prove_the_other(void **state)
{
    (void)state;
    ping(1, 1, 1);
    ping(1, MESH_DST_ALL, 1);
    pong(1, 1, 1, 0);
    now_ns += 100000000;
    ping(2, 1, 2);
    ping(2, MESH_DST_ALL, 2);
    pong(2, 2, 1, 0);
    now_ns += 100000000;
    tile(3, 1, 0);
    ping(4, 1, 3);
    pong(3, 2, 4, 1);
    expect(1, 0); /* 2 or 3 */
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_highest_number_that_has_been_seen_has_come),  CASE(a_number_that_was_seen_long_before_is_not_what_is_counted_now),
        CASE(nothing_is_named_by_a_count_that_was_taken_back), CASE(one_of_two_that_were_counted_came_late_so_neither_is_named),
        CASE(a_report_that_was_overtaken_counts_nothing),      CASE(an_answer_to_one_of_two_pings_does_not_prove_the_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
