#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "node/client/ask_prompt.h"
#include "node/tokenizer/chat_turns.h"

static void a_text_is_asked_as_by_earlier_versions(void **state)
{
    struct ask_prompt prompt = {.text = "Why?"};
    struct client_message question = {.ask = {.predict = 7}};
    struct fail fail;

    (void)state;
    assert_int_equal(ask_prompt_check(&prompt, &fail), 0);
    assert_int_equal(ask_prompt_make(&prompt, &question, &fail), 0);
    assert_int_equal(question.kind, CLIENT_MESSAGE_ASK);
    assert_int_equal(question.ask.predict, 7);
    assert_false(question.ask.is_chat || question.ask.is_ids);
    prompt.is_chat = true;
    assert_int_equal(ask_prompt_check(&prompt, &fail), 0);
    assert_int_equal(ask_prompt_make(&prompt, &question, &fail), 0);
    assert_int_equal(question.kind, CLIENT_MESSAGE_ASK);
    assert_true(question.ask.is_chat && !question.ask.is_ids);
    assert_int_equal(question.text_size, 4);
    assert_memory_equal(question.text, "Why?", 4);
}

static void with_a_system_text_it_is_a_conversation(void **state)
{
    static const char packed[] = "\0\2\0\0\0OK\1\4\0\0\0Why?";
    const struct ask_prompt prompt = {.text = "Why?", .system = "OK", .is_chat = true};
    struct client_message question = {.ask = {.predict = 7}};
    struct fail fail;

    (void)state;
    assert_int_equal(ask_prompt_check(&prompt, &fail), 0);
    assert_int_equal(ask_prompt_make(&prompt, &question, &fail), 0);
    assert_int_equal(question.kind, CLIENT_MESSAGE_CONVERSE);
    assert_int_equal(question.text_size, sizeof packed - 1);
    assert_memory_equal(question.text, packed, sizeof packed - 1);
    assert_int_equal(chat_turns_check(question.text, question.text_size, &fail), 0);
}

static void what_does_not_fit_a_record_is_refused(void **state)
{
    const size_t largest = CLIENT_MESSAGE_TEXT_MAX;
    char *text = malloc(largest + 2);
    struct ask_prompt prompt = {.text = text};
    struct client_message question = {0};
    struct fail fail;

    (void)state;
    assert_non_null(text);
    memset(text, 'a', largest + 1);
    text[largest] = 0;
    assert_int_equal(ask_prompt_make(&prompt, &question, &fail), 0);
    text[largest] = 'a';
    text[largest + 1] = 0;
    assert_int_equal(ask_prompt_make(&prompt, &question, &fail), -1);
    assert_string_equal(fail.text, "-p: 59937 bytes: ask sends at most 59936: shorten it");
    prompt.is_chat = true;
    prompt.system = "1234567890";
    text[largest - 2 * CHAT_TURN_OVERHEAD - 10] = 0;
    assert_int_equal(ask_prompt_make(&prompt, &question, &fail), 0);
    assert_int_equal(question.text_size, largest);
    prompt.system = "12345678901";
    assert_int_equal(ask_prompt_make(&prompt, &question, &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_USAGE);
    assert_string_equal(fail.text, "--system and -p: 59927 bytes: ask sends at most 59926: shorten it");
    free(text);
}

static void refused(const struct ask_prompt *prompt, const char *why)
{
    struct fail fail;

    assert_int_equal(ask_prompt_check(prompt, &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_USAGE);
    assert_non_null(strstr(fail.text, why));
}

static void what_does_not_belong_together_is_refused(void **state)
{
    (void)state;
    refused(&(struct ask_prompt){.text = NULL}, "no prompt");
    refused(&(struct ask_prompt){.text = "a", .ids_path = "b"}, "two prompts");
    refused(&(struct ask_prompt){.ids_path = "b", .is_chat = true}, "a question is text");
    refused(&(struct ask_prompt){.text = "a", .system = "b"}, "--system: only a question has a system text before it: give --chat, too");
    refused(&(struct ask_prompt){.ids_path = "a", .system = "b"}, "--system: only a question");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_is_asked_as_by_earlier_versions),
        cmocka_unit_test(with_a_system_text_it_is_a_conversation),
        cmocka_unit_test(what_does_not_fit_a_record_is_refused),
        cmocka_unit_test(what_does_not_belong_together_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
