#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/tokenizer/prompt_ids.h"

static char path[] = "/tmp/test_prompt_ids.XXXXXX";

static void write_text(const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int make_file(void **state)
{
    const int file = mkstemp(path);

    (void)state;
    return file < 0 ? -1 : close(file);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static void ids_are_read_as_a_question_carries_them(void **state)
{
    static const uint8_t expected[12] = {1, 0, 0, 0, 0x2c, 1, 0, 0, 0xff, 0xff, 0xff, 0xff};
    uint8_t ids[12];
    struct fail fail;
    size_t bytes;

    (void)state;
    write_text("1 300\n4294967295\n");
    assert_int_equal(prompt_ids_read(path, ids, sizeof ids, &bytes, &fail), 0);
    assert_int_equal(bytes, 12);
    assert_memory_equal(ids, expected, 12);
}

static void what_is_no_list_of_ids_is_refused_in_words(void **state)
{
    static const char *const texts[] = {"", "one", "1 2 x", "1,2", "4294967296", "-1 ", "000000000000000000012", "7\"8"};
    uint8_t ids[64];
    struct fail fail;
    size_t bytes;

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        write_text(texts[i]);
        assert_int_equal(prompt_ids_read(path, ids, sizeof ids, &bytes, &fail), -1);
        assert_int_equal(fail.exit_code, EXIT_BAD_FILE);
        assert_non_null(strstr(fail.text, "decimal numbers"));
    }
    write_text("1 2 3");
    assert_int_equal(prompt_ids_read(path, ids, 8, &bytes, &fail), -1);
    assert_non_null(strstr(fail.text, "more than 2"));
    assert_int_equal(prompt_ids_read("/nowhere/ids", ids, sizeof ids, &bytes, &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_ENVIRONMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_read_as_a_question_carries_them),
        cmocka_unit_test(what_is_no_list_of_ids_is_refused_in_words),
    };

    return cmocka_run_group_tests(tests, make_file, remove_file);
}
