#include "api_call.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mesh/key.h"

static int draw(void *out, size_t bytes, struct api_error *error)
{
    if (mesh_random(out, bytes) != MESH_OK)
        return api_refuse(error, API_UNAVAILABLE, NULL, NULL, "random numbers: the system gives none");
    return 0;
}

static int name_answer(struct api_call *call, struct api_error *error)
{
    uint8_t bytes[API_ID_DIGITS / 2];

    if (draw(bytes, sizeof bytes, error) < 0)
        return -1;
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(call->answer.id + 2 * i, 3, "%02x", bytes[i]);
    call->answer.is_chat = call->request.is_chat;
    call->answer.has_usage = call->request.wants_usage;
    call->answer.created = (int64_t)time(NULL);
    call->answer.model = call->node.model;
    return 0;
}

static int check_model(const struct api_call *call, struct api_error *error)
{
    if (call->request.model[0] == '\0' || strcmp(call->request.model, call->node.model) == 0)
        return 0;
    return api_refuse(error, API_NOT_FOUND, "model_not_found", "model", "'model': there is no %.200s: the mesh has %s", call->request.model,
                      call->node.model);
}

int api_call_begin(struct api_call *call, struct api_mesh *mesh, bool is_chat, const char *body, size_t size, bool (*is_wanted)(void *app),
                   void *app, struct api_error *error)
{
    if (api_request_read(&call->request, is_chat, body, size, error) < 0)
        return -1;
    if (!call->request.has_seed && draw(&call->request.ask.sampling.seed, sizeof call->request.ask.sampling.seed, error) < 0)
        return -1;
    call->session = api_session_open(mesh, is_wanted, app, &call->node, error);
    if (call->session == NULL || check_model(call, error) < 0 || name_answer(call, error) < 0 ||
        api_session_ask(call->session, &call->request, error) < 0)
        return -1;
    if (api_call_next(call, error) == 0)
        return 0;
    if (error->status == API_UNAVAILABLE && is_wanted(app)) /* it leaves, or has enough to do: the next try is for another one */
        api_mesh_pass(mesh, &call->node);
    return -1;
}

/* Tokens that a stop cut off have been generated, and count. What the prompt had is only known if the node says so in time. */
static void cut(struct api_call *call)
{
    struct client_message_done done = {.prompt_tokens = 0};
    struct api_error error;

    if (api_session_cancel(call->session, &done, &error) == 0)
        call->usage.prompt_tokens = done.prompt_tokens;
    call->reason = "stop";
}

int api_call_next(struct api_call *call, struct api_error *error)
{
    struct client_message message;

    call->text_size = 0;
    if (api_session_next(call->session, &message, error) < 0)
        return -1;
    if (message.kind == CLIENT_MESSAGE_TOKENS) {
        call->usage.tokens += message.token_count;
        call->text_size = api_stops_push(&call->request.stops, message.text, message.text_size, call->text);
        if (call->request.stops.is_found)
            cut(call);
        return 0;
    }
    call->text_size = api_stops_flush(&call->request.stops, call->text);
    call->usage = (struct api_usage){.prompt_tokens = message.done.prompt_tokens, .tokens = message.done.tokens};
    call->reason = message.done.reason == ENGINE_DONE_END ? "stop" : "length";
    return 0;
}

int api_call_write(struct api_call *call, FILE *out, struct api_error *error)
{
    char *text = NULL;
    size_t size = 0;
    FILE *all = open_memstream(&text, &size);
    int result = 0;

    if (all == NULL)
        return api_refuse(error, API_UNAVAILABLE, NULL, NULL, "memory: out of memory: try again later");
    fwrite(call->text, 1, call->text_size, all);
    while (result == 0 && call->reason == NULL) {
        result = api_call_next(call, error);
        fwrite(call->text, 1, result == 0 ? call->text_size : 0, all);
    }
    if (fclose(all) != 0)
        result = api_refuse(error, API_UNAVAILABLE, NULL, NULL, "memory: out of memory: try again later");
    if (result == 0)
        api_answer_write(&call->answer, out, text, size, call->reason, &call->usage);
    free(text);
    return result;
}

bool api_call_stream(struct api_call *call, bool is_first, FILE *out, struct api_error *error)
{
    if (is_first)
        api_stream_begin(&call->answer, out);
    else if (api_call_next(call, error) < 0) {
        api_stream_error(out, error);
        return true;
    }
    if (call->text_size > 0)
        api_stream_text(&call->answer, out, call->text, call->text_size);
    if (call->reason == NULL)
        return false;
    api_stream_end(&call->answer, out, call->reason, &call->usage);
    return true;
}

void api_call_release(struct api_call *call)
{
    api_session_close(call->session);
    call->session = NULL;
    api_request_release(&call->request);
}
