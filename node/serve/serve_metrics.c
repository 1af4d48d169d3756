/* A serving node's answers to /metrics and /health. */

#include "mesh/program/json.h"
#include "node/telemetry/metrics.h"
#include "serve_state.h"

static void write_metrics(void *app, FILE *out)
{
    struct server *server = app;
    struct recording_figures recorded;

    serve_watch_measure(server);
    recording_figures(server->recording, &recorded);
    metrics_write(&server->watching.metrics, &server->watching.events, &server->troubles, server->recording != NULL ? &recorded : NULL,
                  out);
}

/* Healthy is a node that is in an epoch with all of its share loaded, is not leaving, has the address at which it listens, and is not alone
 * because others refuse it: it should be part of another cluster. Other troubles are reported, too, but such a node still serves. A node
 * that waits for memory is in no engine's epoch, so it is seeking. */
static bool write_health(void *app, FILE *out)
{
    struct server *server = app;
    const struct node_metrics *m = &server->watching.metrics;
    const struct serve_memory *memory = &server->memory;
    const bool is_refused = serve_is_refused(server), is_short = memory->missing_bytes > 0;
    struct json json;

    serve_watch_measure(server);
    json_init(&json, out);
    json_object_begin(&json, NULL);
    json_uint(&json, "schema_version", 1);
    json_text(&json, "state", mesh_telemetry_state_name(m->node.state));
    json_uint(&json, "members", is_short ? memory->count : m->node.members);
    json_uint(&json, "epoch", is_short ? memory->number : m->epoch);
    if (is_short)
        json_uint(&json, "memory_missing_bytes", memory->missing_bytes);
    if (is_refused)
        json_text(&json, "refused", server->refusal);
    json_array_begin(&json, "troubles");
    for (unsigned i = 0; i < server->troubles.count; i++)
        json_text(&json, NULL, server->troubles.trouble[i].text);
    json_array_end(&json);
    json_uint(&json, "troubles_unlisted", server->troubles.unlisted_count);
    json_object_end(&json);
    fputc('\n', out);
    return m->node.state == MESH_NODE_UP && !is_refused && troubles_find(&server->troubles, TROUBLE_ADDRESS, NULL) == NULL;
}

int serve_metrics_open(struct server *server, struct fail *fail)
{
    const struct http_metrics_source source = {.write_metrics = write_metrics, .write_health = write_health, .app = server};
    struct mesh_addr at = server->config->metrics;
    char address[MESH_ADDR_TEXT_BYTES];

    if (!server->config->has_metrics)
        return 0;
    server->http = http_metrics_open(at, &source, fail);
    if (server->http == NULL)
        return -1;
    at.port = http_metrics_port(server->http);
    mesh_addr_format(at, address);
    serve_log(server, "metrics on http://%s/metrics", address);
    return 0;
}
