/* Bodies of requests: what they ask for, and how each wrong one is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/api/api_request.h"
#include "node/tokenizer/chat_turns.h"

static struct api_request request;
static struct api_error error;

static int read_text(bool is_chat, const char *body)
{
    memset(&error, 0, sizeof error);
    return api_request_read(&request, is_chat, body, strlen(body), &error);
}

static void assert_turns(const char *const *texts, const enum chat_role *roles, size_t count)
{
    const char *packed = request.text;
    size_t size = request.text_size;
    struct chat_turn turn;

    for (size_t i = 0; i < count; i++) {
        assert_int_equal(chat_turns_next(&packed, &size, &turn), 1);
        assert_int_equal(turn.role, roles[i]);
        assert_int_equal(turn.text_size, strlen(texts[i]));
        assert_memory_equal(turn.text, texts[i], turn.text_size);
    }
    assert_int_equal(chat_turns_next(&packed, &size, &turn), 0);
}

static void a_text_is_completed_by_the_defaults_of_openai(void **state)
{
    (void)state;
    assert_int_equal(read_text(false, "{\"prompt\":\"Once \\u00e9\"}"), 0);
    assert_false(request.is_chat || request.streams || request.wants_usage || request.has_seed);
    assert_string_equal(request.model, "");
    assert_int_equal(request.text_size, 7);
    assert_memory_equal(request.text, "Once \xc3\xa9", 7);
    assert_int_equal(request.ask.predict, 16);
    assert_true(request.ask.sampling.temperature == 1 && request.ask.sampling.top_p == 1 && request.ask.sampling.repeat_penalty == 1);
    assert_true(request.ask.sampling.top_k == 0 && request.ask.sampling.min_p == 0);
    assert_false(request.ask.is_ids || request.ask.is_chat || request.ask.ignore_end || request.ask.want_digest);
    assert_int_equal(request.stops.count, 0);
    api_request_release(&request);
}

static void every_member_is_read(void **state)
{
    (void)state;
    assert_int_equal(
        read_text(false,
                  "{\"model\":\"m\",\"prompt\":\"x\",\"max_tokens\":7,\"temperature\":0.5,\"top_p\":0.25,\"top_k\":3,\"min_p\":0.125,"
                  "\"repeat_penalty\":1.5,\"presence_penalty\":-2,\"frequency_penalty\":2,\"seed\":-1,\"stop\":[\"a\",\"bc\"],"
                  "\"stream\":true,\"stream_options\":{\"include_usage\":true},\"ignore_eos\":true,\"user\":\"u\","
                  "\"n\":1,\"best_of\":1,\"echo\":false,\"logprobs\":null,\"logit_bias\":{},\"unknown\":[1]}"),
        0);
    const struct sampling *s = &request.ask.sampling;
    assert_string_equal(request.model, "m");
    assert_int_equal(request.ask.predict, 7);
    assert_true(s->temperature == 0.5f && s->top_p == 0.25f && s->top_k == 3 && s->min_p == 0.125f && s->repeat_penalty == 1.5f);
    assert_true(s->presence_penalty == -2 && s->frequency_penalty == 2);
    assert_true(request.has_seed && s->seed == UINT64_MAX);
    assert_true(request.streams && request.wants_usage && request.ask.ignore_end);
    assert_int_equal(request.stops.count, 2);
    assert_int_equal(request.stops.size[1], 2);
    assert_memory_equal(request.stops.text[1], "bc", 2);
    api_request_release(&request);
}

static void null_is_as_good_as_missing(void **state)
{
    (void)state;
    assert_int_equal(read_text(false,
                               "{\"model\":null,\"prompt\":\"x\",\"max_tokens\":null,\"temperature\":null,\"seed\":null,\"stop\":null,"
                               "\"stream\":null,\"stream_options\":null,\"n\":null,\"response_format\":null}"),
                     0);
    assert_int_equal(request.ask.predict, 16);
    assert_false(request.has_seed);
    api_request_release(&request);
}

static void a_prompt_is_a_text_or_ids(void **state)
{
    static const uint8_t ids[] = {1, 0, 0, 0, 0, 1, 0, 0, 0xff, 0xff, 0xff, 0x7f};
    static const char *const texts[] = {"{\"prompt\":\"x\"}", "{\"prompt\":[\"x\"]}"}, *const lists[] = {
                                                                                           "{\"prompt\":[1,256,2147483647]}",
                                                                                           "{\"prompt\":[[1,256,2147483647]]}"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(read_text(false, texts[i]), 0);
        assert_false(request.ask.is_ids);
        assert_int_equal(request.text_size, 1);
        api_request_release(&request);
        assert_int_equal(read_text(false, lists[i]), 0);
        assert_true(request.ask.is_ids);
        assert_int_equal(request.text_size, sizeof ids);
        assert_memory_equal(request.text, ids, sizeof ids);
        api_request_release(&request);
    }
    assert_int_equal(read_text(false, "{\"prompt\":[5]}"), 0);
    assert_true(request.ask.is_ids);
    api_request_release(&request);
    assert_int_equal(read_text(false, "{\"prompt\":\"\"}"), 0);
    assert_int_equal(request.text_size, 0);
    api_request_release(&request);
}

static void a_conversation_becomes_turns(void **state)
{
    static const char *const texts[] = {"be\n\nbrief", "one\ntwo", "", "x\n\ny\nz"};
    static const enum chat_role roles[] = {CHAT_SYSTEM, CHAT_USER, CHAT_ASSISTANT, CHAT_USER};

    (void)state;
    assert_int_equal(
        read_text(true, "{\"messages\":[{\"role\":\"system\",\"content\":\"be\"},{\"role\":\"developer\",\"content\":\"brief\"},"
                        "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"one\"},{\"type\":\"text\",\"text\":\"two\"}]},"
                        "{\"role\":\"assistant\",\"content\":\"\"},{\"role\":\"user\",\"name\":\"n\",\"content\":\"x\"},"
                        "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"y\"},{\"type\":\"text\",\"text\":\"z\"}]}]}"),
        0);
    assert_true(request.is_chat && !request.ask.is_chat);
    assert_turns(texts, roles, 4);
    assert_in_range(request.ask.predict, 1 << 20, UINT32_MAX); /* to the end of the context */
    api_request_release(&request);
}

static void a_limit_of_tokens_has_two_names_in_a_conversation(void **state)
{
    (void)state;
    assert_int_equal(read_text(true, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"max_tokens\":5}"), 0);
    assert_int_equal(request.ask.predict, 5);
    api_request_release(&request);
    assert_int_equal(read_text(true, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"max_completion_tokens\":6,\"max_tokens\":5}"),
                     0);
    assert_int_equal(request.ask.predict, 6);
    api_request_release(&request);
}

static const struct {
    bool is_chat;
    const char *body, *param, *code;
} wrong[] = {
    {false, "", NULL, NULL},
    {false, "{", NULL, NULL},
    {false, "{\"prompt\":\"\xff\"}", NULL, NULL},
    {false, "{\"prompt\":\"x\",\"prompt\":\"y\"}", NULL, NULL},
    {false, "[]", NULL, NULL},
    {false, "7", NULL, NULL},
    {false, "{}", "prompt", NULL},
    {false, "{\"prompt\":7}", "prompt", NULL},
    {false, "{\"prompt\":[]}", "prompt", NULL},
    {false, "{\"prompt\":[\"x\",\"y\"]}", "prompt", NULL},
    {false, "{\"prompt\":[1,-1]}", "prompt", NULL},
    {false, "{\"prompt\":[1,2147483648]}", "prompt", NULL},
    {false, "{\"prompt\":[1,\"x\"]}", "prompt", NULL},
    {false, "{\"prompt\":\"x\",\"max_tokens\":0}", "max_tokens", NULL},
    {false, "{\"prompt\":\"x\",\"max_tokens\":1.5}", "max_tokens", NULL},
    {false, "{\"prompt\":\"x\",\"max_tokens\":\"5\"}", "max_tokens", NULL},
    {false, "{\"prompt\":\"x\",\"temperature\":2.1}", "temperature", NULL},
    {false, "{\"prompt\":\"x\",\"temperature\":\"hot\"}", "temperature", NULL},
    {false, "{\"prompt\":\"x\",\"top_p\":0}", "top_p", NULL},
    {false, "{\"prompt\":\"x\",\"top_p\":1e-60}", "top_p", NULL},
    {false, "{\"prompt\":\"x\",\"top_k\":-1}", "top_k", NULL},
    {false, "{\"prompt\":\"x\",\"min_p\":0.99999999999}", "min_p", NULL},
    {false, "{\"prompt\":\"x\",\"repeat_penalty\":0}", "repeat_penalty", NULL},
    {false, "{\"prompt\":\"x\",\"presence_penalty\":3}", "presence_penalty", NULL},
    {false, "{\"prompt\":\"x\",\"frequency_penalty\":-3}", "frequency_penalty", NULL},
    {false, "{\"prompt\":\"x\",\"seed\":0.5}", "seed", NULL},
    {false, "{\"prompt\":\"x\",\"stop\":\"\"}", "stop", NULL},
    {false, "{\"prompt\":\"x\",\"stop\":7}", "stop", NULL},
    {false, "{\"prompt\":\"x\",\"stop\":[\"a\",\"b\",\"c\",\"d\",\"e\"]}", "stop", NULL},
    {false, "{\"prompt\":\"x\",\"stream\":1}", "stream", NULL},
    {false, "{\"prompt\":\"x\",\"stream_options\":{\"include_usage\":true}}", "stream_options", NULL},
    {false, "{\"prompt\":\"x\",\"stream\":true,\"stream_options\":7}", "stream_options", NULL},
    {false, "{\"prompt\":\"x\",\"stream\":true,\"stream_options\":{\"include_usage\":7}}", "include_usage", NULL},
    {false, "{\"prompt\":\"x\",\"model\":7}", "model", NULL},
    {false, "{\"prompt\":\"x\",\"n\":2}", "n", "unsupported"},
    {false, "{\"prompt\":\"x\",\"n\":true}", "n", "unsupported"},
    {false, "{\"prompt\":\"x\",\"best_of\":2}", "best_of", "unsupported"},
    {false, "{\"prompt\":\"x\",\"logprobs\":1}", "logprobs", "unsupported"},
    {false, "{\"prompt\":\"x\",\"echo\":true}", "echo", "unsupported"},
    {false, "{\"prompt\":\"x\",\"suffix\":\"y\"}", "suffix", "unsupported"},
    {false, "{\"prompt\":\"x\",\"logit_bias\":{\"5\":1}}", "logit_bias", "unsupported"},
    {true, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"tools\":[{}]}", "tools", "unsupported"},
    {true, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"response_format\":{\"type\":\"json_object\"}}", "response_format",
     "unsupported"},
    {true, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"response_format\":7}", "response_format", "unsupported"},
    {true, "{\"prompt\":\"x\"}", "messages", NULL},
    {true, "{\"messages\":[]}", "messages", NULL},
    {true, "{\"messages\":\"x\"}", "messages", NULL},
    {true, "{\"messages\":[7]}", "messages", NULL},
    {true, "{\"messages\":[{\"content\":\"x\"}]}", "messages", NULL},
    {true, "{\"messages\":[{\"role\":\"tool\",\"content\":\"x\"}]}", "messages", NULL},
    {true, "{\"messages\":[{\"role\":\"user\"}]}", "messages", NULL},
    {true, "{\"messages\":[{\"role\":\"user\",\"content\":7}]}", "messages", NULL},
    {true, "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]}", "messages", "unsupported"},
    {true, "{\"messages\":[{\"role\":\"system\",\"content\":\"x\"}]}", "messages", NULL},
    {true, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"content\":\"y\"}]}", "messages", NULL},
};

static void what_is_wrong_is_refused_by_its_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (read_text(wrong[i].is_chat, wrong[i].body) == 0)
            fail_msg("accepted: %s", wrong[i].body);
        assert_int_equal(error.status, API_BAD_REQUEST);
        assert_true(error.text[0] != '\0');
        if (wrong[i].param == NULL ? error.param != NULL : error.param == NULL || strcmp(error.param, wrong[i].param) != 0)
            fail_msg("%s: %s: %s", wrong[i].body, error.param, error.text);
        if (wrong[i].code == NULL ? error.code != NULL : error.code == NULL || strcmp(error.code, wrong[i].code) != 0)
            fail_msg("%s: %s: %s", wrong[i].body, error.code, error.text);
        assert_null(request.text);
    }
}

static void a_body_that_is_no_json_is_told_apart(void **state)
{
    (void)state;
    assert_int_equal(api_request_read(&request, false, NULL, 0, &error), -1);
    assert_non_null(strstr(error.text, "there is no body"));
    assert_int_equal(read_text(false, "{\"prompt\":\"x\",\"seed\":18446744073709551615}"), -1);
    assert_non_null(strstr(error.text, "too large: whole ones go up to 9223372036854775807"));
    assert_int_equal(read_text(false, "{\"prompt\": secret}"), -1);
    assert_non_null(strstr(error.text, "is not JSON: line 1, column "));
    assert_null(strstr(error.text, "secret"));
    assert_int_equal(read_text(false, "{\"prompt\":\"x\",\"seed\":-9223372036854775808}"), 0);
    assert_true(request.ask.sampling.seed == UINT64_C(1) << 63);
    api_request_release(&request);
}

static void a_name_that_no_model_can_have_is_not_found(void **state)
{
    char body[1000];

    (void)state;
    snprintf(body, sizeof body, "{\"prompt\":\"x\",\"model\":\"%0*d\"}", API_MODEL_BYTES_MAX, 0);
    assert_int_equal(read_text(false, body), -1);
    assert_int_equal(error.status, API_NOT_FOUND);
    assert_string_equal(error.code, "model_not_found");
}

/* Up to what one record of the mesh carries. */
static void what_is_too_long_is_told(void **state)
{
    static const struct {
        bool is_chat;
        const char *before, *after;
        size_t overhead;
    } cases[] = {
        {false, "{\"prompt\":\"", "\"}", 0},
        {true, "{\"messages\":[{\"role\":\"user\",\"content\":\"", "\"}]}", CHAT_TURN_OVERHEAD},
        {true,
         "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"},{\"role\":\"user\",\"content\":"
         "\"",
         "\"}]}", 3 * CHAT_TURN_OVERHEAD + 2},
        {true, "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"",
         "\"}]}]}", CHAT_TURN_OVERHEAD + 3},
    };
    char *body = malloc(CLIENT_MESSAGE_TEXT_MAX + 500);

    (void)state;
    assert_non_null(body);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t more = 0; more < 2; more++) {
            const size_t size = CLIENT_MESSAGE_TEXT_MAX - cases[i].overhead + more, at = strlen(cases[i].before);

            strcpy(body, cases[i].before);
            memset(body + at, 'x', size);
            strcpy(body + at + size, cases[i].after);
            assert_int_equal(read_text(cases[i].is_chat, body), more == 0 ? 0 : -1);
            if (more == 0) {
                assert_int_equal(request.text_size, CLIENT_MESSAGE_TEXT_MAX);
                api_request_release(&request);
            } else {
                assert_string_equal(error.code, "context_length_exceeded");
            }
        }
    free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_is_completed_by_the_defaults_of_openai),
        cmocka_unit_test(every_member_is_read),
        cmocka_unit_test(null_is_as_good_as_missing),
        cmocka_unit_test(a_prompt_is_a_text_or_ids),
        cmocka_unit_test(a_conversation_becomes_turns),
        cmocka_unit_test(a_limit_of_tokens_has_two_names_in_a_conversation),
        cmocka_unit_test(what_is_wrong_is_refused_by_its_name),
        cmocka_unit_test(a_body_that_is_no_json_is_told_apart),
        cmocka_unit_test(a_name_that_no_model_can_have_is_not_found),
        cmocka_unit_test(what_is_too_long_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
