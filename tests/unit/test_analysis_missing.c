/* What the analysis infers about a number that is not in the capture: rank 0's tiles, of consecutive phases, are captured at rank 1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dissector/analysis.h"

enum { LOSSES_MAX = 8 };

static struct analysis analysis;
static uint64_t now_ns, back_number;
static unsigned point; /* where the next datagram is captured: its rank's host, when there are two captures */
static struct link_entry lost[LOSSES_MAX];
static double repair_ms[LOSSES_MAX];
static size_t lost_count;

static void on_loss(void *context, const struct analysis_loss *loss)
{
    (void)context;
    if (loss->link->src != 0) /* what rank 1 says is captured there only */
        return;
    assert_true(lost_count < LOSSES_MAX);
    assert_non_null(loss->entry);
    repair_ms[lost_count] = loss->repair_ms;
    lost[lost_count++] = *loss->entry;
}

static int start(void **state)
{
    (void)state;
    analysis_init(&analysis, on_loss, NULL);
    now_ns = 1000000;
    back_number = 0;
    point = 0;
    lost_count = 0;
    return 0;
}

static int stop(void **state)
{
    (void)state;
    analysis_release(&analysis);
    return 0;
}

/* 1 ms later than the one before. */
static struct packet datagram(unsigned src, uint8_t type, uint64_t number, uint16_t dst)
{
    static struct frame frames[2];
    struct packet packet = {.ts_ns = now_ns, .state = PACKET_DECODED, .frame = &frames[src], .size = 100};

    frames[src].src.port = (uint16_t)(1 + src);
    frames[src].dst.port = (uint16_t)(2 - src);
    frames[src].src.ip[15] = (uint8_t)src;
    frames[src].dst.ip[15] = (uint8_t)(1 - src);
    packet.point = point;
    packet.message.header = (struct mesh_header){.magic = MESH_WIRE_MAGIC, .version = 1, .type = type, .epoch = 1};
    packet.message.header.number = number;
    packet.message.header.src = (uint16_t)src;
    packet.message.header.dst = dst;
    packet.message.header.have_step = MESH_STEP_NONE;
    now_ns += 1000000;
    return packet;
}

static void tile(uint64_t number, uint16_t dst, uint16_t phase, uint16_t flags)
{
    struct packet packet = datagram(0, MESH_TYPE_TILE, number, dst);

    packet.message.header.flags = flags | (dst == MESH_DST_ALL ? MESH_FLAG_ALL : 0);
    packet.message.as.tile = (struct mesh_tile){.step = 1, .phase = phase, .token_count = 1, .block_count = 1};
    analysis_add(&analysis, &packet);
}

static void nak(uint16_t phase)
{
    struct packet packet = datagram(1, MESH_TYPE_NAK, ++back_number, 0);

    packet.message.as.nak = (struct mesh_nak){.step = 1, .phase = phase, .range_count = 1};
    packet.message.ranges[0] = (struct mesh_range){.token_count = 1, .block_count = 1};
    analysis_add(&analysis, &packet);
}

static void report(uint64_t seen_all, uint64_t seen_peer, uint64_t count)
{
    struct packet packet = datagram(1, MESH_TYPE_STATUS, ++back_number, 0);

    packet.message.as.status = (struct mesh_status){.seen_all = seen_all, .seen_peer = seen_peer, .window_bytes = 1, .lost = count};
    analysis_add(&analysis, &packet);
}

static void end(size_t count)
{
    report(1000, 1000, count);
    analysis_end(&analysis);
    assert_int_equal(lost_count, count);
}

static void what_is_asked_for_is_laid_on_the_number_whose_neighbours_are_of_its_gather(void **state)
{
    (void)state;
    tile(1, MESH_DST_ALL, 1, 0);
    tile(3, MESH_DST_ALL, 3, 0); /* no rank asks for 2 */
    tile(4, MESH_DST_ALL, 4, 0);
    tile(6, MESH_DST_ALL, 6, 0);
    nak(5);
    end(2);
    assert_int_equal(lost[0].number, 2);
    assert_false(lost[0].has_range);
    assert_int_equal(lost[1].number, 5);
    assert_true(lost[1].has_range);
    assert_int_equal(lost[1].phase, 5);
    assert_int_not_equal(lost[1].nak_ns, 0);
}

static void what_is_only_late_is_laid_on_no_number(void **state)
{
    (void)state;
    tile(1, MESH_DST_ALL, 1, 0);
    tile(3, MESH_DST_ALL, 3, 0);
    tile(4, MESH_DST_ALL, 4, 0);
    nak(5); /* which has not come yet */
    tile(5, MESH_DST_ALL, 5, 0);
    end(1);
    assert_int_equal(lost[0].number, 2);
    assert_false(lost[0].has_range);
    assert_int_equal(lost[0].nak_ns, 0);
}

/* The space to rank 1 alone has no neighbouring tiles. */
static void a_number_among_other_messages_held_no_tile(void **state)
{
    (void)state;
    tile(1, MESH_DST_ALL, 1, 0);
    for (uint64_t number = 1; number <= 3; number += 2) {
        const struct packet packet = datagram(0, MESH_TYPE_PING, number, 1);

        analysis_add(&analysis, &packet);
    }
    nak(2);
    end(1);
    assert_int_equal(lost[0].number, 2);
    assert_false(lost[0].has_range);
}

static void a_copy_that_comes_before_the_number_is_missed_names_it(void **state)
{
    (void)state;
    tile(1, MESH_DST_ALL, 1, 0);
    tile(1, 1, 2, MESH_FLAG_COPY);
    tile(3, MESH_DST_ALL, 3, 0);
    end(1);
    assert_int_equal(lost[0].number, 2);
    assert_true(lost[0].has_range);
    assert_int_equal(lost[0].phase, 2);
    assert_int_equal(lost[0].repair, 1);
}

static void and_so_does_one_that_comes_after_it(void **state)
{
    (void)state;
    tile(1, MESH_DST_ALL, 1, 0);
    tile(3, MESH_DST_ALL, 3, 0);
    tile(1, 1, 2, MESH_FLAG_COPY);
    tile(2, 1, 3, MESH_FLAG_COPY); /* of one that arrived */
    end(1);
    assert_int_equal(lost[0].number, 2);
    assert_int_equal(lost[0].phase, 2);
    assert_int_equal(lost[0].repair, 1);
    assert_true(lost[0].repair_ns > lost[0].ts_ns);
}

/* Captured at the sender: the tile, its copy, and what was sent when the receiver asked. */
static void lose_with_copy(bool has_left)
{
    report(1, 0, 0);
    tile(1, MESH_DST_ALL, 1, 0);
    tile(2, MESH_DST_ALL, 2, 0);
    tile(1, 1, 2, MESH_FLAG_COPY);
    tile(3, MESH_DST_ALL, 3, 0);
    tile(2, 1, 3, MESH_FLAG_COPY);
    report(3, 2, 2);
    nak(2);
    tile(3, 1, 2, MESH_FLAG_RESEND);
    report(3, 3, 2);
    for (uint64_t number = 4; number <= (has_left ? 600 : 4); number++) /* so that the copy leaves the window */
        tile(number, 1, (uint16_t)number, MESH_FLAG_COPY);
    end(2);
    for (size_t i = 0; i < 2; i++)
        assert_true(repair_ms[i] > 4.5); /* the copy came after 1 */
}

static void a_copy_that_is_lost_as_well_mends_nothing(void **state)
{
    (void)state;
    lose_with_copy(false);
}

static void nor_has_it_when_only_the_original_is_remembered(void **state)
{
    (void)state;
    lose_with_copy(true);
}

/* Numbers to rank 1 alone, each a copy of something else. */
static void send_others(uint64_t first, uint64_t end)
{
    for (uint64_t number = first; number < end; number++)
        tile(number, 1, (uint16_t)(1000 + number), MESH_FLAG_COPY);
}

/* Captured at the sender: a tile that is lost, as are its resends, 2 and 400. The first has left the window when the second is found to be
 * lost. */
static void a_second_resend_that_is_lost_as_well_mends_nothing(void **state)
{
    uint64_t mended_ns;

    (void)state;
    send_others(1, 2);
    for (uint16_t phase = 1; phase <= 3; phase++)
        tile(phase, MESH_DST_ALL, phase, 0);
    report(3, 1, 1);
    nak(2);
    tile(2, 1, 2, MESH_FLAG_RESEND);
    send_others(3, 4);
    report(3, 3, 2);
    nak(2);
    send_others(4, 400);
    tile(400, 1, 2, MESH_FLAG_RESEND);
    send_others(401, 402);
    report(3, 401, 2);
    send_others(402, 520);
    report(3, 519, 3);
    nak(2);
    mended_ns = now_ns;
    tile(520, 1, 2, MESH_FLAG_RESEND);
    report(3, 520, 3);
    end(3);
    for (size_t i = 1; i < 3; i++) /* of the first one this was told when it left */
        assert_int_equal((uint64_t)(repair_ms[i] * 1e6 + 0.5), mended_ns - lost[i].ts_ns);
    assert_int_equal(lost[2].number, 2);
    assert_int_equal(lost[2].phase, 2);
}

/* Captured at both ends: a tile and its resend, 2, which has left the window when the receiver asks again. */
static void what_is_sent_again_long_after_a_resend_that_was_lost_mends(void **state)
{
    (void)state;
    analysis.links.point_count = 2;
    for (unsigned i = 0; i < 2; i++)
        analysis.links.points[i] = (struct links_point){.is_known = true, .ip[15] = (uint8_t)i};
    for (point = 0; point < 2; point++) {
        send_others(1, 2);
        for (uint16_t phase = 1; phase <= 3; phase++)
            if (point == 0 || phase != 2)
                tile(phase, MESH_DST_ALL, phase, 0);
    }
    point = 1;
    nak(2);
    point = 0;
    tile(2, 1, 2, MESH_FLAG_RESEND);
    for (point = 0; point < 2; point++)
        send_others(3, 4);
    for (point = 0; point < 2; point++)
        send_others(4, 600);
    point = 1;
    report(3, 599, 2);
    nak(2);
    for (point = 0; point < 2; point++)
        tile(600, 1, 2, MESH_FLAG_RESEND);
    point = 1;
    end(2);
    assert_true(lost[0].is_resend);
    assert_int_equal(lost[1].number, 2);
    assert_true(repair_ms[1] > 1199);
}

/* Tokens 0 to 11 of phase 2 in three datagrams, all lost; the receiver asks for them in one range. */
static void what_is_asked_for_in_one_range_may_be_of_several_numbers(void **state)
{
    struct packet packet;

    (void)state;
    tile(1, MESH_DST_ALL, 1, 0);
    tile(5, MESH_DST_ALL, 3, 0);
    packet = datagram(1, MESH_TYPE_NAK, ++back_number, 0);
    packet.message.as.nak = (struct mesh_nak){.step = 1, .phase = 2, .range_count = 1};
    packet.message.ranges[0] = (struct mesh_range){.token_count = 12, .block_count = 1};
    analysis_add(&analysis, &packet);
    for (uint16_t i = 0; i < 3; i++) {
        static const uint16_t order[] = {1, 0, 2};

        packet = datagram(0, MESH_TYPE_TILE, i + 1u, 1);
        packet.message.header.flags = MESH_FLAG_RESEND;
        packet.message.as.tile = (struct mesh_tile){.step = 1, .phase = 2, .token_first = 4 * order[i], .token_count = 4, .block_count = 1};
        analysis_add(&analysis, &packet);
    }
    end(3);
    for (uint16_t i = 0; i < 3; i++) {
        assert_int_equal(lost[i].number, i + 2);
        assert_int_equal(lost[i].range.token_first, 4 * i);
        assert_int_equal(lost[i].range.token_count, 4);
        assert_int_not_equal(lost[i].nak_ns, 0);
        assert_int_not_equal(lost[i].repair, 0);
    }
    assert_int_equal(analysis.sum.resent, 3);
    assert_int_equal(analysis.sum.spurious_resend, 0);
}

static void some_tokens(uint64_t number, uint16_t dst, uint16_t first, uint16_t count)
{
    struct packet packet = datagram(0, MESH_TYPE_TILE, number, dst);

    packet.message.header.flags = dst == MESH_DST_ALL ? MESH_FLAG_ALL : MESH_FLAG_RESEND;
    packet.message.as.tile = (struct mesh_tile){.step = 1, .phase = 2, .token_first = first, .token_count = count, .block_count = 1};
    analysis_add(&analysis, &packet);
}

/* The sender's capture of a datagram that is larger than retransmissions are. A part that brings blocks a second time is in vain. */
static void what_is_sent_again_in_parts_is_not_in_vain(void **state)
{
    struct packet packet;

    (void)state;
    tile(1, MESH_DST_ALL, 1, 0);
    some_tokens(2, MESH_DST_ALL, 0, 9);
    tile(3, MESH_DST_ALL, 3, 0);
    packet = datagram(1, MESH_TYPE_STATUS, ++back_number, 0);
    packet.message.as.status = (struct mesh_status){.seen_all = 3, .window_bytes = 1};
    analysis_add(&analysis, &packet);
    packet = datagram(1, MESH_TYPE_NAK, ++back_number, 0);
    packet.message.as.nak = (struct mesh_nak){.step = 1, .phase = 2, .range_count = 1};
    packet.message.ranges[0] = (struct mesh_range){.token_count = 9, .block_count = 1};
    analysis_add(&analysis, &packet);
    some_tokens(1, 1, 0, 7);
    some_tokens(2, 1, 7, 2);
    some_tokens(3, 1, 7, 2);
    end(1);
    assert_int_equal(lost[0].number, 2);
    assert_int_equal(lost[0].repair, 1);
    assert_int_equal(analysis.sum.resent, 3);
    assert_int_equal(analysis.sum.spurious_resend, 1);
}

static void nor_is_what_was_lost_shortly_before_the_end(void **state)
{
    struct packet packet;

    (void)state;
    tile(1, MESH_DST_ALL, 1, 0);
    nak(2);
    tile(1, 1, 2, MESH_FLAG_RESEND);
    tile(3, MESH_DST_ALL, 3, 0); /* only now is 2 found missing, and no report has counted it */
    packet = datagram(1, MESH_TYPE_STATUS, ++back_number, 0);
    packet.message.as.status = (struct mesh_status){.seen_all = 1, .seen_peer = 1, .window_bytes = 1};
    analysis_add(&analysis, &packet);
    analysis_end(&analysis);
    assert_int_equal(lost_count, 1);
    assert_int_equal(lost[0].number, 2);
    assert_int_equal(lost[0].repair, 1);
    assert_int_equal(analysis.sum.spurious_resend, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_is_asked_for_is_laid_on_the_number_whose_neighbours_are_of_its_gather),
        CASE(what_is_only_late_is_laid_on_no_number),
        CASE(a_number_among_other_messages_held_no_tile),
        CASE(a_copy_that_comes_before_the_number_is_missed_names_it),
        CASE(and_so_does_one_that_comes_after_it),
        CASE(a_copy_that_is_lost_as_well_mends_nothing),
        CASE(nor_has_it_when_only_the_original_is_remembered),
        CASE(a_second_resend_that_is_lost_as_well_mends_nothing),
        CASE(what_is_sent_again_long_after_a_resend_that_was_lost_mends),
        CASE(what_is_asked_for_in_one_range_may_be_of_several_numbers),
        CASE(what_is_sent_again_in_parts_is_not_in_vain),
        CASE(nor_is_what_was_lost_shortly_before_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
