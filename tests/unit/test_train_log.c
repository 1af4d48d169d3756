#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/train/train_log.h"

static char folder[] = "/tmp/test_train_log.XXXXXX";
static char path[64];

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/run.csv", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder); /* fails when a temporary file was left behind */
}

static const struct train_record records[] = {
    {1, 7.625f, -1, 0.0001f, 12.5f},
    {2, 7.1f, 7.25f, 0.001f, 1e-10f},
    {3, -NAN, NAN, 3e-5f, INFINITY},
    {4, 0, 0, 0, 16777216},
};
static const char expected[] = "step,loss,held_out_loss,learning_rate,gradient_norm\n"
                               "1,7.625,,0.0001,12.5\n"
                               "2,7.1,7.25,0.001,1e-10\n"
                               "3,nan,nan,3e-05,inf\n"
                               "4,0,0,0,16777216\n";

static void check_file(void)
{
    char text[600] = {0};
    FILE *file = fopen(path, "r");

    assert_non_null(file);
    assert_true(fread(text, 1, sizeof text - 1, file) < sizeof text);
    fclose(file);
    assert_string_equal(text, expected);
}

static void the_text_is_exact(void **state)
{
    struct fail fail;

    (void)state;
    assert_int_equal(train_log_write(records, 4, path, &fail), 0);
    check_file();
}

static void numbers_have_a_point_in_every_locale_there_is(void **state)
{
    static const char *const names[] = {"de_DE.UTF-8", "de_DE", "fr_FR.UTF-8", "es_ES.UTF-8", "ps_AF", ""};
    struct fail fail;

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (setlocale(LC_ALL, names[i]) == NULL)
            continue;
        assert_int_equal(train_log_write(records, 4, path, &fail), 0);
        setlocale(LC_ALL, "C");
        check_file();
    }
}

static void no_steps_are_a_header_line(void **state)
{
    char line[100];
    struct fail fail;

    (void)state;
    assert_int_equal(train_log_write(NULL, 0, path, &fail), 0);

    FILE *file = fopen(path, "r");

    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    assert_string_equal(line, "step,loss,held_out_loss,learning_rate,gradient_norm\n");
    assert_null(fgets(line, sizeof line, file));
    fclose(file);
}

/* More steps than fit in one write. */
static void every_value_of_many_steps_reads_back(void **state)
{
    enum { COUNT = 2000 };
    struct train_record *record = calloc(COUNT, sizeof *record);
    char line[200];
    struct fail fail;

    (void)state;
    assert_non_null(record);
    for (unsigned i = 0; i < COUNT; i++)
        record[i] = (struct train_record){i + 1, 1 / (float)(i + 3), (float)i / 7, 1e-4f / (float)(i + 1), 1e30f * (float)i};
    assert_int_equal(train_log_write(record, COUNT, path, &fail), 0);

    FILE *file = fopen(path, "r");

    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    for (unsigned i = 0; i < COUNT; i++) {
        char *next;

        assert_non_null(fgets(line, sizeof line, file));
        assert_int_equal(strtoull(line, &next, 10), i + 1);
        assert_true(strtof(next + 1, &next) == record[i].loss);
        assert_true(strtof(next + 1, &next) == record[i].held_out);
        assert_true(strtof(next + 1, &next) == record[i].rate);
        assert_true(strtof(next + 1, &next) == record[i].gradient);
        assert_string_equal(next, "\n");
    }
    assert_null(fgets(line, sizeof line, file));
    fclose(file);
    free(record);
}

static void what_cannot_be_written_is_reported(void **state)
{
    struct fail fail;

    (void)state;
    assert_int_equal(train_log_write(records, 4, "/no/such/folder/run.csv", &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_ENVIRONMENT);
    assert_non_null(strstr(fail.text, "/no/such/folder/run.csv: cannot be written: No such file or directory: "));
    assert_int_equal(train_log_write(records, 4, "/dev/full", &fail), -1);
    assert_string_equal(fail.text, "/dev/full: writing failed: No space left on device: make room, or write to another disk");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_is_exact),
        cmocka_unit_test(numbers_have_a_point_in_every_locale_there_is),
        cmocka_unit_test(no_steps_are_a_header_line),
        cmocka_unit_test(every_value_of_many_steps_reads_back),
        cmocka_unit_test(what_cannot_be_written_is_reported),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
