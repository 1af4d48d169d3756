/* The step log: requests that arrive and start, entries in their order. What is refused: test_steplog_refused.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/engine/steplog.h"
#include "tests/unit/simsaved.h"

enum { CTX = 20000, SLOTS = 3, BATCH = 64 };

static struct steplog steplog;
static struct sequence sequence;
static uint32_t prompt[CTX];
static uint8_t record[RECORD_BYTES_MAX];

static int begin(void **state)
{
    const struct steplog_limits limits = {.ctx = CTX, .slots = SLOTS, .batch = BATCH};
    struct fail fail;

    (void)state;
    for (uint32_t i = 0; i < CTX; i++)
        prompt[i] = i * 7919;
    sequence = (struct sequence){.token = calloc(CTX, sizeof *sequence.token)};
    return sequence.token == NULL || steplog_init(&steplog, &limits, &fail) < 0;
}

static int end(void **state)
{
    (void)state;
    free(sequence.token);
    steplog_release(&steplog);
    return 0;
}

static struct request request_of(uint64_t id, uint32_t prompt_count)
{
    return (struct request){
        .id = id,
        .prompt = prompt,
        .prompt_count = prompt_count,
        .predict = 3,
        .sampling = {.temperature = 0.7f, .top_k = 41, .top_p = 0.93f, .repeat_penalty = 1.1f, .seed = 0x123456789abcdef0},
        .ignore_end = true,
        .origin = 2,
    };
}

/* Delivers all records of a request but the last `held_back`. Returns what the last of them completed. */
static uint64_t arrive(const struct request *request, uint32_t held_back)
{
    uint64_t complete = 0;

    for (uint32_t i = 0; i + held_back < record_request_count(request); i++)
        assert_int_equal(steplog_take_record(&steplog, record, record_put_request(request, i, record), &complete), 0);
    return complete;
}

/* ---- requests ---- */

static void a_request_starts_as_it_was_submitted(void **state)
{
    struct request request = request_of(9, 5);

    (void)state;
    assert_true(arrive(&request, 0) == 9);
    assert_true(steplog_start(&steplog, &sequence, 9));
    assert_true(sequence.is_active);
    assert_int_equal(sequence.token_count, 5);
    assert_memory_equal(sequence.token, prompt, 5 * sizeof *prompt);
    assert_int_equal(sequence.generated, 0);
    assert_int_equal(sequence.positions_done, 0);
    assert_true(sequence.request.id == 9);
    assert_int_equal(sequence.request.predict, 3);
    assert_int_equal(sequence.request.origin, 2);
    assert_memory_equal(&sequence.request.sampling, &request.sampling, sizeof request.sampling);
    assert_false(steplog_start(&steplog, &sequence, 9));
}

static void tokens_generated_before_count_as_generated(void **state)
{
    struct request request = request_of(9, 50);

    (void)state;
    request.generated_before = 20;
    request.predict = 30;
    arrive(&request, 0);
    assert_true(steplog_start(&steplog, &sequence, 9));
    assert_int_equal(sequence.token_count, 50);
    assert_int_equal(sequence.generated, 20);
}

static void a_request_starts_when_all_its_tokens_are_there(void **state)
{
    struct request request = request_of(9, 2 * RECORD_TOKENS_MAX + 1);
    uint64_t complete;

    (void)state;
    assert_true(arrive(&request, 1) == 0);
    assert_false(steplog_start(&steplog, &sequence, 9));
    assert_int_equal(steplog_take_record(&steplog, record, record_put_request(&request, 3, record), &complete), 0);
    assert_true(complete == 9);
    assert_true(steplog_start(&steplog, &sequence, 9));
    assert_memory_equal(sequence.token, prompt, request.prompt_count * sizeof *prompt);
}

static void as_many_requests_wait_as_there_are_slots_and_start_in_any_order(void **state)
{
    uint64_t complete;

    (void)state;
    for (uint64_t id = 1; id <= SLOTS; id++) {
        struct request request = request_of(id, (uint32_t)(10 * id));

        arrive(&request, 0);
    }
    struct request more = request_of(SLOTS + 1, 1);
    assert_int_equal(steplog_take_record(&steplog, record, record_put_request(&more, 0, record), &complete), -1);
    for (uint64_t id = SLOTS; id >= 1; id--) {
        assert_true(steplog_start(&steplog, &sequence, id));
        assert_int_equal(sequence.token_count, 10 * id);
    }
    arrive(&more, 0);
    assert_true(steplog_start(&steplog, &sequence, SLOTS + 1));
}

static void requests_that_have_not_started_are_saved(void **state)
{
    struct simsaved saved = {0};
    struct request one = request_of(1, 5), two = request_of(2, 7), half = request_of(3, RECORD_TOKENS_MAX + 1);

    (void)state;
    arrive(&one, 0);
    arrive(&two, 0);
    arrive(&half, 1);
    assert_true(steplog_start(&steplog, &sequence, 1));
    assert_int_equal(simsaved_add_log(&saved, &steplog), 0);
    assert_int_equal(saved.count, 1);
    assert_true(saved.request[0].id == 2);
    assert_memory_equal(saved.request[0].prompt, prompt, 7 * sizeof *prompt);
    simsaved_release(&saved);
}

/* ---- entries ---- */

static void an_entry_is_known_only_after_it_was_added(void **state)
{
    const struct step_entry added = {.step = 0, .part_count = 2, .part = {{.request = 1, .count = 3}, {.request = 2, .position = 7}}};
    struct step_entry entry;

    (void)state;
    assert_false(steplog_next(&steplog, &entry));
    steplog_add(&steplog, &added);
    for (int i = 0; i < 2; i++) {
        assert_true(steplog_next(&steplog, &entry));
        assert_int_equal(entry.part_count, 2);
        assert_memory_equal(entry.part, added.part, 2 * sizeof *entry.part);
    }
    steplog_step_over(&steplog);
    assert_false(steplog_next(&steplog, &entry));
}

static void entries_come_in_their_order_as_records_too(void **state)
{
    struct step_entry entry = {.part_count = 1, .part = {{.request = 1, .count = 1}}};
    uint64_t complete;

    (void)state;
    for (uint64_t step = 0; step < 3 * STEPLOG_ENTRIES_MAX; step++) {
        entry.step = step;
        entry.part[0].position = (uint32_t)step;
        assert_int_equal(steplog_take_record(&steplog, record, record_put_step(&entry, record), &complete), 0);
        assert_true(complete == 0);
        assert_true(steplog_next(&steplog, &entry));
        assert_true(entry.step == step && entry.part[0].position == step);
        steplog_step_over(&steplog);
    }
}

#define log_test(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        log_test(a_request_starts_as_it_was_submitted),           log_test(tokens_generated_before_count_as_generated),
        log_test(a_request_starts_when_all_its_tokens_are_there), log_test(as_many_requests_wait_as_there_are_slots_and_start_in_any_order),
        log_test(requests_that_have_not_started_are_saved),       log_test(an_entry_is_known_only_after_it_was_added),
        log_test(entries_come_in_their_order_as_records_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
