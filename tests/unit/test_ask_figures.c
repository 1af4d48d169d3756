#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/client/ask_figures.h"

static struct ask_figures figures;
static struct ask_summary summary;
static uint32_t serial;

/* What a node says of itself in one report. */
struct said {
    uint8_t who; /* its incarnation */
    uint16_t rank, members, threads;
    uint32_t epoch;
    uint64_t steps; /* each: 10 us with a step open, a position, 100 bytes in 2 datagrams to each other node */
    uint64_t tokens, compute_ns;
};

static void assert_near(double value, double expected)
{
    assert_true(fabs(value - expected) < 1e-9);
}

static int set_up(void **state)
{
    (void)state;
    memset(&figures, 0, sizeof figures);
    serial = 0;
    return 0;
}

static void begin_piece(struct mesh_telemetry_writer *writer, uint8_t *piece, size_t capacity, const struct said *said)
{
    struct mesh_telemetry_head head = {.version = MESH_TELEMETRY_VERSION, .rank = said->rank, .epoch = said->epoch, .serial = serial};

    memset(head.incarnation, said->who, sizeof head.incarnation);
    mesh_telemetry_begin(writer, piece, capacity, &head);
}

static void take_piece(const struct mesh_telemetry_writer *writer)
{
    const struct mesh_telemetry_report report = {.piece = writer->bytes, .piece_bytes = writer->used};
    uint8_t record[MESH_TELEMETRY_REPORT_OVERHEAD_BYTES + MESH_TELEMETRY_PIECE_BYTES_MAX];

    assert_true(ask_figures_take(&figures, record, mesh_telemetry_write_report(&report, record)));
}

/* A report in pieces of at most `most` items; of these all but the ones with a bit in lost come, and as often as times says. */
static void report_in_pieces(const struct said *said, unsigned most, uint64_t lost, unsigned times)
{
    uint8_t bytes[MESH_TELEMETRY_PIECE_BYTES_MAX];
    struct mesh_telemetry_writer writer;
    unsigned items = 0, piece = 0;

    serial++;
    begin_piece(&writer, bytes, sizeof bytes, said);
    for (uint16_t rank = 0; rank < said->members; rank++) {
        struct mesh_telemetry_item item = {.kind = MESH_TELEMETRY_LINK};

        if (rank == said->rank) {
            item.kind = MESH_TELEMETRY_NODE;
            item.node = (struct mesh_telemetry_node){.members = said->members,
                                                     .threads = said->threads,
                                                     .positions = said->steps,
                                                     .stepping_ns = 10000 * said->steps,
                                                     .tokens = said->tokens,
                                                     .compute_ns = said->compute_ns};
        } else {
            item.link = (struct mesh_telemetry_link){.peer = rank, .datagrams_sent = 2 * said->steps, .bytes_sent = 100 * said->steps};
        }
        assert_true(mesh_telemetry_put(&writer, &item));
        if (++items < most && rank + 1 < said->members)
            continue;
        for (unsigned i = 0; i < times && (lost >> piece & 1) == 0; i++)
            take_piece(&writer);
        piece++;
        items = 0;
        begin_piece(&writer, bytes, sizeof bytes, said);
    }
}

static void report(const struct said *said)
{
    report_in_pieces(said, 3, 0, 1);
}

static void without_reports_nothing_is_known(void **state)
{
    (void)state;
    assert_false(ask_figures_are_there(&figures));
    ask_figures_sum(&figures, &summary);
    assert_true(isnan(summary.threads) && isnan(summary.utilisation[0]) && isnan(summary.bytes_per_token));
    assert_true(isnan(summary.packets_per_token));
}

static void other_records_are_not_telemetry(void **state)
{
    static const uint8_t refusal[] = {19, 0, 0, 0, 0}, cut[] = {MESH_TELEMETRY_RECORD_REPORT, 1, 2, 3};

    (void)state;
    assert_false(ask_figures_take(&figures, refusal, sizeof refusal));
    assert_true(ask_figures_take(&figures, cut, sizeof cut));
    assert_int_equal(figures.count, 0);
}

static void a_part_has_its_figures_when_each_member_has_reported_in_it(void **state)
{
    (void)state;
    for (figures.part = ASK_BEGINS; figures.part <= ASK_IS_OVER; figures.part++) {
        report(&(struct said){.who = 1, .rank = 0, .members = 2, .threads = 1, .epoch = 3});
        assert_false(ask_figures_are_there(&figures));
        report(&(struct said){.who = 2, .rank = 1, .members = 2, .threads = 1, .epoch = 3});
        assert_true(ask_figures_are_there(&figures));
    }
}

static void a_node_without_a_cluster_has_no_figures(void **state)
{
    (void)state;
    serial++;
    report(&(struct said){.who = 1, .rank = MESH_TELEMETRY_NOBODY, .members = 0, .threads = 1});
    assert_false(ask_figures_are_there(&figures));
    ask_figures_sum(&figures, &summary);
    assert_true(isnan(summary.threads) && isnan(summary.bytes_per_token));
}

/* 20 positions of a prompt, then 50 tokens: what happened before the first report does not count, nor does the prompt per token. */
static void figures_are_of_the_time_that_the_request_ran(void **state)
{
    struct said a = {.who = 1, .rank = 1, .members = 3, .threads = 2, .epoch = 3, .steps = 1000, .tokens = 500, .compute_ns = 77};
    struct said b = a, c = a;

    (void)state;
    b.who = 2, b.rank = 0, b.threads = 4;
    c.who = 3, c.rank = 2;
    report(&a), report(&b), report(&c);
    figures.part = ASK_GENERATES;
    a.steps += 20, b.steps += 20, c.steps += 20;
    a.tokens++, b.tokens++, c.tokens++;
    report(&a), report(&b), report(&c);
    figures.part = ASK_IS_OVER;
    a.steps += 100, b.steps += 100, c.steps += 100;
    a.tokens += 50, b.tokens += 50, c.tokens += 50;
    a.compute_ns += 600000, b.compute_ns += 120000, c.compute_ns += 2500000;
    report(&a), report(&b), report(&c);
    assert_true(ask_figures_are_there(&figures));
    ask_figures_sum(&figures, &summary);
    assert_true(summary.threads == 4);
    assert_near(summary.utilisation[0], 120000.0 / (4 * 1200000.0));
    assert_near(summary.utilisation[1], 600000.0 / (2 * 1200000.0));
    assert_near(summary.utilisation[2], 1.0); /* a counter may be read later than another */
    assert_true(isnan(summary.utilisation[3]));
    assert_near(summary.bytes_per_token, 3 * 2 * 100 * 100.0 / 50);
    assert_near(summary.packets_per_token, 3 * 2 * 2 * 100.0 / 50);
}

/* Generated in less time than lies between two reports: all that went through the model counts. */
static void a_short_answer_counts_with_its_prompt(void **state)
{
    struct said a = {.who = 1, .rank = 0, .members = 2, .threads = 1, .epoch = 3, .steps = 10, .tokens = 5};
    struct said b = a;

    (void)state;
    b.who = 2, b.rank = 1;
    report(&a), report(&b);
    figures.part = ASK_GENERATES;
    a.steps += 20, a.tokens += 7;
    report(&a);
    figures.part = ASK_IS_OVER;
    a.steps += 5, a.tokens++, b.steps += 25, b.tokens += 8;
    report(&a), report(&b);
    ask_figures_sum(&figures, &summary);
    assert_near(summary.bytes_per_token, 200);
    assert_near(summary.packets_per_token, 4);
}

/* As few as are enough, in several reports. */
static void tokens_are_summed_over_the_reports_of_their_time(void **state)
{
    struct said a = {.who = 1, .rank = 0, .members = 2, .threads = 1, .epoch = 3, .steps = 10};
    struct said b = a;

    (void)state;
    b.who = 2, b.rank = 1;
    report(&a), report(&b);
    figures.part = ASK_GENERATES;
    a.steps += 100, b.steps += 100;
    report(&a), report(&b);
    a.steps += 3, a.tokens += 3, b.steps += 3, b.tokens += 3;
    report(&a), report(&b);
    figures.part = ASK_IS_OVER;
    a.steps += 5, a.tokens += 5, b.steps += 5, b.tokens += 5;
    report(&a), report(&b);
    ask_figures_sum(&figures, &summary);
    assert_near(summary.bytes_per_token, 2 * 100);
    assert_near(summary.packets_per_token, 2 * 2);
}

/* Before it, the nodes have done nothing. */
static void a_single_position_counts(void **state)
{
    struct said a = {.who = 1, .rank = 0, .members = 2, .threads = 1, .epoch = 3};
    struct said b = a;

    (void)state;
    b.who = 2, b.rank = 1;
    report(&a), report(&b);
    report(&a), report(&b);
    ask_figures_sum(&figures, &summary);
    assert_true(summary.utilisation[0] == 0 && summary.bytes_per_token == 0);
    a.steps = b.steps = 1;
    report(&a), report(&b);
    ask_figures_sum(&figures, &summary);
    assert_near(summary.bytes_per_token, 2 * 100);
}

static void what_a_node_did_before_its_only_report_is_not_known(void **state)
{
    struct said a = {.who = 1, .rank = 0, .members = 2, .threads = 1, .epoch = 3, .steps = 10, .tokens = 5};
    struct said b = a;

    (void)state;
    b.who = 2, b.rank = 1;
    report(&a);
    figures.part = ASK_IS_OVER;
    a.steps += 25, a.tokens += 8, a.compute_ns = 125000, b = a;
    b.who = 2, b.rank = 1;
    report(&a), report(&b);
    assert_true(ask_figures_are_there(&figures));
    ask_figures_sum(&figures, &summary);
    assert_near(summary.utilisation[0], 0.5);
    assert_true(isnan(summary.utilisation[1]) && isnan(summary.bytes_per_token) && isnan(summary.packets_per_token));
}

static void what_a_node_did_that_joined_within_the_request_counts(void **state)
{
    struct said a = {.who = 1, .rank = 0, .members = 1, .threads = 1, .epoch = 3, .steps = 1000};
    struct said b;

    (void)state;
    report(&a);
    a.epoch = 4, a.members = 2, a.steps = 20, a.compute_ns = 100000, b = a;
    b.who = 2, b.rank = 1, b.compute_ns = 50000;
    figures.part = ASK_IS_OVER;
    report(&a), report(&b);
    ask_figures_sum(&figures, &summary);
    assert_near(summary.utilisation[0], 0.5);
    assert_near(summary.utilisation[1], 0.25);
    assert_near(summary.bytes_per_token, 100 + 100);
}

static void in_a_new_epoch_counters_begin_anew(void **state)
{
    struct said a = {.who = 1, .rank = 0, .members = 2, .threads = 1, .epoch = 3, .steps = 1000, .compute_ns = 5000000};
    struct said b = a;

    (void)state;
    b.who = 2, b.rank = 1;
    report(&a), report(&b);
    a.steps += 30, a.compute_ns += 100000;
    report(&a);
    a.epoch = b.epoch = 4;
    a.rank = 1, b.rank = 0; /* ranks may change */
    a.steps = 20, a.compute_ns = 400000, b.steps = 50, b.compute_ns = 250000;
    report(&a);
    assert_false(ask_figures_are_there(&figures));
    ask_figures_sum(&figures, &summary);
    assert_true(isnan(summary.bytes_per_token) && isnan(summary.utilisation[0]));
    assert_near(summary.utilisation[1], 1.0); /* 500000 of 50 steps */
    report(&b);
    ask_figures_sum(&figures, &summary);
    assert_near(summary.utilisation[0], 0.5);
    assert_near(summary.bytes_per_token, 100 + 100);
    /* a report of an epoch that is over comes late */
    a.epoch = 3, a.steps = 9000;
    report(&a);
    ask_figures_sum(&figures, &summary);
    assert_near(summary.bytes_per_token, 100 + 100);
}

static void a_report_counts_when_all_of_its_pieces_have_come_once(void **state)
{
    struct said a = {.who = 1, .rank = 2, .members = 64, .threads = 1, .epoch = 3};

    (void)state;
    report(&a);
    assert_true(figures.node[0].has_report);
    a.steps = 10;
    report_in_pieces(&a, 3, 0x2, 1); /* a piece is lost */
    assert_true(figures.node[0].all.bytes == 0);
    report_in_pieces(&a, 3, 0x1, 2); /* so is the one with its own counters */
    assert_true(figures.node[0].all.bytes == 0);
    report_in_pieces(&a, 1, 1 << a.rank, 1); /* only that is lost */
    assert_true(figures.node[0].all.bytes == 0);
    report_in_pieces(&a, 3, 0, 2); /* each comes twice */
    assert_true(figures.node[0].all.bytes == 63 * 1000 && figures.node[0].all.datagrams == 63 * 20);
}

static void a_dead_member_is_not_waited_for_in_the_next_epoch(void **state)
{
    struct said a = {.who = 1, .rank = 0, .members = 2, .threads = 1, .epoch = 3, .steps = 10};
    struct said b = a;

    (void)state;
    b.who = 2, b.rank = 1;
    report(&a), report(&b);
    a.epoch = 4, a.members = 1, a.steps = 8;
    report(&a);
    assert_true(ask_figures_are_there(&figures));
    ask_figures_sum(&figures, &summary);
    assert_true(summary.bytes_per_token == 0 && summary.packets_per_token == 0); /* alone */
    assert_true(isnan(summary.utilisation[1]));
    figures.part = ASK_GENERATES;
    b.epoch = 5, b.rank = 0, b.members = 1, b.steps = 0; /* it was not dead, and now the other is */
    report(&b);
    assert_true(ask_figures_are_there(&figures));
}

static void a_rank_that_no_node_can_have_is_nobodys(void **state)
{
    const struct said said = {.who = 1, .rank = MESH_RANKS_MAX, .epoch = 3};
    const struct mesh_telemetry_item item = {.kind = MESH_TELEMETRY_NODE, .node = {.members = 1, .threads = 3}};
    uint8_t bytes[MESH_TELEMETRY_PIECE_BYTES_MAX];
    struct mesh_telemetry_writer writer;

    (void)state;
    serial++;
    begin_piece(&writer, bytes, sizeof bytes, &said);
    assert_true(mesh_telemetry_put(&writer, &item));
    take_piece(&writer);
    assert_true(figures.node[0].has_report);
    assert_false(ask_figures_are_there(&figures));
    ask_figures_sum(&figures, &summary);
    assert_true(isnan(summary.threads) && isnan(summary.bytes_per_token));
}

static void more_nodes_than_fit_are_not_counted(void **state)
{
    (void)state;
    for (unsigned who = 0; who < ASK_NODES_MAX + 3; who++) {
        report(&(struct said){.who = (uint8_t)who, .rank = 0, .members = 1, .threads = 1, .epoch = who + 1, .steps = 1});
        assert_int_equal(figures.count, who < ASK_NODES_MAX ? who + 1 : ASK_NODES_MAX);
    }
    assert_true(ask_figures_are_there(&figures));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(without_reports_nothing_is_known, set_up),
        cmocka_unit_test_setup(other_records_are_not_telemetry, set_up),
        cmocka_unit_test_setup(a_part_has_its_figures_when_each_member_has_reported_in_it, set_up),
        cmocka_unit_test_setup(a_node_without_a_cluster_has_no_figures, set_up),
        cmocka_unit_test_setup(figures_are_of_the_time_that_the_request_ran, set_up),
        cmocka_unit_test_setup(a_short_answer_counts_with_its_prompt, set_up),
        cmocka_unit_test_setup(what_a_node_did_before_its_only_report_is_not_known, set_up),
        cmocka_unit_test_setup(what_a_node_did_that_joined_within_the_request_counts, set_up),
        cmocka_unit_test_setup(in_a_new_epoch_counters_begin_anew, set_up),
        cmocka_unit_test_setup(a_report_counts_when_all_of_its_pieces_have_come_once, set_up),
        cmocka_unit_test_setup(a_dead_member_is_not_waited_for_in_the_next_epoch, set_up),
        cmocka_unit_test_setup(tokens_are_summed_over_the_reports_of_their_time, set_up),
        cmocka_unit_test_setup(a_single_position_counts, set_up),
        cmocka_unit_test_setup(a_rank_that_no_node_can_have_is_nobodys, set_up),
        cmocka_unit_test_setup(more_nodes_than_fit_are_not_counted, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
