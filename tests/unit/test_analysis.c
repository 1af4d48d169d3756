/* The analysis of datagrams that are fed to it one by one: rank 0 sends to rank 1, which reports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dissector/analysis.h"

enum { LOSSES_MAX = 16 };

static struct analysis analysis;
static uint64_t now_ns, back_number;
static unsigned point; /* where the next datagram is captured: its rank's host, when there are two captures */
static uint64_t lost_numbers[LOSSES_MAX];
static struct analysis_loss losses[LOSSES_MAX];
static struct link_entry entries[LOSSES_MAX];
static size_t loss_count;

static void on_loss(void *context, const struct analysis_loss *loss)
{
    (void)context;
    assert_true(loss_count < LOSSES_MAX);
    losses[loss_count] = *loss;
    lost_numbers[loss_count] = loss->entry ? loss->entry->number : 0;
    if (loss->entry)
        entries[loss_count] = *loss->entry;
    loss_count++;
}

static int start(void **state)
{
    (void)state;
    analysis_init(&analysis, on_loss, NULL);
    now_ns = 1000000;
    point = 0;
    back_number = 0;
    loss_count = 0;
    return 0;
}

static int stop(void **state)
{
    (void)state;
    analysis_release(&analysis);
    return 0;
}

/* A datagram from rank 0 to 1, or back; 1 ms later than the one before. */
static struct packet datagram(unsigned src, uint8_t type, uint64_t number)
{
    static struct frame frames[2];
    struct packet packet = {.ts_ns = now_ns, .state = PACKET_DECODED, .frame = &frames[src], .size = 100};

    for (unsigned i = 0; i < 2; i++) {
        frames[i].src.port = (uint16_t)(1 + i);
        frames[i].dst.port = (uint16_t)(2 - i);
        frames[i].src.ip[15] = (uint8_t)i;
        frames[i].dst.ip[15] = (uint8_t)(1 - i);
    }
    packet.message.header = (struct mesh_header){.magic = MESH_WIRE_MAGIC, .version = 1, .type = type, .number = number, .epoch = 1};
    packet.message.header.src = (uint16_t)src;
    packet.message.header.dst = (uint16_t)(1 - src);
    packet.message.header.have_step = MESH_STEP_NONE;
    packet.point = point;
    now_ns += 1000000;
    return packet;
}

static void tile(uint64_t number, uint16_t block, uint16_t flags)
{
    struct packet packet = datagram(0, MESH_TYPE_TILE, number);

    packet.message.header.flags = flags;
    packet.message.as.tile = (struct mesh_tile){.step = 1, .token_count = 1, .block_first = block, .block_count = 1};
    analysis_add(&analysis, &packet);
}

static void status(uint64_t seen, uint64_t lost)
{
    struct packet packet = datagram(1, MESH_TYPE_STATUS, ++back_number);

    packet.message.as.status = (struct mesh_status){.seen_peer = seen, .window_bytes = 1, .lost = lost};
    analysis_add(&analysis, &packet);
}

/* Rank 1 reports the only gather as held. */
static void hold(void)
{
    struct packet packet = datagram(1, MESH_TYPE_PING, ++back_number);

    packet.message.header.have_step = 1;
    analysis_add(&analysis, &packet);
}

static void nak(uint16_t block)
{
    struct packet packet = datagram(1, MESH_TYPE_NAK, ++back_number);

    packet.message.as.nak = (struct mesh_nak){.step = 1, .range_count = 1};
    packet.message.ranges[0] = (struct mesh_range){.token_count = 1, .block_first = block, .block_count = 1};
    analysis_add(&analysis, &packet);
}

static void a_missing_number_that_the_receiver_counts_is_lost(void **state)
{
    (void)state;
    tile(1, 0, 0);
    tile(3, 2, 0);
    status(3, 1);
    analysis_end(&analysis);
    assert_int_equal(analysis.sum.lost, 1);
    assert_int_equal(analysis.sum.not_captured, 0);
    assert_int_equal(lost_numbers[0], 2);
    assert_true(entries[0].is_missing);
}

static void a_missing_number_that_the_receiver_has_was_not_captured(void **state)
{
    (void)state;
    tile(1, 0, 0);
    tile(3, 2, 0);
    for (unsigned i = 0; i < 12; i++) /* the first may come before the analysis has judged */
        status(3, 0);
    analysis_end(&analysis);
    assert_int_equal(analysis.sum.lost, 0);
    assert_int_equal(analysis.sum.not_captured, 1);
}

static void what_no_report_can_have_judged_is_lost(void **state)
{
    (void)state;
    tile(1, 0, 0);
    tile(4, 3, 0);
    status(4, 0); /* the only one, and perhaps before the analysis judged */
    analysis_end(&analysis);
    assert_int_equal(analysis.sum.lost, 2);
    assert_int_equal(lost_numbers[0], 2);
    assert_int_equal(lost_numbers[1], 3);
}

static void a_nak_tells_what_was_in_a_missing_number_and_a_resend_repairs_it(void **state)
{
    (void)state;
    tile(1, 0, 0);
    tile(3, 2, 0);
    status(3, 1);
    nak(1);
    tile(4, 1, MESH_FLAG_RESEND);
    status(4, 1);
    analysis_end(&analysis);
    assert_int_equal(loss_count, 1);
    assert_true(entries[0].has_range);
    assert_int_equal(entries[0].range.block_first, 1);
    assert_true(losses[0].repair_ms > 2.9 && losses[0].repair_ms < 3.1); /* since it was seen to be missing */
    assert_int_equal(analysis.sum.resent, 1);
    assert_int_equal(analysis.sum.spurious_resend, 0);
}

static void one_that_is_in_the_capture_is_lost_when_it_is_counted_and_asked_for(void **state)
{
    (void)state;
    tile(1, 0, 0);
    tile(2, 1, 0);
    tile(3, 2, 0);
    status(3, 1);
    nak(1);
    tile(4, 1, MESH_FLAG_RESEND);
    status(4, 1);
    analysis_end(&analysis);
    assert_int_equal(loss_count, 1);
    assert_int_equal(lost_numbers[0], 2);
    assert_false(entries[0].is_missing);
    assert_int_equal(analysis.sum.spurious_resend, 0);
}

static void a_resend_of_what_was_not_lost_is_in_vain(void **state)
{
    (void)state;
    tile(1, 0, 0);
    tile(2, 1, 0);
    nak(1);
    tile(3, 1, MESH_FLAG_RESEND);
    status(3, 0);
    analysis_end(&analysis);
    assert_int_equal(analysis.sum.lost, 0);
    assert_int_equal(analysis.sum.resent, 1);
    assert_int_equal(analysis.sum.spurious_resend, 1);
}

/* A loss that cannot be attributed to a certain number remains one: it is not attributed to a number that was only asked for. */
static void one_that_was_asked_for_while_it_was_on_its_way_is_not_lost(void **state)
{
    (void)state;
    tile(1, 0, 0);
    tile(2, 1, 0);
    status(1, 0);
    nak(1);
    tile(3, 1, MESH_FLAG_RESEND);
    tile(4, 2, 0);
    status(4, 1);
    analysis_end(&analysis);
    assert_int_equal(loss_count, 1);
    assert_int_equal(lost_numbers[0], 0);
}

static void one_that_is_held_before_it_is_sent_again_is_not_lost(void **state)
{
    (void)state;
    tile(1, 0, 0);
    tile(2, 1, 0);
    status(2, 0);
    nak(1);
    hold();
    tile(3, 1, MESH_FLAG_RESEND);
    tile(4, 2, 0);
    status(4, 1);
    analysis_end(&analysis);
    for (size_t i = 0; i < loss_count; i++)
        assert_int_not_equal(lost_numbers[i], 2);
    assert_int_equal(loss_count, 1);
}

static void the_first_number_of_a_space_is_lost_where_the_link_begins_in_the_capture(void **state)
{
    struct packet packet;

    (void)state;
    tile(1, 0, 0);
    packet = datagram(0, MESH_TYPE_PING, 2);
    packet.message.header.dst = MESH_DST_ALL;
    analysis_add(&analysis, &packet);
    analysis_end(&analysis);
    assert_int_equal(loss_count, 1);
    assert_int_equal(lost_numbers[0], 1);
    assert_true(losses[0].is_all);
}

static void a_loss_that_can_be_one_of_several_is_counted_and_not_named(void **state)
{
    (void)state;
    for (uint64_t number = 1; number < 6; number++)
        tile(number, (uint16_t)number, 0);
    status(5, 1);
    analysis_end(&analysis);
    assert_int_equal(analysis.sum.lost, 1);
    assert_int_equal(lost_numbers[0], 0);
}

static void what_was_counted_before_a_number_was_seen_is_not_laid_on_it(void **state)
{
    static const uint64_t reports[][2] = {{1, 0}, {4, 1}, {6, 1}, {6, 2}, {6, 2}}; /* seen, lost: 2 or 3, then 5 */

    (void)state;
    for (uint64_t i = 0, number = 1; i < 5; i++, now_ns += 10000000) { /* late enough that the datagrams seen are judged */
        for (; number <= reports[i][0]; number++)
            tile(number, (uint16_t)number, 0);
        if (i == 3) {
            nak(5);
            tile(number, 5, MESH_FLAG_RESEND);
        }
        status(reports[i][0], reports[i][1]);
    }
    analysis_end(&analysis);
    assert_int_equal(loss_count, 2);
    assert_int_equal(lost_numbers[0] + lost_numbers[1], 5);
}

static void numbers_that_come_later_or_twice_are_told_apart(void **state)
{
    (void)state;
    tile(1, 0, 0);
    tile(3, 2, 0);
    now_ns -= 990000;
    tile(2, 1, 0); /* 10 us after */
    tile(6, 5, 0);
    tile(5, 4, 0);
    tile(5, 4, 0);
    status(6, 1);
    analysis_end(&analysis);
    assert_int_equal(analysis.sum.reordered, 1);
    assert_int_equal(analysis.sum.late, 1);
    assert_int_equal(analysis.sum.duplicate, 1);
    assert_int_equal(analysis.sum.lost, 1);
    assert_int_equal(lost_numbers[0], 4);
}

static void a_long_capture_stays_within_its_windows(void **state)
{
    (void)state;
    for (uint64_t number = 1; number <= 10 * LINKS_WINDOW; number++)
        if (number % 1000 != 0)
            tile(number, 0, 0);
    analysis_end(&analysis);
    assert_int_equal(analysis.sum.lost, 5);
    assert_int_equal(lost_numbers[4], 5000);
}

/* ---- where the time went ---- */

static struct steps_step told;

static void on_step(void *context, const struct steps_step *step)
{
    (void)context;
    told = *step;
}

/* Rank 1's blocks of the same gather. */
static void other_tile(uint16_t flags)
{
    struct packet packet = datagram(1, MESH_TYPE_TILE, ++back_number);

    packet.message.header.flags = flags;
    packet.message.as.tile = (struct mesh_tile){.step = 1, .token_count = 1, .block_first = 7, .block_count = 1};
    analysis_add(&analysis, &packet);
}

static void a_rank_waits_from_its_own_last_tile_to_the_last_that_brings_something(void **state)
{
    struct packet packet;

    (void)state;
    analysis.steps.on_step = on_step;
    tile(1, 0, 0);
    tile(2, 1, 0);  /* 1 ms later: computed meanwhile */
    other_tile(0);  /* after 1 ms of waiting */
    other_tile(16); /* a copy that brings nothing */
    packet = datagram(0, MESH_TYPE_PING, 3);
    packet.message.header.have_step = 1;
    analysis_add(&analysis, &packet);
    analysis_end(&analysis);
    assert_int_equal(told.step, 1);
    assert_int_equal(told.tokens, 1);
    assert_int_equal(told.ranks[0].compute_ns, 1000000);
    assert_int_equal(told.ranks[0].wait_ns, 1000000);
    assert_int_equal(told.ranks[0].longest_for, 1);
    assert_int_equal(steps_duration_ns(&told), 2000000);
    assert_int_equal(told.ranks[1].end_ns, 0);
}

/* ---- captures at both ends ---- */

static int start_both(void **state)
{
    start(state);
    analysis.links.point_count = 2;
    for (unsigned i = 0; i < 2; i++)
        analysis.links.points[i] = (struct links_point){.is_known = true, .ip[15] = (uint8_t)i};
    return 0;
}

static void sent_tile(uint64_t number, uint16_t block, uint16_t flags)
{
    point = 0;
    tile(number, block, flags);
    point = 1;
}

/* The tile takes 1 ms. */
static void whole_tile(uint64_t number, uint16_t block, uint16_t flags)
{
    sent_tile(number, block, flags);
    tile(number, block, flags);
}

static void one_that_left_and_did_not_come_is_known_in_full(void **state)
{
    (void)state;
    whole_tile(1, 0, 0);
    sent_tile(2, 1, 0);
    whole_tile(3, 2, 0);
    status(3, 1);
    analysis_end(&analysis);
    assert_int_equal(analysis.sum.datagrams, 2);
    assert_int_equal(loss_count, 1);
    assert_int_equal(lost_numbers[0], 2);
    assert_true(entries[0].is_missing && entries[0].is_sent && entries[0].has_range);
    assert_int_equal(entries[0].range.block_first, 1);
    assert_int_equal(losses[0].link->latency.count, 2);
    assert_int_equal(losses[0].link->latency.max_ns, 1000000);
}

static void one_that_never_left_is_not_said_to_be_sent(void **state)
{
    (void)state;
    whole_tile(1, 0, 0);
    whole_tile(3, 2, 0);
    status(3, 1);
    analysis_end(&analysis);
    assert_int_equal(loss_count, 1);
    assert_true(entries[0].is_missing && !entries[0].is_sent);
    assert_int_equal(losses[0].link->missed_at_sender, 0);
}

static void what_only_the_receivers_host_shows_was_missed_at_the_senders(void **state)
{
    (void)state;
    whole_tile(1, 0, 0);
    tile(2, 1, 0);
    whole_tile(3, 2, 0);
    status(3, 0);
    analysis_end(&analysis);
    assert_int_equal(analysis.sum.lost, 0);
    assert_int_equal(analysis.links.links[0]->missed_at_sender, 1);
}

static void what_the_receivers_capture_missed_is_not_lost(void **state)
{
    (void)state;
    whole_tile(1, 0, 0);
    sent_tile(2, 1, 0);
    whole_tile(3, 2, 0);
    for (unsigned i = 0; i < 12; i++)
        status(3, 0);
    analysis_end(&analysis);
    assert_int_equal(analysis.sum.lost, 0);
    assert_int_equal(analysis.sum.not_captured, 1);
}

static void what_came_and_is_counted_and_asked_for_was_dropped_by_the_receivers_host(void **state)
{
    (void)state;
    whole_tile(1, 0, 0);
    whole_tile(2, 1, 0);
    whole_tile(3, 2, 0);
    status(3, 1);
    nak(1);
    whole_tile(4, 1, MESH_FLAG_RESEND);
    status(4, 1);
    analysis_end(&analysis);
    assert_int_equal(loss_count, 1);
    assert_int_equal(lost_numbers[0], 2);
    assert_false(entries[0].is_missing);
}

static void what_left_after_the_last_arrival_is_lost_when_it_had_the_time_to_come(void **state)
{
    (void)state;
    whole_tile(1, 0, 0);
    sent_tile(2, 1, 0);
    now_ns += 1000000000;
    status(1, 0);
    sent_tile(3, 2, 0); /* may still be under way */
    analysis_end(&analysis);
    assert_int_equal(loss_count, 1);
    assert_int_equal(lost_numbers[0], 2);
}

static void the_resend_that_was_first_to_come_is_the_repair_of_what_is_seen_to_be_missing_later(void **state)
{
    (void)state;
    whole_tile(1, 0, 0);
    sent_tile(2, 1, 0);
    nak(1);
    whole_tile(4, 1, MESH_FLAG_RESEND); /* now 2 and 3 are missing */
    sent_tile(5, 3, 0);
    status(4, 2);
    analysis_end(&analysis);
    assert_int_equal(loss_count, 2);
    assert_int_equal(lost_numbers[0], 2);
    assert_true(losses[0].repair_ms > 2.9 && losses[0].repair_ms < 3.1);
    assert_int_not_equal(entries[0].nak_ns, 0);
    assert_int_equal(analysis.sum.spurious_resend, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, stop)

#define BOTH_CASE(name) cmocka_unit_test_setup_teardown(name, start_both, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_missing_number_that_the_receiver_counts_is_lost),
        CASE(a_missing_number_that_the_receiver_has_was_not_captured),
        CASE(what_no_report_can_have_judged_is_lost),
        CASE(a_nak_tells_what_was_in_a_missing_number_and_a_resend_repairs_it),
        CASE(one_that_is_in_the_capture_is_lost_when_it_is_counted_and_asked_for),
        CASE(a_resend_of_what_was_not_lost_is_in_vain),
        CASE(one_that_was_asked_for_while_it_was_on_its_way_is_not_lost),
        CASE(one_that_is_held_before_it_is_sent_again_is_not_lost),
        CASE(the_first_number_of_a_space_is_lost_where_the_link_begins_in_the_capture),
        CASE(a_loss_that_can_be_one_of_several_is_counted_and_not_named),
        CASE(what_was_counted_before_a_number_was_seen_is_not_laid_on_it),
        CASE(numbers_that_come_later_or_twice_are_told_apart),
        CASE(a_long_capture_stays_within_its_windows),
        CASE(a_rank_waits_from_its_own_last_tile_to_the_last_that_brings_something),
        BOTH_CASE(one_that_left_and_did_not_come_is_known_in_full),
        BOTH_CASE(one_that_never_left_is_not_said_to_be_sent),
        BOTH_CASE(what_only_the_receivers_host_shows_was_missed_at_the_senders),
        BOTH_CASE(what_the_receivers_capture_missed_is_not_lost),
        BOTH_CASE(what_came_and_is_counted_and_asked_for_was_dropped_by_the_receivers_host),
        BOTH_CASE(what_left_after_the_last_arrival_is_lost_when_it_had_the_time_to_come),
        BOTH_CASE(the_resend_that_was_first_to_come_is_the_repair_of_what_is_seen_to_be_missing_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
