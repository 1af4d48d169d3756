#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mesh/program/progress.h"

/* A line of a command that began that long ago. */
static struct progress begun(double seconds_ago, bool is_terminal)
{
    struct progress progress;

    progress_begin(&progress);
    progress.started_s -= seconds_ago;
    progress.is_terminal = is_terminal;
    return progress;
}

static void a_line_is_due_after_a_second_and_then_five_times_a_second(void **state)
{
    struct progress progress = begun(-1000, true);

    (void)state;
    assert_false(progress_is_due(&progress));
    progress = begun(1, true);
    assert_true(progress_is_due(&progress));
    progress.shown_s += 1000; /* however long the test was stopped */
    assert_false(progress_is_due(&progress));
    progress.shown_s -= 1000.2;
    assert_true(progress_is_due(&progress));
}

static void without_a_terminal_it_is_never_due(void **state)
{
    struct progress progress = begun(1000, false);

    (void)state;
    assert_false(progress_is_due(&progress));
    assert_false(progress_stop(&progress));
}

static void only_a_line_that_is_there_is_cleared(void **state)
{
    struct progress progress = begun(1000, true);

    (void)state;
    assert_false(progress_stop(&progress));
    assert_true(progress_is_due(&progress));
    assert_true(progress_stop(&progress));
    assert_false(progress_stop(&progress));
    assert_true(progress_is_due(&progress)); /* it may come again */
}

static void what_is_printed_next_goes_over_the_line(void **state)
{
    static const char expected[] = PROGRESS_CLEAR "a.pcap:  40 %\r" PROGRESS_CLEAR;
    struct progress progress = begun(1000, true);
    const int own = dup(STDERR_FILENO);
    char text[80] = "";
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_true(own >= 0 && dup2(ends[1], STDERR_FILENO) >= 0);
    progress_show(&progress, "%s: %3.0f %%", "a.pcap", 40.0);
    progress.shown_s += 1000;
    progress_show(&progress, "too soon");
    progress_end(&progress);
    progress_end(&progress);
    dup2(own, STDERR_FILENO);
    close(own);
    close(ends[1]);
    assert_int_equal(read(ends[0], text, sizeof text - 1), sizeof expected - 1); /* less than a pipe's room, so at once */
    assert_string_equal(text, expected);
    close(ends[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_due_after_a_second_and_then_five_times_a_second),
        cmocka_unit_test(without_a_terminal_it_is_never_due),
        cmocka_unit_test(only_a_line_that_is_there_is_cleared),
        cmocka_unit_test(what_is_printed_next_goes_over_the_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
