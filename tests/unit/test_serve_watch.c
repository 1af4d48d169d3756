/* Telemetry of simulated nodes: the same code as in real ones, in virtual time. All reports to a watcher are checked as they arrive
 * (simwatch.h), so a test states only the events and their required outcome. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/engine/engine_time.h"
#include "simserve.h"

enum { FOUR = 4, WATCHED = 1, INTERVAL_MS = 100, LONG_MS = 60000 };

static struct simserve serve; /* too large for the stack */
static unsigned question;     /* one with a long answer */

static int open_four(void **state)
{
    const struct simserve_config config = {.count = FOUR,
                                           .seed = 1,
                                           .batch = 8,
                                           .slots = 4,
                                           .datagram_bytes = 1472,
                                           .unit_ns = SIMMEMBERS_MS,
                                           .load_ns = 100000,
                                           .link = {.delay_ns = 100000}};

    (void)state;
    for (unsigned q = 0; q < SIMQUESTIONS; q++)
        if (simquestion(0, q)->alone.token_count > simquestion(0, question)->alone.token_count)
            question = q;
    simserve_open(&serve, &config);
    simserve_form(&serve);
    return 0;
}

static int close_four(void **state)
{
    (void)state;
    simserve_close(&serve);
    return 0;
}

static void expect_holds(bool holds)
{
    if (serve.members.error[0] != '\0')
        fail_msg("%s", serve.members.error);
    assert_true(holds);
}

static void watch_for(uint16_t lease_ms)
{
    const struct mesh_telemetry_watch wish = {INTERVAL_MS, lease_ms, MESH_TELEMETRY_ALL};

    assert_true(simserve_watch(&serve, WATCHED, 0, &wish));
}

static void run_ms(unsigned ms)
{
    expect_holds(simserve_run(&serve, ms * SIMMEMBERS_MS));
}

static void answer_a_question(void)
{
    assert_true(simserve_ask(&serve, 2, question) >= 0);
    expect_holds(simserve_run_until(&serve, simserve_is_settled, 20 * SIMMEMBERS_S));
}

/* What the watcher has received of the process at a place. */
static const struct simwatch_heard *heard_of(uint16_t place)
{
    const struct simwatch_heard *heard = simwatch_find(&serve.watcher[0].watch, serve.members.at[place].config.incarnation);

    assert_non_null(heard);
    return heard;
}

static uint16_t rank_at(uint16_t place)
{
    return serve.members.at[place].rank;
}

static void one_node_tells_of_all_at_the_interval_that_is_wished(void **state)
{
    (void)state;
    watch_for(LONG_MS);
    run_ms(3000);
    for (uint16_t place = 0; place < FOUR; place++) {
        assert_in_range(heard_of(place)->reports, 26, 32);
        assert_int_equal(heard_of(place)->node.members, FOUR);
        assert_int_equal(heard_of(place)->head.rank, rank_at(place));
    }
}

static void without_a_watcher_nothing_of_it_is_sent(void **state)
{
    (void)state;
    answer_a_question();
    assert_true(serve.looks == 0 && serve.reports == 0);
}

static void when_the_lease_is_over_all_fall_silent(void **state)
{
    uint64_t sent;

    (void)state;
    watch_for(1000);
    run_ms(1000 + 3500 + 200); /* then the leases at the other nodes end, too */
    sent = serve.looks + serve.reports;
    assert_true(sent > 0);
    run_ms(5000);
    assert_true(serve.looks + serve.reports == sent);
}

static void when_the_watcher_says_it_is_done_all_fall_silent_at_once(void **state)
{
    uint64_t sent;

    (void)state;
    watch_for(LONG_MS);
    run_ms(1000);
    simserve_end_watches(&serve);
    run_ms(20);
    sent = serve.looks + serve.reports;
    run_ms(3000);
    assert_true(serve.looks + serve.reports == sent);
}

static void what_is_told_is_what_the_nodes_count(void **state)
{
    (void)state;
    watch_for(LONG_MS);
    answer_a_question();
    run_ms(500);
    for (uint16_t place = 0; place < FOUR; place++) {
        const struct simwatch_heard *heard = heard_of(place);
        struct engine_figures figures;
        struct mesh_peer_stats peer;

        engine_figures(serve.node[place].run->engine, &figures);
        assert_true(heard->node.tokens == figures.tokens && figures.tokens == simquestion(0, question)->alone.token_count);
        assert_true(heard->node.steps == figures.steps && heard->node.compute_ns == figures.compute_ns);
        for (uint16_t r = 0; r < FOUR; r++) {
            if (r == rank_at(place))
                continue;
            mesh_get_peer_stats(serve.node[place].run->mesh, r, &peer);
            assert_true(peer.tiles_received > 0 && heard->link[r].tiles_received == peer.tiles_received);
            assert_true(heard->link[r].tiles_sent == peer.tiles_sent);
            assert_true(heard->latencies[r][MESH_LATENCY_ONE_WAY] == mesh_tile_latency(serve.node[place].run->mesh, r)->count);
        }
    }
    assert_int_equal(heard_of(2)->node.requests_begun, 1);
    assert_int_equal(heard_of(2)->node.answer_tokens, simquestion(0, question)->alone.token_count);
}

static void loss_on_one_way_of_one_link_shows_there_and_nowhere_else(void **state)
{
    const struct mesh_sim_link lossy = {.delay_ns = 100000, .loss_ppm = 50000};

    (void)state;
    mesh_sim_set_link(serve.members.sim, 3, 0, &lossy);
    watch_for(LONG_MS);
    answer_a_question();
    run_ms(500);
    for (uint16_t from = 0; from < FOUR; from++)
        for (uint16_t to = 0; to < FOUR; to++)
            if (from != to)
                assert_true((heard_of(to)->link[rank_at(from)].lost > 0) == (from == 3 && to == 0));
}

/* The time for which all nodes have waited for the one at a place. */
static uint64_t waited_for(uint16_t place)
{
    uint64_t sum_ns = 0;

    for (uint16_t by = 0; by < FOUR; by++)
        if (by != place)
            sum_ns += heard_of(by)->link[rank_at(place)].waited_ns;
    return sum_ns;
}

static void a_slow_node_is_the_one_that_the_others_wait_for(void **state)
{
    (void)state;
    simserve_slow(&serve, 2, 10);
    watch_for(LONG_MS);
    answer_a_question();
    run_ms(500);
    for (uint16_t place = 0; place < FOUR; place++)
        if (place != 2)
            assert_true(waited_for(2) > waited_for(place));
}

static void when_a_member_dies_the_others_are_told_of_in_their_new_epoch(void **state)
{
    const uint32_t number = serve.members.at[WATCHED].number;
    uint64_t reports;

    (void)state;
    watch_for(LONG_MS);
    assert_true(simserve_ask(&serve, 2, question) >= 0);
    run_ms(300);
    simserve_crash(&serve, 3);
    run_ms(1000);
    reports = heard_of(0)->reports;
    run_ms(1000);
    for (uint16_t place = 0; place < 3; place++) {
        assert_true(heard_of(place)->head.epoch > number);
        assert_int_equal(heard_of(place)->node.members, 3);
    }
    assert_in_range(heard_of(0)->reports - reports, 8, 12);
}

/* ---- the harness ---- */

static const char *take_made(struct simwatch *watch, uint32_t epoch, uint32_t serial, uint64_t steps)
{
    const struct mesh_telemetry_head head = {
        .version = MESH_TELEMETRY_VERSION, .incarnation = {1}, .epoch = epoch, .serial = serial, .now_ns = serial};
    const struct mesh_telemetry_item item = {.kind = MESH_TELEMETRY_NODE, .node = {.members = 2, .epoch_number = epoch, .steps = steps}};
    uint8_t piece[MESH_TELEMETRY_PIECE_BYTES_MAX], record[MESH_TELEMETRY_REPORT_OVERHEAD_BYTES + sizeof piece];
    struct mesh_telemetry_report report = {.piece = piece};
    struct mesh_telemetry_writer writer;

    mesh_telemetry_begin(&writer, piece, sizeof piece, &head);
    assert_true(mesh_telemetry_put(&writer, &item));
    report.piece_bytes = writer.used;
    return simwatch_take(watch, 1, record, mesh_telemetry_write_report(&report, record));
}

static void what_does_not_hold_is_noticed(void **state)
{
    static struct simwatch watch;

    (void)state;
    assert_null(take_made(&watch, 5, 10, 100));
    assert_null(take_made(&watch, 5, 11, 100));
    assert_null(take_made(&watch, 6, 12, 3)); /* another epoch begins at 0 */
    assert_non_null(take_made(&watch, 6, 11, 3));
    assert_non_null(take_made(&watch, 7, 12, 3));
    assert_non_null(take_made(&watch, 5, 13, 3));
    assert_string_equal(take_made(&watch, 6, 13, 2), "mesh_steps_total");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_node_tells_of_all_at_the_interval_that_is_wished, open_four, close_four),
        cmocka_unit_test_setup_teardown(without_a_watcher_nothing_of_it_is_sent, open_four, close_four),
        cmocka_unit_test_setup_teardown(when_the_lease_is_over_all_fall_silent, open_four, close_four),
        cmocka_unit_test_setup_teardown(when_the_watcher_says_it_is_done_all_fall_silent_at_once, open_four, close_four),
        cmocka_unit_test_setup_teardown(what_is_told_is_what_the_nodes_count, open_four, close_four),
        cmocka_unit_test_setup_teardown(loss_on_one_way_of_one_link_shows_there_and_nowhere_else, open_four, close_four),
        cmocka_unit_test_setup_teardown(a_slow_node_is_the_one_that_the_others_wait_for, open_four, close_four),
        cmocka_unit_test_setup_teardown(when_a_member_dies_the_others_are_told_of_in_their_new_epoch, open_four, close_four),
        cmocka_unit_test(what_does_not_hold_is_noticed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
