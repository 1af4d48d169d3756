/* The impairments: how many datagrams they affect, when these arrive, and that the seed decides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "libmesh/udp/udp_lab.h"

enum { DATAGRAMS = 10000 };

/* Takes DATAGRAMS datagrams holding their number, one a microsecond; then gives out all, filling counts (DATAGRAMS). Returns how many were
 * overtaken. */
static unsigned run(const struct mesh_lab *spec, uint8_t *counts, uint64_t *last_due_ns)
{
    static struct mesh_udp_lab lab;
    const struct mesh_addr from = {.port = 1};
    unsigned overtaken = 0;
    uint32_t highest = 0;

    memset(counts, 0, DATAGRAMS);
    mesh_udp_lab_init(&lab, spec);
    for (uint32_t i = 0; i < DATAGRAMS; i++) {
        mesh_udp_lab_take(&lab, 1000 * (uint64_t)i, from, (const uint8_t *)&i, sizeof i);
    }
    while ((*last_due_ns = mesh_udp_lab_next_ns(&lab)) != UINT64_MAX) {
        const struct mesh_udp_held *held = mesh_udp_lab_due(&lab, *last_due_ns);
        uint32_t number;

        assert_non_null(held);
        assert_true(*last_due_ns == 0 || mesh_udp_lab_due(&lab, *last_due_ns - 1) == NULL);
        memcpy(&number, held->packet, sizeof number);
        assert_true(*last_due_ns >= 1000 * (uint64_t)number + spec->delay_ns);
        overtaken += number < highest;
        highest = number > highest ? number : highest;
        counts[number]++;
        mesh_udp_lab_drop(&lab);
    }
    mesh_udp_lab_release(&lab);
    return overtaken;
}

static unsigned count_of(const uint8_t *counts, uint8_t wanted)
{
    unsigned count = 0;

    for (size_t i = 0; i < DATAGRAMS; i++) {
        count += counts[i] == wanted;
    }
    return count;
}

static void a_delay_alone_changes_nothing_else(void **state)
{
    static uint8_t counts[DATAGRAMS];
    uint64_t last_ns;

    (void)state;
    assert_int_equal(run(&(struct mesh_lab){.delay_ns = 50000}, counts, &last_ns), 0);
    assert_int_equal(count_of(counts, 1), DATAGRAMS);
}

static void loss_and_duplication_touch_the_share_asked_for(void **state)
{
    static uint8_t counts[DATAGRAMS];
    uint64_t last_ns;

    (void)state;
    run(&(struct mesh_lab){.loss_ppm = 50000, .duplicate_ppm = 20000, .seed = 3}, counts, &last_ns);
    assert_in_range(count_of(counts, 0), DATAGRAMS / 25, DATAGRAMS / 17);
    assert_in_range(count_of(counts, 2), DATAGRAMS / 65, DATAGRAMS / 40);
    run(&(struct mesh_lab){.loss_ppm = 1000000}, counts, &last_ns);
    assert_int_equal(count_of(counts, 0), DATAGRAMS);
}

static void a_reordered_datagram_is_overtaken_and_still_comes(void **state)
{
    static uint8_t counts[DATAGRAMS];
    uint64_t last_ns;
    const unsigned overtaken = run(&(struct mesh_lab){.reorder_ppm = 50000, .seed = 3}, counts, &last_ns);

    (void)state;
    assert_int_equal(count_of(counts, 1), DATAGRAMS);
    assert_in_range(overtaken, DATAGRAMS / 25, DATAGRAMS / 17);
}

static void the_seed_decides_which_datagrams_are_lost(void **state)
{
    static uint8_t a[DATAGRAMS], b[DATAGRAMS], c[DATAGRAMS];
    uint64_t last_ns;

    (void)state;
    run(&(struct mesh_lab){.loss_ppm = 50000, .seed = 3}, a, &last_ns);
    run(&(struct mesh_lab){.loss_ppm = 50000, .seed = 3}, b, &last_ns);
    run(&(struct mesh_lab){.loss_ppm = 50000, .seed = 4}, c, &last_ns);
    assert_memory_equal(a, b, sizeof a);
    assert_memory_not_equal(a, c, sizeof a);
}

static void the_holding_queue_is_bounded(void **state)
{
    static struct mesh_udp_lab lab;

    (void)state;
    mesh_udp_lab_init(&lab, &(struct mesh_lab){.delay_ns = 1000000});
    for (size_t i = 0; i < MESH_UDP_HELD_MAX + 10; i++) {
        mesh_udp_lab_take(&lab, 0, (struct mesh_addr){.port = 1}, (const uint8_t *)"x", 1);
    }
    assert_int_equal(lab.lost, 10);
    mesh_udp_lab_release(&lab);
}

static void without_impairments_the_lab_is_off(void **state)
{
    struct mesh_udp_lab lab;

    (void)state;
    mesh_udp_lab_init(&lab, &(struct mesh_lab){.pace_bytes_per_s = 1, .seed = 5});
    assert_false(mesh_udp_lab_is_on(&lab));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_delay_alone_changes_nothing_else),
        cmocka_unit_test(loss_and_duplication_touch_the_share_asked_for),
        cmocka_unit_test(a_reordered_datagram_is_overtaken_and_still_comes),
        cmocka_unit_test(the_seed_decides_which_datagrams_are_lost),
        cmocka_unit_test(the_holding_queue_is_bounded),
        cmocka_unit_test(without_impairments_the_lab_is_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
