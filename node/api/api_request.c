#include "api_request.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "node/tokenizer/chat_turns.h"

enum { ID_BYTES = 4, PREDICT_MAX = 1 << 24 /* more than any context */, PREDICT_TEXT = 16 /* OpenAI's, where a text is completed */ };

/* ---- members ---- */

static const json_t *member(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    return value == NULL || json_is_null(value) ? NULL : value;
}

static int refuse_form(struct api_error *error, const char *name, const char *form)
{
    return api_refuse(error, API_BAD_REQUEST, NULL, name, "'%s': %s is needed", name, form);
}

/* The following leave *value as it is where the member is missing or null. */

static int get_bool(const json_t *object, const char *name, bool *value, struct api_error *error)
{
    const json_t *found = member(object, name);

    if (found != NULL && !json_is_boolean(found))
        return refuse_form(error, name, "true or false");
    if (found != NULL)
        *value = json_is_true(found);
    return 0;
}

static int get_float(const json_t *object, const char *name, double least, double most, float *value, struct api_error *error)
{
    const json_t *found = member(object, name);
    char form[80];

    if (found == NULL)
        return 0;
    snprintf(form, sizeof form, "a number from %g to %g", least, most);
    if (!json_is_number(found) || !(json_number_value(found) >= least && json_number_value(found) <= most))
        return refuse_form(error, name, form);
    *value = (float)json_number_value(found);
    return 0;
}

static int get_count(const json_t *object, const char *name, uint32_t least, uint32_t most, uint32_t *value, struct api_error *error)
{
    const json_t *found = member(object, name);
    char form[80];

    if (found == NULL)
        return 0;
    snprintf(form, sizeof form, "a whole number of at least %u", (unsigned)least);
    if (!json_is_integer(found) || json_integer_value(found) < least)
        return refuse_form(error, name, form);
    *value = json_integer_value(found) < most ? (uint32_t)json_integer_value(found) : most;
    return 0;
}

/* ---- what is not supported ---- */

/* Such a value asks for nothing. */
static bool is_neutral(const json_t *value)
{
    return json_is_false(value) || (json_is_number(value) && json_number_value(value) == 0.0) ||
           (json_is_string(value) && json_string_length(value) == 0) || (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0);
}

static int check_unsupported(const json_t *root, struct api_error *error)
{
    static const char *const names[] = {"logprobs", "top_logprobs", "logit_bias", "tools",      "functions",
                                        "echo",     "suffix",       "audio",      "prediction", "web_search_options"};
    static const char *const singles[] = {"n", "best_of"};
    const json_t *format = member(root, "response_format"), *type = member(format, "type");

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (member(root, names[i]) != NULL && !is_neutral(member(root, names[i])))
            return api_refuse(error, API_BAD_REQUEST, "unsupported", names[i], "'%s' is not supported here: leave it out", names[i]);
    for (size_t i = 0; i < sizeof singles / sizeof *singles; i++)
        if (member(root, singles[i]) != NULL && json_number_value(member(root, singles[i])) != 1.0)
            return api_refuse(error, API_BAD_REQUEST, "unsupported", singles[i],
                              "'%s' can only be 1 here: send as many requests as you want answers", singles[i]);
    if (format != NULL && (!json_is_string(type) || strcmp(json_string_value(type), "text") != 0))
        return api_refuse(error, API_BAD_REQUEST, "unsupported", "response_format",
                          "'response_format' can only be text here: ask for JSON in words");
    return 0;
}

/* ---- how to complete ---- */

static int read_stop(struct api_stops *stops, const json_t *value, struct api_error *error)
{
    const size_t size = json_string_length(value);

    if (!json_is_string(value) || size == 0 || size > API_STOP_BYTES_MAX)
        return api_refuse(error, API_BAD_REQUEST, NULL, "stop", "'stop': texts of 1 to %d bytes are needed", API_STOP_BYTES_MAX);
    if (stops->count == API_STOPS_MAX)
        return api_refuse(error, API_BAD_REQUEST, NULL, "stop", "'stop': more than %d texts: give fewer", API_STOPS_MAX);
    memcpy(stops->text[stops->count], json_string_value(value), size);
    stops->size[stops->count++] = size;
    return 0;
}

static int read_stops(struct api_stops *stops, const json_t *root, struct api_error *error)
{
    const json_t *found = member(root, "stop");

    if (found == NULL)
        return 0;
    if (!json_is_array(found))
        return read_stop(stops, found, error);
    for (size_t i = 0; i < json_array_size(found); i++)
        if (read_stop(stops, json_array_get(found, i), error) < 0)
            return -1;
    return 0;
}

static int read_seed(struct api_request *request, const json_t *root, struct api_error *error)
{
    const json_t *found = member(root, "seed");

    if (found == NULL)
        return 0;
    if (!json_is_integer(found))
        return refuse_form(error, "seed", "a whole number");
    request->ask.sampling.seed = (uint64_t)json_integer_value(found);
    request->has_seed = true;
    return 0;
}

static int read_sampling(struct sampling *s, const json_t *root, struct api_error *error)
{
    *s = (struct sampling){.temperature = 1, .top_p = 1, .repeat_penalty = 1};
    if (get_float(root, "temperature", 0, 2, &s->temperature, error) < 0 || get_float(root, "top_p", 0, 1, &s->top_p, error) < 0 ||
        get_count(root, "top_k", 0, 1 << 22, &s->top_k, error) < 0 || get_float(root, "min_p", 0, 1, &s->min_p, error) < 0 ||
        get_float(root, "repeat_penalty", 0, 10, &s->repeat_penalty, error) < 0 ||
        get_float(root, "presence_penalty", -2, 2, &s->presence_penalty, error) < 0 ||
        get_float(root, "frequency_penalty", -2, 2, &s->frequency_penalty, error) < 0)
        return -1;
    if (s->top_p <= 0)
        return refuse_form(error, "top_p", "a number above 0, at most 1,");
    if (s->min_p >= 1)
        return refuse_form(error, "min_p", "a number from 0 on, below 1,");
    if (s->repeat_penalty <= 0)
        return refuse_form(error, "repeat_penalty", "a number above 0, at most 10,");
    return 0;
}

static int read_predict(struct api_request *request, const json_t *root, struct api_error *error)
{
    request->ask.predict = request->is_chat ? PREDICT_MAX : PREDICT_TEXT;
    if (get_count(root, "max_tokens", 1, PREDICT_MAX, &request->ask.predict, error) < 0)
        return -1;
    return request->is_chat ? get_count(root, "max_completion_tokens", 1, PREDICT_MAX, &request->ask.predict, error) : 0;
}

static int read_model(struct api_request *request, const json_t *root, struct api_error *error)
{
    const json_t *found = member(root, "model");

    if (found == NULL)
        return 0;
    if (!json_is_string(found))
        return refuse_form(error, "model", "a text");
    if (json_string_length(found) >= sizeof request->model || strlen(json_string_value(found)) != json_string_length(found))
        return api_refuse(error, API_NOT_FOUND, "model_not_found", "model",
                          "'model': no model has such a name: /v1/models lists what there is");
    memcpy(request->model, json_string_value(found), json_string_length(found) + 1);
    return 0;
}

static int read_streaming(struct api_request *request, const json_t *root, struct api_error *error)
{
    const json_t *options = member(root, "stream_options");

    if (get_bool(root, "stream", &request->streams, error) < 0)
        return -1;
    if (options == NULL)
        return 0;
    if (!json_is_object(options) || !request->streams)
        return refuse_form(error, "stream_options", "an object, together with \"stream\": true,");
    return get_bool(options, "include_usage", &request->wants_usage, error);
}

/* ---- what to complete ---- */

static int fail_memory(struct api_error *error)
{
    return api_refuse(error, API_UNAVAILABLE, NULL, NULL, "memory: out of memory: try again later");
}

static int fail_long(struct api_error *error, const char *name)
{
    return api_refuse(error, API_BAD_REQUEST, "context_length_exceeded", name, "'%s': more than %d bytes in all: shorten it", name,
                      CLIENT_MESSAGE_TEXT_MAX);
}

static int read_text(struct api_request *request, const json_t *value, struct api_error *error)
{
    request->text_size = json_string_length(value);
    if (request->text_size > CLIENT_MESSAGE_TEXT_MAX)
        return fail_long(error, "prompt");
    memcpy(request->text, json_string_value(value), request->text_size);
    return 0;
}

static int read_ids(struct api_request *request, const json_t *list, struct api_error *error)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *id = json_array_get(list, i);

        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > INT32_MAX)
            return refuse_form(error, "prompt", "one text, or one list of token ids,");
        if (request->text_size + ID_BYTES > CLIENT_MESSAGE_TEXT_MAX)
            return fail_long(error, "prompt");
        for (unsigned byte = 0; byte < ID_BYTES; byte++)
            request->text[request->text_size++] = (char)(json_integer_value(id) >> 8 * byte & 255);
    }
    request->ask.is_ids = true;
    return 0;
}

/* A text, token ids, or a list of one of these. */
static int read_prompt(struct api_request *request, const json_t *root, struct api_error *error)
{
    const json_t *prompt = member(root, "prompt");

    if (json_array_size(prompt) == 1 && !json_is_integer(json_array_get(prompt, 0)))
        prompt = json_array_get(prompt, 0);
    if (json_is_string(prompt))
        return read_text(request, prompt, error);
    if (json_array_size(prompt) > 0)
        return read_ids(request, prompt, error);
    return refuse_form(error, "prompt", "one text, or one list of token ids,");
}

static int role_of(const json_t *message)
{
    static const struct {
        const char *name;
        enum chat_role role;
    } roles[] = {{"system", CHAT_SYSTEM}, {"developer", CHAT_SYSTEM}, {"user", CHAT_USER}, {"assistant", CHAT_ASSISTANT}};
    const char *name = json_string_value(member(message, "role"));

    for (size_t i = 0; name != NULL && i < sizeof roles / sizeof *roles; i++)
        if (strcmp(name, roles[i].name) == 0)
            return (int)roles[i].role;
    return -1;
}

/* What somebody says, as it is collected: the parts of a message, and messages of one role in a row. */
struct saying {
    int role; /* -1: nobody yet */
    size_t size;
    char text[CLIENT_MESSAGE_TEXT_MAX];
};

static int say(struct saying *saying, const char *gap, const json_t *text, struct api_error *error)
{
    const size_t gap_size = saying->size > 0 ? strlen(gap) : 0, size = json_string_length(text);

    if (size > sizeof saying->text || saying->size + gap_size > sizeof saying->text - size)
        return fail_long(error, "messages");
    memcpy(saying->text + saying->size, gap, gap_size);
    memcpy(saying->text + saying->size + gap_size, json_string_value(text), size);
    saying->size += gap_size + size;
    return 0;
}

static int say_parts(struct saying *saying, const char *gap, const json_t *parts, struct api_error *error)
{
    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *part = json_array_get(parts, i), *type = member(part, "type"), *text = member(part, "text");

        if (!json_is_string(type) || strcmp(json_string_value(type), "text") != 0 || !json_is_string(text))
            return api_refuse(error, API_BAD_REQUEST, "unsupported", "messages",
                              "'messages': a part that is no text: the model reads texts only");
        if (say(saying, i > 0 ? "\n" : gap, text, error) < 0)
            return -1;
    }
    return 0;
}

static int end_turn(struct api_request *request, struct saying *saying, struct api_error *error)
{
    const struct chat_turn turn = {.role = (enum chat_role)saying->role, .text = saying->text, .text_size = saying->size};

    if (saying->role >= 0 && !chat_turns_put(request->text, CLIENT_MESSAGE_TEXT_MAX, &request->text_size, &turn))
        return fail_long(error, "messages");
    saying->size = 0;
    saying->role = -1;
    return 0;
}

static int read_message(struct api_request *request, struct saying *saying, const json_t *message, struct api_error *error)
{
    const json_t *content = member(message, "content");
    const int role = role_of(message);

    if (role < 0)
        return api_refuse(error, API_BAD_REQUEST, NULL, "messages",
                          "'messages': each needs a \"role\" of system, developer, user or assistant");
    if (role != saying->role && end_turn(request, saying, error) < 0)
        return -1;
    saying->role = role;
    if (json_is_string(content))
        return say(saying, "\n\n", content, error);
    if (json_is_array(content))
        return say_parts(saying, "\n\n", content, error);
    return api_refuse(error, API_BAD_REQUEST, NULL, "messages", "'messages': each needs a \"content\", a text or parts that are texts");
}

static int read_messages(struct api_request *request, const json_t *root, struct api_error *error)
{
    const json_t *list = member(root, "messages");
    struct saying *saying = malloc(sizeof *saying);
    struct fail fail;
    int result = 0;

    if (saying == NULL)
        return fail_memory(error);
    saying->role = -1;
    saying->size = 0;
    if (json_array_size(list) == 0)
        result = refuse_form(error, "messages", "a list of at least one message");
    for (size_t i = 0; result == 0 && i < json_array_size(list); i++)
        result = read_message(request, saying, json_array_get(list, i), error);
    if (result == 0)
        result = end_turn(request, saying, error);
    free(saying);
    if (result == 0 && chat_turns_check(request->text, request->text_size, &fail) < 0)
        return api_refuse(error, API_BAD_REQUEST, NULL, "messages", "'messages': %s", fail.text);
    return result;
}

/* ---- all of it ---- */

static int read_root(struct api_request *request, const json_t *root, struct api_error *error)
{
    if (!json_is_object(root))
        return api_refuse(error, API_BAD_REQUEST, NULL, NULL, "the body is no JSON object");
    if (check_unsupported(root, error) < 0 || read_model(request, root, error) < 0 || read_streaming(request, root, error) < 0 ||
        read_predict(request, root, error) < 0 || read_sampling(&request->ask.sampling, root, error) < 0 ||
        read_seed(request, root, error) < 0 || read_stops(&request->stops, root, error) < 0 ||
        get_bool(root, "ignore_eos", &request->ask.ignore_end, error) < 0)
        return -1;
    return request->is_chat ? read_messages(request, root, error) : read_prompt(request, root, error);
}

static int refuse_json(json_error_t *where, struct api_error *error)
{
    char *near = strstr(where->text, " near "); /* what follows is said by the client, and no matter of the log */

    if (json_error_code(where) == json_error_numeric_overflow)
        return api_refuse(error, API_BAD_REQUEST, NULL, NULL,
                          "the body: line %d, column %d: the number is too large: whole ones go up to %" JSON_INTEGER_FORMAT, where->line,
                          where->column, (json_int_t)INT64_MAX);
    if (near != NULL)
        *near = '\0';
    return api_refuse(error, API_BAD_REQUEST, NULL, NULL, "the body is not JSON: line %d, column %d: %s", where->line, where->column,
                      where->text);
}

int api_request_read(struct api_request *request, bool is_chat, const char *body, size_t size, struct api_error *error)
{
    json_error_t where;
    json_t *root;
    int result;

    *request = (struct api_request){.is_chat = is_chat};
    if (size == 0)
        return api_refuse(error, API_BAD_REQUEST, NULL, NULL, "there is no body: send the request as a JSON object");
    root = json_loadb(body, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &where);
    if (root == NULL)
        return refuse_json(&where, error);
    request->text = malloc(CLIENT_MESSAGE_TEXT_MAX);
    result = request->text != NULL ? read_root(request, root, error) : fail_memory(error);
    json_decref(root);
    if (result < 0)
        api_request_release(request);
    return result;
}

void api_request_release(struct api_request *request)
{
    free(request->text);
    *request = (struct api_request){.text = NULL};
}
