/* A serving node from one epoch to the next: what it loads, when it switches, what it says of members and refusals. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/fetch/kv_source.h"
#include "served_case.h"
#include "simquestion.h"

static bool is_prepared(const struct served *s)
{
    return s->server.next != NULL && s->server.next_since_ns != 0;
}

static bool has_been_refused(const struct served *s)
{
    return served_noted(s, MESH_NODE_EVENT_REFUSED) > 0;
}

/* ---- epochs ---- */

static void the_first_node_begins_alone(void **state)
{
    const unsigned index = served_call(&served);
    const struct client_message message = {
        .kind = CLIENT_MESSAGE_ASK, .ask = {.predict = 3, .sampling = {.top_p = 1, .repeat_penalty = 1}}, .text = "abc", .text_size = 3};

    (void)state;
    served_ask(&served, index, &message);
    serve_run_prompt_queue(server);
    run_until(is_alone);
    assert_true(server->jobs.job[0].is_submitted);
    assert_true(server->cached == server->run->engine);
    assert_int_equal(server->change.number, server->run->number);
    assert_int_equal(server->change.agreed_ns, served_now_ns());
    assert_int_equal(server->prepared_epochs, 0);
    assert_false(server->has_company);
    assert_string_equal(served_note(&served, MESH_NODE_EVENT_EPOCH), "1 member");
    assert_int_equal(served_noted(&served, MESH_NODE_EVENT_PREPARE), 0);
    assert_int_equal(server->watching.watch.count, 1);
    assert_int_equal(server->watching.epoch_ns, served_now_ns());
}

static void for_another_member_the_next_epoch_is_prepared_first(void **state)
{
    struct engine *before;

    (void)state;
    run_until(is_alone);
    before = server->run->engine;
    served_start_other(&served, false);
    run_until(is_preparing);
    assert_true(server->has_company);
    assert_int_equal(server->run->count, 1); /* it goes on meanwhile */
    assert_int_equal(served_noted(&served, MESH_NODE_EVENT_PREPARE), 1);
    assert_non_null(strstr(served_note(&served, MESH_NODE_EVENT_PREPARE), " with 2 members"));
    run_until(is_of_two);
    assert_true(server->run->engine != before && server->cached == server->run->engine);
    assert_null(server->next);
    assert_non_null(server->reclaimer); /* frees what the epoch before had */
    assert_int_equal(server->presence.count, 1);
    assert_int_equal(server->shares.look_at_ns, served_now_ns() + 250 * SERVED_MS);
    assert_int_equal(server->prepared_epochs, 1);
    assert_string_equal(served_note(&served, MESH_NODE_EVENT_EPOCH), "2 members, prepared");
    assert_int_equal(served_noted(&served, MESH_NODE_EVENT_EPOCH), 2);
    assert_int_equal(server->watching.watch.count, 2);
    assert_true(serve_is_rank(server, other_rank()));
    assert_false(serve_is_rank(server, 2));
}

/* A request of this node runs and stands at a position after a multiple of 16, until the test goes on. */
static void stand_at(uint32_t tail)
{
    const struct client_message message = {.kind = CLIENT_MESSAGE_ASK,
                                           .ask = {.predict = 60, .ignore_end = true, .sampling = {.top_p = 1, .repeat_penalty = 1}},
                                           .text = "abc",
                                           .text_size = 3};
    struct engine_cached cached[ENGINE_SLOTS_MAX];
    uint32_t first, heads;

    run_until(is_alone);
    wait_until_loaded();
    worker_pool_stop(&server->run->workers);
    served_ask(&served, served_call(&served), &message);
    serve_run_prompt_queue(server);
    jobs_submit(&server->jobs, server->run);
    do
        engine_work(server->run->engine, 0);
    while (engine_cached(server->run->engine, cached, &first, &heads) != 1 || cached[0].positions % KV_SOURCE_STEP != tail);
}

static void the_switch_waits_for_a_good_moment_but_not_for_long(void **state)
{
    uint64_t since_ns;

    (void)state;
    stand_at(9);
    served_start_other(&served, false);
    run_until(is_prepared);
    since_ns = server->next_since_ns;
    run_for(1990 * SERVED_MS);
    assert_false(server->next_is_reported);
    assert_int_equal(server->run->count, 1);
    assert_int_equal(server->next_since_ns, since_ns);
    run_until(is_of_two);
    assert_in_range(served_now_ns() - since_ns, 2000 * SERVED_MS, 2500 * SERVED_MS);
    assert_int_equal(server->prepared_epochs, 1);
    assert_int_equal(server->next_since_ns, since_ns);
    assert_int_equal(server->jobs.job[0].epochs, 1);
    assert_true(server->jobs.job[0].is_submitted);
}

static void at_a_good_moment_the_switch_does_not_wait(void **state)
{
    (void)state;
    stand_at(3);
    served_start_other(&served, false);
    run_until(is_prepared);
    assert_true(server->next_is_reported);
    run_until(is_of_two);
    assert_true(served_now_ns() - server->next_since_ns < 1000 * SERVED_MS);
}

static void a_good_moment_is_soon_after_positions_that_have_been_fetched(void **state)
{
    struct engine_cached cached[2] = {{.positions = 32 + 1}, {.positions = 160 + 5}};

    (void)state;
    assert_true(serve_is_good_moment(cached, 0));
    assert_false(serve_is_good_moment(cached, 1));
    cached[0].positions = 32 + 2;
    assert_true(serve_is_good_moment(cached, 1));
    cached[0].positions = 32 + 6;
    assert_true(serve_is_good_moment(cached, 1));
    cached[0].positions = 32 + 7;
    assert_false(serve_is_good_moment(cached, 1));
    assert_true(serve_is_good_moment(cached, 2)); /* 12 of two */
    cached[0].positions = 32 + 8;
    assert_false(serve_is_good_moment(cached, 2));
    cached[0].positions = 32;
    cached[1].positions = 3;
    assert_false(serve_is_good_moment(cached, 2));
}

static void what_cannot_be_prepared_is_loaded_when_the_epoch_begins(void **state)
{
    (void)state;
    stand_at(9);
    served_start_other(&served, false);
    run_until(is_prepared);
    atomic_store(&server->next->preparing, EPOCH_RUN_FAILED);
    run_until(is_of_two);
    assert_true(served_now_ns() - server->next_since_ns < 1900 * SERVED_MS); /* nobody waits for it */
    assert_int_equal(server->prepared_epochs, 0);
    assert_string_equal(served_note(&served, MESH_NODE_EVENT_EPOCH), "2 members");
}

/* Better no member than one for which all others wait. */
static void a_process_that_cannot_become_a_member_ends(void **state)
{
    struct fail fail = {0};
    struct epoch_run *run;

    (void)state;
    stand_at(9);
    served_start_other(&served, false);
    run_until(is_prepared);
    run = server->run;
    (void)snprintf(server->next->why.text, sizeof server->next->why.text, "a disk: is broken: change it");
    atomic_store(&server->next->preparing, EPOCH_RUN_FAILED);
    server->run = NULL; /* as before its first epoch */
    server->memory.missing_bytes = 1;
    assert_true(served_run(&served, SERVED_MS, NULL, &fail)); /* while memory is missing it is a member already */
    server->memory.missing_bytes = 0;
    assert_null(server->next);
    server->run = run;
}

static void who_prepared_in_vain_before_its_first_epoch_says_why_and_ends(void **state)
{
    struct fail fail = {0};
    struct epoch_run *run;

    (void)state;
    stand_at(9);
    served_start_other(&served, false);
    run_until(is_prepared);
    run = server->run;
    (void)snprintf(server->next->why.text, sizeof server->next->why.text, "a disk: is broken: change it");
    atomic_store(&server->next->preparing, EPOCH_RUN_FAILED);
    server->run = NULL;
    assert_false(served_run(&served, SERVED_S, NULL, &fail));
    assert_string_equal(fail.text, "a disk: is broken: change it");
    server->run = run;
}

/* ---- refusals ---- */

static void a_refused_node_says_by_whom_and_why_until_nobody_refuses_it(void **state)
{
    (void)state;
    served_start_other(&served, true);
    run_until(has_been_refused);
    assert_true(server->has_company);
    assert_memory_equal(server->refusal, "by 127.0.0.1:2: ", 16);
    assert_non_null(strstr(server->refusal, " (or another release, --ctx, --slots, --batch or --kv-type: all must be equal)"));
    assert_null(strstr(server->refusal, "; that member is "));
    assert_memory_equal(served_note(&served, MESH_NODE_EVENT_REFUSED), "127.0.0.1:2: ", 13);
    assert_true(served_note(&served, MESH_NODE_EVENT_REFUSED)[13] != '\0');
    run_until(is_alone);
    assert_true(serve_is_refused(server));
    run_for(100 * SERVED_S); /* it is refused again and again */
    assert_true(serve_is_refused(server));
    assert_int_equal(served_noted(&served, MESH_NODE_EVENT_REFUSED), 1);
    break_off(true);
    run_for(60 * SERVED_S - 31 * SERVED_S);
    assert_true(serve_is_refused(server));
    run_for(40 * SERVED_S);
    assert_false(serve_is_refused(server));
}

/* A node refused by a cluster is not healthy while it is alone; nodes that wait for memory together are not alone. */
static void members_that_wait_together_are_not_refused(void **state)
{
    (void)state;
    server->refused_ns = mesh_udp_now_ns();
    server->memory = (struct serve_memory){.missing_bytes = 1, .count = 1};
    assert_true(serve_is_refused(server));
    server->memory.count = 2;
    assert_false(serve_is_refused(server));
    server->memory = (struct serve_memory){.missing_bytes = 0};
    assert_true(serve_is_refused(server)); /* in no epoch */
    served.config.seed_count = 0;
    assert_false(serve_is_refused(server)); /* it looks for nobody */
    served.config.seed_count = 1;
    server->refused_ns = 0;
    assert_false(serve_is_refused(server));
}

/* ---- results ---- */

static void put(const struct epoch_run_result *result)
{
    struct epoch_run *run = server->run;

    run->result = realloc(run->result, (run->result_count + 1) * sizeof *result);
    assert_non_null(run->result);
    run->result_room = run->result_count + 1;
    run->result[run->result_count++] = *result;
}

static void only_failures_of_own_requests_are_events(void **state)
{
    static uint32_t token[8];
    static uint64_t digest[8];
    struct job *job = &server->jobs.job[0];

    (void)state;
    served_begin_alone(&served);
    *job = (struct job){.id = 0xabc, .session = 1, .token = token, .digest = digest, .room = 8, .prompt_count = 1, .count = 1};
    put(&(struct epoch_run_result){.request = 7, .is_done = true, .reason = ENGINE_DONE_ERROR});
    put(&(struct epoch_run_result){.request = 0xabc, .token = {.id = 5}});
    serve_take_results(server);
    assert_int_equal(job->count, 2);
    assert_false(job->is_done);
    put(&(struct epoch_run_result){.request = 0xabc, .is_done = true, .reason = ENGINE_DONE_LENGTH});
    serve_take_results(server);
    assert_true(job->is_done);
    assert_int_equal(served_noted(&served, MESH_NODE_EVENT_REQUEST_FAILED), 0);
    put(&(struct epoch_run_result){.request = 0xabc, .is_done = true, .reason = ENGINE_DONE_ERROR});
    serve_take_results(server);
    assert_string_equal(served_note(&served, MESH_NODE_EVENT_REQUEST_FAILED), "request 0000000000000abc: a value that is not finite");
    put(&(struct epoch_run_result){.request = 0xabc, .is_done = true, .reason = ENGINE_DONE_REFUSED});
    serve_take_results(server);
    assert_string_equal(served_note(&served, MESH_NODE_EVENT_REQUEST_FAILED), "request 0000000000000abc: no memory");
    assert_int_equal(served_noted(&served, MESH_NODE_EVENT_REQUEST_FAILED), 2);
    memset(job, 0, sizeof *job);
}

static void the_first_token_after_a_change_is_its_end(void **state)
{
    (void)state;
    served_begin_alone(&served);
    epoch_change_agree(&server->change, 5, served_now_ns());
    put(&(struct epoch_run_result){.request = 7, .when_ns = 70, .is_done = true});
    serve_take_results(server);
    assert_int_equal(server->change.token_ns, 0);
    server->change.recomputed = 99;
    put(&(struct epoch_run_result){.request = 7, .when_ns = 71});
    put(&(struct epoch_run_result){.request = 7, .when_ns = 72});
    serve_take_results(server);
    assert_int_equal(server->change.token_ns, 71);
    assert_int_equal(server->change.recomputed, 0); /* of this epoch */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODE_TEST(the_first_node_begins_alone),
        NODE_TEST(for_another_member_the_next_epoch_is_prepared_first),
        NODE_TEST(the_switch_waits_for_a_good_moment_but_not_for_long),
        NODE_TEST(at_a_good_moment_the_switch_does_not_wait),
        NODE_TEST(a_good_moment_is_soon_after_positions_that_have_been_fetched),
        NODE_TEST(what_cannot_be_prepared_is_loaded_when_the_epoch_begins),
        NODE_TEST(a_process_that_cannot_become_a_member_ends),
        NODE_TEST(who_prepared_in_vain_before_its_first_epoch_says_why_and_ends),
        SEEKER_TEST(a_refused_node_says_by_whom_and_why_until_nobody_refuses_it),
        SEEKER_TEST(members_that_wait_together_are_not_refused),
        NODE_TEST(only_failures_of_own_requests_are_events),
        NODE_TEST(the_first_token_after_a_change_is_its_end),
    };

    return SERVED_RUN(tests);
}
