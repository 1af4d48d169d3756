/* Stops in a stream: found wherever pieces begin and end, and nothing lost that only looked like one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/api/api_stops.h"

static struct api_stops stops_of(const char *const *texts)
{
    struct api_stops stops = {.count = 0};

    for (; texts[stops.count] != NULL; stops.count++) {
        stops.size[stops.count] = strlen(texts[stops.count]);
        memcpy(stops.text[stops.count], texts[stops.count], stops.size[stops.count]);
    }
    return stops;
}

/* What comes out of the text in pieces of `step` bytes. */
static void run(const char *const *texts, const char *text, size_t step, char *answer, bool *is_found)
{
    struct api_stops stops = stops_of(texts);
    char out[1000 + API_STOP_BYTES_MAX];
    size_t size;

    answer[0] = '\0';
    for (size_t at = 0; at < strlen(text); at += step) {
        const size_t rest = strlen(text) - at;

        size = api_stops_push(&stops, text + at, rest < step ? rest : step, out);
        strncat(answer, out, size);
    }
    size = api_stops_flush(&stops, out);
    strncat(answer, out, size);
    *is_found = stops.is_found;
    assert_int_equal(api_stops_flush(&stops, out), 0);
}

static void an_answer_ends_before_the_first_stop(void **state)
{
    static const struct {
        const char *texts[API_STOPS_MAX + 1], *text, *answer;
        bool is_found;
    } cases[] = {
        {{NULL}, "nothing stops this", "nothing stops this", false},
        {{"."}, "One. Two.", "One", true},
        {{"Two"}, "One. Two.", "One. ", true},
        {{"aab"}, "aaab", "a", true},         /* begins again within what was held back */
        {{"abab"}, "abaabab.", "aba", true},  /* likewise */
        {{"END"}, "the EN", "the EN", false}, /* held back, but it was none */
        {{"END"}, "the EEEND", "the EE", true},
        {{"bc", "abcd"}, "xabcd", "xa", true}, /* the one that is complete first counts */
        {{"cd", "abcd"}, "xabcd", "x", true},  /* if both are, the longer one */
        {{"abcd", "cd"}, "xabcd", "x", true},  /* whatever their order */
        {{"\n\n"}, "a\nb\n\nc", "a\nb", true},
        {{"x"}, "x", "", true},
        {{"\xc3\xa9t\xc3\xa9"}, "un \xc3\xa9t\xc3\xa9 chaud", "un ", true},
        {{"aaaa", "b", "ccc", "d"}, "aaacc", "aaacc", false},
    };
    char answer[1000];
    bool is_found;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t step = 1; step <= strlen(cases[i].text); step++) {
            run(cases[i].texts, cases[i].text, step, answer, &is_found);
            assert_string_equal(answer, cases[i].answer);
            assert_int_equal(is_found, cases[i].is_found);
        }
    }
}

static void pieces_make_no_difference(void **state)
{
    static const char *const texts[] = {"abab", "bba", "aabb\n", NULL};
    char whole[1000], pieces[1000], text[40];
    bool whole_found, pieces_found;

    (void)state;
    for (unsigned number = 0; number < 1 << 13; number++) {
        for (unsigned i = 0; i < 13; i++)
            text[i] = number >> i & 1 ? 'a' : 'b';
        text[13] = '\0';
        run(texts, text, 1, whole, &whole_found);
        assert_null(strstr(whole, "abab"));
        assert_null(strstr(whole, "bba"));
        assert_int_equal(whole_found, strstr(text, "abab") != NULL || strstr(text, "bba") != NULL);
        assert_memory_equal(text, whole, strlen(whole));
        for (size_t step = 2; step < 6; step++) {
            run(texts, text, step, pieces, &pieces_found);
            assert_int_equal(pieces_found, whole_found);
            assert_string_equal(pieces, whole);
        }
    }
}

static void nothing_comes_after_a_stop(void **state)
{
    static const char *const texts[] = {"stop", NULL};
    struct api_stops stops = stops_of(texts);
    char out[100 + API_STOP_BYTES_MAX];

    (void)state;
    assert_int_equal(api_stops_push(&stops, "go st", 5, out), 3);
    assert_memory_equal(out, "go ", 3);
    assert_int_equal(api_stops_push(&stops, "op and", 6, out), 0);
    assert_true(stops.is_found);
    assert_int_equal(api_stops_push(&stops, "more", 4, out), 0);
    assert_int_equal(api_stops_flush(&stops, out), 0);
}

static void the_longest_stop_is_found(void **state)
{
    struct api_stops stops = {.count = 1, .size = {API_STOP_BYTES_MAX}};
    char text[API_STOP_BYTES_MAX + 1], out[2 * API_STOP_BYTES_MAX + 2];
    size_t size = 0;

    (void)state;
    memset(stops.text[0], 'a', API_STOP_BYTES_MAX);
    stops.text[0][API_STOP_BYTES_MAX - 1] = 'b';
    memset(text, 'a', sizeof text);
    text[API_STOP_BYTES_MAX] = 'b';
    for (size_t at = 0; at < sizeof text; at++)
        size += api_stops_push(&stops, text + at, 1, out);
    assert_true(stops.is_found);
    assert_int_equal(size, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_ends_before_the_first_stop),
        cmocka_unit_test(pieces_make_no_difference),
        cmocka_unit_test(nothing_comes_after_a_stop),
        cmocka_unit_test(the_longest_stop_is_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
