/* Streaming UTF-8: the same output for every way of cutting the input, and the replacements that the Unicode standard recommends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/tokenizer/tokenizer.h"

enum { INPUT_MAX = 32, OUTPUT_MAX = (INPUT_MAX + 4) * UTF8_STREAM_GROWTH };
#define FFFD "\xef\xbf\xbd"

/* Pushes the input in pieces that end after each set bit of cuts; checks the bound on the output of every push. */
static size_t stream(const char *input, size_t size, uint32_t cuts, char *out)
{
    struct utf8_stream s = {0};
    size_t written = 0, start = 0;

    for (size_t i = 0; i < size; i++) {
        if (i + 1 < size && !(cuts >> i & 1))
            continue;
        written += utf8_stream_push(&s, input + start, i + 1 - start, out + written);
        start = i + 1;
    }
    written += utf8_stream_flush(&s, out + written);
    assert_int_equal(s.held_size, 0);
    return written;
}

static void gives(const char *input, size_t size, const char *expected)
{
    char out[OUTPUT_MAX];

    for (uint32_t cuts = 0; cuts < 1u << (size - 1); cuts++) {
        size_t written = stream(input, size, cuts, out);

        assert_int_equal(written, strlen(expected));
        assert_memory_equal(out, expected, written);
    }
}
#define GIVES(input, expected) gives(input, sizeof(input) - 1, expected)

static void valid_text_comes_out_unchanged_however_it_is_cut(void **state)
{
    (void)state;
    GIVES("a\xc3\xa4\xe2\x82\xac\xf0\x9f\xa6\x99z", "a\xc3\xa4\xe2\x82\xac\xf0\x9f\xa6\x99z");
    GIVES("\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf", "\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf");
    GIVES("\xee\x80\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", "\xee\x80\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
}

/* The examples of the Unicode standard, tables 3-8 to 3-11. */
static void broken_text_is_replaced_by_maximal_subparts(void **state)
{
    (void)state;
    GIVES("\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41", FFFD FFFD FFFD FFFD FFFD FFFD FFFD FFFD "A");
    GIVES("\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41", FFFD FFFD FFFD FFFD FFFD FFFD FFFD FFFD "A");
    GIVES("\xf4\x91\x92\x93\xff\x41\x80\xbf\x42", FFFD FFFD FFFD FFFD FFFD "A" FFFD FFFD "B");
    GIVES("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", FFFD FFFD FFFD FFFD "A");
    GIVES("a\xf1\x80\x80\xe1\x80\xc2"
          "b\x80"
          "c\x80\xbf"
          "d",
          "a" FFFD FFFD FFFD "b" FFFD "c" FFFD FFFD "d");
}

static void an_unfinished_end_is_one_replacement(void **state)
{
    (void)state;
    GIVES("a\xf0\x9f\xa6", "a" FFFD);
    GIVES("\xe2", FFFD);
    GIVES("ab", "ab");
}

static void nul_is_replaced(void **state)
{
    (void)state;
    GIVES("a\0b", "a" FFFD "b");
    GIVES("\xe2\x82\0", FFFD FFFD);
}

static void nothing_is_held_back_that_is_complete(void **state)
{
    struct utf8_stream s = {0};
    char out[16];

    (void)state;
    assert_int_equal(utf8_stream_push(&s, "ab\xe2", 3, out), 2);
    assert_int_equal(utf8_stream_push(&s, "\x82", 1, out), 0);
    assert_int_equal(utf8_stream_push(&s, "\xac", 1, out), 3);
    assert_int_equal(utf8_stream_push(&s, "", 0, out), 0);
    assert_int_equal(utf8_stream_flush(&s, out), 0);
}

static void the_first_space_is_dropped_when_asked(void **state)
{
    struct utf8_stream s = {.is_first = true};
    char out[32];

    (void)state;
    assert_int_equal(utf8_stream_push(&s, "", 0, out), 0);
    assert_int_equal(utf8_stream_push(&s, "  a", 3, out), 2);
    assert_int_equal(utf8_stream_push(&s, " b", 2, out), 2);
    s = (struct utf8_stream){.is_first = true};
    assert_int_equal(utf8_stream_push(&s, "a b", 3, out), 3);
    assert_int_equal(utf8_stream_push(&s, " b", 2, out), 2);
}

/* Independent of the code under test: decode the number, then ask whether it is a character in its shortest form. */
static size_t decode(const unsigned char *p, size_t size)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = p[0] < 0x80 ? 1 : (p[0] & 0xe0) == 0xc0 ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : (p[0] & 0xf8) == 0xf0 ? 4 : 0;
    uint32_t code = length < 2 ? p[0] : p[0] & (0x7fu >> length);

    if (length == 0 || length > size)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (p[i] & 0x3f);
    }
    return code < least[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0 : length;
}

static void assert_valid(const char *text, size_t size)
{
    for (size_t i = 0; i < size;) {
        size_t length = decode((const unsigned char *)text + i, size - i);

        assert_true(length > 0 && text[i] != '\0');
        i += length;
    }
}

/* Every sequence of four significant bytes (the limits of all ranges), with every cut. */
static void every_sequence_gives_valid_text_independent_of_the_cuts(void **state)
{
    static const unsigned char limits[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc1, 0xc2, 0xdf,
                                           0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff};
    enum { N = sizeof limits };
    char input[4], whole[OUTPUT_MAX], out[OUTPUT_MAX];

    (void)state;
    for (uint32_t number = 0; number < N * N * N * N; number++) {
        size_t size;

        for (uint32_t i = 0, rest = number; i < 4; i++, rest /= N)
            input[i] = (char)limits[rest % N];
        size = stream(input, 4, 0, whole);
        assert_valid(whole, size);
        for (uint32_t cuts = 1; cuts < 8; cuts++)
            if (stream(input, 4, cuts, out) != size || memcmp(out, whole, size) != 0)
                fail_msg("%02x %02x %02x %02x differs at cuts %u", input[0] & 255, input[1] & 255, input[2] & 255, input[3] & 255, cuts);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_text_comes_out_unchanged_however_it_is_cut),
        cmocka_unit_test(broken_text_is_replaced_by_maximal_subparts),
        cmocka_unit_test(an_unfinished_end_is_one_replacement),
        cmocka_unit_test(nul_is_replaced),
        cmocka_unit_test(nothing_is_held_back_that_is_complete),
        cmocka_unit_test(the_first_space_is_dropped_when_asked),
        cmocka_unit_test(every_sequence_gives_valid_text_independent_of_the_cuts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
