#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "mesh/program/fail.h"
#include "mesh/program/text_decode.h"

static void every_code_point_is_decoded(void **state)
{
    (void)state;
    for (uint32_t c = 0; c <= 0x10ffff; c++) {
        char bytes[4];
        size_t size;
        uint32_t found;

        if (c >= 0xd800 && c < 0xe000)
            continue;
        if (c < 0x80) {
            size = 1;
            bytes[0] = (char)c;
        } else if (c < 0x800) {
            size = 2;
            bytes[0] = (char)(0xc0 | c >> 6);
        } else if (c < 0x10000) {
            size = 3;
            bytes[0] = (char)(0xe0 | c >> 12);
        } else {
            size = 4;
            bytes[0] = (char)(0xf0 | c >> 18);
        }
        for (size_t i = 1; i < size; i++)
            bytes[i] = (char)(0x80 | (c >> (6 * (size - 1 - i)) & 0x3f));
        assert_int_equal(text_decode(bytes, size, &found), size);
        assert_int_equal(found, c);
        if (size > 1) {
            assert_true(text_decode(bytes, size - 1, &found) < size);
            assert_int_equal(found, TEXT_DECODE_INVALID);
        }
    }
}

static void what_is_no_utf8_is_skipped_as_far_as_it_could_have_become_a_character(void **state)
{
    static const struct {
        const char *bytes;
        size_t skipped;
    } cases[] = {
        {"\x80", 1},             /* a continuation byte alone */
        {"\xc0\x80", 1},         /* overlong NUL */
        {"\xc1\xbf", 1},         /* overlong */
        {"\xe0\x9f\xbf", 1},     /* overlong */
        {"\xed\xa0\x80", 1},     /* surrogate */
        {"\xf4\x90\x80\x80", 1}, /* above U+10FFFF */
        {"\xf5\x80\x80\x80", 1},
        {"\xff", 1},
        {"\xe2\x96", 2}, /* truncated */
        {"\xf0\x9f\x98", 3},
        {"\xe2\x96z", 2},
        {"\xc3z", 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t found;

        assert_int_equal(text_decode(cases[i].bytes, strlen(cases[i].bytes), &found), cases[i].skipped);
        assert_int_equal(found, TEXT_DECODE_INVALID);
    }
}

static void check_printed(const char *bytes, size_t size, const char *expected)
{
    char *text = NULL;
    size_t text_size = 0;
    FILE *out = open_memstream(&text, &text_size);

    assert_non_null(out);
    text_decode_print(out, bytes, size);
    fclose(out);
    assert_string_equal(text, expected);
    free(text);
}

static void nothing_printed_acts_on_a_terminal(void **state)
{
    (void)state;
    check_printed("plain \xc3\xa9 \xe2\x96\x81", 12, "plain \xc3\xa9 \xe2\x96\x81");
    check_printed("a\0b", 3, "a\\x00b");
    check_printed("\x1b[2J\r\n\t\x7f", 8, "\\x1b[2J\\r\\n\\t\\x7f");
    check_printed("\xc2\x9b", 2, "\\u{009b}");     /* CSI in one character */
    check_printed("\xe2\x80\xae", 3, "\\u{202e}"); /* right-to-left override */
    check_printed("back\\slash", 10, "back\\\\slash");
    check_printed("\xff\xe2\x96", 3, "\\xff\\xe2\\x96");
}

/* Checks the output at the other end of `to`, a new pipe or terminal, whose ends are given. */
static void check_written(int to, int from, const char *bytes, size_t size, const char *expected)
{
    FILE *out = fdopen(to, "w");
    const size_t expected_size = strlen(expected);
    char text[64] = "";
    size_t got = 0;

    assert_non_null(out);
    text_decode_write(out, bytes, size);
    fflush(out);
    while (got < expected_size) { /* a terminal may pass it on in pieces */
        const ssize_t piece = read(from, text + got, sizeof text - 1 - got);

        assert_true(piece > 0);
        got += (size_t)piece;
    }
    assert_string_equal(text, expected);
    fclose(out);
    close(from);
}

static void what_a_model_writes_does_not_act_on_a_terminal(void **state)
{
    static const char written[] = "one\n\ttwo \xe2\x80\x8d \x1b[2J\r\x7f\xc2\x9b back\\ \xff";
    const int terminal = posix_openpt(O_RDWR | O_NOCTTY);
    struct termios raw;
    int slave = -1, pipes[2];

    (void)state;
    assert_int_equal(pipe(pipes), 0);
    check_written(pipes[1], pipes[0], written, sizeof written - 1, written);
    if (terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0) {
        slave = open(ptsname(terminal), O_RDWR | O_NOCTTY);
    }
    if (slave < 0) {
        print_message("no terminals on this system\n");
        skip();
    }
    assert_int_equal(tcgetattr(slave, &raw), 0);
    raw.c_oflag &= (tcflag_t)~OPOST; /* newlines unchanged */
    assert_int_equal(tcsetattr(slave, TCSANOW, &raw), 0);
    check_written(slave, terminal, written, sizeof written - 1, "one\n\ttwo \xe2\x80\x8d \\x1b[2J\\r\\x7f\\u{009b} back\\ \\xff");
}

static void check_disarmed(const char *bytes, const char *expected)
{
    char text[64];

    strcpy(text, bytes);
    text_decode_disarm(text);
    assert_string_equal(text, expected);
}

static void a_line_is_disarmed_in_place(void **state)
{
    (void)state;
    check_disarmed("", "");
    check_disarmed("plain \xc3\xa9 \xe2\x96\x81 back\\slash\n", "plain \xc3\xa9 \xe2\x96\x81 back\\slash\n");
    check_disarmed("\x1b[2J\r\t\x7f", "?[2J???");
    check_disarmed("a\xc2\x9b\x62\xe2\x80\xae\x63", "a??b???c");
    check_disarmed("\xff\x9b cut \xe2\x96", "?? cut ??");
}

static void words_of_others_in_a_message_do_not_act_on_a_terminal(void **state)
{
    struct fail fail;

    (void)state;
    assert_int_equal(fail_set(&fail, EXIT_BAD_FILE, "rope scaling '%.*s' is not known", 7, "\x1b]0;x\a!..."), -1);
    assert_string_equal(fail.text, "rope scaling '?]0;x?!' is not known");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point_is_decoded),
        cmocka_unit_test(what_is_no_utf8_is_skipped_as_far_as_it_could_have_become_a_character),
        cmocka_unit_test(nothing_printed_acts_on_a_terminal),
        cmocka_unit_test(what_a_model_writes_does_not_act_on_a_terminal),
        cmocka_unit_test(a_line_is_disarmed_in_place),
        cmocka_unit_test(words_of_others_in_a_message_do_not_act_on_a_terminal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
