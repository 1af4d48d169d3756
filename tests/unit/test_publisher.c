/* A node's records of requests and steps: the log of the sequencer, and records sent by other ranks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/engine/publisher.h"

enum { CTX = 20000, SLOTS = 2, BATCH = 8, VOCAB = 20000 };

/* The sequencer and one follower. */
static struct publisher publisher;
static struct request_queue queue;
static struct steplog own, other;
static uint32_t prompt[CTX];

static uint32_t candidates_of(const void *app, const struct sampling *sampling)
{
    (void)app;
    return sampling->top_k;
}

static int begin_as(bool is_sequencer)
{
    const struct scheduler_limits plan = {.ctx = CTX, .slots = SLOTS, .batch = BATCH, .candidates_max = 100};
    const struct steplog_limits log = {.ctx = CTX, .slots = SLOTS, .batch = BATCH};
    struct fail fail;

    for (uint32_t i = 0; i < CTX; i++)
        prompt[i] = i;
    request_queue_init(&queue, CTX, VOCAB);
    publisher_init(&publisher, is_sequencer, &plan, candidates_of, NULL);
    return steplog_init(&own, &log, &fail) | steplog_init(&other, &log, &fail);
}

static int begin(void **state)
{
    (void)state;
    return begin_as(true);
}

static int begin_other(void **state)
{
    (void)state;
    return begin_as(false);
}

static int end(void **state)
{
    (void)state;
    request_queue_release(&queue);
    steplog_release(&own);
    steplog_release(&other);
    return 0;
}

static void submit(uint64_t id, uint32_t prompt_count, uint32_t predict)
{
    const struct request request = {.id = id, .prompt = prompt, .prompt_count = prompt_count, .predict = predict, .sampling.top_k = 40};

    assert_true(request_queue_submit(&queue, &request, 0));
}

/* Moves the next record into both logs and returns its type; 0: none is due. */
static int move(void)
{
    uint64_t complete;

    if (!publisher_next(&publisher, &queue, &own))
        return 0;
    assert_true(publisher.record_bytes > 0 && publisher.record_bytes <= RECORD_BYTES_MAX);
    int type = publisher.record[0];
    assert_int_equal(steplog_take_record(&other, publisher.record, publisher.record_bytes, &complete), 0);
    publisher_sent(&publisher, &queue, &own);
    return type;
}

static void move_all(void)
{
    while (move() != 0)
        ;
}

static void assert_next(uint64_t step, uint64_t request, uint32_t position, uint16_t count)
{
    struct step_entry entry, copy;

    assert_true(steplog_next(&own, &entry) && steplog_next(&other, &copy));
    assert_true(entry.step == step && copy.step == step);
    assert_true(entry.part[0].request == request && copy.part[0].request == request);
    assert_int_equal(entry.part[0].position, position);
    assert_int_equal(entry.part[0].count, count);
    assert_int_equal(copy.part_count, entry.part_count);
    steplog_step_over(&own);
    steplog_step_over(&other);
}

static void start_and_drop(struct steplog *log, uint64_t request)
{
    struct sequence sequence = {.token = calloc(CTX, sizeof *sequence.token)};

    assert_non_null(sequence.token);
    assert_true(steplog_start(log, &sequence, request));
    free(sequence.token);
}

/* ---- the sequencer ---- */

static void a_request_comes_before_its_steps(void **state)
{
    (void)state;
    submit(7, 10, 2);
    assert_int_equal(move(), RECORD_REQUEST);
    assert_int_equal(move(), RECORD_TOKENS);
    assert_int_equal(move(), RECORD_STEP);
    move_all();
    assert_next(0, 7, 0, 8);
    assert_next(1, 7, 8, 2);
    assert_next(2, 7, 10, 1);
}

static void a_record_stays_in_hand_until_it_is_sent(void **state)
{
    uint8_t copy[100];

    (void)state;
    submit(7, 3, 1);
    assert_true(publisher_next(&publisher, &queue, &own));
    size_t bytes = publisher.record_bytes;
    assert_true(bytes <= sizeof copy);
    memcpy(copy, publisher.record, bytes);
    assert_true(publisher_next(&publisher, &queue, &own));
    assert_int_equal(publisher.record_bytes, bytes);
    assert_memory_equal(publisher.record, copy, bytes);
}

static void few_steps_are_published_ahead(void **state)
{
    (void)state;
    submit(7, 2, 1000);
    move_all();
    assert_int_equal(own.known, STEPLOG_AHEAD);
    steplog_step_over(&own);
    assert_int_equal(move(), RECORD_STEP);
    assert_int_equal(move(), 0);
}

static void a_request_waits_for_a_slot(void **state)
{
    uint16_t origin;

    (void)state;
    for (uint64_t id = 1; id <= SLOTS + 1; id++)
        submit(id, 2, 1000);
    move_all();
    assert_int_equal(publisher.scheduler.count, SLOTS);
    assert_int_equal(request_queue_state(&queue, SLOTS + 1, &origin), REQUEST_QUEUE_FRESH);
    /* It has run on both nodes, and ended. */
    start_and_drop(&own, 1);
    start_and_drop(&other, 1);
    publisher_forget(&publisher, &queue, 1);
    assert_int_equal(move(), RECORD_REQUEST);
    assert_int_equal(move(), RECORD_TOKENS);
    assert_int_equal(publisher.scheduler.count, SLOTS);
    /* A request in the log is no longer in the queue. */
    assert_int_equal(request_queue_state(&queue, SLOTS + 1, &origin), REQUEST_QUEUE_ABSENT);
}

static void steps_that_are_needed_go_before_a_long_prompt(void **state)
{
    (void)state;
    submit(1, 2, 1000);
    move_all();
    for (int i = 0; i < STEPLOG_AHEAD; i++) {
        steplog_step_over(&own);
        steplog_step_over(&other);
    }
    submit(2, 2 * RECORD_TOKENS_MAX, 10);
    assert_int_equal(move(), RECORD_STEP);
    assert_int_equal(move(), RECORD_STEP);
    assert_int_equal(move(), RECORD_REQUEST);
    steplog_step_over(&own);
    steplog_step_over(&other);
    assert_int_equal(move(), RECORD_STEP);
    assert_int_equal(move(), RECORD_TOKENS);
    assert_int_equal(move(), RECORD_TOKENS);
    assert_int_equal(move(), RECORD_STEP);
}

static void a_request_that_runs_already_is_not_told_again(void **state)
{
    uint16_t origin;

    (void)state;
    submit(1, 2, 1000);
    move_all();
    submit(1, 5, 1000);
    assert_int_equal(move(), 0);
    assert_int_equal(request_queue_state(&queue, 1, &origin), REQUEST_QUEUE_ABSENT);
}

/* ---- other ranks ---- */

static void another_rank_sends_its_requests_and_keeps_them(void **state)
{
    uint16_t origin;

    (void)state;
    for (uint64_t id = 1; id <= SLOTS + 1; id++)
        submit(id, 2, 1000);
    for (uint64_t id = 1; id <= SLOTS + 1; id++) {
        for (uint8_t type = RECORD_REQUEST; type <= RECORD_TOKENS; type++) {
            assert_true(publisher_next(&publisher, &queue, &own));
            assert_int_equal(publisher.record[0], type);
            publisher_sent(&publisher, &queue, &own);
        }
    }
    assert_false(publisher_next(&publisher, &queue, &own));
    for (uint64_t id = 1; id <= SLOTS + 1; id++) {
        assert_int_equal(request_queue_state(&queue, id, &origin), REQUEST_QUEUE_TAKEN);
        publisher_forget(&publisher, &queue, id);
        assert_int_equal(request_queue_state(&queue, id, &origin), REQUEST_QUEUE_ABSENT);
    }
}

static void a_request_that_comes_with_the_log_meanwhile_is_given_up(void **state)
{
    (void)state;
    submit(1, 2 * RECORD_TOKENS_MAX, 10);
    submit(2, 2, 10);
    assert_true(publisher_next(&publisher, &queue, &own));
    publisher_sent(&publisher, &queue, &own);
    assert_true(publisher_next(&publisher, &queue, &own));
    publisher_forget(&publisher, &queue, 1);
    publisher_sent(&publisher, &queue, &own);
    assert_true(publisher_next(&publisher, &queue, &own));
    assert_int_equal(publisher.record[0], RECORD_REQUEST);
    assert_true(publisher.request->id == 2);
}

#define publisher_test(function) cmocka_unit_test_setup_teardown(function, begin, end)
#define other_test(function)     cmocka_unit_test_setup_teardown(function, begin_other, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        publisher_test(a_request_comes_before_its_steps),
        publisher_test(a_record_stays_in_hand_until_it_is_sent),
        publisher_test(few_steps_are_published_ahead),
        publisher_test(a_request_waits_for_a_slot),
        publisher_test(steps_that_are_needed_go_before_a_long_prompt),
        publisher_test(a_request_that_runs_already_is_not_told_again),
        other_test(another_rank_sends_its_requests_and_keeps_them),
        other_test(a_request_that_comes_with_the_log_meanwhile_is_given_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
