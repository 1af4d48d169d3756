#include "api_answer.h"

#include "mesh/program/json.h"

static void write_head(const struct api_answer *answer, struct json *json, bool is_chunk)
{
    char id[sizeof "chatcmpl-" + API_ID_DIGITS];

    snprintf(id, sizeof id, "%s-%s", answer->is_chat ? "chatcmpl" : "cmpl", answer->id);
    json_object_begin(json, NULL);
    json_text(json, "id", id);
    json_text(json, "object", !answer->is_chat ? "text_completion" : is_chunk ? "chat.completion.chunk" : "chat.completion");
    json_int(json, "created", answer->created);
    json_text(json, "model", answer->model);
}

static void write_usage(struct json *json, const struct api_usage *usage)
{
    json_object_begin(json, "usage");
    json_uint(json, "prompt_tokens", usage->prompt_tokens);
    json_uint(json, "completion_tokens", usage->tokens);
    json_uint(json, "total_tokens", usage->prompt_tokens + usage->tokens);
    json_object_end(json);
}

static void write_reason(struct json *json, const char *reason)
{
    if (reason != NULL)
        json_text(json, "finish_reason", reason);
    else
        json_null(json, "finish_reason");
}

/* The only choice. key: of a conversation, "message" or "delta"; has_role: it says who speaks. */
static void write_choice(const struct api_answer *answer, struct json *json, const char *key, bool has_role, const char *text, size_t size,
                         const char *reason)
{
    json_array_begin(json, "choices");
    json_object_begin(json, NULL);
    json_uint(json, "index", 0);
    if (answer->is_chat) {
        json_object_begin(json, key);
        if (has_role)
            json_text(json, "role", "assistant");
        if (text != NULL)
            json_string(json, "content", text, size);
        json_object_end(json);
    } else {
        json_string(json, "text", text != NULL ? text : "", text != NULL ? size : 0);
    }
    json_null(json, "logprobs");
    write_reason(json, reason);
    json_object_end(json);
    json_array_end(json);
}

void api_answer_write(const struct api_answer *answer, FILE *out, const char *text, size_t size, const char *reason,
                      const struct api_usage *usage)
{
    struct json json;

    json_init(&json, out);
    write_head(answer, &json, false);
    write_choice(answer, &json, "message", true, text, size, reason);
    write_usage(&json, usage);
    json_object_end(&json);
}

/* ---- streams ---- */

static void write_chunk(const struct api_answer *answer, FILE *out, bool has_role, const char *text, size_t size, const char *reason)
{
    struct json json;

    fputs("data: ", out);
    json_init(&json, out);
    write_head(answer, &json, true);
    write_choice(answer, &json, "delta", has_role, text, size, reason);
    if (answer->has_usage)
        json_null(&json, "usage");
    json_object_end(&json);
    fputs("\n\n", out);
}

void api_stream_begin(const struct api_answer *answer, FILE *out)
{
    if (answer->is_chat)
        write_chunk(answer, out, true, "", 0, NULL);
}

void api_stream_text(const struct api_answer *answer, FILE *out, const char *text, size_t size)
{
    write_chunk(answer, out, false, text, size, NULL);
}

void api_stream_end(const struct api_answer *answer, FILE *out, const char *reason, const struct api_usage *usage)
{
    write_chunk(answer, out, false, NULL, 0, reason);
    if (answer->has_usage) {
        struct json json;

        fputs("data: ", out);
        json_init(&json, out);
        write_head(answer, &json, true);
        json_array_begin(&json, "choices");
        json_array_end(&json);
        write_usage(&json, usage);
        json_object_end(&json);
        fputs("\n\n", out);
    }
    fputs("data: [DONE]\n\n", out);
}

void api_stream_error(FILE *out, const struct api_error *error)
{
    fputs("data: ", out);
    api_error_write(error, out);
    fputs("\n\n", out);
}

/* ---- models ---- */

static void write_model(struct json *json, const char *model)
{
    json_object_begin(json, NULL);
    json_text(json, "id", model);
    json_text(json, "object", "model");
    json_int(json, "created", 0);
    json_text(json, "owned_by", "mesh");
    json_object_end(json);
}

void api_models_write(FILE *out, const char *model, bool list)
{
    struct json json;

    json_init(&json, out);
    if (!list) {
        write_model(&json, model);
        return;
    }
    json_object_begin(&json, NULL);
    json_text(&json, "object", "list");
    json_array_begin(&json, "data");
    write_model(&json, model);
    json_array_end(&json);
    json_object_end(&json);
}
