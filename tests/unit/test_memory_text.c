/* Memory in words: three digits, the right unit, and never a fourth digit by rounding. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/common/memory_text.h"

static const char *text_of(uint64_t bytes)
{
    static char text[MEMORY_TEXT_BYTES];

    memory_text(bytes, text);
    return text;
}

static void bytes_are_written_as_they_are(void **state)
{
    (void)state;
    assert_string_equal(text_of(0), "0 B");
    assert_string_equal(text_of(1), "1 B");
    assert_string_equal(text_of(999), "999 B");
}

static void units_are_powers_of_ten(void **state)
{
    (void)state;
    assert_string_equal(text_of(1000), "1.00 kB");
    assert_string_equal(text_of(1024), "1.02 kB");
    assert_string_equal(text_of(1100000000), "1.10 GB");
    assert_string_equal(text_of(812000), "812 kB");
    assert_string_equal(text_of(46700000000), "46.7 GB");
    assert_string_equal(text_of(7 * UINT64_C(1000000000000)), "7.00 TB");
}

static void what_is_not_known_is_said_to_be_so(void **state)
{
    char text[MEMORY_TEXT_BYTES];

    (void)state;
    memory_available_text(UINT64_MAX, text);
    assert_string_equal(text, "an unknown amount");
    memory_available_text(812000, text);
    assert_string_equal(text, "812 kB");
}

static void rounding_up_moves_to_the_next_width_or_unit(void **state)
{
    (void)state;
    assert_string_equal(text_of(9994), "9.99 kB");
    assert_string_equal(text_of(9996), "10.0 kB");
    assert_string_equal(text_of(99940), "99.9 kB");
    assert_string_equal(text_of(99960), "100 kB");
    assert_string_equal(text_of(999499), "999 kB");
    assert_string_equal(text_of(999500), "1.00 MB");
    assert_string_equal(text_of(999999999), "1.00 GB");
}

static void the_largest_number_has_a_unit(void **state)
{
    (void)state;
    assert_string_equal(text_of(UINT64_MAX), "18.4 EB");
}

static void any_number_has_three_digits_and_a_unit(void **state)
{
    (void)state;
    for (uint64_t bytes = 1000; bytes < UINT64_MAX / 3; bytes += bytes / 7 + 1) {
        char *end;
        double value = strtod(text_of(bytes), &end);

        assert_true(value >= 1.0 && value < 1000.0);
        assert_true(end - text_of(bytes) == 3 || end - text_of(bytes) == 4);
        assert_true(end[0] == ' ' && strchr("kMGTPE", end[1]) != NULL && end[2] == 'B' && end[3] == '\0');
    }
}

static void the_machine_has_some_memory(void **state)
{
    (void)state;
    assert_true(memory_available_bytes() > 0);
}

static void what_a_process_holds_grows_with_what_it_touches(void **state)
{
    enum { BYTES = 64 << 20 };
    const uint64_t before = memory_held_bytes();
    char *memory = malloc(BYTES);

    (void)state;
    assert_non_null(memory);
    memset(memory, 1, BYTES);
    assert_true(before > 0 && memory_held_bytes() > before + BYTES / 2);
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_written_as_they_are),      cmocka_unit_test(units_are_powers_of_ten),
        cmocka_unit_test(what_is_not_known_is_said_to_be_so), cmocka_unit_test(rounding_up_moves_to_the_next_width_or_unit),
        cmocka_unit_test(the_largest_number_has_a_unit),      cmocka_unit_test(any_number_has_three_digits_and_a_unit),
        cmocka_unit_test(the_machine_has_some_memory),        cmocka_unit_test(what_a_process_holds_grows_with_what_it_touches),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
