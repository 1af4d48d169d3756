#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "node/common/bytes.h"
#include "node/common/hash.h"
#include "node/train/train_header.h"

enum { VERSION_AT = 8, DIM_AT = 12, RATE_AT = 60, STEP_AT = 104, COUNT_AT = 112, HASH_AT = 120, FILE_BYTES = 128 + 3 * 16 + 5 * 12 + 8 };

static const struct train_header example = {
    .setup = {.dim = 256,
              .hidden = 704,
              .layers = 6,
              .heads = 8,
              .kv_heads = 4,
              .vocab = 2048,
              .ctx = 128,
              .batch = 16,
              .steps = 4000,
              .warmup = 100,
              .rate = 0.001f,
              .rate_min = 0.0001f,
              .decay = 0.1f,
              .clip = 1,
              .held_out = 0.05f,
              .seed = 1,
              .text_bytes = 1000000,
              .text_hash = 0x0123456789abcdef},
    .step = 3,
    .count = 5,
};

static uint8_t head[TRAIN_CHECKPOINT_HEADER_BYTES];

static int put_example(void **state)
{
    (void)state;
    train_header_put(&example, head);
    return 0;
}

static void overwrite(size_t at, uint64_t value, size_t size)
{
    struct bytes writer = bytes_writer(head + at, size);

    bytes_put(&writer, value, size);
}

/* As written by a program with such values. */
static void renew_hash(void)
{
    overwrite(HASH_AT, hash_bytes(0, head, HASH_AT), 8);
}

static void check_refused(size_t head_size, uint64_t file_size, const char *why)
{
    struct train_header header;
    struct fail fail = {0};

    assert_int_equal(train_header_get(&header, head, head_size, file_size, "a.ckpt", &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_BAD_FILE);
    assert_string_equal(fail.text, why);
}

static void what_is_put_is_got(void **state)
{
    struct train_header header = {0};
    struct fail fail;

    (void)state;
    assert_int_equal(train_header_get(&header, head, sizeof head, FILE_BYTES, "a.ckpt", &fail), 0);
    assert_memory_equal(&header.setup, &example.setup, sizeof header.setup);
    assert_int_equal(header.step, 3);
    assert_int_equal(header.count, 5);
    assert_int_equal(train_header_compare(&header, &example.setup, 5, "a.ckpt", &fail), 0);
}

static void bytes_stand_where_the_format_says(void **state)
{
    (void)state;
    assert_memory_equal(head, "DmTrain\0\1\0\0\0\0\1\0\0\xc0\2\0\0\6\0\0\0\10\0\0\0\4\0\0\0\0\10\0\0\200\0\0\0\20\0\0\0", 44);
    assert_memory_equal(head + 44, "\xa0\x0f\0\0\0\0\0\0\x64\0\0\0\0\0\0\0\x6f\x12\x83\x3a", 20);
    assert_memory_equal(head + 96, "\xef\xcd\xab\x89\x67\x45\x23\x01\3\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0", 24);
}

static void what_is_no_checkpoint_is_refused_in_words(void **state)
{
    (void)state;
    check_refused(0, 0, "a.ckpt: the file is empty: copy it again, or use an earlier checkpoint");
    check_refused(127, 127,
                  "a.ckpt: ends at 127 bytes, within its header of 128: it is truncated: copy it again, or use an earlier checkpoint");
    check_refused(5, 5, "a.ckpt: ends at 5 bytes, within its header of 128: it is truncated: copy it again, or use an earlier checkpoint");
    overwrite(VERSION_AT, 2, 4);
    check_refused(sizeof head, FILE_BYTES, "a.ckpt: format version at offset 8 is 2, this program knows 1: use the one that wrote it");
    check_refused(12, 12, "a.ckpt: format version at offset 8 is 2, this program knows 1: use the one that wrote it");
    overwrite(VERSION_AT, 1, 4);
    overwrite(DIM_AT, 257, 4);
    check_refused(sizeof head, FILE_BYTES,
                  "a.ckpt: the hash at offset 120 is not that of the header: it is damaged: copy it again, or use an earlier checkpoint");
    overwrite(0, 'd', 1);
    check_refused(sizeof head, FILE_BYTES, "a.ckpt: does not begin with \"DmTrain\", so it is no training checkpoint: name another file");
    check_refused(1, 1, "a.ckpt: does not begin with \"DmTrain\", so it is no training checkpoint: name another file");
}

static void a_file_of_another_size_than_its_header_says_is_refused(void **state)
{
    (void)state;
    check_refused(sizeof head, FILE_BYTES - 1,
                  "a.ckpt: has 243 bytes, its header asks for 244: it is truncated: copy it again, or use an earlier checkpoint");
    check_refused(sizeof head, FILE_BYTES + 1,
                  "a.ckpt: has 245 bytes, its header asks for 244: it is longer than what was written: copy it again, or use an "
                  "earlier checkpoint");
    for (uint64_t count = UINT64_MAX; count > UINT64_MAX / 12; count /= 2) {
        char why[200];

        overwrite(COUNT_AT, count, 8);
        renew_hash();
        snprintf(why, sizeof why, "a.ckpt: its 3 steps and %llu weights are more than a file can hold: use an earlier checkpoint",
                 (unsigned long long)count);
        check_refused(sizeof head, FILE_BYTES, why);
    }
    overwrite(COUNT_AT, (UINT64_MAX - 100) / 12, 8);
    renew_hash();
    check_refused(sizeof head, FILE_BYTES,
                  "a.ckpt: its 3 steps and 1537228672809129292 weights are more than a file can hold: use an earlier checkpoint");
}

static void values_that_no_run_has_are_refused(void **state)
{
    (void)state;
    overwrite(RATE_AT, 0x7fc00000, 4);
    renew_hash();
    check_refused(sizeof head, FILE_BYTES, "a.ckpt: rate in the header is not a finite number: no run has this: use an earlier checkpoint");
    put_example(NULL);
    overwrite(STEP_AT, 4001, 8);
    renew_hash();
    check_refused(sizeof head, FILE_BYTES, "a.ckpt: step 4001 of 4000: no run has this: use an earlier checkpoint");
}

static void check_difference(const struct train_setup *setup, uint64_t count, const char *difference)
{
    struct fail fail = {0};
    char text[600];

    snprintf(text, sizeof text, "a.ckpt: belongs to another run: the checkpoint has %s: give the options and the text of that run",
             difference);
    assert_int_equal(train_header_compare(&example, setup, count, "a.ckpt", &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_USAGE);
    assert_string_equal(fail.text, text);
}

static void every_field_that_differs_is_named(void **state)
{
    struct train_setup setup;

    (void)state;
#define CHECK(member, value, text) \
    setup = example.setup;         \
    setup.member = value;          \
    check_difference(&setup, 5, text)
    CHECK(dim, 512, "dim 256 (asked for 512)");
    CHECK(hidden, 1, "hidden 704 (asked for 1)");
    CHECK(layers, 7, "layers 6 (asked for 7)");
    CHECK(heads, 4, "heads 8 (asked for 4)");
    CHECK(kv_heads, UINT32_MAX, "kv-heads 4 (asked for 4294967295)");
    CHECK(vocab, 3000, "vocab 2048 (asked for 3000)");
    CHECK(ctx, 64, "ctx 128 (asked for 64)");
    CHECK(batch, 8, "batch 16 (asked for 8)");
    CHECK(steps, UINT64_MAX, "steps 4000 (asked for 18446744073709551615)");
    CHECK(warmup, 0, "warmup 100 (asked for 0)");
    CHECK(rate, 0.002f, "rate 0.001 (asked for 0.002)");
    CHECK(rate_min, 0, "rate-min 0.0001 (asked for 0)");
    CHECK(decay, 0.100000009f, "decay 0.1 (asked for 0.10000001)");
    CHECK(clip, 0.5f, "clip 1 (asked for 0.5)");
    CHECK(held_out, 0.01f, "held-out 0.05 (asked for 0.01)");
    CHECK(seed, 2, "seed 1 (asked for 2)");
    CHECK(text_bytes, 999999, "text bytes 1000000 (asked for 999999)");
    CHECK(text_hash, 1, "text hash 0123456789abcdef (asked for 0000000000000001)");
#undef CHECK
    check_difference(&example.setup, 6, "weights 5 (asked for 6)");
}

static void two_that_differ_are_named_together(void **state)
{
    struct train_setup setup = example.setup;

    (void)state;
    setup.dim = 512;
    setup.seed = 7;
    check_difference(&setup, 5, "dim 256 (asked for 512), seed 1 (7)");
}

/* Flipping any bit of a setup in memory makes it unequal: no field is missing in the table. The gap before seed belongs to no field. */
static void every_bit_of_a_setup_counts(void **state)
{
    const size_t gap = offsetof(struct train_setup, held_out) + sizeof(float);

    (void)state;
    for (size_t bit = 0; bit < 8 * sizeof(struct train_setup); bit++) {
        struct train_setup setup = example.setup;
        struct fail fail;

        if (bit / 8 >= gap && bit / 8 < offsetof(struct train_setup, seed))
            continue;
        ((uint8_t *)&setup)[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(train_header_compare(&example, &setup, 5, "a.ckpt", &fail), -1);
    }
}

static void differences_that_have_no_room_are_counted(void **state)
{
    struct train_setup setup = {.dim = 1, .decay = -0x1.fffffep-100f, .seed = UINT64_MAX, .text_bytes = UINT64_MAX};
    char name[TRAIN_HEADER_NAME_MAX + 1];
    struct fail fail = {0};

    (void)state;
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_int_equal(train_header_compare(&example, &setup, 5, name, &fail), -1);
    assert_non_null(strstr(fail.text, "the checkpoint has dim 256 (asked for 1), hidden 704 (0), "));
    assert_non_null(strstr(fail.text, " more: give the options and the text of that run"));
    assert_int_equal(train_header_compare(&example, &setup, 5, "a.ckpt", &fail), -1);
    assert_non_null(strstr(fail.text, "text hash 0123456789abcdef (0000000000000000): give the options and the text of that run"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_is_put_is_got, put_example),
        cmocka_unit_test_setup(bytes_stand_where_the_format_says, put_example),
        cmocka_unit_test_setup(what_is_no_checkpoint_is_refused_in_words, put_example),
        cmocka_unit_test_setup(a_file_of_another_size_than_its_header_says_is_refused, put_example),
        cmocka_unit_test_setup(values_that_no_run_has_are_refused, put_example),
        cmocka_unit_test(every_field_that_differs_is_named),
        cmocka_unit_test(two_that_differ_are_named_together),
        cmocka_unit_test(every_bit_of_a_setup_counts),
        cmocka_unit_test(differences_that_have_no_room_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
