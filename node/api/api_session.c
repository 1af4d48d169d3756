#include "api_session.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "mesh/udp.h"
#include "node/client/client_session.h"

#define CALL_NS        UINT64_C(5000000000) /* until a node has answered a call */
#define CALL_OTHERS_NS UINT64_C(1500000000) /* the same, if there is another one to call */
#define STATUS_NS      UINT64_C(5000000000)
#define CANCEL_NS      UINT64_C(2000000000)
#define WAIT_NS        UINT64_C(200000000)

struct api_session {
    struct mesh_client *client;
    bool (*is_wanted)(void *app);
    void *app;
    uint8_t record[MESH_RECORD_BYTES_MAX];
};

static int send_message(struct api_session *session, const struct client_message *message, struct api_error *error)
{
    struct fail fail;

    if (client_session_send(session->client, session->record, client_message_write(message, session->record), &fail) < 0)
        return api_refuse_by(error, &fail);
    return 0;
}

/* 1: a record; 0: none until then. */
static int receive(struct api_session *session, uint64_t until_ns, struct client_message *message, struct api_error *error)
{
    const uint8_t *record;
    size_t bytes;
    struct fail fail;
    int got = 0;

    while (got == 0 && mesh_udp_now_ns() < until_ns) {
        if (!session->is_wanted(session->app))
            return api_give_up(error);
        got = client_session_receive(session->client, &record, &bytes, WAIT_NS, &fail);
    }
    if (got < 0)
        return api_refuse(error, API_UNAVAILABLE, "unavailable", NULL, "%s", fail.text);
    if (got > 0 && client_message_read(message, record, bytes) < 0)
        return api_refuse(error, API_FAILED, NULL, NULL, "the node's answer cannot be read: are both of the same version?");
    return got;
}

/* ---- opening ---- */

static int read_model(const char *path, struct api_node *node, struct api_error *error)
{
    static const char ending[] = ".gguf";
    const char *slash = path != NULL ? strrchr(path, '/') : NULL, *name = slash != NULL ? slash + 1 : path;
    size_t size = name != NULL ? strlen(name) : 0;

    if (size == 0)
        return api_refuse(error, API_UNAVAILABLE, "unavailable", NULL, "the node has no model yet: try again later");
    if (size > sizeof ending - 1 && strcmp(name + size - (sizeof ending - 1), ending) == 0)
        size -= sizeof ending - 1;
    size = size < sizeof node->model ? size : sizeof node->model - 1;
    memcpy(node->model, name, size);
    node->model[size] = '\0';
    return 0;
}

static int read_status(const char *text, size_t size, struct api_node *node, struct api_error *error)
{
    json_t *root = json_loadb(text, size, 0, NULL);
    const int result = read_model(json_string_value(json_object_get(root, "model")), node, error);

    json_decref(root);
    return result;
}

static int ask_status(struct api_session *session, struct api_node *node, struct api_error *error)
{
    const struct client_message question = {.kind = CLIENT_MESSAGE_STATUS};
    const uint64_t until_ns = mesh_udp_now_ns() + STATUS_NS;
    struct client_message message = {0};

    if (send_message(session, &question, error) < 0)
        return -1;
    for (;;) {
        const int got = receive(session, until_ns, &message, error);

        if (got < 0)
            return -1;
        if (got == 0)
            return api_refuse(error, API_UNAVAILABLE, "unavailable", NULL, "the node did not tell its state within 5 s: is it busy?");
        if (message.kind == CLIENT_MESSAGE_STATE)
            return read_status(message.text, message.text_size, node, error);
    }
}

static int call(struct api_mesh *mesh, unsigned index, struct api_session *session, struct api_node *node, struct api_error *error)
{
    const struct mesh_client_config config = {.address = mesh->node[index],
                                              .security = mesh->security,
                                              .key = &mesh->key,
                                              .key_file = mesh->key_path,
                                              .cluster = mesh->name,
                                              .timeout_ns = mesh->node_count > 1 ? CALL_OTHERS_NS : CALL_NS,
                                              .is_wanted = session->is_wanted,
                                              .app = session->app};
    struct fail fail;

    session->client = client_session_open(&config, &fail);
    if (session->client == NULL)
        return api_refuse(error, API_UNAVAILABLE, "unavailable", NULL, "%s", fail.text); /* whatever it is, the request is not wrong */
    if (ask_status(session, node, error) == 0)
        return 0;
    client_session_close(session->client);
    session->client = NULL;
    return -1;
}

void api_mesh_pass(struct api_mesh *mesh, const struct api_node *node)
{
    unsigned last = node->index;

    atomic_compare_exchange_strong(&mesh->last, &last, (node->index + 1) % mesh->node_count);
}

struct api_session *api_session_open(struct api_mesh *mesh, bool (*is_wanted)(void *app), void *app, struct api_node *node,
                                     struct api_error *error)
{
    struct api_session *session = malloc(sizeof *session);
    const unsigned first = atomic_load(&mesh->last);

    if (session == NULL) {
        api_refuse(error, API_UNAVAILABLE, NULL, NULL, "memory: out of memory: try again later");
        return NULL;
    }
    *session = (struct api_session){.is_wanted = is_wanted, .app = app};
    for (unsigned i = 0; i < mesh->node_count && is_wanted(app); i++) {
        const unsigned index = (first + i) % mesh->node_count;

        if (call(mesh, index, session, node, error) < 0)
            continue;
        node->index = index;
        atomic_store(&mesh->last, index);
        *error = (struct api_error){.status = 0}; /* of a node that was called before */
        return session;
    }
    if (!is_wanted(app))
        api_give_up(error);
    free(session);
    return NULL;
}

void api_session_close(struct api_session *session)
{
    if (session != NULL)
        client_session_close(session->client);
    free(session);
}

/* ---- asking ---- */

int api_session_ask(struct api_session *session, const struct api_request *request, struct api_error *error)
{
    const struct client_message question = {.kind = request->is_chat ? CLIENT_MESSAGE_CONVERSE : CLIENT_MESSAGE_ASK,
                                            .ask = request->ask,
                                            .text = request->text,
                                            .text_size = request->text_size};

    return send_message(session, &question, error);
}

static int refuse_end(enum engine_done reason, struct api_error *error)
{
    if (reason == ENGINE_DONE_ERROR)
        return api_refuse(error, API_FAILED, NULL, NULL,
                          "the generation ended with a value that is not finite: the model does not suit this prompt");
    return api_refuse(error, API_UNAVAILABLE, "unavailable", NULL, "the cluster had no memory for this prompt: use a shorter one");
}

/* 1: tokens or the end; 0: something else. */
static int take(const struct client_message *message, struct api_error *error)
{
    const int size = (int)(message->text_size < 500 ? message->text_size : 500);

    switch (message->kind) {
    case CLIENT_MESSAGE_REFUSED:
        return api_refuse(error, API_UNAVAILABLE, "unavailable", NULL, "%.*s", size, message->text);
    case CLIENT_MESSAGE_UNFIT:
        return api_refuse(error, API_BAD_REQUEST, NULL, NULL, "%.*s", size, message->text);
    case CLIENT_MESSAGE_DONE:
        if (message->done.reason == ENGINE_DONE_ERROR || message->done.reason == ENGINE_DONE_REFUSED)
            return refuse_end(message->done.reason, error);
        return 1;
    default:
        return message->kind == CLIENT_MESSAGE_TOKENS;
    }
}

int api_session_next(struct api_session *session, struct client_message *message, struct api_error *error)
{
    for (;;) {
        int got = receive(session, UINT64_MAX, message, error);

        got = got > 0 ? take(message, error) : got;
        if (got != 0)
            return got < 0 ? -1 : 0;
    }
}

int api_session_cancel(struct api_session *session, struct client_message_done *done, struct api_error *error)
{
    const struct client_message cancel = {.kind = CLIENT_MESSAGE_CANCEL};
    const uint64_t until_ns = mesh_udp_now_ns() + CANCEL_NS;
    struct client_message message = {0};
    int got = send_message(session, &cancel, error) < 0 ? -1 : 1;

    while (got > 0 && message.kind != CLIENT_MESSAGE_DONE)
        got = receive(session, until_ns, &message, error);
    if (got > 0)
        *done = message.done;
    return got > 0 ? 0 : -1;
}
