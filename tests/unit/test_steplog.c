/* The step log: what the sequencer plans, and what everybody takes from its records. What is refused: test_steplog_refused.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/steplog.h"

enum { CTX = 20000, REQUEST_BYTES = 50, PROMPT_MAX = 20000 };

/* The sequencer and one follower. */
static struct record_sender sender;
static struct steplog own, other;
static struct sequence own_sequence, other_sequence;
static uint32_t prompt[PROMPT_MAX];

static int begin(void **state)
{
    struct fail fail;

    (void)state;
    memset(&sender, 0, sizeof sender);
    for (uint32_t i = 0; i < PROMPT_MAX; i++)
        prompt[i] = i * 7919;
    return steplog_init(&own, &own_sequence, CTX, &fail) | steplog_init(&other, &other_sequence, CTX, &fail);
}

static int end(void **state)
{
    (void)state;
    if (atomic_load(&sender.state) != SENDER_FREE)
        sender_end(&sender);
    steplog_release(&own, &own_sequence);
    steplog_release(&other, &other_sequence);
    return 0;
}

static void submit(uint32_t prompt_count, uint32_t predict)
{
    const struct request request = {
        .prompt = prompt,
        .prompt_count = prompt_count,
        .predict = predict,
        .sampling = {.temperature = 0.7f,
                     .top_k = 41,
                     .top_p = 0.93f,
                     .min_p = 0.02f,
                     .repeat_penalty = 1.1f,
                     .presence_penalty = 0.25f,
                     .frequency_penalty = -0.5f,
                     .seed = 0x123456789abcdef0},
        .ignore_end = true,
        .want_digest = false,
    };

    assert_true(sender_submit(&sender, &request));
}

/* Move one record to both logs; false when none is due. */
static bool move(uint16_t batch, uint32_t ctx)
{
    if (!sender_next(&sender, &own, batch, ctx))
        return false;
    assert_true(sender.record_bytes > 0 && sender.record_bytes <= STEPLOG_RECORD_BYTES_MAX);
    assert_int_equal(steplog_take_record(&other, sender.record, sender.record_bytes), 0);
    sender_sent(&sender, &own);
    return true;
}

/* Begin the next entry of both logs, which is the same. */
static bool begin_entry(struct step_entry *entry)
{
    struct step_entry copy;

    if (!steplog_next(&other, entry))
        return false;
    assert_true(steplog_next(&own, &copy));
    assert_true(copy.step == entry->step && copy.request == entry->request && copy.position == entry->position &&
                copy.count == entry->count && copy.is_sampled == entry->is_sampled && copy.is_cancelled == entry->is_cancelled);
    steplog_step_over(&own);
    steplog_step_over(&other);
    return true;
}

/* Run until nothing is planned any more; the entries in order. */
static size_t run(uint16_t batch, uint32_t ctx, struct step_entry *entries, size_t max)
{
    size_t count = 0;

    for (;;) {
        while (move(batch, ctx))
            ;
        if (count == max || !begin_entry(&entries[count]))
            return count;
        assert_true(entries[count].step == count);
        count++;
    }
}

/* ---- records ---- */

static void a_request_is_the_same_on_every_node(void **state)
{
    (void)state;
    submit(5, 3);
    while (move(2, CTX))
        ;
    assert_true(steplog_start(&other, &other_sequence, 1));
    assert_true(other_sequence.is_active);
    assert_int_equal(other_sequence.token_count, 5);
    assert_memory_equal(other_sequence.token, prompt, 5 * sizeof *prompt);
    assert_int_equal(other_sequence.generated, 0);
    assert_int_equal(other_sequence.request.id, 1);
    assert_int_equal(other_sequence.request.predict, 3);
    assert_memory_equal(&other_sequence.request.sampling, &sender.request.sampling, sizeof sender.request.sampling);
    assert_true(other_sequence.request.ignore_end);
    assert_false(other_sequence.request.want_digest);
    assert_true(steplog_start(&own, &own_sequence, 1));
    assert_memory_equal(own_sequence.token, prompt, 5 * sizeof *prompt);
}

static void a_long_prompt_travels_in_several_records(void **state)
{
    int records = 0;

    (void)state;
    submit(2 * STEPLOG_TOKENS_PER_RECORD + 1, 1);
    while (atomic_load(&sender.state) != SENDER_STEPS) {
        assert_false(steplog_start(&other, &other_sequence, 1));
        assert_true(move(64, CTX));
        records++;
    }
    assert_int_equal(records, 4);
    assert_true(steplog_start(&other, &other_sequence, 1));
    assert_memory_equal(other_sequence.token, prompt, (2 * STEPLOG_TOKENS_PER_RECORD + 1) * sizeof *prompt);
}

static void a_prompt_of_just_one_record_needs_no_second(void **state)
{
    int records = 0;

    (void)state;
    submit(STEPLOG_TOKENS_PER_RECORD, 1);
    for (; atomic_load(&sender.state) != SENDER_STEPS; records++)
        assert_true(move(64, CTX));
    assert_int_equal(records, 2);
}

static void the_prompt_is_copied_when_submitted(void **state)
{
    (void)state;
    submit(3, 1);
    prompt[1] = 99;
    while (move(8, CTX))
        ;
    assert_true(steplog_start(&other, &other_sequence, 1));
    assert_int_equal(other_sequence.token[1], 7919);
}

static void only_one_request_at_a_time_is_taken(void **state)
{
    const struct request request = {.prompt = prompt, .prompt_count = 1, .predict = 1};

    (void)state;
    submit(1, 1);
    assert_false(sender_submit(&sender, &request));
    sender_end(&sender);
    assert_true(sender_submit(&sender, &request));
    assert_int_equal(sender.request.id, 2);
}

static void a_record_stays_in_hand_until_it_is_sent(void **state)
{
    uint8_t copy[REQUEST_BYTES];

    (void)state;
    submit(3, 1);
    assert_true(sender_next(&sender, &own, 8, CTX));
    assert_int_equal(sender.record_bytes, REQUEST_BYTES);
    memcpy(copy, sender.record, sizeof copy);
    assert_true(sender_next(&sender, &own, 8, CTX));
    assert_memory_equal(sender.record, copy, sizeof copy);
}

/* ---- planning ---- */

static void a_prompt_is_cut_into_batches_and_only_its_end_is_sampled(void **state)
{
    static const uint16_t counts[] = {4, 4, 3, 1, 1};
    struct step_entry entry[10];
    uint32_t position = 0;

    (void)state;
    submit(11, 3);
    assert_int_equal(run(4, CTX, entry, 10), 5);
    for (size_t i = 0; i < 5; position += entry[i++].count) {
        assert_int_equal(entry[i].position, position);
        assert_int_equal(entry[i].count, counts[i]);
        assert_int_equal(entry[i].is_sampled, i >= 2);
        assert_int_equal(entry[i].request, 1);
        assert_false(entry[i].is_cancelled);
    }
}

static void one_token_to_predict_needs_the_prompt_only(void **state)
{
    struct step_entry entry[10];

    (void)state;
    submit(8, 1);
    assert_int_equal(run(4, CTX, entry, 10), 2);
    assert_true(entry[1].is_sampled);
}

static void planning_ends_with_the_context(void **state)
{
    struct step_entry entry[20];

    (void)state;
    submit(5, 1000);
    assert_int_equal(run(8, 9, entry, 20), 5); /* positions 0-4, 5, 6, 7, 8 */
    assert_int_equal(entry[4].position, 8);
    sender_end(&sender);
}

static void a_prompt_that_fills_the_context_still_gives_a_token(void **state)
{
    struct step_entry entry[20];

    (void)state;
    submit(9, 1000);
    assert_int_equal(run(8, 9, entry, 20), 2);
    assert_true(entry[1].is_sampled);
}

static void few_entries_are_published_ahead(void **state)
{
    int ahead = -2; /* the request and its tokens */

    (void)state;
    submit(2, 1000);
    while (move(8, CTX))
        ahead++;
    assert_int_equal(ahead, STEPLOG_AHEAD);
    steplog_step_over(&own);
    assert_true(move(8, CTX));
    assert_false(move(8, CTX));
}

static void a_cancel_ends_the_plan_with_an_empty_entry(void **state)
{
    struct step_entry entry[20];

    (void)state;
    submit(100, 1000);
    assert_true(move(10, CTX) && move(10, CTX) && move(10, CTX));
    atomic_store(&sender.want_cancel, true);
    assert_int_equal(run(10, CTX, entry, 20), 2);
    assert_int_equal(entry[0].count, 10);
    assert_int_equal(entry[1].count, 0);
    assert_true(entry[1].is_cancelled);
    assert_false(entry[1].is_sampled);
}

static void a_cancel_after_the_last_step_was_planned_is_still_told(void **state)
{
    struct step_entry entry;

    (void)state;
    submit(4, 1);
    while (move(8, CTX))
        ;
    assert_true(begin_entry(&entry));
    assert_false(move(8, CTX));
    atomic_store(&sender.want_cancel, true);
    assert_true(move(8, CTX));
    assert_false(move(8, CTX));
    assert_true(begin_entry(&entry));
    assert_true(entry.is_cancelled);
}

static void nothing_is_planned_for_a_request_that_has_ended(void **state)
{
    (void)state;
    submit(4, 1000);
    assert_true(move(8, CTX) && move(8, CTX) && move(8, CTX));
    atomic_store(&sender.has_ended, true);
    assert_false(move(8, CTX));
}

/* Entries that were published ahead outlive their request; the next request comes after them. */
static void entries_of_an_ended_request_are_void_and_the_next_follows(void **state)
{
    struct step_entry entry;

    (void)state;
    submit(4, 1000);
    while (move(8, CTX))
        ;
    assert_true(begin_entry(&entry));
    assert_true(steplog_start(&other, &other_sequence, entry.request));
    atomic_store(&sender.has_ended, true);
    other_sequence.is_active = false;
    sender_end(&sender);
    submit(6, 1);
    while (move(8, CTX))
        ;
    while (begin_entry(&entry) && entry.request == 1)
        assert_false(steplog_start(&other, &other_sequence, 1));
    assert_int_equal(entry.step, STEPLOG_AHEAD);
    assert_int_equal(entry.request, 2);
    assert_int_equal(entry.position, 0);
    assert_true(steplog_start(&other, &other_sequence, 2));
    assert_int_equal(other_sequence.token_count, 6);
}

static void an_entry_is_known_only_after_it_was_added(void **state)
{
    struct step_entry entry = {.step = 0, .request = 1, .count = 3};

    (void)state;
    assert_false(steplog_next(&own, &entry));
    steplog_add(&own, &entry);
    assert_true(steplog_next(&own, &entry));
    assert_true(steplog_next(&own, &entry));
    steplog_step_over(&own);
    assert_false(steplog_next(&own, &entry));
}

#define log_test(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        log_test(a_request_is_the_same_on_every_node),
        log_test(a_long_prompt_travels_in_several_records),
        log_test(a_prompt_of_just_one_record_needs_no_second),
        log_test(the_prompt_is_copied_when_submitted),
        log_test(only_one_request_at_a_time_is_taken),
        log_test(a_record_stays_in_hand_until_it_is_sent),
        log_test(a_prompt_is_cut_into_batches_and_only_its_end_is_sampled),
        log_test(one_token_to_predict_needs_the_prompt_only),
        log_test(planning_ends_with_the_context),
        log_test(a_prompt_that_fills_the_context_still_gives_a_token),
        log_test(few_entries_are_published_ahead),
        log_test(a_cancel_ends_the_plan_with_an_empty_entry),
        log_test(a_cancel_after_the_last_step_was_planned_is_still_told),
        log_test(nothing_is_planned_for_a_request_that_has_ended),
        log_test(entries_of_an_ended_request_are_void_and_the_next_follows),
        log_test(an_entry_is_known_only_after_it_was_added),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
