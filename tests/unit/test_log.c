/* Lines for stderr, which here is one end of a pipe that is not read at first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/common/log.h"

enum { LINES = 3000, FILLING_BYTES = 4096 };

struct pipe_case {
    int ends[2];
    FILE *reader;
    struct fail fail;
};

/* A pipe without room for a byte. */
static int set_up(void **state)
{
    static struct pipe_case c;
    const char filling[FILLING_BYTES] = "";

    assert_int_equal(pipe2(c.ends, O_CLOEXEC), 0);
    assert_true(fcntl(c.ends[1], F_SETPIPE_SZ, FILLING_BYTES) >= FILLING_BYTES);
    assert_int_equal(fcntl(c.ends[1], F_SETFL, O_NONBLOCK), 0);
    while (write(c.ends[1], filling, sizeof filling) > 0)
        continue;
    assert_int_equal(fcntl(c.ends[1], F_SETFL, 0), 0);
    c.reader = fdopen(c.ends[0], "r");
    assert_non_null(c.reader);
    assert_int_equal(log_start(c.ends[1], &c.fail), 0);
    *state = &c;
    return 0;
}

static int tear_down(void **state)
{
    struct pipe_case *c = *state;

    log_stop();
    fclose(c->reader);
    close(c->ends[1]);
    return 0;
}

/* The next line after those that filled the pipe. */
static const char *next_line(struct pipe_case *c, char line[LOG_LINE_BYTES])
{
    int byte;

    while ((byte = fgetc(c->reader)) == '\0')
        continue;
    ungetc(byte, c->reader);
    assert_non_null(fgets(line, LOG_LINE_BYTES, c->reader));
    line[strcspn(line, "\n")] = '\0';
    return line;
}

/* The thread that prints continues at once, and a later line states how much is missing, and where. */
static void lines_that_nobody_takes_are_dropped_and_counted(void **state)
{
    char line[LOG_LINE_BYTES], expected[64];
    struct pipe_case *c = *state;
    int next = 0, dropped = 0, more;

    for (int i = 0; i < LINES; i++)
        log_line("line %d, which is as long as lines of a log are, more or less", i);
    while (next < LINES) {
        snprintf(expected, sizeof expected, "line %d,", next);
        if (strstr(next_line(c, line), expected) == line) {
            next++;
        } else {
            assert_int_equal(sscanf(line, "%d line%*s", &more), 1);
            assert_non_null(strstr(line, " dropped here: stderr was not read"));
            next += more;
            dropped += more;
        }
    }
    assert_int_equal(next, LINES);
    assert_in_range(dropped, 500, LINES - 500);
    log_line("again");
    assert_string_equal(next_line(c, line), "again");
}

static void all_is_written_in_its_order_when_somebody_reads(void **state)
{
    char line[LOG_LINE_BYTES], expected[64];
    struct pipe_case *c = *state;

    for (int i = 0; i < LINES; i++) {
        log_line("line %d", i);
        snprintf(expected, sizeof expected, "line %d", i);
        assert_string_equal(next_line(c, line), expected);
    }
}

static void a_line_that_is_too_long_is_cut_and_still_a_line(void **state)
{
    char line[LOG_LINE_BYTES], text[2 * LOG_LINE_BYTES];
    struct pipe_case *c = *state;

    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    log_line("%s", text);
    log_line("the next");
    assert_int_equal(strlen(next_line(c, line)), LOG_LINE_BYTES - 2);
    assert_string_equal(next_line(c, line), "the next");
}

/* The last case: its thread stays behind. */
static void a_program_ends_though_nobody_reads(void **state)
{
    (void)state;
    log_line("a line");
    log_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_that_nobody_takes_are_dropped_and_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(all_is_written_in_its_order_when_somebody_reads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_line_that_is_too_long_is_cut_and_still_a_line, set_up, tear_down),
        cmocka_unit_test_setup(a_program_ends_though_nobody_reads, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
