/* The step log: records that a peer may send and that are refused. Their lengths and types: test_record.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/common/bytes.h"
#include "node/engine/steplog.h"

enum { CTX = 20000, SLOTS = 3, BATCH = 64, TOKENS_HEAD_BYTES = 17, ROOM = 2000 };

static struct steplog steplog;
static struct sequence sequence;
static uint32_t prompt[CTX + 1];

static int begin(void **state)
{
    const struct steplog_limits limits = {.ctx = CTX, .slots = SLOTS, .batch = BATCH};
    struct fail fail;

    (void)state;
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

static int take(const uint8_t *record, size_t bytes)
{
    uint8_t *copy = malloc(bytes + 1); /* its end is the end of memory, for sanitizers */
    uint64_t complete;

    assert_non_null(copy);
    memcpy(copy, record, bytes);
    int err = steplog_take_record(&steplog, copy, bytes, &complete);
    free(copy);
    return err;
}

static void refused(const uint8_t *record, size_t bytes)
{
    uint64_t known = steplog.known;
    struct arriving before[SLOTS];

    memcpy(before, steplog.arriving, sizeof before);
    assert_int_equal(take(record, bytes), -1);
    assert_true(steplog.known == known);
    assert_memory_equal(before, steplog.arriving, sizeof before);
}

static size_t request_record(uint8_t *out, uint64_t id, uint32_t prompt_count)
{
    const struct request request = {.id = id, .prompt = prompt, .prompt_count = prompt_count, .predict = 1};

    return record_put_request(&request, 0, out);
}

static size_t tokens_record(uint8_t *out, uint64_t id, uint32_t first, uint32_t count, uint32_t there)
{
    struct bytes b = bytes_writer(out, TOKENS_HEAD_BYTES + 4 * there);

    bytes_put_u8(&b, RECORD_TOKENS);
    bytes_put_u64(&b, id);
    bytes_put_u32(&b, first);
    bytes_put_u32(&b, count);
    for (uint32_t i = 0; i < there; i++)
        bytes_put_u32(&b, i);
    return bytes_size(&b);
}

/* A step of one part. */
static size_t step_record(uint8_t *out, uint64_t step, uint32_t position, uint16_t count, bool is_cancelled)
{
    const struct step_entry entry = {
        .step = step,
        .part_count = 1,
        .part = {{.request = 1, .position = position, .count = count, .is_sampled = count > 0, .is_cancelled = is_cancelled}},
    };

    return record_put_step(&entry, out);
}

static void records_that_are_not_of_the_log_are_refused(void **state)
{
    uint8_t record[ROOM] = {0};

    (void)state;
    refused(record, 0);
    for (unsigned kind = 0; kind < 256; kind++) {
        if (kind >= RECORD_REQUEST && kind <= RECORD_STEP)
            continue;
        record[0] = (uint8_t)kind;
        for (size_t size = 1; size <= 100; size++)
            refused(record, size);
    }
}

static void a_prompt_without_tokens_or_beyond_the_context_is_refused(void **state)
{
    uint8_t record[ROOM];

    (void)state;
    refused(record, request_record(record, 1, 0));
    refused(record, request_record(record, 1, CTX + 1));
    refused(record, request_record(record, 1, UINT32_MAX));
    assert_int_equal(take(record, request_record(record, 1, CTX)), 0);
}

static void a_request_that_waits_already_is_refused(void **state)
{
    uint8_t record[ROOM];

    (void)state;
    assert_int_equal(take(record, request_record(record, 1, 5)), 0);
    refused(record, request_record(record, 1, 5));
    assert_int_equal(take(record, tokens_record(record, 1, 0, 5, 5)), 0);
    refused(record, request_record(record, 1, 5));
    assert_true(steplog_start(&steplog, &sequence, 1));
    assert_int_equal(take(record, request_record(record, 1, 5)), 0);
}

static void more_requests_than_slots_are_refused(void **state)
{
    uint8_t record[ROOM];

    (void)state;
    for (uint64_t id = 1; id <= SLOTS; id++)
        assert_int_equal(take(record, request_record(record, id, 5)), 0);
    refused(record, request_record(record, SLOTS + 1, 5));
}

static void tokens_that_do_not_follow_are_refused(void **state)
{
    uint8_t record[ROOM];

    (void)state;
    refused(record, tokens_record(record, 1, 0, 1, 1)); /* of no request */
    refused(record, tokens_record(record, 0, 0, 1, 1));
    assert_int_equal(take(record, request_record(record, 1, 10)), 0);
    refused(record, tokens_record(record, 2, 0, 1, 1));
    refused(record, tokens_record(record, 0, 0, 1, 1));
    refused(record, tokens_record(record, 1, 1, 1, 1));
    refused(record, tokens_record(record, 1, 0, 11, 11));
    refused(record, tokens_record(record, 1, 0, UINT32_MAX, 0));
    refused(record, tokens_record(record, 1, 0, 0x40000000, 0)); /* 4 * count is 2^32 */
    assert_int_equal(take(record, tokens_record(record, 1, 0, 6, 6)), 0);
    refused(record, tokens_record(record, 1, 0, 6, 6));
    refused(record, tokens_record(record, 1, 6, 5, 5));
    refused(record, tokens_record(record, 1, UINT32_MAX, 1, 1));
    assert_false(steplog_start(&steplog, &sequence, 1));
    assert_int_equal(take(record, tokens_record(record, 1, 6, 4, 4)), 0);
    assert_true(steplog_start(&steplog, &sequence, 1));
}

static void entries_out_of_order_are_refused(void **state)
{
    uint8_t record[ROOM];

    (void)state;
    refused(record, step_record(record, 1, 0, 1, false));
    assert_int_equal(take(record, step_record(record, 0, 0, 1, false)), 0);
    refused(record, step_record(record, 0, 0, 1, false));
    refused(record, step_record(record, UINT64_MAX, 0, 1, false));
}

static void entries_that_compute_nothing_or_too_much_are_refused(void **state)
{
    uint8_t record[ROOM];
    struct step_entry entry = {.part_count = 0};

    (void)state;
    refused(record, record_put_step(&entry, record));
    refused(record, step_record(record, 0, 0, 0, false));
    refused(record, step_record(record, 0, 0, 1, true));
    refused(record, step_record(record, 0, CTX, 1, false));
    refused(record, step_record(record, 0, CTX - 1, 2, false));
    refused(record, step_record(record, 0, UINT32_MAX, 1, false));
    refused(record, step_record(record, 0, 0, BATCH + 1, false));
    assert_int_equal(take(record, step_record(record, 0, CTX - 1, 1, false)), 0);
    assert_int_equal(take(record, step_record(record, 1, CTX, 0, true)), 0); /* a cancel */
}

static void parts_that_are_too_many_or_too_much_together_are_refused(void **state)
{
    uint8_t record[ROOM];
    struct step_entry entry = {.part_count = SLOTS + 1};

    (void)state;
    for (uint16_t i = 0; i < RECORD_PARTS_MAX; i++)
        entry.part[i] = (struct step_part){.request = i + 1u, .count = BATCH / SLOTS};
    refused(record, record_put_step(&entry, record));
    entry.part_count = RECORD_PARTS_MAX;
    refused(record, record_put_step(&entry, record));
    entry.part_count = SLOTS;
    entry.part[0].count = BATCH / SLOTS + BATCH % SLOTS + 1;
    refused(record, record_put_step(&entry, record));
    entry.part[0].count--;
    entry.part[1].request = 0; /* of no request */
    refused(record, record_put_step(&entry, record));
    entry.part[1].request = 2;
    assert_int_equal(take(record, record_put_step(&entry, record)), 0);
}

static void more_entries_than_the_log_holds_are_refused(void **state)
{
    uint8_t record[ROOM];

    (void)state;
    for (uint64_t step = 0; step < STEPLOG_ENTRIES_MAX; step++)
        assert_int_equal(take(record, step_record(record, step, 0, 1, false)), 0);
    refused(record, step_record(record, STEPLOG_ENTRIES_MAX, 0, 1, false));
    steplog_step_over(&steplog);
    assert_int_equal(take(record, step_record(record, STEPLOG_ENTRIES_MAX, 0, 1, false)), 0);
}

#define log_test(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        log_test(records_that_are_not_of_the_log_are_refused),
        log_test(a_prompt_without_tokens_or_beyond_the_context_is_refused),
        log_test(a_request_that_waits_already_is_refused),
        log_test(more_requests_than_slots_are_refused),
        log_test(tokens_that_do_not_follow_are_refused),
        log_test(entries_out_of_order_are_refused),
        log_test(entries_that_compute_nothing_or_too_much_are_refused),
        log_test(parts_that_are_too_many_or_too_much_together_are_refused),
        log_test(more_entries_than_the_log_holds_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
