/* What a simulated wire does to datagrams: tests look at the arrivals it schedules; no endpoint takes part. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libmesh/sim/sim_parts.h"

enum { DATAGRAMS = 10000, BYTES = 934 /* 1000 on the wire: 8 us at 1 Gb/s */ };

static struct mesh_sim *opened(const struct mesh_sim_link *link)
{
    struct mesh_sim *sim;

    assert_int_equal(mesh_sim_open(&sim, 3, 7, link), 0);
    return sim;
}

static void send(struct mesh_sim *sim, uint16_t from, uint16_t to, size_t bytes)
{
    static uint8_t packet[65536];

    mesh_sim_wire_send(sim, from, to, false, packet, bytes);
}

/* Time of the next arrival, which is removed; UINT64_MAX when there is none. */
static uint64_t arrival(struct mesh_sim *sim)
{
    struct mesh_heap_entry entry;

    if (!mesh_heap_pop(&sim->heap, &entry)) {
        return UINT64_MAX;
    }
    free(entry.item);
    return entry.time_ns;
}

static uint64_t arrivals(struct mesh_sim *sim)
{
    uint64_t count = 0;

    while (arrival(sim) != UINT64_MAX) {
        count++;
    }
    return count;
}

static void a_link_sends_one_datagram_after_the_other_and_each_arrives_after_the_delay(void **state)
{
    struct mesh_sim *sim = opened(&(struct mesh_sim_link){.rate_bits_per_s = 1000000000, .delay_ns = 50000});

    (void)state;
    send(sim, 0, 1, BYTES);
    send(sim, 0, 1, BYTES);
    assert_int_equal(arrival(sim), 58000);
    assert_int_equal(arrival(sim), 66000);
    sim->now_ns = 1000000;
    send(sim, 0, 1, BYTES);
    assert_int_equal(arrival(sim), 1058000);
    mesh_sim_close(sim);
}

static void what_a_rank_sends_shares_its_own_link_and_what_comes_for_it_too(void **state)
{
    struct mesh_sim *sim = opened(&(struct mesh_sim_link){.delay_ns = 50000});
    struct mesh_heap_entry entry;

    (void)state;
    for (uint16_t rank = 0; rank < 3; rank++) {
        mesh_sim_set_port(sim, rank, 1000000000);
    }
    send(sim, 0, 1, BYTES);
    send(sim, 0, 2, BYTES);
    send(sim, 1, 2, BYTES);
    send(sim, 2, 1, BYTES); /* the other direction is another link */
    assert_int_equal(sim->nodes[0].sends.free_ns, 16000);
    for (int i = 0; i < 4; i++) { /* as the simulator runs them: to the receiver's link, and through it */
        assert_true(mesh_heap_pop(&sim->heap, &entry));
        struct mesh_sim_packet *packet = entry.item;
        const uint64_t through_ns = mesh_sim_port_pass(&sim->nodes[packet->to].receives, entry.time_ns, packet->bytes);

        assert_int_equal(entry.time_ns, packet->from == 0 && packet->to == 2 ? 66000 : 58000);
        assert_true(through_ns >= 66000);
        free(packet);
    }
    assert_int_equal(sim->nodes[0].receives.free_ns, 0);
    assert_int_equal(sim->nodes[1].receives.free_ns, 74000); /* two came at once */
    assert_int_equal(sim->nodes[2].receives.free_ns, 74000); /* one after the other had passed */
    mesh_sim_close(sim);
}

static void the_two_directions_and_other_links_do_not_share_a_rate(void **state)
{
    struct mesh_sim *sim = opened(&(struct mesh_sim_link){.rate_bits_per_s = 1000000000});

    (void)state;
    send(sim, 0, 1, BYTES);
    send(sim, 1, 0, BYTES);
    send(sim, 0, 2, BYTES);
    assert_int_equal(arrival(sim), 8000);
    assert_int_equal(arrival(sim), 8000);
    assert_int_equal(arrival(sim), 8000);
    mesh_sim_close(sim);
}

static void without_a_rate_only_the_delay_counts(void **state)
{
    struct mesh_sim *sim = opened(&(struct mesh_sim_link){.delay_ns = 123});

    (void)state;
    send(sim, 0, 1, 60000);
    send(sim, 0, 1, 60000);
    assert_int_equal(arrival(sim), 123);
    assert_int_equal(arrival(sim), 123);
    mesh_sim_close(sim);
}

static void a_full_queue_drops_at_its_tail(void **state)
{
    struct mesh_sim *sim = opened(&(struct mesh_sim_link){.rate_bits_per_s = 1000000000, .queue_bytes = 5000});

    (void)state;
    for (int i = 0; i < 9; i++) {
        send(sim, 0, 1, BYTES);
    }
    assert_int_equal(sim->stats.lost_in_queue, 4);
    assert_int_equal(arrivals(sim), 5);
    sim->now_ns = 8000;
    send(sim, 0, 1, BYTES);
    assert_int_equal(sim->stats.lost_in_queue, 4);
    mesh_sim_close(sim);
}

static void the_mask_drops_by_ordinal_from_when_it_was_set(void **state)
{
    struct mesh_sim *sim = opened(&(struct mesh_sim_link){.delay_ns = 1});

    (void)state;
    send(sim, 0, 1, BYTES);
    mesh_sim_drop_mask(sim, 0, 1, 0x5 | UINT64_C(1) << 63);
    arrivals(sim);
    for (uint64_t i = 0; i < 130; i++) {
        send(sim, 0, 1, BYTES);
        assert_int_equal(arrivals(sim), i == 0 || i == 2 || i == 63 ? 0 : 1);
    }
    send(sim, 1, 0, BYTES);
    assert_int_equal(sim->stats.lost_by_mask, 3);
    mesh_sim_close(sim);
}

static void a_blocked_link_carries_nothing_one_way(void **state)
{
    struct mesh_sim *sim = opened(&(struct mesh_sim_link){.delay_ns = 1});

    (void)state;
    mesh_sim_block(sim, 0, 1, true);
    send(sim, 0, 1, BYTES);
    assert_int_equal(arrivals(sim), 0);
    send(sim, 1, 0, BYTES);
    assert_int_equal(arrivals(sim), 1);
    mesh_sim_block(sim, 0, 1, false);
    send(sim, 0, 1, BYTES);
    assert_int_equal(arrivals(sim), 1);
    mesh_sim_close(sim);
}

static void larger_datagrams_than_the_path_carries_vanish(void **state)
{
    struct mesh_sim *sim = opened(&(struct mesh_sim_link){.datagram_bytes_max = 1300});

    (void)state;
    send(sim, 0, 1, 1300);
    send(sim, 0, 1, 1301);
    assert_int_equal(sim->stats.lost_too_large, 1);
    assert_int_equal(arrivals(sim), 1);
    mesh_sim_close(sim);
}

static void chances_strike_the_share_asked_for(void **state)
{
    struct mesh_sim *sim = opened(
        &(struct mesh_sim_link){.loss_ppm = 50000, .duplicate_ppm = 20000, .reorder_ppm = 50000, .reorder_ns = 777, .bit_flip_ppm = 10000});
    unsigned late = 0;
    uint64_t time_ns;

    (void)state;
    for (int i = 0; i < DATAGRAMS; i++) {
        send(sim, 0, 1, BYTES);
    }
    while ((time_ns = arrival(sim)) != UINT64_MAX) {
        late += time_ns == 777;
    }
    assert_in_range(sim->stats.lost_at_random, DATAGRAMS / 25, DATAGRAMS / 17);
    assert_in_range(sim->stats.lost_checksum, DATAGRAMS / 140, DATAGRAMS / 75);
    assert_in_range(sim->stats.duplicated, DATAGRAMS / 70, DATAGRAMS / 40);
    assert_in_range(late, DATAGRAMS / 25, DATAGRAMS / 17);
    assert_int_equal(sim->stats.flipped, 0);
    mesh_sim_close(sim);
}

static void without_the_checksum_exactly_one_bit_of_a_datagram_is_flipped(void **state)
{
    struct mesh_sim *sim = opened(&(struct mesh_sim_link){.bit_flip_ppm = 1000000, .checksum_off = true});
    struct mesh_heap_entry entry;

    (void)state;
    for (int i = 0; i < 100; i++) {
        int bits = 0;

        send(sim, 0, 1, BYTES);
        assert_true(mesh_heap_pop(&sim->heap, &entry));
        for (size_t byte = 0; byte < BYTES; byte++) {
            bits += __builtin_popcount(((struct mesh_sim_packet *)entry.item)->data[byte]);
        }
        free(entry.item);
        assert_int_equal(bits, 1);
    }
    assert_int_equal(sim->stats.flipped, 100);
    mesh_sim_close(sim);
}

/* Traffic on another link must not change the losses on this one, or they would change with unrelated edits. */
static void the_luck_of_a_link_does_not_depend_on_other_links(void **state)
{
    const struct mesh_sim_link link = {.loss_ppm = 300000};
    struct mesh_sim *alone = opened(&link), *busy = opened(&link);

    (void)state;
    for (int i = 0; i < 1000; i++) {
        uint64_t lost;

        send(alone, 0, 1, BYTES);
        send(busy, 1, 2, BYTES);
        send(busy, 1, 0, BYTES);
        lost = busy->stats.lost;
        send(busy, 0, 1, BYTES);
        assert_int_equal(arrivals(alone), busy->stats.lost == lost);
    }
    mesh_sim_close(alone);
    mesh_sim_close(busy);
}

static void a_rate_and_queue_of_any_size_do_not_overflow(void **state)
{
    struct mesh_sim *sim = opened(&(struct mesh_sim_link){.rate_bits_per_s = 1000, .queue_bytes = UINT32_MAX});

    (void)state;
    send(sim, 0, 1, 65507);
    send(sim, 0, 1, 65507);
    assert_true(arrival(sim) == (uint64_t)65573 * 8000000);
    assert_true(arrival(sim) == (uint64_t)65573 * 16000000);
    mesh_sim_close(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_link_sends_one_datagram_after_the_other_and_each_arrives_after_the_delay),
        cmocka_unit_test(what_a_rank_sends_shares_its_own_link_and_what_comes_for_it_too),
        cmocka_unit_test(the_two_directions_and_other_links_do_not_share_a_rate),
        cmocka_unit_test(without_a_rate_only_the_delay_counts),
        cmocka_unit_test(a_full_queue_drops_at_its_tail),
        cmocka_unit_test(the_mask_drops_by_ordinal_from_when_it_was_set),
        cmocka_unit_test(a_blocked_link_carries_nothing_one_way),
        cmocka_unit_test(larger_datagrams_than_the_path_carries_vanish),
        cmocka_unit_test(chances_strike_the_share_asked_for),
        cmocka_unit_test(without_the_checksum_exactly_one_bit_of_a_datagram_is_flipped),
        cmocka_unit_test(the_luck_of_a_link_does_not_depend_on_other_links),
        cmocka_unit_test(a_rate_and_queue_of_any_size_do_not_overflow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
