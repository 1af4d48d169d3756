#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "libmesh/core/core.h"
#include "net.h"

static struct mesh_peer_stats stats_of(struct net *net, uint16_t rank, uint16_t peer)
{
    struct mesh_peer_stats stats;

    mesh_get_peer_stats(net->mesh[rank], peer, &stats);
    return stats;
}

#define NET_S (UINT64_C(1000) * NET_MS)

static void rtt_and_clock_offset_are_measured(void **state)
{
    struct net *net = net_new(2);
    struct mesh_peer_stats stats;

    (void)state;
    net_up(net);
    stats = stats_of(net, 0, 1);
    assert_true(stats.is_up);
    assert_int_equal(stats.rtt_ns_min, 200 * NET_US);
    assert_int_equal(stats.rtt_ns_smoothed, 200 * NET_US);
    assert_int_equal(stats.clock_offset_ns, 0);
    net_free(net);
}

static uint64_t delay_one_way(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message)
{
    (void)net, (void)to, (void)message;
    return from == 0 ? 40 * NET_US : 0;
}

/* An asymmetric path looks like an offset of half the difference: no protocol can tell them apart. */
static void an_asymmetric_path_looks_like_an_offset(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    net->delay = delay_one_way;
    net_up(net);
    assert_int_equal(stats_of(net, 0, 1).rtt_ns_min, 240 * NET_US);
    assert_int_equal(stats_of(net, 0, 1).clock_offset_ns, 20 * NET_US);
    assert_int_equal(stats_of(net, 1, 0).clock_offset_ns, -20 * NET_US);
    net_free(net);
}

/* For two seconds the way there has a queue. */
static uint64_t delay_a_while(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message)
{
    (void)to, (void)message;
    return from == 0 && net->now_ns % (10 * NET_S) >= 5 * NET_S && net->now_ns % (10 * NET_S) < 7 * NET_S ? NET_MS : 0;
}

static void a_queue_that_passes_is_no_offset(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    net->delay = delay_a_while;
    net_up(net);
    for (int i = 0; i < 100; i++) {
        net_run(net, 100 * NET_MS);
        assert_in_range(stats_of(net, 0, 1).clock_offset_ns + 10 * NET_US, 0, 20 * NET_US);
    }
    assert_int_equal(stats_of(net, 0, 1).clock_error_ns, 100 * NET_US);
    net_free(net);
}

/* What a drop rule returns whose datagram comes with other fields. */
static bool deliver_instead(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *changed, size_t bytes)
{
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN];

    assert_int_equal(mesh_wire_encode(changed, packet, sizeof packet), bytes);
    net->now_ns += net->delay_ns;
    assert_int_equal(mesh_receive(net->mesh[to], net->now_ns, net_addr(from), packet, bytes), 0);
    return true;
}

/* A PONG's times near the largest number: only their difference is bounded by this rank's measurements. */
static bool move_the_clock_of_rank_1(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    struct mesh_message moved = *message;

    if (from != 1 || message->header.type != MESH_TYPE_PONG)
        return false;
    moved.as.pong.received_ns = INT64_MAX - 1000;
    moved.header.sent_ns = INT64_MAX - 900;
    return deliver_instead(net, from, to, &moved, bytes);
}

/* Rank 1's clock gains 30 millionths. */
static int64_t gained(const struct net *net)
{
    return (int64_t)(net->now_ns / NET_MS * 30);
}

static bool let_the_clock_of_rank_1_gain(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    struct mesh_message moved = *message;

    if (from != 1 || message->header.type != MESH_TYPE_PONG)
        return false;
    moved.as.pong.received_ns += (uint64_t)gained(net);
    moved.header.sent_ns += (uint64_t)gained(net);
    return deliver_instead(net, from, to, &moved, bytes);
}

static uint64_t delay_later(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message)
{
    (void)from, (void)to, (void)message;
    return net->now_ns > 10 * NET_S ? 60 * NET_US : 0;
}

/* The path was never as fast again as at the start. */
static void an_offset_follows_clocks_that_drift(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    net->delay = delay_later;
    net->drop = let_the_clock_of_rank_1_gain;
    net_up(net);
    for (int s = 0; s < 60; s++) {
        int64_t wrong;

        net_run(net, NET_S);
        wrong = stats_of(net, 0, 1).clock_offset_ns - gained(net);
        assert_true(wrong > -150 * (int64_t)NET_US && wrong < 150 * (int64_t)NET_US);
        assert_true(wrong <= (int64_t)stats_of(net, 0, 1).clock_error_ns && -wrong <= (int64_t)stats_of(net, 0, 1).clock_error_ns);
        assert_true(s < 10 || (wrong > -5 * (int64_t)NET_US && wrong < 35 * (int64_t)NET_US)); /* only PINGs take 60 us more */
    }
    assert_true(stats_of(net, 0, 1).rtt_ns_min < stats_of(net, 0, 1).rtt_ns_smoothed);
    net_free(net);
}

static void every_word_of_a_clock_is_in_the_hash_of_the_state(void **state)
{
    struct net *net = net_new(2);
    uint64_t words[sizeof(struct mesh_peer_clock) / sizeof(uint64_t)];

    (void)state;
    net_up(net);
    memcpy(words, &net->mesh[0]->peers[1].clock, sizeof words);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        const uint32_t before = mesh_state_hash(net->mesh[0]);

        words[i] ^= 1;
        memcpy(&net->mesh[0]->peers[1].clock, words, sizeof words);
        assert_true(mesh_state_hash(net->mesh[0]) != before);
    }
    net_free(net);
}

static void a_clock_as_far_away_as_63_bits_allow_is_measured(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    net->drop = move_the_clock_of_rank_1;
    net_start(net);
    net_run(net, 5 * NET_MS);
    assert_true(stats_of(net, 0, 1).rtt_ns_min > 0);
    assert_true(stats_of(net, 0, 1).clock_offset_ns > INT64_MAX - 10 * NET_MS);
    net_free(net);
}

/* V. Jacobson's averages: an eighth of each new round trip, a quarter of its distance. */
static void rtt_and_its_deviation_follow_the_path(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    net_up(net);
    const struct mesh_peer *peer = &net->mesh[0]->peers[1];
    const uint64_t one_way_ns[] = {300 * NET_US, 50 * NET_US, 50 * NET_US, 700 * NET_US};
    uint64_t rtt_ns = peer->rtt_ns, deviation_ns = peer->rtt_deviation_ns;
    for (unsigned i = 0; i < sizeof one_way_ns / sizeof *one_way_ns; i++) {
        const uint64_t round_ns = 2 * one_way_ns[i];

        net->delay_ns = one_way_ns[i];
        deviation_ns = (3 * deviation_ns + (round_ns > rtt_ns ? round_ns - rtt_ns : rtt_ns - round_ns)) / 4;
        rtt_ns = (7 * rtt_ns + round_ns) / 8;
        net_run(net, 200 * NET_MS);
        assert_int_equal(peer->rtt_ns, rtt_ns);
        assert_int_equal(peer->rtt_deviation_ns, deviation_ns);
    }
    assert_int_equal(stats_of(net, 0, 1).rtt_ns_min, 100 * NET_US);
    net_free(net);
}

static bool lose_answers(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    (void)net, (void)to, (void)message, (void)bytes;
    return from == 1;
}

/* After 5 ms, then 10, 20, 40, and each 80; two of the pings are those of every 200 ms. */
static void a_report_that_does_not_come_is_asked_for_ever_less_often(void **state)
{
    struct net *net = net_new(2);
    struct net_gather gather;

    (void)state;
    net_up(net);
    net->drop = lose_answers;
    net_gather_init(net, &gather, 1, 0, 1, 30);
    assert_int_equal(net_gather_open(net, &gather, 0), 0);
    assert_int_equal(net_gather_publish(net, &gather, 0), 0);
    net_run(net, 76 * NET_MS);
    assert_in_range(net->sent[0][MESH_TYPE_PING], 4, 5);
    net_run(net, 320 * NET_MS);
    assert_in_range(net->sent[0][MESH_TYPE_PING], 9, 10);
    net_gather_release(net, &gather);
    net_free(net);
}

static bool hold_too_long(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    struct mesh_message held = *message;

    if (from != 1 || message->header.type != MESH_TYPE_PONG)
        return false;
    held.as.pong.received_ns = held.header.sent_ns - 3 * net->delay_ns; /* the whole round trip was 2 */
    return deliver_instead(net, from, to, &held, bytes);
}

static void a_peer_that_says_it_held_a_ping_longer_than_the_round_trip_measures_nothing(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    net->drop = hold_too_long;
    net_start(net);
    net_run(net, 5 * NET_MS);
    assert_int_equal(mesh_round_trips(net->mesh[0], 1)->count, 0);
    net_free(net);
}

static bool keep_pong(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    (void)to, (void)bytes;
    if (from == 1 && message->header.type == MESH_TYPE_PONG)
        *(struct mesh_message *)net->app = *message;
    return false;
}

/* Another answer of rank 1, with a number of its own, so that it is no duplicate. */
static int say_pong(struct net *net, struct mesh_message *pong)
{
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN];

    pong->header.number += 50;
    return mesh_receive(net->mesh[0], net->now_ns, net_addr(1), packet, mesh_wire_encode(pong, packet, sizeof packet));
}

static void a_ping_that_is_answered_again_or_was_never_sent_measures_nothing(void **state)
{
    struct net *net = net_new(2);
    struct mesh_message pong;

    (void)state;
    net->drop = keep_pong;
    net->app = &pong;
    net_up(net);
    const uint64_t count = mesh_round_trips(net->mesh[0], 1)->count;
    for (uint64_t later_ns = 0; later_ns <= 1; later_ns++) {
        pong.as.pong.origin_ns += later_ns;
        assert_int_equal(say_pong(net, &pong), 0);
        assert_int_equal(mesh_round_trips(net->mesh[0], 1)->count, count);
    }
    assert_int_equal(stats_of(net, 0, 1).rtt_ns_smoothed, 200 * NET_US);
    net_free(net);
}

static void an_answer_from_the_future_or_from_before_its_question_is_refused(void **state)
{
    struct net *net = net_new(2);
    struct mesh_message pong, wrong;

    (void)state;
    net->drop = keep_pong;
    net->app = &pong;
    net_up(net);
    wrong = pong;
    wrong.as.pong.origin_ns = net->now_ns + 1;
    assert_int_equal(say_pong(net, &wrong), MESH_ERANGE);
    wrong = pong;
    wrong.as.pong.received_ns = wrong.header.sent_ns + 1;
    assert_int_equal(say_pong(net, &wrong), MESH_ERANGE);
    net_free(net);
}

static void a_report_of_more_than_was_sent_is_refused(void **state)
{
    struct net *net = net_new(2);
    struct mesh_message pong, wrong;

    (void)state;
    net->drop = keep_pong;
    net->app = &pong;
    net_up(net);
    wrong = pong;
    wrong.as.pong.seen_all = net->mesh[0]->number_all + 1;
    assert_int_equal(say_pong(net, &wrong), MESH_ERANGE);
    wrong = pong;
    wrong.as.pong.seen_peer = net->mesh[0]->peers[1].number + 1;
    assert_int_equal(say_pong(net, &wrong), MESH_ERANGE);
    wrong.as.pong.seen_peer--;
    assert_int_equal(say_pong(net, &wrong), 0);
    net_free(net);
}

static void an_answer_grants_credit(void **state)
{
    struct net *net = net_new(2);
    struct mesh_message pong;

    (void)state;
    net->drop = keep_pong;
    net->app = &pong;
    net_up(net);
    pong.as.pong.window_bytes = 5555;
    assert_int_equal(say_pong(net, &pong), 0);
    assert_int_equal(net->mesh[0]->peers[1].window_bytes, 5555);
    net_free(net);
}

static void pings_become_rare(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    net_up(net);
    net_run(net, 2000 * (uint64_t)NET_MS);
    assert_in_range(net->sent[0][MESH_TYPE_PING], 9, 11);
    net_free(net);
}

static void goodbye_is_said_three_times_and_heard_once(void **state)
{
    struct net *net = net_new(3);

    (void)state;
    net_up(net);
    mesh_goodbye(net->mesh[2], net->now_ns);
    net_run(net, 10 * NET_MS);
    assert_int_equal(net->sent[2][MESH_TYPE_GOODBYE], 6);
    assert_int_equal(net->events[0][MESH_EVENT_GONE], 1);
    assert_int_equal(net->events[1][MESH_EVENT_GONE], 1);
    assert_false(stats_of(net, 0, 2).is_up);
    assert_true(mesh_timeout(net->mesh[2]) == UINT64_MAX);
    net_free(net);
}

static void whoever_has_left_is_owed_nothing(void **state)
{
    struct net *net = net_new(3);
    struct net_gather gather;

    (void)state;
    net_up(net);
    net_gather_init(net, &gather, 1, 0, 1, 30);
    gather.first[1] = gather.first[2] = 30; /* all of rank 0 */
    net_gather_fill(net, &gather, 0);
    net_gather_fill(net, &gather, 1);
    assert_int_equal(net_gather_open(net, &gather, 0), 0);
    assert_int_equal(net_gather_open(net, &gather, 1), 0);
    assert_int_equal(mesh_send_record(net->mesh[0], net->now_ns, 2, (const uint8_t *)"x", 1), 0);
    mesh_goodbye(net->mesh[2], net->now_ns);
    net_run(net, NET_MS);
    assert_int_equal(net_gather_publish(net, &gather, 0), 0);
    mesh_consume(net->mesh[0], net->now_ns, 1, 0);
    net_run(net, 20 * NET_MS);
    assert_true(mesh_is_quiet(net->mesh[0]));
    assert_int_equal(net->events[0][MESH_EVENT_FREED], 1);
    assert_int_equal(net->events[1][MESH_EVENT_COMPLETE], 1);
    net_gather_release(net, &gather);
    net_free(net);
}

static void the_latency_of_tiles_is_the_one_way_time(void **state)
{
    struct net *net = net_new(2);
    struct net_gather gather;

    (void)state;
    net_up(net);
    net_gather_init(net, &gather, 1, 0, 1, 30);
    assert_int_equal(net_gather_open(net, &gather, 0), 0);
    assert_int_equal(net_gather_open(net, &gather, 1), 0);
    assert_int_equal(net_gather_publish(net, &gather, 0), 0);
    net_run(net, NET_MS);
    assert_int_equal(mesh_tile_latency(net->mesh[1], 0)->count, 1);
    assert_int_equal(mesh_tile_latency(net->mesh[1], 0)->max_ns, 100 * NET_US);
    net_gather_release(net, &gather);
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rtt_and_clock_offset_are_measured),
        cmocka_unit_test(an_asymmetric_path_looks_like_an_offset),
        cmocka_unit_test(a_queue_that_passes_is_no_offset),
        cmocka_unit_test(an_offset_follows_clocks_that_drift),
        cmocka_unit_test(every_word_of_a_clock_is_in_the_hash_of_the_state),
        cmocka_unit_test(a_clock_as_far_away_as_63_bits_allow_is_measured),
        cmocka_unit_test(a_peer_that_says_it_held_a_ping_longer_than_the_round_trip_measures_nothing),
        cmocka_unit_test(a_ping_that_is_answered_again_or_was_never_sent_measures_nothing),
        cmocka_unit_test(an_answer_from_the_future_or_from_before_its_question_is_refused),
        cmocka_unit_test(a_report_of_more_than_was_sent_is_refused),
        cmocka_unit_test(an_answer_grants_credit),
        cmocka_unit_test(rtt_and_its_deviation_follow_the_path),
        cmocka_unit_test(a_report_that_does_not_come_is_asked_for_ever_less_often),
        cmocka_unit_test(pings_become_rare),
        cmocka_unit_test(goodbye_is_said_three_times_and_heard_once),
        cmocka_unit_test(whoever_has_left_is_owed_nothing),
        cmocka_unit_test(the_latency_of_tiles_is_the_one_way_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
