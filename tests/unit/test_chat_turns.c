#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "node/common/hash.h"
#include "node/tokenizer/chat_turns.h"

/* Turns as letters: s, u and a; "x" is one of an unknown role. Each says its letter twice. */
static size_t pack(char *packed, size_t capacity, const char *letters)
{
    size_t size = 0;

    for (const char *at = letters; *at != 0; at++) {
        const char text[2] = {*at, *at};
        const struct chat_turn turn = {.role = *at == 's'   ? CHAT_SYSTEM
                                               : *at == 'a' ? CHAT_ASSISTANT
                                                            : CHAT_USER,
                                       .text = text,
                                       .text_size = sizeof text};

        assert_true(chat_turns_put(packed, capacity, &size, &turn));
        if (*at == 'x')
            packed[size - CHAT_TURN_OVERHEAD - sizeof text] = CHAT_ASSISTANT + 1;
    }
    return size;
}

static void what_is_put_comes_back(void **state)
{
    static const uint8_t expected[] = {0, 2, 0, 0, 0, 's', 's', 1, 0, 0, 0, 0};
    char packed[64];
    size_t size = pack(packed, sizeof packed, "s"), left;
    const char *at = packed;
    struct chat_turn turn = {.role = CHAT_USER};

    (void)state;
    assert_true(chat_turns_put(packed, sizeof packed, &size, &turn));
    assert_int_equal(size, sizeof expected);
    assert_memory_equal(packed, expected, sizeof expected);
    left = size;
    assert_int_equal(chat_turns_next(&at, &left, &turn), 1);
    assert_true(turn.role == CHAT_SYSTEM && turn.text == packed + CHAT_TURN_OVERHEAD && turn.text_size == 2);
    assert_int_equal(chat_turns_next(&at, &left, &turn), 1);
    assert_true(turn.role == CHAT_USER && turn.text_size == 0);
    assert_int_equal(chat_turns_next(&at, &left, &turn), 0);
    assert_ptr_equal(at, packed + size);
}

static void a_turn_without_room_changes_nothing(void **state)
{
    char packed[32], before[32];
    const struct chat_turn turn = {.role = CHAT_USER, .text = "12345", .text_size = 5};

    (void)state;
    for (size_t capacity = 7; capacity <= sizeof packed; capacity++) {
        size_t size;

        memset(packed, '.', sizeof packed);
        size = pack(packed, sizeof packed, "s");
        memcpy(before, packed, sizeof packed);
        if (chat_turns_put(packed, capacity, &size, &turn)) {
            assert_true(capacity >= 7 + CHAT_TURN_OVERHEAD + 5 && size == 7 + CHAT_TURN_OVERHEAD + 5);
        } else {
            assert_true(capacity < 7 + CHAT_TURN_OVERHEAD + 5 && size == 7);
            assert_memory_equal(packed, before, sizeof packed);
        }
    }
}

static void a_turn_that_is_cut_is_refused(void **state)
{
    char packed[64];
    const size_t size = pack(packed, sizeof packed, "u");
    struct chat_turn turn;
    struct fail fail;

    (void)state;
    for (size_t cut = 1; cut < size; cut++) {
        const char *at = packed;
        size_t left = cut;

        assert_int_equal(chat_turns_next(&at, &left, &turn), -1);
        assert_true(at == packed && left == cut);
        assert_int_equal(chat_turns_check(packed, cut, &fail), -1);
        assert_non_null(strstr(fail.text, "turn 1 is cut short"));
    }
    assert_int_equal(chat_turns_check(packed, size, &fail), 0);
}

static void only_what_can_be_answered_is_a_conversation(void **state)
{
    static const char *const good[] = {"u", "su", "uau", "suauau"};
    static const struct {
        const char *turns, *why;
    } bad[] = {
        {"", "no turn"},
        {"x", "turn 1 has role 3, which is unknown"},
        {"uax", "turn 3 has role 3, which is unknown"},
        {"us", "turn 2 is a system text"},
        {"ssu", "turn 2 is a system text"},
        {"a", "turn 1 is the assistant's, but nobody has spoken to it"},
        {"sau", "turn 2 is the assistant's, but nobody has spoken to it"},
        {"uu", "turns 1 and 2 are both the user's"},
        {"suaau", "turns 3 and 4 are both the assistant's"},
        {"s", "the last turn is the system's"},
        {"ua", "the last turn is the assistant's"},
    };
    char packed[64];
    struct fail fail;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(chat_turns_check(packed, pack(packed, sizeof packed, good[i]), &fail), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(chat_turns_check(packed, pack(packed, sizeof packed, bad[i].turns), &fail), -1);
        assert_int_equal(fail.exit_code, EXIT_USAGE);
        if (strstr(fail.text, bad[i].why) == NULL)
            fail_msg("\"%s\": %s", bad[i].turns, fail.text);
    }
}

static void any_bytes_are_read_or_refused(void **state)
{
    char packed[40];
    struct fail fail;

    (void)state;
    for (uint64_t round = 0; round < 20000; round++) {
        const size_t size = hash_words3(1, round, 0) % sizeof packed;
        const char *at = packed;
        size_t left = size;
        struct chat_turn turn;

        for (size_t i = 0; i < size; i++)
            packed[i] = (char)(hash_words3(2, round, i) % 4);
        while (chat_turns_next(&at, &left, &turn) > 0)
            assert_true(turn.role <= CHAT_ASSISTANT && turn.text + turn.text_size == at && at + left == packed + size);
        if (chat_turns_check(packed, size, &fail) == 0)
            assert_int_equal(left, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_comes_back),        cmocka_unit_test(a_turn_without_room_changes_nothing),
        cmocka_unit_test(a_turn_that_is_cut_is_refused), cmocka_unit_test(only_what_can_be_answered_is_a_conversation),
        cmocka_unit_test(any_bytes_are_read_or_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
