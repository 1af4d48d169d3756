/* The limits of mesh-replay run, judged from traces of two nodes: the second one is slower, and both had to ask for tiles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "mesh/trace.h"
#include "replay/run_judge.h"
#include "replay/run_nodes.h"
#include "replay/run_rank.h"

enum { NODES = 2, SENT = 1, RECEIVED, TILE = 4, NAK };

static char folder[64];
static struct run_nodes nodes;
static struct run_limits limits;
static struct run_judging judging;
static struct fail failure;

static void execute(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
}

static void add_datagram(sqlite3 *db, int id, int direction, int type, int t_ns, int sent_ns)
{
    char sql[600];
    int used = snprintf(sql, sizeof sql,
                        "INSERT INTO datagrams(id, node, t_ns, direction, core, bytes, form, data_bytes, data_hash, coding, type, flags, "
                        "src, dst, epoch, sent_ns) VALUES(%d, 1, %d, %d, 1, 100, 3, 0, 0, 0, %d, 0, %d, %d, 1, %d);",
                        id, t_ns, direction, type, direction == SENT ? 0 : 1, direction == SENT ? 1 : 0, sent_ns);

    if (type == TILE)
        snprintf(sql + used, sizeof sql - (size_t)used,
                 "INSERT INTO message_tile(datagram, step, ready_ns, phase, token_first, token_count, block_first, block_count) "
                 "VALUES(%d, %d, 0, 3, 0, 1, 0, 2)",
                 id, id);
    else
        snprintf(
            sql + used, sizeof sql - (size_t)used,
            "INSERT INTO message_nak(datagram, step, phase, range_count) VALUES(%d, %d, 3, 1);"
            "INSERT INTO message_ranges(datagram, place, token_first, token_count, block_first, block_count) VALUES(%d, 0, 0, 1, 1, 1)",
            id, id, id);
    execute(db, sql);
}

/* A node that received so many tiles, the last two of them that much later than the others, and asked for one. */
static void make(const char *path, int tiles, int late_ns)
{
    char reason[MESH_TRACE_REASON_BYTES];
    struct mesh_trace *trace;
    sqlite3 *db;
    int id = 0;

    assert_int_equal(mesh_trace_create(&trace, path, reason), 0);
    mesh_trace_close(trace);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    execute(db, "INSERT INTO meta VALUES('source', 'node')");
    for (int i = 1; i <= tiles; i++, id++)
        add_datagram(db, id, RECEIVED, TILE, 100000 * i + 1000 + (i >= tiles - 1 ? late_ns : 0), 100000 * i);
    add_datagram(db, id, SENT, NAK, 100000 * tiles, 100000 * tiles);
    sqlite3_close(db);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/test_replay_judge.XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    memset(&nodes, 0, sizeof nodes);
    nodes.count = NODES;
    for (int i = 0; i < NODES; i++) {
        snprintf(nodes.trace[i], sizeof nodes.trace[i], "%s/%d.db", folder, i);
        make(nodes.trace[i], i == 0 ? 3 : 5, i == 0 ? 2000 : 7000);
    }
    memset(&limits, 0, sizeof limits);
    judging = (struct run_judging){.nodes = &nodes, .limits = &limits, .baseline = nodes.trace[0]};
    return run_cases_reserve(&judging.cases, 8, &failure);
}

static int tear_down(void **state)
{
    (void)state;
    run_cases_release(&judging.cases);
    for (int i = 0; i < NODES; i++)
        unlink(nodes.trace[i]);
    return rmdir(folder);
}

static const struct verdict *last(void)
{
    assert_true(judging.cases.count > 0);
    return &judging.cases.verdicts[judging.cases.count - 1];
}

/* Two of eight tiles. */
static void loss_is_of_the_tiles_of_all_nodes(void **state)
{
    static const struct {
        float percent;
        enum verdict_kind kind;
    } cases[] = {{0, VERDICT_FAIL}, {24.9f, VERDICT_FAIL}, {25, VERDICT_PASS}, {100, VERDICT_PASS}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        limits.loss_percent = cases[i].percent;
        assert_int_equal(run_judge_loss(&judging, &failure), 0);
        assert_int_equal(last()->kind, cases[i].kind);
        assert_int_equal(strncmp(judging.cases.texts[judging.cases.count - 1], "25 %", 4), 0);
    }
}

static void without_a_tile_nothing_was_lost(void **state)
{
    (void)state;
    nodes.count = 0;
    assert_int_equal(run_judge_loss(&judging, &failure), 0);
    assert_int_equal(last()->kind, VERDICT_PASS);
}

static void the_time_under_way_is_that_of_the_slowest_node(void **state)
{
    (void)state;
    limits.has_p99 = true;
    for (unsigned is_enough = 0; is_enough < 2; is_enough++) {
        limits.p99_us = is_enough ? 7.1f : 6.9f;
        assert_int_equal(run_judge_latency(&judging, &failure), 0);
        assert_int_equal(last()->kind, is_enough ? VERDICT_PASS : VERDICT_FAIL);
    }
}

/* What a real rank 0 did, which got stuck before it began to record. */
static void judge_rank(struct run_rank *rank)
{
    run_cases_release(&judging.cases);
    unlink(nodes.trace[0]);
    rank->stuck = "a tile";
    assert_int_equal(run_rank_judge(rank, &judging, &failure), 0);
    assert_int_equal(judging.cases.count, 3);
    assert_int_equal(last()->kind, VERDICT_FAIL);
}

static void a_rank_of_which_nothing_could_be_compared_has_not_passed(void **state)
{
    static const struct {
        uint64_t compared, different, missing;
        enum verdict_kind kind;
    } cases[] = {{0, 0, 0, VERDICT_SKIP}, {1, 0, 0, VERDICT_PASS}, {9, 0, 0, VERDICT_PASS},
                 {9, 1, 0, VERDICT_FAIL}, {9, 0, 1, VERDICT_FAIL}, {0, 0, 1, VERDICT_FAIL}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct run_rank tiles = {.sum = {.compared = cases[i].compared, .different = cases[i].different, .missing = cases[i].missing}};
        struct run_rank steps = {.log = {.compared = cases[i].compared, .different = cases[i].different}};

        judge_rank(&tiles);
        assert_int_equal(judging.cases.verdicts[1].kind, cases[i].kind);
        judge_rank(&steps);
        if (cases[i].missing == 0)
            assert_int_equal(judging.cases.verdicts[0].kind, cases[i].kind);
    }
}

static void a_report_in_xml_is_well_formed(void **state)
{
    static const struct verdict verdicts[] = {{"a", VERDICT_PASS, "1 < 2", NULL, 0.5},
                                              {"b & c", VERDICT_FAIL, "\"no\"", "line 1\nline 2\n", 1.25},
                                              {"d", VERDICT_SKIP, "none", NULL, 0}};
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    assert_non_null(out);
    verdict_write_junit(out, "suite", verdicts, 3);
    fclose(out);
    assert_string_equal(text, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                              "<testsuite name=\"suite\" tests=\"3\" failures=\"1\" skipped=\"1\" errors=\"0\" time=\"1.750\">\n"
                              "  <testcase classname=\"suite\" name=\"a\" time=\"0.500\"><system-out>1 &lt; 2</system-out></testcase>\n"
                              "  <testcase classname=\"suite\" name=\"b &amp; c\" time=\"1.250\">"
                              "<failure message=\"&quot;no&quot;\">line 1\nline 2\n</failure></testcase>\n"
                              "  <testcase classname=\"suite\" name=\"d\" time=\"0.000\"><skipped message=\"none\"></skipped></testcase>\n"
                              "</testsuite>\n");
    free(text);
}

#define JUDGE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        JUDGE_TEST(loss_is_of_the_tiles_of_all_nodes),
        JUDGE_TEST(without_a_tile_nothing_was_lost),
        JUDGE_TEST(the_time_under_way_is_that_of_the_slowest_node),
        cmocka_unit_test(a_report_in_xml_is_well_formed),
        JUDGE_TEST(a_rank_of_which_nothing_could_be_compared_has_not_passed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
