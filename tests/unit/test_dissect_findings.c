/* What the analysis says of losses, and of a rank that the others wait for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "findings_case.h"

static void on_first_finding(void *context, const char *severity, const char *text)
{
    if (said[0] == '\0')
        on_finding(context, severity, text);
}

/* A link; nine in ten of its datagrams take 10 us, one this long. */
static void add_link(unsigned src, unsigned dst, uint64_t long_ns)
{
    struct link *link = calloc(1, sizeof *link);

    assert_non_null(link);
    link->epoch = EPOCH;
    link->src = (uint16_t)src;
    link->dst = (uint16_t)dst;
    link->from.ip[15] = (uint8_t)(src + 1);
    link->to.ip[15] = (uint8_t)(dst + 1);
    for (unsigned i = 0; i < 100; i++)
        mesh_histogram_add(&link->latency, i % 8 == 0 ? long_ns : 10000);
    analysis.links.links[analysis.links.count++] = link;
}

static void wait_for(unsigned rank, unsigned ranks)
{
    for (unsigned other = 0; other < ranks; other++) {
        timeline.ranks[other].steps = 100;
        timeline.ranks[other].total_ns = 1000000000;
        if (other != rank)
            timeline.ranks[other].wait_for_ns[rank] = 900000000;
    }
}

/* All links of three ranks: into rank 2, and out of it, as given; the others fast. */
static void add_links_of_three(uint64_t into_ns, uint64_t out_of_ns)
{
    for (unsigned src = 0; src < 3; src++)
        for (unsigned dst = 0; dst < 3; dst++)
            if (src != dst)
                add_link(src, dst, dst == 2 ? into_ns : src == 2 ? out_of_ns : 27000);
}

static void a_slow_link_is_named_not_its_host(void **state)
{
    (void)state;
    add_links_of_three(4000000, 27000);
    wait_for(2, 3);
    findings_tell(&findings);
    assert_string_equal(said_severity, "warning");
    assert_non_null(strstr(said, "the others wait for rank 2: 1800.0 ms in all"));
    assert_non_null(strstr(said, "the links into rank 2 ("));
    assert_non_null(strstr(said, ") are slow, p90 "));
    assert_non_null(strstr(said, "look at the interface's rate and queue"));
    assert_non_null(strstr(said, "(tc -s qdisc, ethtool), not at the share"));
    assert_null(strstr(said, "is that host slower"));
}

static void a_link_slow_both_ways_is_named(void **state)
{
    (void)state;
    add_links_of_three(4000000, 5000000);
    wait_for(2, 3);
    findings_tell(&findings);
    assert_non_null(strstr(said, "the links into and out of rank 2 ("));
}

static void one_slow_link_of_several_is_named(void **state)
{
    (void)state;
    for (unsigned src = 0; src < 3; src++)
        for (unsigned dst = 0; dst < 3; dst++)
            if (src != dst)
                add_link(src, dst, src == 2 && dst == 1 ? 4000000 : 27000);
    wait_for(2, 3);
    findings_tell(&findings);
    assert_non_null(strstr(said, "the link from rank 2 ("));
}

static void of_two_ranks_one_direction_is_compared_with_the_other(void **state)
{
    (void)state;
    add_link(0, 1, 27000);
    add_link(1, 0, 4000000);
    wait_for(1, 2);
    findings_tell(&findings);
    assert_non_null(strstr(said, "the link from rank 1 ("));
}

static void a_host_is_slow_if_no_link_of_it_stands_out(void **state)
{
    (void)state;
    add_links_of_three(60000, 90000); /* a little more than the others */
    wait_for(2, 3);
    findings_tell(&findings);
    assert_non_null(strstr(said, "is that host slower, busy, or is its share too large?"));
    assert_null(strstr(said, "captures"));
}

/* Each datagram of rank 2 waits in its host for 1 ms, and each other rank for that long or longer. */
static void queue_in_host_of_rank_2(uint64_t wait_ns)
{
    struct links *links = &analysis.links;

    add_links_of_three(27000, 27000);
    for (unsigned rank = 0; rank < 3; rank++) {
        struct link_host *host = calloc(1, sizeof *host);

        assert_non_null(host);
        links->hosts[links->host_count++] = host;
        for (unsigned i = 0; i < 100; i++) {
            mesh_histogram_add(&host->queued, rank == 2 ? 1000000 : 10000);
            mesh_histogram_add(&host->waits, wait_ns);
        }
    }
    for (size_t i = 0; i < links->count; i++) {
        links->links[i]->sender = links->hosts[links->links[i]->src];
        links->links[i]->receiver = links->hosts[links->links[i]->dst];
    }
    wait_for(2, 3);
    findings_tell(&findings);
}

static void a_queue_in_its_own_host_is_named_not_its_share(void **state)
{
    (void)state;
    queue_in_host_of_rank_2(1500000);
    assert_non_null(strstr(said, ": its datagrams wait in its own host ("));
    assert_non_null(strstr(said, ") before they leave, p90 10"));
    assert_null(strstr(said, "is its share too large"));
}

static void a_queue_much_shorter_than_the_waits_is_not_their_cause(void **state)
{
    (void)state;
    queue_in_host_of_rank_2(20000000);
    assert_non_null(strstr(said, "is that host slower, busy, or is its share too large?"));
}

static void without_one_way_times_either_is_possible(void **state)
{
    (void)state;
    wait_for(2, 3);
    findings_tell(&findings);
    assert_non_null(strstr(said, "is that host slower, busy, is its share too large, or its link slow? captures on all hosts"));
}

/* ---- losses ---- */

static void on_loss(void *context, const struct analysis_loss *loss)
{
    (void)context;
    findings_note_loss(&findings, loss, FINDINGS_RECEIVER);
}

/* From rank 2 to rank 0, or back. */
static void send_message(uint16_t src, uint64_t number, unsigned ms, const struct mesh_message *message)
{
    const uint16_t dst = src == 0 ? 2 : 0;
    struct frame frame = {.src = {.ip = {[15] = (uint8_t)(src + 1)}, .port = 7411},
                          .dst = {.ip = {[15] = (uint8_t)(dst + 1)}, .port = 7411}};
    struct packet packet = {.number = number,
                            .ts_ns = UINT64_C(1000000) * ms,
                            .frame = &frame,
                            .state = PACKET_DECODED,
                            .captured = 100,
                            .size = 100,
                            .message = *message};

    packet.message.header.src = src;
    packet.message.header.dst = dst;
    packet.message.header.epoch = EPOCH;
    packet.message.header.number = number;
    packet.message.header.have_step = MESH_STEP_NONE;
    analysis_add(&analysis, &packet);
}

/* Rank 2 knows rank 0 by an answer; rank 0 refuses three datagrams until it gets the answer to its own HELLO. Then one and `later` more
 * are lost. */
static void begin_epoch(unsigned later)
{
    static const uint8_t types[] = {MESH_TYPE_HELLO, MESH_TYPE_RECORD, MESH_TYPE_PING, MESH_TYPE_PROBE, MESH_TYPE_HELLO_ACK};
    struct mesh_message pong = {.header.type = MESH_TYPE_PONG, .as.pong = {.seen_peer = 5, .lost = 3}};

    analysis.on_loss = on_loss;
    for (unsigned i = 0; i < sizeof types; i++)
        send_message(2, i + 1, i + 1, &(struct mesh_message){.header.type = types[i]});
    send_message(0, 1, 6, &pong);
    send_message(2, 7 + later, 20, &(struct mesh_message){.header.type = MESH_TYPE_PONG});
    pong.as.pong = (struct mesh_pong){.seen_peer = 7 + later, .lost = 4 + later};
    send_message(0, 2, 40, &pong);
    analysis_end(&analysis);
    findings_tell(&findings);
}

static void what_the_receiver_refuses_before_the_handshake_ends_is_lost_and_no_fault_of_its_host(void **state)
{
    (void)state;
    begin_epoch(0);
    assert_int_equal(analysis.links.links[0]->counts.lost, 4);
    assert_string_equal(said, "nothing unusual");
}

static void what_is_lost_after_the_handshake_is_reported_without_that(void **state)
{
    (void)state;
    begin_epoch(6);
    assert_int_equal(analysis.links.links[0]->counts.lost, 10);
    assert_non_null(strstr(said, "epoch 3: 7 lost, 7 of them in the receiver's host"));
}

/* A link with ten losses. */
static struct link *lose_ten(unsigned sender, unsigned wire, unsigned receiver, unsigned unknown)
{
    struct link *link;

    add_link(0, 1, 10000);
    link = analysis.links.links[0];
    link->counts.lost = 10;
    findings.places[0][FINDINGS_SENDER] = sender;
    findings.places[0][FINDINGS_WIRE] = wire;
    findings.places[0][FINDINGS_RECEIVER] = receiver;
    findings.places[0][FINDINGS_UNKNOWN] = unknown;
    return link;
}

static void losses_at_one_place_have_the_advice_for_that_place(void **state)
{
    (void)state;
    lose_ten(0, 8, 1, 1);
    findings_tell(&findings);
    assert_non_null(strstr(said, "epoch 3: 10 lost, 8 of them on the wire: they left and did not arrive: check cable"));
    assert_null(strstr(said, "receiver's host"));
    assert_null(strstr(said, "unknown"));
}

static void losses_at_several_places_have_the_advice_for_each(void **state)
{
    (void)state;
    lose_ten(0, 5, 5, 0);
    findings_tell(&findings);
    assert_non_null(strstr(said, "epoch 3: 10 lost, 5 of them on the wire: they left and did not arrive: check cable"));
    assert_non_null(strstr(said, "; 5 of them in the receiver's host: they reached the host, not the node: check socket buffer"));
    assert_null(strstr(said, "unknown"));
}

static void a_place_that_one_capture_does_not_show_is_shown_by_two(void **state)
{
    (void)state;
    lose_ten(0, 0, 0, 10);
    findings_tell(&findings);
    assert_non_null(strstr(said, "10 of them at an unknown place: capture at both hosts at once"));
}

static void what_one_capture_proves_is_said(void **state)
{
    (void)state;
    lose_ten(0, 0, 0, 0);
    findings.places[0][FINDINGS_BEFORE_RECEIVER] = 10;
    findings_tell(&findings);
    assert_non_null(strstr(said, "10 of them before the receiver's host: not in its capture, so on the wire or in the sender's host"));
    said[0] = '\0';
    findings.places[0][FINDINGS_BEFORE_RECEIVER] = 0;
    findings.places[0][FINDINGS_AFTER_SENDER] = 10;
    findings_tell(&findings);
    assert_non_null(strstr(said, "10 of them behind the sender's host: in its capture, so on the wire or in the receiver's host"));
}

static void of_an_unknown_place_it_is_said_which_side_of_the_capture_it_is(void **state)
{
    struct link_entry entry = {.number = 7};
    struct analysis_loss loss = {.entry = &entry};

    (void)state;
    loss.link = lose_ten(0, 0, 0, 0);
    for (unsigned i = 0; i < 10; i++) {
        entry.is_missing = i < 6;
        findings_note_loss(&findings, &loss, FINDINGS_UNKNOWN);
    }
    findings_tell(&findings);
    assert_non_null(strstr(said, "10 of them at an unknown place (4 of these are in the capture, so behind where it was taken): "));
}

static void with_captures_of_both_hosts_no_further_one_is_asked_for(void **state)
{
    struct link *link;

    (void)state;
    link = lose_ten(0, 4, 0, 6);
    link->departures = calloc(2, sizeof *link->departures);
    findings_tell(&findings);
    assert_non_null(strstr(said, "10 lost, 4 of them on the wire: "));
    assert_non_null(strstr(said, "; 6 of them at an unknown place: the sender's capture lacks them: capture with a larger -B"));
    assert_null(strstr(said, "both hosts"));
}

static void where_only_large_ones_are_lost_the_size_is_named_and_no_cable(void **state)
{
    struct link *link = lose_ten(0, 0, 0, 0);

    (void)state;
    link->counts.lost = 0;
    for (unsigned i = 0; i < 200; i++)
        i % 20 == 0 ? sizes_lost(&link->sizes, 1452) : sizes_arrived(&link->sizes, 100);
    findings_tell(&findings);
    assert_string_equal(said_severity, "warning");
    assert_non_null(strstr(said, "only large datagrams are lost on the way: 10 of 1452 bytes or more, and none smaller; meanwhile no other "
                                 "so large arrived, and 171 smaller ones: something on the path carries less"));
    said[0] = '\0';
    link->counts.lost = findings.places[0][FINDINGS_WIRE] = 10;
    findings.on_finding = on_first_finding;
    findings_tell(&findings);
    assert_non_null(strstr(said, "10 of them on the wire: they left and did not arrive: only large ones, see below"));
}

/* The receiver tells how many of the numbers that the capture lacks were lost, not which. */
static void losses_are_said_to_be_guessed_where_the_capture_has_gaps(void **state)
{
    struct link *link;

    (void)state;
    add_link(0, 1, 10000);
    link = analysis.links.links[0];
    link->counts.lost = link->counts.lost_counted = 2;
    analysis.sum.not_captured = 7;
    findings_tell(&findings);
    assert_null(strstr(said, "certain")); /* the gaps are of another link */
    said[0] = '\0';
    link->counts.not_captured = 7;
    findings_tell(&findings);
    assert_non_null(strstr(said, "7 datagrams arrived and are not in the capture"));
    assert_non_null(
        strstr(said, "of 2 lost ones that are not in it either, the number and place may be another's: only the count is certain"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_slow_link_is_named_not_its_host, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_link_slow_both_ways_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_slow_link_of_several_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(of_two_ranks_one_direction_is_compared_with_the_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_host_is_slow_if_no_link_of_it_stands_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_queue_in_its_own_host_is_named_not_its_share, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_queue_much_shorter_than_the_waits_is_not_their_cause, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_one_way_times_either_is_possible, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_the_receiver_refuses_before_the_handshake_ends_is_lost_and_no_fault_of_its_host, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_lost_after_the_handshake_is_reported_without_that, set_up, tear_down),
        cmocka_unit_test_setup_teardown(losses_at_one_place_have_the_advice_for_that_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(losses_at_several_places_have_the_advice_for_each, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_place_that_one_capture_does_not_show_is_shown_by_two, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_one_capture_proves_is_said, set_up, tear_down),
        cmocka_unit_test_setup_teardown(of_an_unknown_place_it_is_said_which_side_of_the_capture_it_is, set_up, tear_down),
        cmocka_unit_test_setup_teardown(with_captures_of_both_hosts_no_further_one_is_asked_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(where_only_large_ones_are_lost_the_size_is_named_and_no_cable, set_up, tear_down),
        cmocka_unit_test_setup_teardown(losses_are_said_to_be_guessed_where_the_capture_has_gaps, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
