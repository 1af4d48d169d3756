/* The HTTP listener of `--metrics`: /metrics for Prometheus, and /health. GET and HEAD of these two, and nothing else.
 *
 * No thread of its own: it works in http_metrics_run, which never blocks. Connections are bounded in number and time, and
 * each is for one request. */
#ifndef NODE_HTTP_METRICS_H
#define NODE_HTTP_METRICS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "mesh/mesh.h"
#include "mesh/program/fail.h"

struct http_metrics;

/* Writes the answers; called in http_metrics_run. */
struct http_metrics_source {
    void (*write_metrics)(void *app, FILE *out);
    bool (*write_health)(void *app, FILE *out); /* false: not healthy, answered with status 503 */
    void *app;
};

/* NULL: EXIT_ENVIRONMENT (built without libmicrohttpd, or the address cannot be bound). */
struct http_metrics *http_metrics_open(struct mesh_addr listen, const struct http_metrics_source *source, struct fail *fail);
void http_metrics_run(struct http_metrics *http);
uint16_t http_metrics_port(const struct http_metrics *http);
void http_metrics_close(struct http_metrics *http); /* NULL is fine */

#endif
