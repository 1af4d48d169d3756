#include "api_error.h"

#include <stdarg.h>

#include "mesh/program/json.h"

int api_refuse(struct api_error *error, unsigned status, const char *code, const char *param, const char *format, ...)
{
    va_list list;

    error->status = status;
    error->code = code;
    error->param = param;
    va_start(list, format);
    vsnprintf(error->text, sizeof error->text, format, list);
    va_end(list);
    return -1;
}

int api_refuse_by(struct api_error *error, const struct fail *fail)
{
    if (fail->exit_code == EXIT_USAGE)
        return api_refuse(error, API_BAD_REQUEST, NULL, NULL, "%s", fail->text);
    return api_refuse(error, API_UNAVAILABLE, "unavailable", NULL, "%s", fail->text);
}

static const char given_up[] = "cancelled";

int api_give_up(struct api_error *error)
{
    return api_refuse(error, API_UNAVAILABLE, given_up, NULL, "the request was given up");
}

bool api_is_given_up(const struct api_error *error)
{
    return error->code == given_up;
}

static void write_text_or_null(struct json *json, const char *key, const char *text)
{
    if (text != NULL)
        json_text(json, key, text);
    else
        json_null(json, key);
}

void api_error_write(const struct api_error *error, FILE *out)
{
    struct json json;

    json_init(&json, out);
    json_object_begin(&json, NULL);
    json_object_begin(&json, "error");
    json_text(&json, "message", error->text);
    json_text(&json, "type", error->status >= API_FAILED ? "server_error" : "invalid_request_error");
    write_text_or_null(&json, "param", error->param);
    write_text_or_null(&json, "code", error->code);
    json_object_end(&json);
    json_object_end(&json);
}
