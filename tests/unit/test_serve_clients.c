/* What the clients of a serving node are told, and what becomes of their requests. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/telemetry.h"
#include "served_case.h"
#include "simquestion.h"

static struct client_message question(const char *text, uint32_t predict)
{
    return (struct client_message){.kind = CLIENT_MESSAGE_ASK,
                                   .ask = {.predict = predict, .ignore_end = true, .sampling = {.top_p = 1, .repeat_penalty = 1}},
                                   .text = text,
                                   .text_size = strlen(text)};
}

static void expect_refused(unsigned index, const char *why)
{
    assert_int_equal(client(index)->told[CLIENT_MESSAGE_REFUSED], 1);
    served_expect_text(&served, index, why);
    assert_int_equal(serve_count_requests(server), 0);
    served.client[index].told[CLIENT_MESSAGE_REFUSED] = 0;
}

/* ---- answers ---- */

static void a_question_is_answered_completely_and_then_forgotten(void **state)
{
    const struct simquestion *q = simquestion(0, 3);
    const struct node_metrics_requests *requests = &server->watching.requests;
    const unsigned one = served_call(&served), two = served_call(&served);

    (void)state;
    served_begin_alone(&served);
    served_ask(&served, one, &q->ask);
    assert_int_equal(serve_count_requests(server), 1);
    answer();
    assert_int_equal(client(one)->tokens, q->alone.token_count);
    assert_memory_equal(client(one)->token, q->alone.token, q->alone.token_count * sizeof *q->alone.token);
    assert_int_equal(client(one)->told[CLIENT_MESSAGE_DONE], 1);
    assert_int_equal(client(one)->done.reason, q->alone.reason);
    assert_int_equal(client(one)->done.tokens, q->alone.token_count);
    assert_int_equal(client(one)->done.prompt_tokens, q->prompt_count);
    assert_int_equal(client(one)->done.nodes, 1);
    assert_true(client(one)->done.all_ns > 0);
    assert_int_equal(client(two)->tokens + client(two)->told[CLIENT_MESSAGE_DONE], 0);
    assert_int_equal(serve_count_requests(server), 0);
    assert_int_equal(requests->begun, 1);
    assert_int_equal(requests->failed, 0);
    assert_int_equal(requests->tokens, q->alone.token_count);
    tell();
    assert_int_equal(client(one)->told[CLIENT_MESSAGE_DONE], 1);
}

static void a_client_that_reads_late_misses_nothing(void **state)
{
    enum { LONG = 7000 };
    const unsigned index = served_call(&served);
    struct job *job;

    (void)state;
    job = make_long_answer(index, LONG);
    served.client[index].is_deaf = true;
    tell();
    assert_in_range(job->sent, 1, LONG - 1); /* the queue is full */
    assert_int_equal(serve_count_requests(server), 1);
    served.client[index].is_deaf = false;
    for (unsigned i = 0; i < 2000 && client(index)->told[CLIENT_MESSAGE_DONE] == 0; i++) {
        served_let_pass(10 * SERVED_MS);
        tell();
    }
    assert_int_equal(client(index)->told[CLIENT_MESSAGE_DONE], 1);
    assert_int_equal(client(index)->tokens, LONG);
    assert_int_equal(client(index)->done.nodes, 0); /* in no epoch at the moment */
    for (uint32_t i = 0; i < LONG; i++)
        assert_int_equal(client(index)->token[i], 3 + i % 250);
    assert_int_equal(serve_count_requests(server), 0);
}

static void tokens_are_told_as_they_come(void **state)
{
    const struct simquestion *q = simquestion(0, 3);
    const unsigned index = served_call(&served);
    uint32_t before = 0;
    unsigned pieces = 0;

    (void)state;
    served_begin_alone(&served);
    served_ask(&served, index, &q->ask);
    serve_run_prompt_queue(server);
    jobs_submit(&server->jobs, server->run);
    while (client(index)->told[CLIENT_MESSAGE_DONE] == 0) {
        engine_work(server->run->engine, 0);
        serve_take_results(server);
        tell();
        pieces += client(index)->tokens > before;
        before = client(index)->tokens;
    }
    assert_int_equal(pieces, q->alone.token_count);
    assert_memory_equal(client(index)->token, q->alone.token, q->alone.token_count * sizeof *q->alone.token);
}

static void a_full_queue_of_one_client_does_not_hold_up_another(void **state)
{
    const unsigned slow = served_call(&served), other = served_call(&served);

    (void)state;
    make_long_answer(slow, 7000);
    served.client[slow].is_deaf = true;
    tell();
    served_begin_alone(&served);
    ask(other, "abc", 3);
    answer();
    assert_int_equal(client(other)->told[CLIENT_MESSAGE_DONE], 1);
    assert_int_equal(client(other)->tokens, 3);
    assert_int_equal(serve_count_requests(server), 1);
}

/* An answer that lacks a token is not told as if it was whole, and one whose end got lost is not waited for. */
static void without_memory_for_its_tokens_a_request_fails_in_words(void **state)
{
    const unsigned one = served_call(&served), two = served_call(&served);
    struct epoch_run *run;

    (void)state;
    served_begin_alone(&served);
    run = server->run;
    ask(one, "abc", 5);
    serve_run_prompt_queue(server);
    jobs_submit(&server->jobs, run);
    while (run->result_count < 2)
        engine_work(run->engine, 0);
    serve_take_results(server);
    run->result_count = run->result_room = SIZE_MAX / 1024; /* there is no memory for more */
    while (engine_work(run->engine, 0) != ENGINE_IDLE)
        served_let_pass(SERVED_MS);
    run->result_count = 0;
    run->result_room = 256;
    ask(two, "abc", 5); /* is not concerned */
    answer();
    assert_int_equal(client(one)->tokens, 2);
    assert_int_equal(client(one)->told[CLIENT_MESSAGE_DONE], 1);
    assert_int_equal(client(one)->done.reason, ENGINE_DONE_REFUSED);
    assert_int_equal(client(two)->tokens, 5);
    assert_int_equal(client(two)->done.reason, ENGINE_DONE_LENGTH);
    assert_int_equal(served_noted(&served, MESH_NODE_EVENT_REQUEST_FAILED), 1);
    assert_int_equal(serve_count_requests(server), 0);
}

/* ---- refusals ---- */

static void who_asks_a_leaving_node_is_told_whom_to_ask_instead(void **state)
{
    static struct epoch_run run; /* too large for the stack */
    const unsigned index = served_call(&served);

    (void)state;
    run = (struct epoch_run){.count = 2, .rank = 0, .member = {{.addr = served_addr(7001)}, {.addr = served_addr(7002)}}};
    server->is_draining = true;
    ask(index, "abc", 3);
    expect_refused(index, "this node is leaving and was the only one: ask again when a node is up");
    server->run = &run;
    ask(index, "abc", 3);
    expect_refused(index, "this node is leaving: ask 127.0.0.1:7002 instead");
    run.rank = 1;
    ask(index, "abc", 3);
    expect_refused(index, "this node is leaving: ask 127.0.0.1:7001 instead");
    run.count = 1;
    run.rank = 0;
    ask(index, "abc", 3);
    expect_refused(index, "was the only one");
    server->run = NULL;
}

static void who_asks_a_cluster_without_memory_is_told_how_much_is_missing(void **state)
{
    const unsigned index = served_call(&served);

    (void)state;
    server->memory.missing_bytes = 3 << 20;
    ask(index, "abc", 3);
    expect_refused(index, "memory: the cluster's nodes have too little for the model, 3.15 MB are missing");
    server->memory.missing_bytes = 0;
    ask(index, "abc", 3);
    assert_int_equal(client(index)->told[CLIENT_MESSAGE_REFUSED], 0);
    assert_int_equal(serve_count_requests(server), 1);
}

/* Such a question no node of the cluster can answer; others can answer what one is too busy for. */
static void an_unfit_question_is_not_refused_as_one_for_which_there_is_no_room(void **state)
{
    const unsigned index = served_call(&served), other = served_call(&served);
    struct client_message message = question("abc", 3);

    (void)state;
    message.ask.is_ids = true;
    served_ask(&served, index, &message);
    assert_int_equal(client(index)->told[CLIENT_MESSAGE_UNFIT], 1);
    assert_non_null(strstr(client(index)->text, "not a list of token ids"));
    message = question("abc", 3);
    message.ask.sampling.top_p = 7;
    served_ask(&served, index, &message);
    assert_int_equal(client(index)->told[CLIENT_MESSAGE_UNFIT], 1); /* found out in its turn */
    serve_run_prompt_queue(server);
    served_pump(&served);
    assert_int_equal(client(index)->told[CLIENT_MESSAGE_UNFIT], 2);
    assert_int_equal(client(other)->told[CLIENT_MESSAGE_UNFIT], 0);
    assert_int_equal(serve_count_requests(server), 0);
    for (unsigned i = 0; i < JOBS_PER_SESSION; i++)
        ask(index, "abc", 3);
    assert_int_equal(client(index)->told[CLIENT_MESSAGE_REFUSED], 0);
    ask(index, "abc", 3);
    assert_int_equal(client(index)->told[CLIENT_MESSAGE_REFUSED], 1);
    assert_non_null(strstr(client(index)->text, "of this session run or wait already"));
    assert_int_equal(serve_count_requests(server), JOBS_PER_SESSION);
}

/* The model of these tests has no form for it. */
static void a_conversation_is_refused_by_a_model_that_has_no_form_for_it(void **state)
{
    const struct client_message turns = {.kind = CLIENT_MESSAGE_CONVERSE,
                                         .ask = {.predict = 3, .sampling = {.top_p = 1, .repeat_penalty = 1}},
                                         .text = "\1\3\0\0\0abc",
                                         .text_size = 8};
    const unsigned index = served_call(&served);

    (void)state;
    served_begin_alone(&served);
    served_ask(&served, index, &turns);
    assert_int_equal(client(index)->told[CLIENT_MESSAGE_UNFIT], 1);
    served_expect_text(
        &served, index,
        "conversation: the model has no tokenizer.chat_template, so it is not made for questions: send a plain text, which it "
        "continues");
    assert_int_equal(serve_count_requests(server), 0);
}

/* A later version's option. */
static void a_question_with_an_unknown_flag_is_refused(void **state)
{
    const struct client_message asked = question("abc", 3);
    const unsigned index = served_call(&served);
    static uint8_t record[MESH_RECORD_BYTES_MAX];
    const size_t bytes = client_message_write(&asked, record);

    (void)state;
    served_begin_alone(&served);
    record[bytes - 3 - 4 - 1] |= 128;
    served_say(&served, index, record, bytes);
    expect_refused(index, "this node does not understand the question: are both of the same version?");
}

static void what_is_no_question_is_refused_in_words(void **state)
{
    static const uint8_t unknown[] = {200, 1, 2}, bad_get[] = {BULK_GET, 1}, cut[] = {CLIENT_MESSAGE_ASK, 0};
    static const char no_form[] = "this node does not understand the question: are both of the same version?";
    const unsigned index = served_call(&served);
    uint8_t record[BULK_DATA_BYTES_MAX + 64];
    const struct bulk_record data = {.kind = BULK_DATA};

    (void)state;
    served_say(&served, index, unknown, sizeof unknown);
    expect_refused(index, no_form);
    served_say(&served, index, bad_get, sizeof bad_get);
    expect_refused(index, no_form);
    served_say(&served, index, cut, sizeof cut);
    expect_refused(index, no_form);
    served_say(&served, index, record, bulk_write(&data, record));
    expect_refused(index, no_form);
    served_say_kind(&served, index, CLIENT_MESSAGE_DONE);
    expect_refused(index, "nodes answer questions, they ask none");
    served_say_kind(&served, index, CLIENT_MESSAGE_TOKENS);
    expect_refused(index, "nodes answer questions, they ask none");
    ask(index, "abc", 3); /* the session goes on */
    assert_int_equal(serve_count_requests(server), 1);
}

/* ---- the end of a question ---- */

/* Two questions of one client, one of another: the first of each is begun. */
static void ask_three(unsigned one, unsigned two)
{
    served_begin_alone(&served);
    ask(one, "abc", 50);
    ask(two, "bcd", 50);
    serve_run_prompt_queue(server);
    jobs_submit(&server->jobs, server->run);
    for (unsigned i = 0; i < 20; i++)
        engine_work(server->run->engine, 0);
    ask(one, "cde", 50); /* waits to be tokenised */
    assert_int_equal(serve_count_requests(server), 3);
    assert_int_equal(server->prompt_queue.count, 1);
}

static void expect_only_the_second_goes_on(unsigned two)
{
    struct engine_figures figures;

    assert_int_equal(serve_count_requests(server), 1);
    assert_int_equal(server->prompt_queue.count, 0);
    assert_int_equal(server->watching.requests.begun, 1);
    assert_int_equal(server->watching.requests.failed, 1);
    served_work(&served);
    tell();
    assert_int_equal(client(two)->told[CLIENT_MESSAGE_DONE], 1);
    assert_int_equal(client(two)->tokens, 50);
    assert_int_equal(serve_count_requests(server), 0);
    engine_figures(server->run->engine, &figures);
    assert_in_range(figures.tokens, 50, 75); /* nothing more is computed for the other */
}

static void who_cancels_ends_all_of_its_own_questions_and_no_others(void **state)
{
    const unsigned one = served_call(&served), two = served_call(&served);
    uint32_t seen;

    (void)state;
    ask_three(one, two);
    seen = eventcount_read(server->run->workers.worker_wakeup);
    served_say_kind(&served, one, CLIENT_MESSAGE_CANCEL);
    assert_int_not_equal(eventcount_read(server->run->workers.worker_wakeup), seen); /* a sleeping worker ends it, too */
    expect_only_the_second_goes_on(two);
    assert_int_equal(client(one)->told[CLIENT_MESSAGE_DONE], 1); /* of the one that had begun: what it has come to */
    assert_int_equal(client(one)->told[CLIENT_MESSAGE_REFUSED], 0);
    ask(one, "abc", 3); /* its places are free */
    answer();
    assert_int_equal(client(one)->tokens, 3);
}

static void who_goes_away_ends_its_questions_and_no_others(void **state)
{
    const unsigned one = served_call(&served), two = served_call(&served);

    (void)state;
    ask_three(one, two);
    served_hang_up(&served, one);
    expect_only_the_second_goes_on(two);
}

static void a_cancel_between_two_epochs_ends_what_would_begin_again(void **state)
{
    const unsigned one = served_call(&served), two = served_call(&served);

    (void)state;
    ask(one, "abc", 3);
    ask(two, "abc", 3);
    serve_run_prompt_queue(server);
    served_say_kind(&served, one, CLIENT_MESSAGE_CANCEL);
    assert_int_equal(serve_count_requests(server), 1);
    served_begin_alone(&served);
    answer();
    assert_int_equal(client(one)->tokens, 0);
    assert_int_equal(client(two)->tokens, 3);
}

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

static void who_goes_away_fetches_and_watches_no_more(void **state)
{
    const struct mesh_telemetry_watch wish = {100, 60000, MESH_TELEMETRY_ALL};
    uint8_t record[MESH_TELEMETRY_WATCH_BYTES];
    const unsigned one = served_call(&served), two = served_call(&served);

    (void)state;
    mesh_telemetry_write_watch(&wish, record);
    bulk_provide(&server->bulk, BULK_MODEL_BYTES, read_zeros, NULL);
    for (unsigned i = one; i <= two; i++) {
        served_say(&served, i, record, sizeof record);
        get(i, BULK_TO_END);
    }
    assert_int_equal(client(one)->told[CLIENT_MESSAGE_REFUSED], 0);
    assert_int_equal(serve_watch_count(server), 2);
    assert_int_equal(server->bulk.count, 2);
    served_hang_up(&served, one);
    assert_int_equal(serve_watch_count(server), 1);
    assert_int_equal(server->bulk.count, 1);
    assert_int_equal(server->bulk.answer[BULK_GETS_MAX - 2].session, client(two)->session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODE_TEST(a_question_is_answered_completely_and_then_forgotten),
        NODE_TEST(a_client_that_reads_late_misses_nothing),
        NODE_TEST(tokens_are_told_as_they_come),
        NODE_TEST(a_full_queue_of_one_client_does_not_hold_up_another),
        NODE_TEST(without_memory_for_its_tokens_a_request_fails_in_words),
        NODE_TEST(who_asks_a_leaving_node_is_told_whom_to_ask_instead),
        NODE_TEST(who_asks_a_cluster_without_memory_is_told_how_much_is_missing),
        NODE_TEST(an_unfit_question_is_not_refused_as_one_for_which_there_is_no_room),
        NODE_TEST(a_conversation_is_refused_by_a_model_that_has_no_form_for_it),
        NODE_TEST(a_question_with_an_unknown_flag_is_refused),
        NODE_TEST(what_is_no_question_is_refused_in_words),
        NODE_TEST(who_cancels_ends_all_of_its_own_questions_and_no_others),
        NODE_TEST(who_goes_away_ends_its_questions_and_no_others),
        NODE_TEST(a_cancel_between_two_epochs_ends_what_would_begin_again),
        NODE_TEST(who_goes_away_fetches_and_watches_no_more),
    };

    return SERVED_RUN(tests);
}
