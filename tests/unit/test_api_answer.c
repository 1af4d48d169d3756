/* Answers, chunks and errors, letter by letter; and who may ask. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/api/api_access.h"
#include "node/api/api_answer.h"

static const struct api_answer chat = {.is_chat = true, .id = "0123456789abcdef01234567", .created = 1700000000, .model = "m \"1\""};
static const struct api_answer text = {.id = "00", .created = 5, .model = "m", .has_usage = true};
static const struct api_usage usage = {.prompt_tokens = 3, .tokens = 4};

static char *written;
static size_t written_size;
static FILE *out;

static void open_out(void)
{
    out = open_memstream(&written, &written_size);
    assert_non_null(out);
}

static void assert_written(const char *expected)
{
    assert_int_equal(fclose(out), 0);
    assert_string_equal(written, expected);
    free(written);
}

static void an_answer_is_one_object(void **state)
{
    (void)state;
    open_out();
    api_answer_write(&chat, out, "a\n\xc3\xa9", 4, "stop", &usage);
    assert_written("{\"id\":\"chatcmpl-0123456789abcdef01234567\",\"object\":\"chat.completion\",\"created\":1700000000,"
                   "\"model\":\"m \\\"1\\\"\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"a\\n\xc3\xa9\"},"
                   "\"logprobs\":null,\"finish_reason\":\"stop\"}],"
                   "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7}}");
    open_out();
    api_answer_write(&text, out, "", 0, "length", &usage);
    assert_written(
        "{\"id\":\"cmpl-00\",\"object\":\"text_completion\",\"created\":5,\"model\":\"m\",\"choices\":[{\"index\":0,\"text\":\"\","
        "\"logprobs\":null,\"finish_reason\":\"length\"}],"
        "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7}}");
}

#define CHAT_CHUNK                                                                                                     \
    "data: {\"id\":\"chatcmpl-0123456789abcdef01234567\",\"object\":\"chat.completion.chunk\",\"created\":1700000000," \
    "\"model\":\"m \\\"1\\\"\",\"choices\":[{\"index\":0,\"delta\":"
#define TEXT_CHUNK "data: {\"id\":\"cmpl-00\",\"object\":\"text_completion\",\"created\":5,\"model\":\"m\",\"choices\":["

static void a_conversation_streams_deltas(void **state)
{
    (void)state;
    open_out();
    api_stream_begin(&chat, out);
    api_stream_text(&chat, out, "a", 1);
    api_stream_end(&chat, out, "stop", &usage);
    assert_written(CHAT_CHUNK "{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n" CHAT_CHUNK
                              "{\"content\":\"a\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n" CHAT_CHUNK
                              "{},\"logprobs\":null,\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n");
}

static void a_text_streams_pieces_and_says_what_it_took(void **state)
{
    (void)state;
    open_out();
    api_stream_begin(&text, out);
    api_stream_text(&text, out, "a", 1);
    api_stream_end(&text, out, "length", &usage);
    assert_written(TEXT_CHUNK "{\"index\":0,\"text\":\"a\",\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n" TEXT_CHUNK
                              "{\"index\":0,\"text\":\"\",\"logprobs\":null,\"finish_reason\":\"length\"}],\"usage\":null}\n\n" TEXT_CHUNK
                              "],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7}}\n\ndata: [DONE]\n\n");
}

static void an_error_says_whose_fault_it_is(void **state)
{
    struct api_error error;
    const struct fail wrong = {.exit_code = EXIT_USAGE, .text = "prompt: too long"}, gone = {.exit_code = EXIT_ENVIRONMENT, .text = "x"};

    (void)state;
    assert_int_equal(api_refuse(&error, API_BAD_REQUEST, "unsupported", "n", "%s is \"%d\"", "n", 2), -1);
    open_out();
    api_error_write(&error, out);
    assert_written(
        "{\"error\":{\"message\":\"n is \\\"2\\\"\",\"type\":\"invalid_request_error\",\"param\":\"n\",\"code\":\"unsupported\"}}");
    assert_int_equal(api_refuse_by(&error, &wrong), -1);
    assert_int_equal(error.status, API_BAD_REQUEST);
    assert_int_equal(api_refuse_by(&error, &gone), -1);
    assert_int_equal(error.status, API_UNAVAILABLE);
    open_out();
    api_stream_error(out, &error);
    assert_written("data: {\"error\":{\"message\":\"x\",\"type\":\"server_error\",\"param\":null,\"code\":\"unavailable\"}}\n\n");
}

static void models_are_listed(void **state)
{
    (void)state;
    open_out();
    api_models_write(out, "m", true);
    assert_written("{\"object\":\"list\",\"data\":[{\"id\":\"m\",\"object\":\"model\",\"created\":0,\"owned_by\":\"mesh\"}]}");
    open_out();
    api_models_write(out, "m", false);
    assert_written("{\"id\":\"m\",\"object\":\"model\",\"created\":0,\"owned_by\":\"mesh\"}");
}

/* ---- access ---- */

static void the_key_alone_opens(void **state)
{
    static const struct api_key key = {.size = 16, .text = "0123456789abcdef"}, none = {.size = 0};
    static const char *const wrong[] = {NULL,
                                        "",
                                        "Bearer",
                                        "Bearer ",
                                        "Bearer 0123456789abcde",
                                        "Bearer 0123456789abcdef0",
                                        "Bearer 0123456789abcdeF",
                                        "Bearer x123456789abcdef",
                                        "Bearer  0123456789abcdef",
                                        "Basic 0123456789abcdef",
                                        "0123456789abcdef"};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_false(api_key_allows(&key, wrong[i]));
        assert_true(api_key_allows(&none, wrong[i]));
    }
    assert_true(api_key_allows(&key, "Bearer 0123456789abcdef"));
    assert_true(api_key_allows(&key, "bearer 0123456789abcdef"));
}

static void only_addresses_and_localhost_are_here(void **state)
{
    static const char *const here[] = {NULL,    "localhost",  "LOCALHOST:8080", "127.0.0.1", "127.0.0.1:8080",
                                       "[::1]", "[::1]:8080", "10.0.0.1:80"};
    static const char *const elsewhere[] = {
        "",
        "example.org",
        "example.org:8080",
        "localhost.example.org",
        "127.0.0.1.example.org:8080",
        "[::1",
        "[::1]x",
        "[example.org]",
        "127.0.0.256",
        "::1",
        "a-name-that-is-much-longer-than-any-address-can-be-and-than-the-place-it-is-copied-to.example.org"};

    (void)state;
    for (size_t i = 0; i < sizeof here / sizeof *here; i++)
        assert_true(api_host_is_here(here[i]));
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
        assert_false(api_host_is_here(elsewhere[i]));
}

static void pages_cannot_send_json(void **state)
{
    (void)state;
    assert_true(api_type_is_json("application/json"));
    assert_true(api_type_is_json("Application/JSON; charset=utf-8"));
    assert_true(api_type_is_json("application/json ;charset=utf-8"));
    assert_false(api_type_is_json(NULL));
    assert_false(api_type_is_json("text/plain"));
    assert_false(api_type_is_json("text/plain; application/json"));
    assert_false(api_type_is_json("application/jsonp"));
    assert_false(api_type_is_json("application/x-www-form-urlencoded"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_one_object),
        cmocka_unit_test(a_conversation_streams_deltas),
        cmocka_unit_test(a_text_streams_pieces_and_says_what_it_took),
        cmocka_unit_test(an_error_says_whose_fault_it_is),
        cmocka_unit_test(models_are_listed),
        cmocka_unit_test(the_key_alone_opens),
        cmocka_unit_test(only_addresses_and_localhost_are_here),
        cmocka_unit_test(pages_cannot_send_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
