/* What the analysis says of a rank that the others go on without, and of what it cannot see. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "findings_case.h"

/* A sealed message to all others of the epoch's ranks, which is captured at rank 0. */
static void send_sealed(uint8_t type, uint32_t epoch, uint16_t src, uint64_t number, unsigned ranks, unsigned ms)
{
    for (unsigned dst = 0; dst < ranks; dst++) {
        struct frame frame = {.src = {.ip = {[15] = (uint8_t)(src + 1)}, .port = 7411},
                              .dst = {.ip = {[15] = (uint8_t)(dst + 1)}, .port = 7411}};
        struct packet packet = {.ts_ns = UINT64_C(1000000) * ms, .frame = &frame, .state = PACKET_HEADER, .captured = 100, .size = 100};

        if (dst == src || (src != 0 && dst != 0))
            continue;
        packet.message.header = (struct mesh_header){.type = type,
                                                     .src = src,
                                                     .dst = MESH_DST_ALL,
                                                     .epoch = epoch,
                                                     .number = number,
                                                     .have_step = MESH_STEP_NONE,
                                                     .sent_ns = UINT64_C(1000000) * ms};
        analysis_add(&analysis, &packet);
    }
}

static void send_tile(uint32_t epoch, uint16_t src, uint64_t number, unsigned ranks, unsigned ms)
{
    send_sealed(MESH_TYPE_TILE, epoch, src, number, ranks, ms);
}

/* Three ranks until 1000 ms, rank 2 until silent_ms; two from 1100 ms on. */
static void go_on_without_rank_2(unsigned silent_ms)
{
    for (unsigned ms = 900; ms <= 1000; ms += 10) {
        send_tile(EPOCH, 0, ms / 10 - 89, 3, ms);
        send_tile(EPOCH, 1, ms / 10 - 89, 3, ms + 1);
        if (ms <= silent_ms)
            send_tile(EPOCH, 2, ms / 10 - 89, 3, ms + 2);
    }
    if (silent_ms > 1000)
        send_tile(EPOCH, 2, 12, 3, silent_ms);
    send_tile(EPOCH + 1, 0, 1, 2, 1100);
    send_tile(EPOCH + 1, 1, 1, 2, 1101);
}

/* As if all receivers had sent reports that can be read. */
static void tell_with_reports(void)
{
    for (size_t i = 0; i < analysis.links.count; i++)
        analysis.links.links[i]->has_report = true;
    findings_tell(&findings);
}

static void a_node_that_was_silent_until_the_others_went_on_is_named(void **state)
{
    (void)state;
    go_on_without_rank_2(960);
    send_tile(EPOCH, 2, 8, 3, 1400); /* it was only stopped */
    tell_with_reports();
    assert_string_equal(said_severity, "error");
    assert_non_null(
        strstr(said, "epoch 4 began without rank 2 (0.0.0.3) of epoch 3, which had been silent for 138.0 ms, and 99.0 ms passed"));
}

static void a_node_that_leaves_is_not_reported(void **state)
{
    (void)state;
    go_on_without_rank_2(1098);
    tell_with_reports();
    assert_string_equal(said, "nothing unusual");
}

/* Nothing is computed, so there are no tiles: the next epoch is known when its members have been heard for a while. */
static void a_node_that_is_lost_while_nothing_is_computed_is_named_once_the_next_epoch_lasts(void **state)
{
    (void)state;
    for (unsigned lasts = 0; lasts < 2; lasts++) {
        send_sealed(MESH_TYPE_STATUS, EPOCH + lasts, 0, 1, 3 - lasts, 900 + 300 * lasts);
        send_sealed(MESH_TYPE_STATUS, EPOCH + lasts, 1, 1, 3 - lasts, 901 + 300 * lasts);
        if (!lasts)
            send_sealed(MESH_TYPE_STATUS, EPOCH, 2, 1, 3, 902);
    }
    findings_tell(&findings);
    assert_string_equal(said, "nothing unusual");
    said[0] = '\0';
    send_sealed(MESH_TYPE_STATUS, EPOCH + 1, 1, 2, 2, 1301);
    findings_tell(&findings);
    assert_non_null(strstr(said, "epoch 4 began without rank 2 (0.0.0.3) of epoch 3, which had been silent for 298.0 ms: was its process"));
}

static void a_node_that_is_in_the_next_epoch_is_not_reported(void **state)
{
    (void)state;
    go_on_without_rank_2(960);
    send_tile(EPOCH + 1, 2, 1, 3, 1102);
    tell_with_reports();
    assert_string_equal(said, "nothing unusual");
}

static void without_readable_reports_it_is_said_what_is_not_seen(void **state)
{
    (void)state;
    send_tile(EPOCH, 0, 1, 2, 1);
    send_sealed(MESH_TYPE_STATUS, EPOCH, 1, 1, 2, 2); /* on a link without tiles */
    findings_tell(&findings);
    assert_string_equal(said, "on 1 of 1 link with tiles no report of the receiver can be read (none is here: capture what receivers send, "
                              "too): what was lost behind the capture is not seen");
    said[0] = '\0';
    findings.seen.closed = 1;
    findings_tell(&findings);
    assert_non_null(strstr(said, "(they are sealed: give --key)"));
    said[0] = '\0';
    tell_with_reports();
    assert_string_equal(said, "nothing unusual");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_node_that_was_silent_until_the_others_went_on_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_node_that_leaves_is_not_reported, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_node_that_is_lost_while_nothing_is_computed_is_named_once_the_next_epoch_lasts, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_node_that_is_in_the_next_epoch_is_not_reported, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_readable_reports_it_is_said_what_is_not_seen, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
