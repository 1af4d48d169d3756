/* What a serving node says of itself to clients, and what it sends them beside answers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/telemetry.h"
#include "served_case.h"
#include "simquestion.h"

/* Endless, and never ready. */
static enum bulk_read_result read_zeros(void *app, const struct bulk_want *want, uint64_t offset, uint8_t *out, size_t *bytes,
                                        const char **why)
{
    (void)app, (void)want, (void)offset, (void)why;
    memset(out, 0, *bytes);
    return BULK_READ_DATA;
}

static void get(unsigned index, uint64_t bytes)
{
    const struct bulk_record record = {.kind = BULK_GET, .tag = 1, .want = {.resource = BULK_MODEL_BYTES, .bytes = bytes}};
    uint8_t written[BULK_DATA_BYTES_MAX + 64];

    served_say(&served, index, written, bulk_write(&record, written));
}

/* ---- fetching ---- */

static void tokens_of_several_nodes_go_before_what_is_fetched(void **state)
{
    const unsigned index = served_call(&served);
    uint64_t alone_bytes;

    (void)state;
    bulk_provide(&server->bulk, BULK_MODEL_BYTES, read_zeros, NULL);
    served_begin_alone(&served);
    ask(index, "abc", 50);
    serve_run_prompt_queue(server);
    jobs_submit(&server->jobs, server->run);
    while (!engine_is_stepping(server->run->engine))
        engine_work(server->run->engine, 0);
    get(index, BULK_TO_END);
    serve_run_bulk(server); /* alone nobody waits for tiles */
    alone_bytes = server->bulk.sent_bytes;
    assert_true(alone_bytes > BULK_DATA_BYTES_MAX);
    served_pump(&served);
    assert_true(serve_bulk_due_ns(server) <= served_now_ns());
    server->run->mesh = (struct mesh *)server; /* only compared with NULL */
    serve_run_bulk(server);
    served_pump(&served);
    assert_in_range(server->bulk.sent_bytes - alone_bytes, 0, BULK_DATA_BYTES_MAX);
    assert_true(serve_bulk_due_ns(server) > served_now_ns());
    server->run->mesh = NULL;
}

/* ---- status ---- */

static void the_status_says_what_the_node_counts(void **state)
{
    const unsigned index = served_call(&served), other = served_call(&served);

    (void)state;
    served_begin_alone(&served);
    make_long_answer(other, 5); /* answered, but not told yet */
    ask(other, "abc", 3);
    server->recomputed = 40;
    server->reused = 47;
    server->prepared_epochs = 41;
    server->shares.changes = 42;
    server->replayed = 43;
    server->refused[MESH_SEAL_TAG] = 44;
    server->change.number = 45;
    server->troubles.unlisted_count = 46;
    served_say_kind(&served, index, CLIENT_MESSAGE_STATUS);
    assert_int_equal(client(index)->told[CLIENT_MESSAGE_STATE], 1);
    assert_int_equal(client(other)->told[CLIENT_MESSAGE_STATE], 0);
    assert_int_equal(client(index)->told[CLIENT_MESSAGE_REFUSED], 0);
    served_expect_text(&served, index, "\"nodes\":1,\"epoch\":5,");
    served_expect_text(&served, index, "\"requests\":1,");
    served_expect_text(&served, index, "\"recomputed_tokens\":40,\"reused_tokens\":47,\"epochs_prepared\":41,\"share_changes\":42,");
    served_expect_text(&served, index, "\"tag\":44,");
    served_expect_text(&served, index, "\"replay\":43,");
    served_expect_text(&served, index, "\"change_epoch\":45,");
    served_expect_text(&served, index, "\"troubles_unlisted\":46,");
    served_expect_text(&served, index, "\"speed_mb_per_s\":1,");
    served_expect_text(&served, index, "\"state\":\"up\"");
    assert_null(strstr(client(index)->text, "\"recording\""));
    assert_null(strstr(client(index)->text, "\"refusal\""));
    serve_run_prompt_queue(server);
    served_say_kind(&served, other, CLIENT_MESSAGE_STATUS);
    served_expect_text(&served, other, "\"requests\":1,");
    assert_int_equal(serve_count_requests(server), 2); /* asking changes nothing */
    server->is_draining = true;
    served_say_kind(&served, index, CLIENT_MESSAGE_STATUS_TEXT);
    assert_int_equal(client(index)->told[CLIENT_MESSAGE_STATE], 2);
    served_expect_text(&served, index, "cluster harbour, epoch 5: 1 node; 1 of this node's requests run or wait; 87 datagrams refused");
    served_expect_text(&served, index, " draining ");
}

static void a_refused_node_says_by_whom_only_while_it_is_so(void **state)
{
    const unsigned index = served_call(&served);

    (void)state;
    strcpy(server->refusal, "by 127.0.0.1:2: another model");
    served_say_kind(&served, index, CLIENT_MESSAGE_STATUS);
    assert_null(strstr(client(index)->text, "\"refusal\""));
    served.config.seed_count = 1;
    server->refused_ns = served_now_ns();
    served_say_kind(&served, index, CLIENT_MESSAGE_STATUS);
    served_expect_text(&served, index, "\"refusal\":\"by 127.0.0.1:2: another model\"");
}

/* Positions that this node had computed in an earlier epoch. */
static void what_was_computed_again_in_this_epoch_counts_as_well(void **state)
{
    const struct simquestion *q = simquestion(0, 3);
    const unsigned index = served_call(&served), other = served_call(&served);
    struct engine_figures figures;
    char expected[60];

    (void)state;
    served_begin_alone(&served);
    served_ask(&served, other, &q->ask);
    serve_run_prompt_queue(server);
    jobs_submit(&server->jobs, server->run);
    for (unsigned i = 0; i < 100; i++)
        engine_work(server->run->engine, 0);
    serve_end_epoch(server);
    pool_join(serve_take_reclaimer(server));
    assert_true(server->saved_kv.count > 0); /* it would go on with these */
    while (server->saved_kv.count > 0)
        free(server->saved_kv.head[--server->saved_kv.count].bytes);
    served_begin_alone(&served);
    served_say_kind(&served, index, CLIENT_MESSAGE_STATUS);
    served_expect_text(&served, index, "\"requests\":1,");
    answer();
    assert_int_equal(client(other)->tokens, q->alone.token_count);
    assert_int_equal(client(other)->done.epochs, 1);
    engine_figures(server->run->engine, &figures);
    assert_true(figures.recomputed > 0);
    server->recomputed = 1000;
    served_say_kind(&served, index, CLIENT_MESSAGE_STATUS);
    snprintf(expected, sizeof expected, "\"recomputed_tokens\":%llu,", 1000 + (unsigned long long)figures.recomputed);
    served_expect_text(&served, index, expected);
    serve_end_epoch(server);
    assert_int_equal(server->recomputed, 1000 + figures.recomputed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODE_TEST(tokens_of_several_nodes_go_before_what_is_fetched),
        NODE_TEST(the_status_says_what_the_node_counts),
        NODE_TEST(a_refused_node_says_by_whom_only_while_it_is_so),
        NODE_TEST(what_was_computed_again_in_this_epoch_counts_as_well),
    };

    return SERVED_RUN(tests);
}
