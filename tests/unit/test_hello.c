#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "net.h"

static void two_ranks_come_up_within_a_few_round_trips(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    net_start(net);
    net_run(net, 500 * NET_US);
    assert_int_equal(net->events[0][MESH_EVENT_UP], 1);
    assert_int_equal(net->events[1][MESH_EVENT_UP], 1);
    net_free(net);
}

static bool drop_first_five(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    (void)net, (void)from, (void)to, (void)bytes;
    return message->header.number <= 5;
}

static void hellos_are_repeated_with_growing_delay_until_answered(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    net->drop = drop_first_five;
    net_start(net);
    net_run(net, 70 * NET_MS); /* 0, 5, 15, 35, 75 */
    assert_int_equal(net->sent[0][MESH_TYPE_HELLO], 4);
    assert_int_equal(net->events[0][MESH_EVENT_UP], 0);
    net_run(net, 200 * NET_MS);
    assert_int_equal(net->events[0][MESH_EVENT_UP], 1);
    assert_int_equal(net->events[1][MESH_EVENT_UP], 1);
    net_free(net);
}

static bool drop_all(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    (void)net, (void)from, (void)to, (void)message, (void)bytes;
    return true;
}

static void hellos_are_repeated_every_200_milliseconds_in_the_end(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    net->drop = drop_all;
    net_start(net);
    net_run(net, 2000 * (uint64_t)NET_MS); /* 0, 5, 15, 35, 75, 155, 315, 515, ... 1915 */
    assert_int_equal(net->sent[0][MESH_TYPE_HELLO], 15);
    net_free(net);
}

/* Start two ranks whose configurations were made to differ: neither comes up, and both report why. */
static void expect_refusal(struct net *net, const char *reason0, const char *reason1)
{
    net_start(net);
    net_run(net, 100 * NET_MS);
    assert_int_equal(net->events[0][MESH_EVENT_UP] + net->events[1][MESH_EVENT_UP], 0);
    assert_int_equal(net->events[0][MESH_EVENT_REFUSED], 1);
    assert_int_equal(net->events[1][MESH_EVENT_REFUSED], 1);
    assert_string_equal(strstr(net->reason[0], "its "), reason0);
    assert_string_equal(strstr(net->reason[1], "its "), reason1);
    assert_memory_equal(net->reason[0], "rank 1", 6);
    assert_memory_equal(net->reason[1], "rank 0", 6);
    net_free(net);
}

static void another_version_is_refused_in_words_on_both_sides(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    net->config[1].version = 2;
    expect_refusal(net, "its protocol version is 2, this node's is 1: run one release everywhere",
                   "its protocol version is 1, this node's is 2: run one release everywhere");
}

static void another_epoch_is_refused_in_words_on_both_sides(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    net->config[1].epoch = 8;
    expect_refusal(net, "its epoch is 8, this node's is 7: start all nodes for the same epoch",
                   "its epoch is 7, this node's is 8: start all nodes for the same epoch");
}

static void another_model_is_refused_in_words_on_both_sides(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    memset(net->config[1].fingerprint, 0xab, 32);
    expect_refusal(net, "its model fingerprint is abababababababab, this node's is f1f1f1f1f1f1f1f1: give all nodes the same model file",
                   "its model fingerprint is f1f1f1f1f1f1f1f1, this node's is abababababababab: give all nodes the same model file");
}

static void another_configuration_is_refused_in_words_on_both_sides(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    net->config[0].configuration[31] = 1; /* beyond what is shown */
    expect_refusal(net,
                   "its configuration hash is c0c0c0c0c0c0c0c0, this node's is c0c0c0c0c0c0c0c0: start all nodes with the same options",
                   "its configuration hash is c0c0c0c0c0c0c0c0, this node's is c0c0c0c0c0c0c0c0: start all nodes with the same options");
}

static void another_phase_count_is_refused_in_words_on_both_sides(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    net->config[0].phase_count = 9;
    expect_refusal(net, "its phases per step is 5, this node's is 9: give all nodes the same model",
                   "its phases per step is 9, this node's is 5: give all nodes the same model");
}

static void a_refused_peer_that_is_started_anew_and_fits_comes_up(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    memset(net->config[1].fingerprint, 0xab, 32);
    net_start(net);
    net_run(net, 20 * NET_MS);
    assert_int_equal(net->events[0][MESH_EVENT_REFUSED], 1);
    memset(net->config[1].fingerprint, 0xf1, 32);
    net->config[1].incarnation[0] = 99;
    net_restart(net, 1);
    net_run(net, 100 * NET_MS);
    assert_int_equal(net->events[0][MESH_EVENT_UP], 1);
    assert_int_equal(net->events[1][MESH_EVENT_UP], 1);
    net_free(net);
}

static void a_process_that_restarts_within_the_epoch_is_refused(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    net_up(net);
    net->config[1].incarnation[0] = 99;
    net_restart(net, 1);
    net_run(net, 100 * NET_MS);
    assert_int_equal(net->events[0][MESH_EVENT_REFUSED], 1);
    assert_int_equal(net->events[1][MESH_EVENT_REFUSED], 1);
    assert_non_null(strstr(net->reason[0], "it restarted"));
    assert_int_equal(net->events[1][MESH_EVENT_UP], 0);
    net_free(net);
}

/* A recorded answer of an earlier process brings no rank up, since it does not echo this process's nonce. */
static void an_old_answer_brings_nobody_up(void **state)
{
    struct net *net = net_new(2);
    struct mesh_output output;
    uint8_t old[1500], other[1500];
    size_t old_bytes;

    (void)state;
    net_start(net);
    mesh_tick(net->mesh[0], net->now_ns);
    assert_true(mesh_next_datagram(net->mesh[0], net->now_ns, other, sizeof other, &output));
    assert_int_equal(mesh_receive(net->mesh[1], net->now_ns, net_addr(0), other, output.bytes), 0);
    assert_true(mesh_next_datagram(net->mesh[1], net->now_ns, old, sizeof old, &output));
    assert_int_equal(old[3], MESH_TYPE_HELLO_ACK);
    old_bytes = output.bytes;
    net->config[0].incarnation[3] = 77;
    net_restart(net, 0);
    mesh_tick(net->mesh[0], net->now_ns);
    assert_int_equal(mesh_receive(net->mesh[0], net->now_ns, net_addr(1), old, old_bytes), MESH_ESTATE);
    net_flush(net);
    assert_int_equal(net->events[0][MESH_EVENT_UP], 0);
    net_free(net);
}

/* Replaying a rank's HELLO cannot make a dead rank seem alive, and gets no second answer. */
static void a_hello_that_is_played_back_is_no_sign_of_life(void **state)
{
    struct net *net = net_new(2);
    struct mesh_peer_stats stats;
    struct mesh_output output;
    uint8_t hello[1500];
    size_t bytes;

    (void)state;
    net_start(net);
    mesh_tick(net->mesh[0], net->now_ns);
    assert_true(mesh_next_datagram(net->mesh[0], net->now_ns, hello, sizeof hello, &output));
    assert_int_equal(hello[3], MESH_TYPE_HELLO);
    bytes = output.bytes;
    assert_int_equal(mesh_receive(net->mesh[1], net->now_ns, net_addr(0), hello, bytes), 0);
    net_run(net, 300 * NET_MS);
    assert_int_equal(net->events[1][MESH_EVENT_UP], 1);
    net->now_ns += 50 * NET_MS; /* rank 0 sends nothing any more */
    mesh_tick(net->mesh[1], net->now_ns);
    mesh_get_peer_stats(net->mesh[1], 0, &stats);
    const uint64_t silent_ns = stats.silent_ns, duplicate = stats.duplicate;
    const unsigned answers = net->sent[1][MESH_TYPE_HELLO_ACK];
    for (int i = 0; i < 3; i++)
        assert_int_equal(mesh_receive(net->mesh[1], net->now_ns, net_addr(0), hello, bytes), MESH_EDUPLICATE);
    net_flush(net);
    mesh_get_peer_stats(net->mesh[1], 0, &stats);
    assert_int_equal(stats.silent_ns, silent_ns);
    assert_int_equal(stats.duplicate, duplicate + 3);
    assert_int_equal(net->sent[1][MESH_TYPE_HELLO_ACK], answers);
    net_free(net);
}

static void a_stranger_is_told_that_its_address_is_not_known(void **state)
{
    struct net *net = net_new(3);
    struct mesh_output output;
    uint8_t packet[1500];

    (void)state;
    net_start(net);
    mesh_tick(net->mesh[0], net->now_ns);
    assert_true(mesh_next_datagram(net->mesh[0], net->now_ns, packet, sizeof packet, &output));
    assert_int_equal(mesh_receive(net->mesh[1], net->now_ns, net_addr(77), packet, output.bytes), MESH_ESENDER);
    assert_true(mesh_next_datagram(net->mesh[1], net->now_ns, packet, sizeof packet, &output));
    assert_int_equal(output.ranks, 0);
    assert_int_equal(output.addr.port, 77);
    assert_int_equal(packet[3], MESH_TYPE_REFUSE);
    assert_int_equal(mesh_receive(net->mesh[0], net->now_ns, net_addr(1), packet, output.bytes), 0);
    net_flush(net);
    assert_string_equal(net->reason[0], "rank 1 does not know this node's address for its rank: give all nodes the same list of members");
    net_free(net);
}

/* Rank 0 receives a REFUSE of rank 1. */
static int refuse(struct net *net, uint16_t reason, uint64_t nonce)
{
    struct mesh_message message = {.header = {.magic = MESH_WIRE_MAGIC,
                                              .version = MESH_WIRE_VERSION,
                                              .type = MESH_TYPE_REFUSE,
                                              .src = 1,
                                              .epoch = 7,
                                              .number = 1,
                                              .have_step = MESH_STEP_NONE},
                                   .as.refuse = {.reason = reason, .nonce = nonce}};
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN];
    size_t bytes = mesh_wire_encode(&message, packet, sizeof packet);

    return mesh_receive(net->mesh[0], net->now_ns, net_addr(1), packet, bytes);
}

/* It is of an earlier process, or made up: it names neither the nonce of a HELLO that this rank sends, nor, where the refusing rank could
 * not read that, a number that this rank has sent. */
static void a_refusal_of_what_was_not_sent_is_dropped(void **state)
{
    static const uint16_t early[] = {MESH_REFUSE_VERSION, MESH_REFUSE_EPOCH, MESH_REFUSE_STRANGER};
    struct mesh_output output;
    struct mesh_message hello;
    uint8_t packet[1500];

    (void)state;
    for (unsigned i = 0; i <= 3; i++) {
        const uint16_t reason = i < 3 ? early[i] : MESH_REFUSE_FINGERPRINT;
        struct net *net = net_new(2);

        net_start(net);
        mesh_tick(net->mesh[0], net->now_ns);
        assert_true(mesh_next_datagram(net->mesh[0], net->now_ns, packet, sizeof packet, &output));
        assert_int_equal(mesh_wire_decode(packet, output.bytes, &hello), 0);
        const uint64_t right = i < 3 ? hello.header.number : hello.as.hello.nonce;
        const uint64_t wrong = i < 3 ? right + 1 : hello.header.number;
        assert_int_equal(refuse(net, reason, wrong), MESH_ESTATE);
        net_flush(net);
        assert_int_equal(net->events[0][MESH_EVENT_REFUSED], 0);
        assert_int_equal(refuse(net, reason, right), 0);
        net->drop = drop_all;
        net_run(net, 10 * 1000 * (uint64_t)NET_MS);
        assert_int_equal(net->events[0][MESH_EVENT_REFUSED], 1);
        assert_in_range(net->sent[0][MESH_TYPE_HELLO], 10, 13); /* about once a second, when it has been refused */
        net_free(net);
    }
}

static void refusals_without_end_leave_room_for_other_events(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    net_up(net);
    for (unsigned i = 0; i < 5000; i++)
        assert_int_equal(refuse(net, i % 2 ? MESH_REFUSE_EPOCH : MESH_REFUSE_STRANGER, 1), 0);
    mesh_goodbye(net->mesh[1], net->now_ns);
    net_run(net, NET_MS);
    assert_in_range(net->events[0][MESH_EVENT_REFUSED], 1, 2048 - 64);
    assert_int_equal(net->events[0][MESH_EVENT_GONE], 1);
    net_free(net);
}

/* A HELLO of a past epoch that was on the way for long is refused, with a number of the space of all else to this rank. */
static void a_refusal_by_a_peer_that_is_up_is_no_loss(void **state)
{
    struct net *net = net_new(2);
    struct mesh_message hello = {.header = {.magic = MESH_WIRE_MAGIC,
                                            .version = MESH_WIRE_VERSION,
                                            .type = MESH_TYPE_HELLO,
                                            .dst = 1,
                                            .epoch = 6,
                                            .number = 1,
                                            .have_step = MESH_STEP_NONE},
                                 .as.hello = {.rank_count = 2, .phase_count = 1, .datagram_bytes = 1200, .window_bytes = 1, .nonce = 1}};
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN];
    size_t bytes = mesh_wire_encode(&hello, packet, sizeof packet);
    struct mesh_peer_stats before, after;

    (void)state;
    net_up(net);
    mesh_get_peer_stats(net->mesh[0], 1, &before);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(mesh_receive(net->mesh[1], net->now_ns, net_addr(0), packet, bytes), MESH_EEPOCH);
        net_run(net, NET_MS);
    }
    net_run(net, 500 * NET_MS); /* pings show later numbers */
    mesh_get_peer_stats(net->mesh[0], 1, &after);
    assert_int_equal(net->sent[1][MESH_TYPE_REFUSE], 10);
    assert_int_equal(after.lost, before.lost);
    net_free(net);
}

/* On a path that loses nothing, up to a moment when nothing is on its way. */
static void what_is_received_counts_as_it_was_sent_hellos_included(void **state)
{
    struct net *net = net_new(2);
    struct mesh_peer_stats stats[2];

    (void)state;
    net_start(net);
    net_run(net, 150 * NET_MS);
    mesh_get_peer_stats(net->mesh[0], 1, &stats[0]);
    mesh_get_peer_stats(net->mesh[1], 0, &stats[1]);
    for (unsigned rank = 0; rank < 2; rank++) {
        assert_int_equal(stats[rank].datagrams_received, stats[1 - rank].datagrams_sent);
        assert_int_equal(stats[rank].bytes_received, stats[1 - rank].bytes_sent);
    }
    net_free(net);
}

static bool drop_hellos_of_rank_1(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    (void)net, (void)to, (void)bytes;
    return from == 1 && message->header.type == MESH_TYPE_HELLO;
}

/* Rank 0 is up for rank 1 only when rank 1 has its own nonce back, however it was brought up itself. */
static void what_follows_the_answer_that_brings_a_peer_up_is_not_refused(void **state)
{
    struct net *net = net_new(2);
    struct mesh_peer_stats stats;

    (void)state;
    net->drop = drop_hellos_of_rank_1;
    net_start(net);
    net_run(net, 100 * NET_MS);
    assert_int_equal(net->events[0][MESH_EVENT_UP], 1);
    assert_int_equal(net->events[1][MESH_EVENT_UP], 1);
    assert_true(net->sent[0][MESH_TYPE_PING] > 0);
    mesh_get_peer_stats(net->mesh[1], 0, &stats);
    assert_int_equal(stats.refused, 0);
    assert_int_equal(stats.lost, 0);
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_ranks_come_up_within_a_few_round_trips),
        cmocka_unit_test(what_is_received_counts_as_it_was_sent_hellos_included),
        cmocka_unit_test(hellos_are_repeated_with_growing_delay_until_answered),
        cmocka_unit_test(hellos_are_repeated_every_200_milliseconds_in_the_end),
        cmocka_unit_test(another_version_is_refused_in_words_on_both_sides),
        cmocka_unit_test(another_epoch_is_refused_in_words_on_both_sides),
        cmocka_unit_test(another_model_is_refused_in_words_on_both_sides),
        cmocka_unit_test(another_configuration_is_refused_in_words_on_both_sides),
        cmocka_unit_test(another_phase_count_is_refused_in_words_on_both_sides),
        cmocka_unit_test(a_refused_peer_that_is_started_anew_and_fits_comes_up),
        cmocka_unit_test(a_process_that_restarts_within_the_epoch_is_refused),
        cmocka_unit_test(an_old_answer_brings_nobody_up),
        cmocka_unit_test(a_hello_that_is_played_back_is_no_sign_of_life),
        cmocka_unit_test(a_stranger_is_told_that_its_address_is_not_known),
        cmocka_unit_test(a_refusal_of_what_was_not_sent_is_dropped),
        cmocka_unit_test(a_refusal_by_a_peer_that_is_up_is_no_loss),
        cmocka_unit_test(refusals_without_end_leave_room_for_other_events),
        cmocka_unit_test(what_follows_the_answer_that_brings_a_peer_up_is_not_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
