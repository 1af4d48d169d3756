/* Files of stories: their shape, and what happens when they cannot be written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/stories/stories.h"
#include "node/stories/stories_file.h"

static char folder[] = "/tmp/test_stories.XXXXXX";
static char path[64];

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/stories.txt", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder); /* fails when a temporary file was left behind */
}

/* The file's text, to be freed. */
static char *write_and_read(uint64_t seed, uint64_t count, size_t *size)
{
    struct fail fail;
    struct stat status;

    if (stories_file_write(path, seed, count, &fail) < 0)
        fail_msg("%s", fail.text);
    assert_int_equal(stat(path, &status), 0);

    FILE *file = fopen(path, "r");
    char *text = malloc((size_t)status.st_size + 1);

    assert_non_null(file);
    assert_non_null(text);
    *size = fread(text, 1, (size_t)status.st_size, file);
    text[*size] = 0;
    fclose(file);
    return text;
}

static void stories_stand_in_order_with_two_empty_lines_between(void **state)
{
    char story[STORIES_BYTES_MAX];
    size_t size;
    char *text = write_and_read(3, 500, &size);
    const char *at = text;

    (void)state;
    for (uint64_t i = 0; i < 500; i++) {
        const size_t story_size = stories_write(3, i, story, sizeof story);

        assert_true((size_t)(text + size - at) > story_size);
        assert_memory_equal(at, story, story_size);
        at += story_size;
        if (i < 499)
            assert_memory_equal(at, STORIES_SEPARATOR, strlen(STORIES_SEPARATOR));
        at += i < 499 ? strlen(STORIES_SEPARATOR) : 0;
    }
    assert_string_equal(at, "\n");
    free(text);
}

static void more_stories_begin_with_fewer(void **state)
{
    size_t few_size, many_size;
    char *few = write_and_read(4, 7, &few_size);
    char *many = write_and_read(4, 600, &many_size);

    (void)state;
    assert_true(many_size > few_size);
    assert_memory_equal(many, few, few_size);
    free(few);
    free(many);
}

static void what_cannot_be_written_is_an_error_of_the_environment(void **state)
{
    struct fail fail = {0};
    char missing[80];

    (void)state;
    snprintf(missing, sizeof missing, "%s/none/stories.txt", folder);
    assert_int_equal(stories_file_write(missing, 1, 3, &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_ENVIRONMENT);
    assert_non_null(strstr(fail.text, missing));
    assert_int_equal(stories_file_write("/dev/full", 1, 3, &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_ENVIRONMENT);
    assert_non_null(strstr(fail.text, "/dev/full: writing failed: "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stories_stand_in_order_with_two_empty_lines_between),
        cmocka_unit_test(more_stories_begin_with_fewer),
        cmocka_unit_test(what_cannot_be_written_is_an_error_of_the_environment),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
