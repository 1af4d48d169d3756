#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "node/serve/send_errors.h"

#define S UINT64_C(1000000000)

static struct mesh_addr address(uint8_t last)
{
    return (struct mesh_addr){.ip = {[10] = 0xff, 0xff, 10, 0, 0, last}, .port = 7411};
}

static void note(struct send_errors *errors, uint64_t now_ns, uint8_t last, int error)
{
    const struct mesh_addr to = address(last);

    send_errors_note(errors, now_ns, &to, error);
}

static bool next(struct send_errors *errors, char text[SEND_ERRORS_TEXT_BYTES])
{
    bool is_again;

    if (!send_errors_next(errors, text, &is_again))
        return false;
    assert_int_equal(is_again, strncmp(text, SEND_ERRORS_WHAT, strlen(SEND_ERRORS_WHAT)) != 0);
    return true;
}

static void what_fails_for_a_moment_is_not_told(void **state)
{
    struct send_errors errors = {0};
    char text[SEND_ERRORS_TEXT_BYTES];

    (void)state;
    note(&errors, S, 1, ENETUNREACH);
    note(&errors, S + SEND_ERRORS_REPORT_AFTER_NS - 1, 1, ENETUNREACH);
    assert_false(next(&errors, text));
    note(&errors, S + SEND_ERRORS_REPORT_AFTER_NS - 1, 1, 0);
    note(&errors, S + SEND_ERRORS_REPORT_AFTER_NS, 1, ENETUNREACH);
    assert_false(next(&errors, text));
    note(&errors, S + SEND_ERRORS_REPORT_AFTER_NS, 1, 0);
    assert_int_equal(errors.count, 0);
}

/* For example, an answer to a peer with a forged address. */
static void one_datagram_that_failed_is_not_told_however_long_ago(void **state)
{
    struct send_errors errors = {0};
    char text[SEND_ERRORS_TEXT_BYTES];

    (void)state;
    note(&errors, S, 1, EACCES);
    note(&errors, 9 * S, 2, ENETUNREACH);
    assert_false(next(&errors, text));
}

static void what_goes_on_failing_is_told_once_with_its_reason(void **state)
{
    struct send_errors errors = {0};
    char text[SEND_ERRORS_TEXT_BYTES];

    (void)state;
    note(&errors, S, 1, EPERM);
    note(&errors, 2 * S, 1, EPERM);
    assert_true(next(&errors, text));
    assert_string_equal(text, "nothing can be sent to 10.0.0.1:7411: Operation not permitted: a firewall of this machine forbids it");
    note(&errors, 3 * S, 1, EPERM);
    assert_false(next(&errors, text));
    note(&errors, S, 2, ENOBUFS);
    note(&errors, 2 * S, 2, ENOBUFS);
    assert_true(next(&errors, text));
    assert_non_null(strstr(text, "10.0.0.2:7411: No buffer space available: the interface's queue is full: "));
}

static void its_end_is_told_once(void **state)
{
    struct send_errors errors = {0};
    char text[SEND_ERRORS_TEXT_BYTES];

    (void)state;
    note(&errors, S, 1, ENETUNREACH);
    note(&errors, 2 * S, 1, ENETUNREACH);
    assert_true(next(&errors, text));
    note(&errors, 3 * S, 1, 0);
    note(&errors, 3 * S, 1, 0);
    assert_true(next(&errors, text));
    assert_string_equal(text, "sending to 10.0.0.1:7411 works again");
    assert_false(next(&errors, text));
    assert_int_equal(errors.count, 0);
}

static void those_with_one_reason_share_a_sentence(void **state)
{
    struct send_errors errors = {0};
    char text[SEND_ERRORS_TEXT_BYTES];

    (void)state;
    for (uint8_t i = 0; i < 8; i++)
        note(&errors, i < 4 ? S : 2 * S, i % 4 + 1, i % 4 == 1 ? EPERM : ENETUNREACH);
    assert_true(next(&errors, text));
    assert_string_equal(text, "nothing can be sent to 10.0.0.4:7411 and 2 others: Network is unreachable: "
                              "check this machine's addresses, routes and cables");
    assert_true(next(&errors, text));
    assert_non_null(strstr(text, "10.0.0.2:7411: Operation not permitted"));
    assert_false(next(&errors, text));
    for (uint8_t i = 1; i <= 4; i++)
        note(&errors, 3 * S, i, 0);
    assert_true(next(&errors, text));
    assert_string_equal(text, "sending to 10.0.0.4:7411 and 3 others works again");
    assert_false(next(&errors, text));
    assert_int_equal(errors.count, 0);
}

static void there_is_room_for_so_many_and_no_more(void **state)
{
    struct send_errors errors = {0};
    char text[SEND_ERRORS_TEXT_BYTES];

    (void)state;
    for (uint64_t at_ns = S; at_ns <= 2 * S; at_ns += S)
        for (uint8_t i = 0; i < SEND_ERRORS_MAX + 10; i++)
            note(&errors, at_ns, i, ENETUNREACH);
    assert_int_equal(errors.count, SEND_ERRORS_MAX);
    assert_true(next(&errors, text));
    assert_non_null(strstr(text, "and 63 others"));
    for (uint8_t i = 0; i < SEND_ERRORS_MAX + 10; i++)
        note(&errors, 3 * S, i, 0);
    assert_true(next(&errors, text));
    assert_int_equal(errors.count, 0);
}

/* Nothing is sent there any more. */
static void one_that_failed_long_ago_gives_its_place_to_another(void **state)
{
    struct send_errors errors = {0};
    char text[SEND_ERRORS_TEXT_BYTES];

    (void)state;
    for (uint8_t i = 0; i < SEND_ERRORS_MAX; i++)
        note(&errors, i == 7 ? S : 2 * S, i, ENETUNREACH);
    note(&errors, S + SEND_ERRORS_OLD_NS - 1, 100, EPERM);
    note(&errors, S + SEND_ERRORS_OLD_NS, 101, EPERM);
    note(&errors, S + SEND_ERRORS_OLD_NS, 102, EPERM);
    note(&errors, 2 * S + SEND_ERRORS_OLD_NS - 1, 100, EPERM);
    note(&errors, 2 * S + SEND_ERRORS_OLD_NS - 1, 102, EPERM);
    assert_false(next(&errors, text));
    note(&errors, 2 * S + SEND_ERRORS_OLD_NS, 101, EPERM);
    assert_true(next(&errors, text));
    assert_non_null(strstr(text, "to 10.0.0.101:7411: "));
    assert_int_equal(errors.count, SEND_ERRORS_MAX);
}

static void what_has_been_told_is_present_until_it_is_over_or_old(void **state)
{
    struct send_errors errors = {0};
    char text[SEND_ERRORS_TEXT_BYTES];

    (void)state;
    note(&errors, S, 1, EPERM);
    assert_false(send_errors_present(&errors, S, text)); /* it may last only a moment */
    note(&errors, 2 * S, 1, EPERM);
    note(&errors, S, 2, ENETUNREACH);
    note(&errors, 2 * S, 2, ENETUNREACH);
    while (next(&errors, text))
        ;
    assert_true(send_errors_present(&errors, 3 * S, text));
    assert_string_equal(text,
                        "nothing can be sent to 10.0.0.1:7411 and 1 other: Operation not permitted: a firewall of this machine forbids it");
    note(&errors, 4 * S, 1, 0);
    assert_true(send_errors_present(&errors, 4 * S, text));
    assert_string_equal(text,
                        "nothing can be sent to 10.0.0.2:7411: Network is unreachable: check this machine's addresses, routes and cables");
    assert_true(send_errors_present(&errors, 2 * S + SEND_ERRORS_OLD_NS - 1, text));
    assert_false(send_errors_present(&errors, 2 * S + SEND_ERRORS_OLD_NS, text)); /* nothing has been sent there for long */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fails_for_a_moment_is_not_told),
        cmocka_unit_test(one_datagram_that_failed_is_not_told_however_long_ago),
        cmocka_unit_test(what_goes_on_failing_is_told_once_with_its_reason),
        cmocka_unit_test(its_end_is_told_once),
        cmocka_unit_test(those_with_one_reason_share_a_sentence),
        cmocka_unit_test(there_is_room_for_so_many_and_no_more),
        cmocka_unit_test(one_that_failed_long_ago_gives_its_place_to_another),
        cmocka_unit_test(what_has_been_told_is_present_until_it_is_over_or_old),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
