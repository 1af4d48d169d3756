#include "api_server.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#include "api_call.h"
#include "mesh/udp.h"
#include "node/common/log.h"
#include "node/common/socket_address.h"

enum { TIMEOUT_S = 60 /* of a client that neither sends nor reads */, CONNECTION_BYTES = 65536, CHUNK_BYTES = 4096, STATUS_OK = 200 };

struct api_server {
    struct MHD_Daemon *daemon;
    struct api_mesh *mesh;
    const struct api_key *key;
    int listener; /* closed with the server; -1 until api_server_quiesce */
    uint16_t port;
    atomic_uint active;
    atomic_bool is_quiesced, is_ending;
};

/* A request, from its headers to the end of the answer. */
struct exchange {
    struct api_server *server;
    struct MHD_Connection *connection;
    int fd;
    char path[80]; /* for the log */
    uint64_t begin_ns;
    unsigned status;
    const char *allowed; /* methods, when the request's is not */
    char *body;          /* (body_size) */
    size_t body_size, body_room;
    bool is_too_large, is_begun;
    struct api_call call;
    struct api_error error;
    /* a stream: what is on its way out */
    char *chunk; /* (chunk_size) */
    size_t chunk_size, chunk_sent;
    bool is_last;
};

/* ---- the log ---- */

/* Not of what was said: that is between the client and the model. The rest comes from the client, too, so it must not act on a terminal,
 * nor look like another line. */
static void note(const struct exchange *x)
{
    const double s = (double)(mesh_udp_now_ns() - x->begin_ns) / 1e9;
    struct fail line = {.text = ""};

    if (x->error.status != 0 && !api_is_given_up(&x->error))
        fail_fill(&line, EXIT_OK, "api: %s: %u: %s", x->path, x->status, x->error.text);
    else if (x->call.reason != NULL)
        fail_fill(&line, EXIT_OK, "api: %s: %u: prompt %llu tokens, generated %llu in %.1f s, %s", x->path, x->status,
                  (unsigned long long)x->call.usage.prompt_tokens, (unsigned long long)x->call.usage.tokens, s, x->call.reason);
    else if (x->is_begun || x->error.status != 0)
        fail_fill(&line, EXIT_OK, "api: %s: %u: given up after %llu tokens, %.1f s", x->path, x->status,
                  (unsigned long long)x->call.usage.tokens, s);
    for (char *at = line.text; *at != '\0'; at++)
        *at = (unsigned char)*at < ' ' ? ' ' : *at;
    if (line.text[0] != '\0')
        log_line("mesh-node: %s", line.text);
}

/* ---- answers ---- */

static enum MHD_Result queue(struct exchange *x, unsigned status, struct MHD_Response *response, const char *type)
{
    enum MHD_Result result;

    if (response == NULL)
        return MHD_NO;
    x->status = status;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (status == API_UNAUTHORIZED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    if (status == API_NOT_ALLOWED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, x->allowed);
    MHD_add_response_header(response, "X-Accel-Buffering", "no"); /* a proxy before it would collect the pieces of a stream */
    if (status == API_UNAVAILABLE)
        MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
    if (atomic_load(&x->server->is_quiesced)) /* else who asks again and again on one connection could hold up the end */
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    result = MHD_queue_response(x->connection, status, response);
    MHD_destroy_response(response);
    return result;
}

/* What `write` writes. */
static enum MHD_Result answer(struct exchange *x, unsigned status, int (*write)(struct exchange *x, FILE *out))
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    int result = out != NULL ? write(x, out) : -1;
    struct MHD_Response *response = NULL;

    if (out != NULL && fclose(out) == 0 && result == 0)
        response = MHD_create_response_from_buffer(size, text, MHD_RESPMEM_MUST_FREE);
    if (response == NULL)
        free(text);
    return queue(x, status, response, "application/json");
}

static int write_error(struct exchange *x, FILE *out)
{
    api_error_write(&x->error, out);
    return 0;
}

static enum MHD_Result answer_error(struct exchange *x)
{
    return answer(x, x->error.status, write_error);
}

/* ---- whether the client is still there ---- */

static bool is_wanted(void *app)
{
    const struct exchange *x = app;
    struct pollfd state = {.fd = x->fd, .events = POLLRDHUP};

    return !atomic_load(&x->server->is_ending) && (poll(&state, 1, 0) == 0 || (state.revents & (POLLRDHUP | POLLHUP | POLLERR)) == 0);
}

/* ---- completions ---- */

static int write_answer(struct exchange *x, FILE *out)
{
    return api_call_write(&x->call, out, &x->error);
}

static bool make_chunk(struct exchange *x)
{
    const bool is_first = x->chunk == NULL;
    FILE *out;

    free(x->chunk);
    x->chunk = NULL;
    x->chunk_size = x->chunk_sent = 0;
    out = open_memstream(&x->chunk, &x->chunk_size);
    if (out == NULL)
        return false;
    x->is_last = api_call_stream(&x->call, is_first, out, &x->error);
    return fclose(out) == 0;
}

static ssize_t read_stream(void *app, uint64_t position, char *out, size_t room)
{
    struct exchange *x = app;
    size_t size;

    (void)position;
    while (x->chunk_sent == x->chunk_size) { /* held back by a stop, a piece can be empty */
        if (x->chunk != NULL && x->is_last)
            return MHD_CONTENT_READER_END_OF_STREAM;
        if (!make_chunk(x))
            return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    size = x->chunk_size - x->chunk_sent < room ? x->chunk_size - x->chunk_sent : room;
    memcpy(out, x->chunk + x->chunk_sent, size);
    x->chunk_sent += size;
    return (ssize_t)size;
}

static int refuse_size(struct exchange *x)
{
    return api_refuse(&x->error, API_TOO_LARGE, NULL, NULL, "the body has more than %d bytes, or more than there is memory for",
                      API_BODY_BYTES_MAX);
}

static enum MHD_Result complete(struct exchange *x, bool is_chat)
{
    const char *type = MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_TYPE);

    if (!api_type_is_json(type))
        api_refuse(&x->error, API_NOT_JSON, NULL, NULL, "the body has to be of the type application/json (a header Content-Type says so)");
    else if (x->is_too_large)
        refuse_size(x);
    else if (api_call_begin(&x->call, x->server->mesh, is_chat, x->body, x->body_size, is_wanted, x, &x->error) == 0) {
        x->is_begun = true;
        if (x->call.request.streams)
            return queue(x, STATUS_OK, MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, CHUNK_BYTES, read_stream, x, NULL),
                         "text/event-stream");
        if (answer(x, STATUS_OK, write_answer) == MHD_YES)
            return MHD_YES;
    }
    return x->error.status != 0 ? answer_error(x) : MHD_NO;
}

static enum MHD_Result complete_chat(struct exchange *x)
{
    return complete(x, true);
}

static enum MHD_Result complete_text(struct exchange *x)
{
    return complete(x, false);
}

/* ---- the rest ---- */

static int write_models(struct exchange *x, FILE *out)
{
    api_models_write(out, x->call.node.model, true);
    return 0;
}

static int write_model(struct exchange *x, FILE *out)
{
    api_models_write(out, x->call.node.model, false);
    return 0;
}

static int write_health(struct exchange *x, FILE *out)
{
    (void)x;
    fputs("{\"status\":\"ok\"}", out);
    return 0;
}

/* -1: no node answers. */
static int look(struct exchange *x)
{
    struct api_session *session = api_session_open(x->server->mesh, is_wanted, x, &x->call.node, &x->error);

    api_session_close(session);
    return session != NULL ? 0 : -1;
}

static enum MHD_Result list_models(struct exchange *x)
{
    return look(x) == 0 ? answer(x, STATUS_OK, write_models) : answer_error(x);
}

static enum MHD_Result tell_health(struct exchange *x)
{
    return look(x) == 0 ? answer(x, STATUS_OK, write_health) : answer_error(x);
}

static enum MHD_Result tell_model(struct exchange *x, const char *name)
{
    if (look(x) == 0 && strcmp(name, x->call.node.model) == 0)
        return answer(x, STATUS_OK, write_model);
    if (x->error.status == 0)
        api_refuse(&x->error, API_NOT_FOUND, "model_not_found", "model", "there is no such model: the mesh has %s", x->call.node.model);
    return answer_error(x);
}

/* By the headers, before a body is received. */
static int check_headers(struct exchange *x)
{
    const char *size = MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    const char *authorization = MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
    const char *host = MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);

    if (!api_key_allows(x->server->key, authorization))
        return api_refuse(&x->error, API_UNAUTHORIZED, "invalid_api_key", NULL,
                          "the API key is missing or wrong: give it as a bearer token");
    if (x->server->key->size == 0 && !api_host_is_here(host))
        return api_refuse(&x->error, API_FORBIDDEN, NULL, NULL,
                          "without an API key, this server is only called by its address or localhost");
    if (size != NULL && strtoull(size, NULL, 10) > API_BODY_BYTES_MAX)
        return refuse_size(x);
    return 0;
}

static enum MHD_Result refuse_method(struct exchange *x, const char *path, bool is_post)
{
    x->allowed = is_post ? "POST" : "GET, HEAD";
    api_refuse(&x->error, API_NOT_ALLOWED, NULL, NULL, "%.60s takes %s only", path, x->allowed);
    return answer_error(x);
}

static enum MHD_Result route(struct exchange *x, const char *path, const char *method)
{
    static const char models[] = "/v1/models/";
    static const struct {
        const char *path;
        bool is_post;
        enum MHD_Result (*run)(struct exchange *x);
    } routes[] = {{"/v1/chat/completions", true, complete_chat},
                  {"/v1/completions", true, complete_text},
                  {"/v1/models", false, list_models},
                  {"/health", false, tell_health}};
    const bool is_post = strcmp(method, MHD_HTTP_METHOD_POST) == 0;
    const bool is_get = strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;

    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (strcmp(path, routes[i].path) == 0)
            return (routes[i].is_post ? is_post : is_get) ? routes[i].run(x) : refuse_method(x, path, routes[i].is_post);
    if (strncmp(path, models, sizeof models - 1) == 0)
        return is_get ? tell_model(x, path + sizeof models - 1) : refuse_method(x, path, false);
    api_refuse(&x->error, API_NOT_FOUND, NULL, NULL,
               "there is /v1/chat/completions, /v1/completions, /v1/models and /health, and nothing else");
    return answer_error(x);
}

/* ---- what the library calls ---- */

static struct exchange *begin(struct api_server *server, struct MHD_Connection *connection, const char *path, const char *method)
{
    struct exchange *x = calloc(1, sizeof *x);

    if (x == NULL)
        return NULL;
    x->server = server;
    x->connection = connection;
    x->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    x->begin_ns = mesh_udp_now_ns();
    snprintf(x->path, sizeof x->path, "%.8s %.60s", method, path);
    atomic_fetch_add(&server->active, 1);
    return x;
}

static bool make_room(struct exchange *x, size_t size)
{
    char *body;

    if (size <= x->body_room)
        return true;
    body = realloc(x->body, 2 * size);
    if (body == NULL)
        return false;
    x->body = body;
    x->body_room = 2 * size;
    return true;
}

static void take_body(struct exchange *x, const char *bytes, size_t size)
{
    x->is_too_large = x->is_too_large || size > API_BODY_BYTES_MAX - x->body_size || !make_room(x, x->body_size + size);
    if (x->is_too_large)
        return;
    memcpy(x->body + x->body_size, bytes, size);
    x->body_size += size;
}

static enum MHD_Result on_request(void *app, struct MHD_Connection *connection, const char *path, const char *method, const char *version,
                                  const char *body, size_t *body_bytes, void **state)
{
    struct exchange *x = *state;

    (void)version;
    if (x == NULL) { /* only the headers have been received */
        *state = x = begin(app, connection, path, method);
        if (x == NULL)
            return MHD_NO;
        return check_headers(x) == 0 ? MHD_YES : answer_error(x);
    }
    if (*body_bytes > 0) {
        take_body(x, body, *body_bytes);
        *body_bytes = 0;
        return MHD_YES;
    }
    return route(x, path, method);
}

static void on_end(void *app, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode code)
{
    struct api_server *server = app;
    struct exchange *x = *state;

    (void)connection;
    (void)code;
    if (x == NULL)
        return;
    note(x);
    api_call_release(&x->call);
    free(x->body);
    free(x->chunk);
    free(x);
    *state = NULL;
    atomic_fetch_sub(&server->active, 1);
}

static void be_quiet(void *app, const char *format, va_list list)
{
    (void)app;
    (void)format;
    (void)list;
}

/* ---- opening and closing ---- */

static struct MHD_Daemon *start(struct api_server *server, struct mesh_addr listen, unsigned connections)
{
    struct sockaddr_storage address;
    unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ITC;

    socket_address(listen, &address);
    if (address.ss_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    errno = 0;
    return MHD_start_daemon(flags, listen.port, NULL, NULL, on_request, server, MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_EXTERNAL_LOGGER,
                            be_quiet, NULL, MHD_OPTION_CONNECTION_LIMIT, connections, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)TIMEOUT_S,
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_NOTIFY_COMPLETED, on_end, server,
                            MHD_OPTION_END);
}

struct api_server *api_server_open(struct mesh_addr listen, struct api_mesh *mesh, const struct api_key *key, unsigned connections,
                                   struct fail *fail)
{
    struct api_server *server = calloc(1, sizeof *server);
    const union MHD_DaemonInfo *info;

    if (server == NULL) {
        fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
        return NULL;
    }
    server->mesh = mesh;
    server->key = key;
    server->listener = -1;
    server->daemon = start(server, listen, connections);
    if (server->daemon == NULL) {
        socket_address_refused("--listen", listen, errno, fail);
        free(server);
        return NULL;
    }
    info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT);
    server->port = info != NULL ? info->port : listen.port;
    return server;
}

uint16_t api_server_port(const struct api_server *server)
{
    return server->port;
}

void api_server_quiesce(struct api_server *server)
{
    atomic_store(&server->is_quiesced, true);
    if (server->listener < 0)
        server->listener = MHD_quiesce_daemon(server->daemon);
    if (server->listener >= 0)
        shutdown(server->listener, SHUT_RDWR); /* else the system would go on taking connections, which nobody serves */
}

unsigned api_server_active(const struct api_server *server)
{
    return atomic_load(&server->active);
}

void api_server_close(struct api_server *server)
{
    atomic_store(&server->is_quiesced, true);
    atomic_store(&server->is_ending, true);
    MHD_stop_daemon(server->daemon);
    if (server->listener >= 0)
        close(server->listener);
    free(server);
}
