#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "node/tokenizer/documents.h"

/* The documents of a text, each followed by a bar. */
static void check_documents(const char *text, const char *expected)
{
    struct documents documents;
    struct document document;
    struct fail fail;
    char found[256];
    size_t at = 0, end = 0;

    if (documents_init(&documents, text, strlen(text), &fail) < 0)
        fail_msg("%s", fail.text);
    while (documents_next(&documents, &at, &document)) {
        assert_true(document.size > 0);
        memcpy(found + end, document.text, document.size);
        end += document.size;
        found[end++] = '|';
    }
    found[end] = '\0';
    assert_string_equal(found, expected);
    assert_false(documents_next(&documents, &at, &document));
    documents_release(&documents);
}

static void two_blank_lines_separate_documents(void **state)
{
    (void)state;
    check_documents("a\n\n\nb", "a|b|");
    check_documents("a\n\n\n\n\n\nb\n\n\nc", "a|b|c|");
}

static void one_blank_line_stays_inside_a_document(void **state)
{
    (void)state;
    check_documents("a\n\nb\nc", "a\n\nb\nc|");
    check_documents("a\n \n\nb", "a\n \n\nb|"); /* a line with a space is not blank */
}

static void newlines_at_the_ends_are_dropped_and_empty_documents_are_none(void **state)
{
    (void)state;
    check_documents("\na\n", "a|");
    check_documents("\n\n\n\na\n\n", "a|");
    check_documents("a\n\n\n", "a|");
    check_documents(" \n\n\n ", " | |");
}

static void crlf_counts_as_lf_and_a_lone_cr_stays(void **state)
{
    (void)state;
    check_documents("a\r\n\r\n\r\nb\r\nc\r", "a|b\nc\r|");
    check_documents("a\r\r\nb", "a\r\nb|");
}

static void check_refused(const char *text, size_t size, const char *message)
{
    struct documents documents;
    struct fail fail = {0};

    assert_int_equal(documents_init(&documents, text, size, &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_BAD_FILE);
    assert_non_null(strstr(fail.text, message));
}

static void an_empty_text_is_refused(void **state)
{
    (void)state;
    check_refused("", 0, "text: is empty");
    check_refused("\n\r\n\n\n\n", 6, "nothing but newlines");
}

static void binary_data_is_refused_with_the_offset(void **state)
{
    (void)state;
    check_refused("\0a", 2, "byte 0 at offset 0");
    check_refused("abc\r\n\0\0", 7, "byte 0 at offset 5: is binary data");
}

static void any_other_byte_is_text(void **state)
{
    (void)state;
    check_documents("\x01\xff\xc3\n\n\n\x80\x7f\t", "\x01\xff\xc3|\x80\x7f\t|");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_blank_lines_separate_documents),
        cmocka_unit_test(one_blank_line_stays_inside_a_document),
        cmocka_unit_test(newlines_at_the_ends_are_dropped_and_empty_documents_are_none),
        cmocka_unit_test(crlf_counts_as_lf_and_a_lone_cr_stays),
        cmocka_unit_test(an_empty_text_is_refused),
        cmocka_unit_test(binary_data_is_refused_with_the_offset),
        cmocka_unit_test(any_other_byte_is_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
