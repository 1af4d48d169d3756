/* A serving node between two epochs: what ends, what goes on, and in which order memory is freed and used again. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "served_case.h"
#include "simquestion.h"

enum { WAIT_MS_MAX = 10000 };

/* A thread that frees what earlier epochs had, until it may end. */
static struct {
    atomic_bool may_end, has_ended;
} earlier;

/* The members of the epoch that begins, as the cluster layer has them. */
static struct mesh_cluster_member member[2];

/* The cluster layer, to other members. */
static void move_on(void)
{
    memset(member, 0xee, sizeof member);
    atomic_store(&earlier.may_end, true);
}

static int open_between(void **state)
{
    earlier.may_end = earlier.has_ended = false;
    return open_node(state);
}

/* False: it took too long. */
static bool wait_for(const atomic_bool *flag)
{
    const struct timespec moment = {.tv_nsec = 1000000};

    for (unsigned i = 0; i < WAIT_MS_MAX && !atomic_load(flag); i++)
        nanosleep(&moment, NULL);
    return atomic_load(flag);
}

static void free_earlier(void *app, uint16_t index)
{
    (void)app;
    (void)index;
    if (wait_for(&earlier.may_end))
        atomic_store(&earlier.has_ended, true);
}

static void start_earlier(void)
{
    struct fail fail;

    server->reclaimer = pool_start(1, free_earlier, NULL, &fail);
    assert_non_null(server->reclaimer);
}

static struct mesh_cluster_event epoch_of(uint32_t number, uint16_t count)
{
    member[0] = (struct mesh_cluster_member){.incarnation = {1}, .addr = served_addr(1), .speed = 1000};
    member[1] = (struct mesh_cluster_member){.incarnation = {2}, .addr = served_addr(2), .speed = 1000};
    return (struct mesh_cluster_event){.type = MESH_CLUSTER_EPOCH, .number = number, .members = member, .member_count = count};
}

/* Of the first `count` members, among which this node is the first. What is to be freed afterwards is. */
static void begin(uint32_t number, uint16_t count)
{
    const struct mesh_cluster_event epoch = epoch_of(number, count);
    struct epoch_run *old = NULL;
    struct fail fail = {0};

    if (serve_open_run(server, &epoch, &old, &fail) < 0)
        fail_msg("%s", fail.text);
    serve_reclaim(server, &old);
}

/* ---- the next one begins ---- */

/* They would otherwise take this node for dead. The cluster layer may go on meanwhile. */
static void other_members_are_answered_until_the_next_epoch_is_open(void **state)
{
    const struct mesh_cluster_event epoch = epoch_of(7, 2);
    struct epoch_run *old = NULL;
    struct fail fail;

    (void)state;
    start_earlier();
    served.before_send = move_on;
    assert_int_equal(serve_open_run(server, &epoch, &old, &fail), 0);
    assert_true(atomic_load(&earlier.has_ended)); /* its memory was needed */
    assert_null(server->reclaimer);
    assert_null(old);
    assert_int_equal(member[1].addr.port, 0xeeee);
    assert_int_equal(server->run->number, 7);
    assert_int_equal(server->run->count, 2);
    assert_int_equal(server->run->member[1].addr.port, 2);
    assert_int_equal(server->run->member[0].incarnation[0], 1);
    assert_int_equal(server->run->member[1].incarnation[0], 2);
    assert_int_equal(server->prepared_epochs, 0);
}

static void what_was_prepared_for_other_members_is_not_used(void **state)
{
    const struct mesh_cluster_event plan = epoch_of(8, 2);
    struct fail fail = {0};

    (void)state;
    begin(7, 1);
    server->next = calloc(1, sizeof *server->next);
    assert_non_null(server->next);
    start_earlier();
    assert_int_equal(epoch_run_prepare(server->next, &server->epoch_run_config, &plan, server->run, server->wakeup, NULL,
                                       serve_take_reclaimer(server), &fail),
                     0);
    atomic_store(&earlier.may_end, true);
    begin(9, 1); /* the other one died meanwhile */
    assert_true(atomic_load(&earlier.has_ended));
    assert_null(server->next);
    assert_null(server->reclaimer);
    assert_int_equal(server->run->number, 9);
    assert_int_equal(server->run->count, 1);
    assert_int_equal(server->prepared_epochs, 0);
}

static void the_first_epoch_has_no_rows_to_copy(void **state)
{
    struct engine_figures figures;

    (void)state;
    begin(7, 1);
    wait_until_loaded();
    engine_figures(server->run->engine, &figures);
    assert_int_equal(figures.copied_bytes, 0);
}

/* A request has begun and waits for its next step. Returns its computed positions. */
static uint32_t run_a_little(void)
{
    const unsigned client = served_call(&served);
    struct engine_cached cached[ENGINE_SLOTS_MAX];
    uint32_t first, heads;

    wait_until_loaded();
    worker_pool_stop(&server->run->workers);
    served_ask_text(&served, client, "abc", 60);
    serve_run_prompt_queue(server);
    jobs_submit(&server->jobs, server->run);
    do
        engine_work(server->run->engine, 0);
    while (engine_cached(server->run->engine, cached, &first, &heads) != 1 || cached[0].positions < 20);
    return cached[0].positions;
}

static void what_the_last_epoch_had_is_kept(bool is_prepared)
{
    const struct mesh_cluster_event plan = epoch_of(8, 1);
    const struct saved_kv_request *kept;
    struct engine_figures figures;
    struct fail fail = {0};
    uint32_t positions;

    begin(7, 1);
    positions = run_a_little();
    if (is_prepared) {
        server->next = calloc(1, sizeof *server->next);
        assert_non_null(server->next);
        assert_int_equal(epoch_run_prepare(server->next, &server->epoch_run_config, &plan, server->run, server->wakeup, NULL, NULL, &fail),
                         0);
        while (atomic_load(&server->next->preparing) == EPOCH_RUN_OPENING)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    begin(8, 1);
    assert_int_equal(server->prepared_epochs, is_prepared);
    assert_int_equal(server->saved_kv.count, 0); /* the engine has them */
    wait_until_loaded();
    engine_figures(server->run->engine, &figures);
    assert_true(figures.copied_bytes > 0); /* and so are rows */
    serve_end_run(server);                 /* nothing was asked again */
    pool_join(serve_take_reclaimer(server));
    kept = saved_kv_request(&server->saved_kv, server->jobs.job[0].id);
    assert_non_null(kept);
    assert_int_equal(kept->positions, positions);
    assert_true(server->saved_kv.count > 0);
    assert_int_equal(server->saved_kv.head[0].positions, positions);
}

static void keys_values_and_rows_go_to_an_epoch_that_was_prepared(void **state)
{
    (void)state;
    what_the_last_epoch_had_is_kept(true);
}

static void keys_values_and_rows_go_to_an_epoch_that_was_not_prepared(void **state)
{
    (void)state;
    what_the_last_epoch_had_is_kept(false);
}

/* ---- the last one ends ---- */

static void an_epoch_that_ends_leaves_all_that_it_has_computed(void **state)
{
    const unsigned client = served_call(&served);
    struct job *job = &server->jobs.job[0];

    (void)state;
    served_begin_alone(&served);
    server->cached = server->run->engine;
    served_ask_text(&served, client, "abc", 600);
    serve_run_prompt_queue(server);
    jobs_submit(&server->jobs, server->run);
    while (engine_work(server->run->engine, 0) != ENGINE_IDLE) {
    }
    assert_int_equal(job->count, job->prompt_count); /* nobody has taken anything */
    serve_end_run(server);
    assert_null(server->run);
    assert_null(server->cached);
    assert_int_equal(job->count, job->prompt_count + 600);
    assert_true(job->is_done);
    assert_int_equal(job->reason, ENGINE_DONE_LENGTH);
    assert_false(job->is_submitted);
    assert_int_equal(job->epochs, 0);
    serve_tell_clients(server);
    served_pump(&served);
    serve_tell_clients(server);
    served_pump(&served);
    assert_int_equal(served.client[client].tokens, 600);
}

static void refused_datagrams_of_an_epoch_are_counted_after_it(void **state)
{
    (void)state;
    server->refused[2] = 4;
    begin(7, 2);
    server->run->sealer.refused[2] += 3;
    serve_end_run(server);
    assert_int_equal(server->refused[2], 7);
    pool_join(serve_take_reclaimer(server));
}

/* Else what happened since the report before would be missing in the sums. */
static void who_watches_is_told_of_the_end_of_an_epoch(void **state)
{
    const struct mesh_telemetry_watch wish = {60000, 60000, MESH_TELEMETRY_ALL};
    uint8_t record[MESH_TELEMETRY_WATCH_BYTES];
    const unsigned client = served_call(&served);
    struct fail fail;
    unsigned told;

    (void)state;
    server->memory.monitor = memory_monitor_open(&fail);
    assert_non_null(server->memory.monitor);
    begin(7, 1);
    serve_watch_epoch(server);
    mesh_telemetry_write_watch(&wish, record);
    served_say(&served, client, record, sizeof record);
    serve_watch_run(server);
    served_pump(&served);
    served_let_pass(SERVED_S);
    serve_watch_run(server); /* it is not due */
    served_pump(&served);
    told = served.client[client].told[MESH_TELEMETRY_RECORD_REPORT];
    assert_true(told > 0);
    serve_end_run(server);
    served_pump(&served);
    assert_true(served.client[client].told[MESH_TELEMETRY_RECORD_REPORT] > told);
    serve_close_memory(server);
}

/* It could not be opened, and the node says so, or waits. */
static void an_epoch_without_an_engine_ends(void **state)
{
    (void)state;
    server->run = calloc(1, sizeof *server->run);
    assert_non_null(server->run);
    serve_end_run(server);
    assert_null(server->run);
    pool_join(serve_take_reclaimer(server));
    assert_int_equal(server->recomputed, 0);
}

static void what_is_given_up_stops_loading_at_once_and_is_freed_after_what_was_before(void **state)
{
    struct epoch_run *next = calloc(1, sizeof *next), *none = NULL;

    (void)state;
    assert_non_null(next);
    server->next = next;
    start_earlier();
    serve_reclaim(server, &none); /* nothing happens */
    serve_reclaim(server, &server->next);
    assert_null(server->next);
    assert_non_null(server->reclaimer);
    assert_true(atomic_load(&next->workers.is_stopping)); /* it is there yet */
    assert_false(atomic_load(&earlier.has_ended));
    atomic_store(&earlier.may_end, true);
    pool_join(serve_take_reclaimer(server));
    assert_true(atomic_load(&earlier.has_ended));
    assert_null(server->reclaimer);
}

#define BETWEEN_TEST(test) cmocka_unit_test_setup_teardown(test, open_between, close_node)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BETWEEN_TEST(other_members_are_answered_until_the_next_epoch_is_open),
        BETWEEN_TEST(what_was_prepared_for_other_members_is_not_used),
        BETWEEN_TEST(the_first_epoch_has_no_rows_to_copy),
        BETWEEN_TEST(keys_values_and_rows_go_to_an_epoch_that_was_prepared),
        BETWEEN_TEST(keys_values_and_rows_go_to_an_epoch_that_was_not_prepared),
        BETWEEN_TEST(an_epoch_that_ends_leaves_all_that_it_has_computed),
        BETWEEN_TEST(refused_datagrams_of_an_epoch_are_counted_after_it),
        BETWEEN_TEST(who_watches_is_told_of_the_end_of_an_epoch),
        BETWEEN_TEST(an_epoch_without_an_engine_ends),
        BETWEEN_TEST(what_is_given_up_stops_loading_at_once_and_is_freed_after_what_was_before),
    };

    return SERVED_RUN(tests);
}
