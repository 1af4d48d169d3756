/* The command line of `mesh-node api`: OpenAI's API over HTTP, in front of a running cluster. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "commands.h"
#include "mesh/program/options.h"

#ifdef MESH_HAVE_API

#include "mesh/udp.h"
#include "node/api/api_server.h"
#include "node/client/client_key.h"
#include "node/common/log.h"
#include "node/common/notify.h"
#include "node/engine/security.h"

enum { CONNECTIONS = 64, CONNECTIONS_MAX = 1024, DRAIN_S = 60, TICK_NS = 200000000 };

struct api {
    const char *listen, *key_path, *api_key_path;
    struct option_list nodes;
    int security;
    uint32_t connections;
    bool has_security, help;
    struct api_mesh mesh;
    struct api_key key;
};

/* The signals that end the program, which this thread alone takes; not those that the program was started to ignore (nohup). */
static void hold_signals(sigset_t *set)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction before;

    sigemptyset(set);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaddset(set, numbers[i]);
    sigprocmask(SIG_BLOCK, set, NULL); /* threads that are started later inherit it */
    signal(SIGPIPE, SIG_IGN);
}

/* Answers are completed, unless they take long or there is a second signal. */
static void drain(struct api_server *server, const sigset_t *set)
{
    const struct timespec tick = {.tv_nsec = TICK_NS};
    const uint64_t until_ns = mesh_udp_now_ns() + (uint64_t)DRAIN_S * 1000000000;

    api_server_quiesce(server);
    notify_manager("STOPPING=1");
    if (api_server_active(server) > 0)
        log_line("mesh-node: api: stopping when %u answers are complete; a second signal breaks them off", api_server_active(server));
    while (api_server_active(server) > 0 && mesh_udp_now_ns() < until_ns && sigtimedwait(set, NULL, &tick) < 0)
        ;
}

static int serve(struct api *api, struct mesh_addr listen, struct fail *fail)
{
    char text[MESH_ADDR_TEXT_BYTES];
    struct api_server *server;
    sigset_t set;

    hold_signals(&set);
    if (log_start(STDERR_FILENO, fail) < 0)
        return -1;
    server = api_server_open(listen, &api->mesh, &api->key, api->connections, fail);
    if (server == NULL)
        return -1;
    listen.port = api_server_port(server);
    mesh_addr_format(listen, text);
    log_line("mesh-node: api: http://%s/v1%s", text, api->key.size > 0 ? ", with an API key" : "");
    notify_manager("READY=1");
    while (sigwaitinfo(&set, NULL) < 0)
        ;
    drain(server, &set);
    api_server_close(server);
    return 0;
}

static int check_listen(const struct api *api, struct mesh_addr *listen, struct fail *fail)
{
    char reason[200];

    if (mesh_addr_parse(api->listen, listen, reason, sizeof reason) != MESH_OK)
        return fail_set(fail, EXIT_USAGE, "--listen %.100s: %s", api->listen, reason);
    if (!mesh_addr_is_loopback(*listen) && api->api_key_path == NULL)
        return fail_set(fail, EXIT_USAGE, "--listen %.100s: other machines could use it without a key: give --api-key FILE", api->listen);
    return 0;
}

/* A name may be unknown yet: it is looked up for each call. */
static int check_node(const char *node, struct fail *fail)
{
    struct mesh_addr addr = {.port = 0};
    char reason[200];
    const int err = mesh_addr_parse(node, &addr, reason, sizeof reason);

    if (err == MESH_EINVAL)
        return fail_set(fail, EXIT_USAGE, "--to %.100s: %s", node, reason);
    if (err == MESH_OK && addr.port == 0)
        return fail_set(fail, EXIT_USAGE, "--to %.100s: no port: give the node's, like 127.0.0.1:7411", node);
    return 0;
}

static int prepare(struct api *api, struct fail *fail)
{
    struct api_mesh *mesh = &api->mesh;

    if (api->nodes.count > API_NODES_MAX)
        return fail_set(fail, EXIT_USAGE, "--to: %zu nodes: give at most %d", api->nodes.count, API_NODES_MAX);
    for (size_t i = 0; i < api->nodes.count; i++) {
        if (check_node(api->nodes.values[i], fail) < 0)
            return -1;
        mesh->node[mesh->node_count++] = api->nodes.values[i];
    }
    if (mesh->node_count == 0)
        mesh->node[mesh->node_count++] = "127.0.0.1:7411";
    mesh->key_path = api->key_path;
    if (api->api_key_path != NULL && api_key_read(api->api_key_path, &api->key, fail) < 0)
        return -1;
    return client_key_read(&mesh->key, &mesh->security, api->has_security ? &api->security : NULL, api->key_path, fail);
}

#endif

int api_command(int argc, char *const *argv, struct fail *fail)
{
#ifdef MESH_HAVE_API
    static const char *const usage[] = {"mesh-node api [--listen ADDR:PORT] [--to ADDR:PORT]... [--key FILE] [options]",
                                        "Answer requests of OpenAI's API over HTTP, by a running cluster.", NULL};
    static const char *const examples[] = {"mesh-node api",
                                           "mesh-node api --listen 0.0.0.0:8080 --api-key api.key --to 10.0.0.2:7411 --key mesh.key", NULL};
    static struct api api = {.listen = "127.0.0.1:8080", .connections = CONNECTIONS, .mesh = {.name = "mesh"}};
    const struct option_spec specs[] = {
        {.name = "listen", .kind = OPTION_TEXT, .target = &api.listen, .metavar = "ADDR:PORT", .help = "TCP address (127.0.0.1:8080)"},
        {.name = "api-key", .kind = OPTION_TEXT, .target = &api.api_key_path, .metavar = "FILE", .help = "what clients have to send"},
        {.name = "connections",
         .kind = OPTION_U32,
         .target = &api.connections,
         .min = 1,
         .max = CONNECTIONS_MAX,
         .metavar = "N",
         .help = "at most so many at a time (64)"},
        {.name = "to",
         .kind = OPTION_LIST,
         .target = &api.nodes,
         .metavar = "ADDR:PORT",
         .help = "a member; several are tried in turn (127.0.0.1:7411)"},
        {.name = "key", .kind = OPTION_TEXT, .target = &api.key_path, .metavar = "FILE", .help = "the cluster's pre-shared key"},
        {.name = "name", .kind = OPTION_PROSE, .target = &api.mesh.name, .metavar = "TEXT", .help = "cluster name (mesh)"},
        {.name = "security",
         .kind = OPTION_WORD,
         .target = &api.security,
         .was_set = &api.has_security,
         .words = security_words,
         .help = "same as on the nodes (seal with a key)"},
        {.name = "help", .short_name = 'h', .kind = OPTION_STOP, .target = &api.help, .help = "this text"},
    };
    const size_t count = sizeof specs / sizeof *specs;
    struct mesh_addr listen;
    int result;

    if (options_parse(specs, count, argc, argv, NULL, fail) < 0)
        return -1;
    if (api.help) {
        options_help(stdout, usage, specs, count, examples);
        return 0;
    }
    if (check_listen(&api, &listen, fail) < 0)
        return -1;
    result = prepare(&api, fail) == 0 ? serve(&api, listen, fail) : -1;
    mesh_wipe(&api.mesh.key, sizeof api.mesh.key);
    mesh_wipe(&api.key, sizeof api.key);
    return result;
#else
    (void)argc;
    (void)argv;
    return fail_set(fail, EXIT_ENVIRONMENT,
                    "api: this mesh-node was built without libmicrohttpd or jansson: install libmicrohttpd-dev and "
                    "libjansson-dev, and build again");
#endif
}
