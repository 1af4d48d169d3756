#include "http_metrics.h"

#ifdef MESH_HAVE_MICROHTTPD

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <microhttpd.h>

#include "mesh/udp.h"
#include "node/common/socket_address.h"

enum { CONNECTIONS_MAX = 16, TIMEOUT_S = 5, CONNECTION_BYTES = 16384 };

#define CONNECTION_NS UINT64_C(10000000000) /* one that has not ended by then is closed: others wait for its place */

struct http_connection {
    int fd;
    uint64_t since_ns; /* 0: free */
};

struct http_metrics {
    struct MHD_Daemon *daemon;
    struct http_metrics_source source;
    struct http_connection connection[CONNECTIONS_MAX];
    uint16_t port;
};

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, char *text, size_t size, const char *type)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(size, text, MHD_RESPMEM_MUST_FREE);
    enum MHD_Result result;

    if (response == NULL) {
        free(text);
        return MHD_NO;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close"); /* clients that came back soon would keep all places */
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer_page(struct http_metrics *http, struct MHD_Connection *connection, const char *path, bool is_get)
{
    const bool is_metrics = strcmp(path, "/metrics") == 0, is_health = strcmp(path, "/health") == 0;
    unsigned status = MHD_HTTP_OK;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (out == NULL)
        return MHD_NO;
    if (!is_get) {
        status = MHD_HTTP_METHOD_NOT_ALLOWED;
        fputs("only GET and HEAD\n", out);
    } else if (is_metrics) {
        http->source.write_metrics(http->source.app, out);
    } else if (is_health) {
        status = http->source.write_health(http->source.app, out) ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
    } else {
        status = MHD_HTTP_NOT_FOUND;
        fputs("there is /metrics and /health\n", out);
    }
    if (fclose(out) != 0) {
        free(text);
        return MHD_NO;
    }
    return answer(connection, status, text, size,
                  is_get && is_metrics  ? "text/plain; version=0.0.4; charset=utf-8"
                  : is_get && is_health ? "application/json"
                                        : "text/plain; charset=utf-8");
}

/* A request's body is ignored; no GET needs one. */
static enum MHD_Result on_request(void *app, struct MHD_Connection *connection, const char *path, const char *method, const char *version,
                                  const char *body, size_t *body_bytes, void **state)
{
    (void)version;
    (void)body;
    if (*state == NULL) { /* only the headers have been received */
        *state = app;
        return MHD_YES;
    }
    if (*body_bytes > 0) {
        *body_bytes = 0;
        return MHD_YES;
    }
    return answer_page(app, connection, path, strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0);
}

static void on_connection(void *app, struct MHD_Connection *connection, void **place, enum MHD_ConnectionNotificationCode code)
{
    struct http_metrics *http = app;
    struct http_connection *c = *place;

    if (code == MHD_CONNECTION_NOTIFY_CLOSED && c != NULL)
        c->since_ns = 0;
    for (unsigned i = 0; code == MHD_CONNECTION_NOTIFY_STARTED && *place == NULL && i < CONNECTIONS_MAX; i++) {
        c = &http->connection[i];
        if (c->since_ns != 0)
            continue;
        *c =
            (struct http_connection){MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd, mesh_udp_now_ns()};
        *place = c;
    }
}

/* A client that sends or reads a byte now and then is never idle. */
static void end_late(struct http_metrics *http, uint64_t now_ns)
{
    for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
        if (http->connection[i].since_ns != 0 && now_ns - http->connection[i].since_ns > CONNECTION_NS)
            shutdown(http->connection[i].fd, SHUT_RDWR);
}

static void be_quiet(void *app, const char *format, va_list list)
{
    (void)app;
    (void)format;
    (void)list;
}

struct http_metrics *http_metrics_open(struct mesh_addr listen, const struct http_metrics_source *source, struct fail *fail)
{
    struct http_metrics *http = calloc(1, sizeof *http);
    const union MHD_DaemonInfo *info;
    struct sockaddr_storage address;
    unsigned flags = MHD_USE_EPOLL;

    if (http == NULL) {
        fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
        return NULL;
    }
    http->source = *source;
    socket_address(listen, &address);
    if (address.ss_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    errno = 0;
    http->daemon = MHD_start_daemon(flags, listen.port, NULL, NULL, on_request, http, MHD_OPTION_SOCK_ADDR, &address,
                                    MHD_OPTION_EXTERNAL_LOGGER, be_quiet, NULL, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
                                    MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                                    (size_t)CONNECTION_BYTES, MHD_OPTION_NOTIFY_CONNECTION, on_connection, http, MHD_OPTION_END);
    if (http->daemon == NULL) {
        socket_address_refused("--metrics", listen, errno, fail);
        free(http);
        return NULL;
    }
    info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_BIND_PORT);
    http->port = info != NULL ? info->port : listen.port;
    return http;
}

void http_metrics_run(struct http_metrics *http)
{
    end_late(http, mesh_udp_now_ns());
    MHD_run(http->daemon);
}

uint16_t http_metrics_port(const struct http_metrics *http)
{
    return http->port;
}

void http_metrics_close(struct http_metrics *http)
{
    if (http == NULL)
        return;
    MHD_stop_daemon(http->daemon);
    free(http);
}

#else

struct http_metrics *http_metrics_open(struct mesh_addr listen, const struct http_metrics_source *source, struct fail *fail)
{
    (void)listen;
    (void)source;
    fail_set(fail, EXIT_ENVIRONMENT,
             "--metrics: this mesh-node was built without libmicrohttpd: install libmicrohttpd-dev and build again, or leave it out");
    return NULL;
}

void http_metrics_run(struct http_metrics *http)
{
    (void)http;
}

uint16_t http_metrics_port(const struct http_metrics *http)
{
    (void)http;
    return 0;
}

void http_metrics_close(struct http_metrics *http)
{
    (void)http;
}

#endif
