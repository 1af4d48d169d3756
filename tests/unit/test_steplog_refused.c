/* The step log: records that a peer may send and that are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/bytes.h"
#include "node/steplog.h"

enum { CTX = 20000, REQUEST_BYTES = 50, STEP_BYTES = 20, TOKENS_HEAD_BYTES = 13 };

static struct steplog steplog;
static struct sequence sequence;

static int begin(void **state)
{
    struct fail fail;

    (void)state;
    return steplog_init(&steplog, &sequence, CTX, &fail);
}

static int end(void **state)
{
    (void)state;
    steplog_release(&steplog, &sequence);
    return 0;
}

static size_t request_record(uint8_t *out, uint32_t id, uint32_t prompt_count)
{
    struct bytes b = bytes_writer(out, REQUEST_BYTES);

    memset(out, 0, REQUEST_BYTES);
    bytes_put_u8(&b, RECORD_REQUEST);
    bytes_put_u32(&b, id);
    bytes_put_u32(&b, prompt_count);
    bytes_put_u32(&b, 1);
    return REQUEST_BYTES;
}

static size_t tokens_record(uint8_t *out, uint32_t id, uint32_t first, uint32_t count, uint32_t there)
{
    struct bytes b = bytes_writer(out, TOKENS_HEAD_BYTES + 4 * there);

    bytes_put_u8(&b, RECORD_TOKENS);
    bytes_put_u32(&b, id);
    bytes_put_u32(&b, first);
    bytes_put_u32(&b, count);
    for (uint32_t i = 0; i < there; i++)
        bytes_put_u32(&b, i);
    return bytes_size(&b);
}

static size_t step_record(uint8_t *out, uint64_t step, uint32_t position, uint16_t count, uint8_t flags)
{
    struct bytes b = bytes_writer(out, STEP_BYTES);

    bytes_put_u8(&b, RECORD_STEP);
    bytes_put_u64(&b, step);
    bytes_put_u32(&b, 1);
    bytes_put_u32(&b, position);
    bytes_put_u16(&b, count);
    bytes_put_u8(&b, flags);
    return bytes_size(&b);
}

static void refused(const uint8_t *record, size_t bytes)
{
    uint64_t known = steplog.known;
    uint32_t count = steplog.arrived_count;
    bool has_arrived = steplog.has_arrived;
    uint8_t *copy = malloc(bytes + 1); /* its end is the end of memory, for sanitizers */

    assert_non_null(copy);
    memcpy(copy, record, bytes);
    assert_int_equal(steplog_take_record(&steplog, copy, bytes), -1);
    free(copy);
    assert_true(steplog.known == known && steplog.arrived_count == count && steplog.has_arrived == has_arrived);
}

/* Every shorter length, and a byte too many. */
static void refused_at_other_lengths(const uint8_t *record, size_t bytes)
{
    for (size_t size = 0; size < bytes; size++)
        refused(record, size);
    refused(record, bytes + 1);
}

static void records_of_a_wrong_length_are_refused(void **state)
{
    uint8_t record[REQUEST_BYTES + 1] = {0};

    (void)state;
    refused_at_other_lengths(record, request_record(record, 1, 5));
    assert_int_equal(steplog_take_record(&steplog, record, REQUEST_BYTES), 0);
    refused_at_other_lengths(record, tokens_record(record, 1, 0, 5, 5));
    assert_int_equal(steplog_take_record(&steplog, record, TOKENS_HEAD_BYTES + 20), 0);
    refused_at_other_lengths(record, step_record(record, 0, 0, 5, 1));
    assert_int_equal(steplog_take_record(&steplog, record, STEP_BYTES), 0);
}

static void records_of_another_kind_are_refused(void **state)
{
    uint8_t record[REQUEST_BYTES];

    (void)state;
    for (unsigned kind = 0; kind < 256; kind++) {
        memset(record, 0, sizeof record);
        record[0] = (uint8_t)kind;
        if (kind < RECORD_REQUEST || kind > RECORD_STEP)
            for (size_t size = 1; size <= sizeof record; size++)
                refused(record, size);
    }
}

static void a_prompt_without_tokens_or_beyond_the_context_is_refused(void **state)
{
    uint8_t record[REQUEST_BYTES];

    (void)state;
    refused(record, request_record(record, 1, 0));
    refused(record, request_record(record, 1, CTX + 1));
    refused(record, request_record(record, 1, UINT32_MAX));
    assert_int_equal(steplog_take_record(&steplog, record, request_record(record, 1, CTX)), 0);
}

static void tokens_that_do_not_follow_are_refused(void **state)
{
    uint8_t record[REQUEST_BYTES + 4 * 20];

    (void)state;
    refused(record, tokens_record(record, 1, 0, 1, 1)); /* of no request */
    assert_int_equal(steplog_take_record(&steplog, record, request_record(record, 1, 10)), 0);
    refused(record, tokens_record(record, 2, 0, 1, 1));
    refused(record, tokens_record(record, 1, 1, 1, 1));
    refused(record, tokens_record(record, 1, 0, 11, 11));
    refused(record, tokens_record(record, 1, 0, UINT32_MAX, 0));
    refused(record, tokens_record(record, 1, 0, 0x40000000, 0)); /* 4 * count is 2^32 */
    assert_int_equal(steplog_take_record(&steplog, record, tokens_record(record, 1, 0, 6, 6)), 0);
    refused(record, tokens_record(record, 1, 0, 6, 6));
    refused(record, tokens_record(record, 1, 6, 5, 5));
    refused(record, tokens_record(record, 1, UINT32_MAX, 1, 1));
    assert_false(steplog_start(&steplog, &sequence, 1));
    assert_int_equal(steplog_take_record(&steplog, record, tokens_record(record, 1, 6, 4, 4)), 0);
    assert_true(steplog_start(&steplog, &sequence, 1));
}

static void entries_out_of_order_are_refused(void **state)
{
    uint8_t record[STEP_BYTES];

    (void)state;
    refused(record, step_record(record, 1, 0, 1, 0));
    assert_int_equal(steplog_take_record(&steplog, record, step_record(record, 0, 0, 1, 0)), 0);
    refused(record, step_record(record, 0, 0, 1, 0));
    refused(record, step_record(record, UINT64_MAX, 0, 1, 0));
}

static void entries_that_compute_nothing_or_too_much_are_refused(void **state)
{
    uint8_t record[STEP_BYTES];

    (void)state;
    refused(record, step_record(record, 0, 0, 0, 1));
    refused(record, step_record(record, 0, CTX, 1, 1));
    refused(record, step_record(record, 0, CTX - 1, 2, 1));
    refused(record, step_record(record, 0, UINT32_MAX, 1, 1));
    assert_int_equal(steplog_take_record(&steplog, record, step_record(record, 0, CTX - 1, 1, 1)), 0);
    assert_int_equal(steplog_take_record(&steplog, record, step_record(record, 1, CTX, 0, 2)), 0); /* a cancel */
}

static void more_entries_than_the_log_holds_are_refused(void **state)
{
    uint8_t record[STEP_BYTES];

    (void)state;
    for (uint64_t step = 0; step < STEPLOG_ENTRIES_MAX; step++)
        assert_int_equal(steplog_take_record(&steplog, record, step_record(record, step, 0, 1, 0)), 0);
    refused(record, step_record(record, STEPLOG_ENTRIES_MAX, 0, 1, 0));
    steplog_step_over(&steplog);
    assert_int_equal(steplog_take_record(&steplog, record, step_record(record, STEPLOG_ENTRIES_MAX, 0, 1, 0)), 0);
}

#define log_test(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        log_test(records_of_a_wrong_length_are_refused),
        log_test(records_of_another_kind_are_refused),
        log_test(a_prompt_without_tokens_or_beyond_the_context_is_refused),
        log_test(tokens_that_do_not_follow_are_refused),
        log_test(entries_out_of_order_are_refused),
        log_test(entries_that_compute_nothing_or_too_much_are_refused),
        log_test(more_entries_than_the_log_holds_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
