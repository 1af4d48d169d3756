#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "node/hash.h"
#include "node/talk.h"

static uint8_t record[MESH_RECORD_BYTES_MAX];

static struct talk example(enum talk_kind kind)
{
    return (struct talk){
        .kind = kind,
        .ask = {.predict = 7,
                .sampling = {.temperature = 0.5f, .top_k = 3, .top_p = 0.9f, .min_p = 0.1f, .repeat_penalty = 1.1f, .seed = 1234567890123},
                .ignore_end = true,
                .is_ids = true},
        .done = {.reason = ENGINE_DONE_END, .prompt_tokens = 5, .tokens = 6, .first_ns = 7, .all_ns = 8, .nodes = 3, .epochs = 2},
        .token = {{1, 2}, {3, 4}},
        .token_count = 2,
        .text = "Once upon",
        .text_size = 9};
}

static const enum talk_kind kinds[] = {TALK_ASK,  TALK_STATUS, TALK_STATUS_TEXT, TALK_CANCEL, TALK_TOKENS,
                                       TALK_DONE, TALK_STATE,  TALK_REFUSED,     TALK_UNFIT};

static void what_is_written_is_read_back(void **state)
{
    struct talk talk;
    struct talk asked = example(TALK_ASK), done = example(TALK_DONE);

    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct talk said = example(kinds[i]);

        assert_int_equal(talk_read(&talk, record, talk_write(&said, record)), 0);
        assert_int_equal(talk.kind, kinds[i]);
    }
    assert_int_equal(talk_read(&talk, record, talk_write(&asked, record)), 0);
    assert_true(talk.ask.sampling.temperature == 0.5f && talk.ask.sampling.seed == 1234567890123 && talk.ask.predict == 7);
    assert_true(talk.ask.ignore_end && !talk.ask.want_digest && talk.ask.is_ids);
    assert_int_equal(talk.text_size, 9);
    assert_memory_equal(talk.text, "Once upon", 9);
    assert_int_equal(talk_read(&talk, record, talk_write(&done, record)), 0);
    assert_int_equal(talk.done.epochs, 2);
    assert_int_equal(talk.done.all_ns, 8);
}

static void a_record_that_is_cut_or_too_long_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct talk said = example(kinds[i]), talk;
        const size_t bytes = talk_write(&said, record);

        for (size_t cut = 0; cut < bytes; cut++)
            assert_int_equal(talk_read(&talk, record, cut), -1);
        assert_int_equal(talk_read(&talk, record, bytes + 1), -1);
    }
}

static void any_bytes_are_read_or_refused(void **state)
{
    struct talk talk;

    (void)state;
    for (uint64_t round = 0; round < 20000; round++) {
        const size_t bytes = hash_words3(1, round, 0) % 200;

        for (size_t i = 0; i < bytes; i++)
            record[i] = (uint8_t)(hash_words3(2, round, i) % (i == 0 ? 24 : 256));
        if (talk_read(&talk, record, bytes) == 0 && talk.text_size > 0)
            assert_true((const uint8_t *)talk.text >= record && (const uint8_t *)talk.text + talk.text_size <= record + bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(a_record_that_is_cut_or_too_long_is_refused),
        cmocka_unit_test(any_bytes_are_read_or_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
