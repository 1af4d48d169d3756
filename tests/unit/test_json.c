#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/program/json.h"

static char *text;
static size_t text_size;
static struct json json;

static int begin(void **state)
{
    (void)state;
    json_init(&json, open_memstream(&text, &text_size));
    return json.out == NULL ? -1 : 0;
}

static int end(void **state)
{
    (void)state;
    free(text);
    text = NULL;
    return 0;
}

static void check(const char *expected)
{
    fclose(json.out);
    assert_string_equal(text, expected);
}

static void an_event_is_one_line_with_the_schema_version_first(void **state)
{
    (void)state;
    json_event_begin(&json, "token");
    json_text(&json, "text", "ka");
    json_uint(&json, "id", 17);
    json_event_end(&json);
    json_event_begin(&json, "summary");
    json_event_end(&json);
    check("{\"schema_version\":1,\"event\":\"token\",\"text\":\"ka\",\"id\":17}\n{\"schema_version\":1,\"event\":\"summary\"}\n");
}

static void values_are_separated_at_every_depth(void **state)
{
    (void)state;
    json_object_begin(&json, NULL);
    json_array_begin(&json, "nodes");
    json_object_begin(&json, NULL);
    json_uint(&json, "rank", 0);
    json_array_begin(&json, "none");
    json_array_end(&json);
    json_object_end(&json);
    json_object_begin(&json, NULL);
    json_object_end(&json);
    json_int(&json, NULL, INT64_MIN);
    json_uint(&json, NULL, UINT64_MAX);
    json_array_end(&json);
    json_bool(&json, "ok", true);
    json_bool(&json, "bad", false);
    json_object_end(&json);
    check("{\"nodes\":[{\"rank\":0,\"none\":[]},{},-9223372036854775808,18446744073709551615],\"ok\":true,\"bad\":false}");
}

static void strings_are_strict_json_whatever_their_bytes(void **state)
{
    (void)state;
    json_array_begin(&json, NULL);
    json_string(&json, NULL, "a\0\"\\\n\x1f\x7f", 7);
    json_string(&json, NULL, "\xc3\xa9\xff\xe2\x96", 5);
    json_string(&json, NULL, "", 0);
    json_array_end(&json);
    check("[\"a\\u0000\\\"\\\\\\n\\u001f\\u007f\",\"\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\",\"\"]");
}

static void numbers_are_short_and_read_back_as_the_same(void **state)
{
    (void)state;
    json_array_begin(&json, NULL);
    json_float(&json, NULL, 1e-5f);
    json_float(&json, NULL, 16777217.0f);
    json_float(&json, NULL, 0.1f + 0.2f);
    json_double(&json, NULL, 0.1);
    json_double(&json, NULL, 0.1 + 0.2);
    json_double(&json, NULL, -0.0);
    json_array_end(&json);
    check("[1e-05,16777216,0.3,0.1,0.30000000000000004,-0]");
}

static void numbers_that_json_does_not_know_are_null(void **state)
{
    (void)state;
    json_array_begin(&json, NULL);
    json_float(&json, NULL, NAN);
    json_float(&json, NULL, INFINITY);
    json_double(&json, NULL, -(double)INFINITY);
    json_double(&json, NULL, (double)NAN);
    json_array_end(&json);
    check("[null,null,null,null]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_event_is_one_line_with_the_schema_version_first, begin, end),
        cmocka_unit_test_setup_teardown(values_are_separated_at_every_depth, begin, end),
        cmocka_unit_test_setup_teardown(strings_are_strict_json_whatever_their_bytes, begin, end),
        cmocka_unit_test_setup_teardown(numbers_are_short_and_read_back_as_the_same, begin, end),
        cmocka_unit_test_setup_teardown(numbers_that_json_does_not_know_are_null, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
