/* Records: what is written is read back, to the bit, and all else is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/engine/record.h"

enum { PROMPT = 2 * RECORD_TOKENS_MAX + 5 };

static uint32_t prompt[PROMPT];
static uint8_t record[RECORD_BYTES_MAX + 1];

static int begin(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < PROMPT; i++)
        prompt[i] = i * 2654435761u;
    return 0;
}

static struct request request_of(uint32_t prompt_count)
{
    return (struct request){
        .id = 0xfedcba9876543210,
        .origin = 63,
        .prompt = prompt,
        .prompt_count = prompt_count,
        .generated_before = 2,
        .predict = 17,
        .sampling = {.temperature = 0.7f,
                     .top_k = 41,
                     .top_p = 0.93f,
                     .min_p = 0.02f,
                     .repeat_penalty = 1.1f,
                     .presence_penalty = 0.25f,
                     .frequency_penalty = -0.5f,
                     .seed = 0x123456789abcdef0},
        .want_digest = true,
    };
}

/* The record after its type; its end is the end of memory, for sanitizers. */
static uint8_t *copy_of(size_t bytes, struct bytes *in)
{
    uint8_t *copy = malloc(bytes + 1);

    assert_non_null(copy);
    memcpy(copy, record, bytes);
    *in = bytes_reader(copy, bytes);
    bytes_get_u8(in);
    return copy;
}

static int read_request(size_t bytes, struct request *out)
{
    struct bytes in;
    uint8_t *copy = copy_of(bytes, &in);
    int err = record_get_request(&in, out);

    free(copy);
    return err;
}

static int read_step(size_t bytes, struct step_entry *out)
{
    struct bytes in;
    uint8_t *copy = copy_of(bytes, &in);
    int err = record_get_step(&in, out);

    free(copy);
    return err;
}

static int read_tokens(size_t bytes, struct arriving *out)
{
    struct bytes in;
    uint8_t *copy = copy_of(bytes, &in);
    int err = record_get_tokens(&in, out);

    free(copy);
    return err;
}

static void a_request_is_read_as_it_was_written(void **state)
{
    struct request request = request_of(5), read;
    size_t bytes = record_put_request(&request, 0, record);

    (void)state;
    assert_int_equal(record[0], RECORD_REQUEST);
    assert_int_equal(read_request(bytes, &read), 0);
    assert_true(read.id == request.id);
    assert_int_equal(read.origin, 63);
    assert_int_equal(read.prompt_count, 5);
    assert_int_equal(read.generated_before, 2);
    assert_int_equal(read.predict, 17);
    assert_memory_equal(&read.sampling, &request.sampling, sizeof read.sampling);
    assert_false(read.ignore_end);
    assert_true(read.want_digest);
}

static void numbers_are_little_endian(void **state)
{
    struct request request = request_of(5);
    static const uint8_t id[] = {0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe}, rest[] = {63, 0, 5, 0, 0, 0, 2, 0, 0, 0, 17, 0, 0, 0};

    (void)state;
    record_put_request(&request, 0, record);
    assert_memory_equal(record + 1, id, sizeof id);
    assert_memory_equal(record + 9, rest, sizeof rest);
}

static void a_long_prompt_travels_in_several_records(void **state)
{
    struct request request = request_of(PROMPT);
    struct arriving arriving = {.request = request, .token = calloc(PROMPT, sizeof *arriving.token)};

    (void)state;
    assert_int_equal(record_request_count(&request), 4);
    for (uint32_t i = 1; i < 4; i++) {
        assert_false(arriving_is_complete(&arriving));
        size_t bytes = record_put_request(&request, i, record);
        assert_true(bytes <= RECORD_BYTES_MAX);
        assert_int_equal(read_tokens(bytes, &arriving), 0);
    }
    assert_true(arriving_is_complete(&arriving));
    assert_memory_equal(arriving.token, prompt, sizeof prompt);
    free(arriving.token);
}

static void a_prompt_of_just_one_record_needs_no_second(void **state)
{
    struct request request = request_of(RECORD_TOKENS_MAX);

    (void)state;
    assert_int_equal(record_request_count(&request), 2);
    request.prompt_count++;
    assert_int_equal(record_request_count(&request), 3);
}

static void a_step_is_read_as_it_was_written(void **state)
{
    struct step_entry entry = {.step = 0x123456789a}, read;

    (void)state;
    for (uint16_t count = 0; count <= RECORD_PARTS_MAX; count++) {
        entry.part_count = count;
        for (uint16_t i = 0; i < count; i++)
            entry.part[i] = (struct step_part){
                .request = UINT64_MAX - i, .position = 1000000u + i, .count = i, .is_sampled = i % 2 == 0, .is_cancelled = i % 3 == 0};
        size_t bytes = record_put_step(&entry, record);
        memset(&read, 0, sizeof read);
        assert_int_equal(read_step(bytes, &read), 0);
        assert_true(read.step == entry.step);
        assert_int_equal(read.part_count, count);
        for (uint16_t i = 0; i < count; i++) {
            assert_true(read.part[i].request == entry.part[i].request);
            assert_int_equal(read.part[i].position, entry.part[i].position);
            assert_int_equal(read.part[i].count, entry.part[i].count);
            assert_int_equal(read.part[i].is_sampled, entry.part[i].is_sampled);
            assert_int_equal(read.part[i].is_cancelled, entry.part[i].is_cancelled);
        }
    }
}

static void a_cancel_is_read_as_it_was_written(void **state)
{
    uint8_t out[RECORD_CANCEL_BYTES];

    (void)state;
    for (int refused = 0; refused < 2; refused++) {
        uint64_t id;
        bool is_refused;

        assert_int_equal(record_put_cancel(77, refused == 1, out), sizeof out);
        for (size_t bytes = 1; bytes <= sizeof out; bytes++) {
            struct bytes in = bytes_reader(out + 1, bytes - 1);

            assert_int_equal(record_get_cancel(&in, &id, &is_refused), bytes == sizeof out ? 0 : -1);
        }
        assert_true(id == 77);
        assert_int_equal(is_refused, refused);
    }
}

/* Every shorter length, and a byte too many. */
static void records_of_a_wrong_length_are_refused(void **state)
{
    struct step_entry entry = {.step = 1, .part_count = 3};
    struct request request = request_of(5), read;
    struct arriving arriving = {.request = request, .token = calloc(5, sizeof *arriving.token)};

    (void)state;
    size_t bytes = record_put_request(&request, 0, record);
    for (size_t size = 1; size <= bytes + 1; size++)
        assert_int_equal(read_request(size, &read), size == bytes ? 0 : -1);
    bytes = record_put_step(&entry, record);
    for (size_t size = 1; size <= bytes + 1; size++)
        assert_int_equal(read_step(size, &entry), size == bytes ? 0 : -1);
    bytes = record_put_request(&request, 1, record);
    for (size_t size = 1; size <= bytes + 1; size++) {
        arriving.count = 0;
        assert_int_equal(read_tokens(size, &arriving), size == bytes ? 0 : -1);
    }
    free(arriving.token);
}

static void a_request_without_an_id_or_anything_to_generate_is_refused(void **state)
{
    struct request request = request_of(5), read;

    (void)state;
    request.id = 0;
    assert_int_equal(read_request(record_put_request(&request, 0, record), &read), -1);
    request = request_of(5);
    request.predict = 0;
    assert_int_equal(read_request(record_put_request(&request, 0, record), &read), -1);
    request.predict = request.generated_before;
    assert_int_equal(read_request(record_put_request(&request, 0, record), &read), -1);
    request.generated_before = 5;
    request.predict = 100;
    assert_int_equal(read_request(record_put_request(&request, 0, record), &read), -1);
    request.generated_before = 4;
    assert_int_equal(read_request(record_put_request(&request, 0, record), &read), 0);
}

static void a_step_of_more_parts_than_there_can_be_is_refused(void **state)
{
    struct step_entry entry = {.step = 1, .part_count = RECORD_PARTS_MAX};
    size_t bytes = record_put_step(&entry, record);

    (void)state;
    record[9] = RECORD_PARTS_MAX + 1;
    memset(record + bytes, 0, 15);
    assert_int_equal(read_step(bytes + 15, &entry), -1);
    record[9] = record[10] = 255;
    assert_int_equal(read_step(bytes, &entry), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_read_as_it_was_written),
        cmocka_unit_test(numbers_are_little_endian),
        cmocka_unit_test(a_long_prompt_travels_in_several_records),
        cmocka_unit_test(a_prompt_of_just_one_record_needs_no_second),
        cmocka_unit_test(a_step_is_read_as_it_was_written),
        cmocka_unit_test(a_cancel_is_read_as_it_was_written),
        cmocka_unit_test(records_of_a_wrong_length_are_refused),
        cmocka_unit_test(a_request_without_an_id_or_anything_to_generate_is_refused),
        cmocka_unit_test(a_step_of_more_parts_than_there_can_be_is_refused),
    };

    return cmocka_run_group_tests(tests, begin, NULL);
}
