/* The command line of `mesh-node serve`. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "mesh/program/options.h"
#include "node/common/busy_poll.h"
#include "node/common/log.h"
#include "node/engine/model_needs.h"
#include "node/engine/multicast.h"
#include "node/engine/security.h"
#include "node/epoch/balance.h"
#include "node/run/run_options.h"
#include "node/serve/cluster_file.h"
#include "node/serve/discover.h"
#include "node/serve/serve.h"

static const char *const usage[] = {"mesh-node serve [-m MODEL.gguf] [-c CLUSTER.conf | --listen ADDR:PORT --join ADDR:PORT] [...]",
                                    "Be a node of a cluster: start them in any order; ask any of them with mesh-node ask.", NULL};
static const char *const examples[] = {"mesh-node serve -m model.gguf          (a cluster of one, on the loopback)",
                                       "mesh-node serve -m model.gguf --key mesh.key --listen 10.0.0.2:7411 --join 10.0.0.1:7411",
                                       "mesh-node serve -c cluster.conf --node attic", NULL};

enum { DRAIN_DEFAULT = 30, DRAIN_MAX = 86400, FETCH_WAIT_S_DEFAULT = 60, FETCH_WAIT_S_MAX = 86400 };

enum { FETCH_ROWS, FETCH_ALL };
static const char *const fetch_words[] = {"rows", "all", NULL};

struct arguments {
    const char *model, *cluster_path, *node, *listen, *advertise, *key, *kernel, *lab, *name, *key_log, *discover, *multicast, *metrics;
    struct option_list join;
    uint32_t busy_poll_us, ctx, threads, batch, slots, share, drain, fetch_wait;
    int kv_type, security, cipher, fetch, topology, pipeline, gso;
    bool has_batch, has_slots, has_kv_type, has_security, has_share, help;
    struct cluster_file file;
    struct recording_options record;
};

static int parse(struct arguments *a, int argc, char *const *argv, struct fail *fail)
{
    /* clang-format off */
    const struct option_spec specs[] = {
        {.name = "model", .short_name = 'm', .kind = OPTION_TEXT, .target = &a->model, .metavar = "FILE", .help = "GGUF model (fetched from a peer)"},
        {.name = "cluster", .short_name = 'c', .kind = OPTION_TEXT, .target = &a->cluster_path, .metavar = "FILE", .help = "cluster file"},
        {.name = "node", .kind = OPTION_TEXT, .target = &a->node, .metavar = "NAME", .help = "which node of the cluster file this is"},
        {.name = "listen", .kind = OPTION_TEXT, .target = &a->listen, .metavar = "ADDR:PORT", .help = "this node's address, UDP (127.0.0.1:7411)"},
        {.name = "join", .kind = OPTION_LIST, .target = &a->join, .metavar = "ADDR:PORT", .help = "any member's address; may be repeated"},
        {.name = "discover", .kind = OPTION_TEXT, .target = &a->discover, .metavar = "GROUP[:PORT]", .help = "find other nodes by multicast"},
        {.name = "multicast", .kind = OPTION_TEXT, .target = &a->multicast, .metavar = "GROUP[:PORT]", .help = "send each tile once, to this group (to each node)"},
        {.name = "busy-poll", .kind = OPTION_U32, .target = &a->busy_poll_us, .max = BUSY_POLL_US_MAX, .metavar = "US",
         .help = "microseconds to busy-poll the network card's queue (0)"},
        {.name = "gso", .kind = OPTION_WORD, .target = &a->gso, .words = run_pipeline_words,
         .help = "off: send without segmentation offload by the kernel (on)"},
        {.name = "advertise", .kind = OPTION_TEXT, .target = &a->advertise, .metavar = "ADDR:PORT", .help = "address by which others reach this node"},
        {.name = "key", .kind = OPTION_TEXT, .target = &a->key, .metavar = "FILE", .help = "pre-shared key, from mesh-node keygen"},
        {.name = "name", .kind = OPTION_PROSE, .target = &a->name, .metavar = "TEXT", .help = "cluster name (mesh)"},
        {.name = "fetch-wait", .kind = OPTION_U32, .target = &a->fetch_wait, .max = FETCH_WAIT_S_MAX, .help = "seconds to look for a peer with the model (60)"},
        {.name = "fetch", .kind = OPTION_WORD, .target = &a->fetch, .words = fetch_words, .help = "what to fetch of a peer's model (rows)"},
        {.name = "share", .kind = OPTION_U32, .target = &a->share, .was_set = &a->has_share, .max = BALANCE_SHARE_MAX,
         .help = "fixed share of the rows, 1: an average node's (by speed)"},
        {.name = "threads", .short_name = 't', .kind = OPTION_U32, .target = &a->threads, .min = 1, .max = RUN_THREADS_MAX,
         .help = "threads of this node (cores)"},
        {.name = "ctx", .kind = OPTION_U32, .target = &a->ctx, .min = 1, .max = MODEL_CTX_MAX, .help = "context in tokens (the model's, at most 4096)"},
        {.name = "slots", .kind = OPTION_U32, .target = &a->slots, .was_set = &a->has_slots, .min = 1, .max = ENGINE_SLOTS_MAX,
         .help = "requests at once (4)"},
        {.name = "batch", .kind = OPTION_U32, .target = &a->batch, .was_set = &a->has_batch, .min = 1, .max = ENGINE_BATCH_MAX,
         .help = "tokens per step (128)"},
        {.name = "kv-type", .kind = OPTION_WORD, .target = &a->kv_type, .was_set = &a->has_kv_type, .words = run_kv_words,
         .help = "type of keys and values in the KV cache (f16)"},
        {.name = "kernel", .kind = OPTION_TEXT, .target = &a->kernel, .metavar = "NAME", .help = "instruction set to use (the fastest)"},
        {.name = "security", .kind = OPTION_WORD, .target = &a->security, .was_set = &a->has_security, .words = security_words,
         .help = "seal with a key, else none"},
        {.name = "cipher", .kind = OPTION_WORD, .target = &a->cipher, .words = security_cipher_words, .help = "AES where all have it (auto)"},
        {.name = "drain", .kind = OPTION_U32, .target = &a->drain, .max = DRAIN_MAX, .help = "seconds for requests to end after SIGTERM (30)"},
        {.name = "key-log", .kind = OPTION_TEXT, .target = &a->key_log, .metavar = "FILE", .help = "append all keys to FILE, to open captures"},
        {.name = "metrics", .kind = OPTION_TEXT, .target = &a->metrics, .metavar = "ADDR:PORT", .help = "HTTP: /metrics and /health"},
        {.name = "record", .kind = OPTION_TEXT, .target = &a->record.path, .metavar = "FILE.db", .help = "record a trace"},
        {.name = "record-prompts", .kind = OPTION_FLAG, .target = &a->record.prompts, .help = "record prompts, answers and payloads, too"},
        {.name = "record-size", .kind = OPTION_U32, .target = &a->record.size_mb, .min = 1, .max = RECORDING_SIZE_MB_MAX, .metavar = "MB",
         .help = "continue in FILE-2.db at this size (never)"},
        {.name = "record-time", .kind = OPTION_U32, .target = &a->record.time_s, .min = 1, .max = RECORDING_TIME_S_MAX, .metavar = "SECONDS",
         .help = "or at this age (never)"},
        {.name = "topology", .kind = OPTION_WORD, .target = &a->topology, .words = run_topology_words,
         .help = "star: through rank 0, to compare (mesh)"},
        {.name = "pipeline", .kind = OPTION_WORD, .target = &a->pipeline, .words = run_pipeline_words,
         .help = "off: exchange whole matrices, to compare (on)"},
        {.name = "lab", .kind = OPTION_PROSE, .target = &a->lab, .metavar = "SPEC", .help = "for experiments: loss=1%,delay=50us,..."},
        {.name = "help", .short_name = 'h', .kind = OPTION_STOP, .target = &a->help, .help = "this text"},
    };
    /* clang-format on */
    const size_t count = sizeof specs / sizeof *specs;

    if (options_parse(specs, count, argc, argv, NULL, fail) < 0)
        return -1;
    if (a->help)
        options_help(stdout, usage, specs, count, examples);
    return 0;
}

static int parse_address(const char *option, const char *text, struct mesh_addr *address, struct fail *fail)
{
    char reason[160];
    const int err = mesh_addr_parse(text, address, reason, sizeof reason);

    if (err == MESH_ESYSTEM)
        return fail_set(fail, EXIT_ENVIRONMENT, "%s %s", option, reason);
    if (err != MESH_OK)
        return fail_set(fail, EXIT_USAGE, "%s %.100s: %s: give ADDR:PORT", option, text, reason);
    return 0;
}

/* An address at which one machine can be reached. */
static int parse_place(const char *option, const char *text, struct mesh_addr *address, struct fail *fail)
{
    if (parse_address(option, text, address, fail) < 0)
        return -1;
    if (mesh_addr_fault(*address) != NULL)
        return fail_set(fail, EXIT_USAGE, "%s %.100s: %s", option, text, mesh_addr_fault(*address));
    return 0;
}

/* Where this node listens: the wildcard address or one of this machine; any port or a given one. */
static int parse_listen(const char *text, struct mesh_addr *address, struct fail *fail)
{
    static const struct mesh_addr any[] = {{.port = 1}, {.ip = {[10] = 0xff, [11] = 0xff}, .port = 1}};
    struct mesh_addr place;

    if (parse_address("--listen", text, address, fail) < 0)
        return -1;
    place = *address;
    place.port = 1;
    if (mesh_addr_fault(place) != NULL && memcmp(&place, &any[0], sizeof place) != 0 && memcmp(&place, &any[1], sizeof place) != 0)
        return fail_set(fail, EXIT_USAGE, "--listen %.100s: %s", text, mesh_addr_fault(place));
    return 0;
}

static int add_seed(struct serve_config *config, struct mesh_addr address, struct fail *fail)
{
    if (config->seed_count == SERVE_SEEDS_MAX)
        return fail_set(fail, EXIT_USAGE, "--join: more than %d addresses: one of any member is enough", SERVE_SEEDS_MAX);
    config->seed[config->seed_count++] = address;
    return 0;
}

/* This node's section of the cluster file: by --node, or by the address of --listen. */
static const struct cluster_node *own_node(const struct arguments *a, const struct mesh_addr *listen, struct fail *fail)
{
    for (uint16_t i = 0; i < a->file.node_count; i++) {
        const struct cluster_node *node = &a->file.node[i];

        if (a->node != NULL ? strcmp(node->name, a->node) == 0
                            : node->unknown[0] == '\0' && listen != NULL && memcmp(&node->address, listen, sizeof *listen) == 0)
            return node;
    }
    fail_set(fail, EXIT_USAGE, "-c %.200s: which of its nodes is this? Give --node NAME%s", a->cluster_path,
             a->node != NULL ? " as it stands in the file" : ", or --listen with its address");
    return NULL;
}

/* Errors in values from the cluster file are attributed to it: "--metrics x: why" becomes "-c FILE: metrics x: why", with the code of a bad
 * file. */
static int blame(const struct arguments *a, const void *value, struct fail *fail)
{
    const uintptr_t at = (uintptr_t)value, begin = (uintptr_t)&a->file;
    const struct fail told = *fail;

    if (at >= begin && at < begin + sizeof a->file)
        fail_fill(fail, told.exit_code == EXIT_USAGE ? EXIT_BAD_FILE : told.exit_code, "-c %.150s: %.400s", a->cluster_path,
                  strncmp(told.text, "--", 2) == 0 ? told.text + 2 : told.text);
    return -1;
}

/* The other nodes of the file become seeds. A node whose name does not resolve is skipped, if there is another one. */
static int take_others(const struct arguments *a, const struct cluster_node *own, struct serve_config *config, struct fail *fail)
{
    const struct cluster_node *unknown = NULL;

    for (uint16_t i = 0; i < a->file.node_count; i++) {
        const struct cluster_node *node = &a->file.node[i];

        if (node->unknown[0] != '\0' && node != own) {
            fprintf(stderr, "-c %.150s: [node %s] is not asked: address = %s\n", a->cluster_path, node->name, node->unknown);
            unknown = node;
        } else if (node != own && add_seed(config, node->address, fail) < 0) {
            return -1;
        }
    }
    if (unknown != NULL && config->seed_count == 0 && a->discover == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "-c %.150s: [node %s]: address = %s; there is no other node to ask", a->cluster_path,
                        unknown->name, unknown->unknown);
    return 0;
}

static int take_file(struct arguments *a, struct serve_config *config, struct fail *fail)
{
    const struct cluster_node *own;

    if (cluster_file_read(a->cluster_path, &a->file, fail) < 0)
        return -1;
    own = own_node(a, a->listen != NULL ? &config->listen : NULL, fail);
    if (own == NULL)
        return -1;
    if (a->listen == NULL && own->unknown[0] != '\0')
        return fail_set(fail, EXIT_ENVIRONMENT, "-c %.150s: [node %s]: address = %s", a->cluster_path, own->name, own->unknown);
    if (a->listen == NULL)
        config->listen = own->address;
    if (a->model == NULL)
        a->model = own->model[0] != '\0' ? own->model : a->file.model[0] != '\0' ? a->file.model : NULL;
    a->key = a->key == NULL && a->file.key[0] != '\0' ? a->file.key : a->key;
    a->name = a->name == NULL ? a->file.name : a->name;
    a->threads = a->threads == 0 ? own->threads : a->threads;
    a->ctx = a->ctx == 0 ? a->file.ctx : a->ctx;
    a->batch = a->has_batch ? a->batch : a->file.batch;
    a->slots = a->has_slots ? a->slots : a->file.slots;
    a->kv_type = a->has_kv_type ? a->kv_type : a->file.kv_type;
    a->metrics = a->metrics == NULL && own->metrics[0] != '\0' ? own->metrics : a->metrics;
    a->discover = a->discover == NULL && a->file.discover[0] != '\0' ? a->file.discover : a->discover;
    a->multicast = a->multicast == NULL && a->file.multicast[0] != '\0' ? a->file.multicast : a->multicast;
    if (!a->has_share && own->share != CLUSTER_SHARE_AUTO)
        a->share = own->share;
    if (!a->has_security && a->key != NULL)
        a->security = a->file.security == CLUSTER_SEAL   ? MESH_SECURITY_SEAL
                      : a->file.security == CLUSTER_AUTH ? MESH_SECURITY_AUTH
                                                         : MESH_SECURITY_NONE;
    a->has_security |= a->key != NULL;
    return take_others(a, own, config, fail);
}

/* Without a key no datagram is authenticated, so only this machine may be listened to. */
static int take_key(struct arguments *a, struct serve_config *config, struct fail *fail)
{
    char reason[300];

    if (!a->has_security)
        a->security = a->key != NULL ? MESH_SECURITY_SEAL : MESH_SECURITY_NONE;
    config->run.security = (enum mesh_security)a->security;
    config->run.has_no_aes = a->cipher == SECURITY_CIPHER_CHACHA20;
    if (a->security != MESH_SECURITY_NONE && a->key == NULL)
        return fail_set(fail, EXIT_USAGE, "--security %s: needs a key: give one with --key FILE (mesh-node keygen makes it)",
                        security_words[a->security]);
    if (a->security != MESH_SECURITY_NONE && !mesh_seal_is_available())
        return fail_set(fail, EXIT_ENVIRONMENT, "--security %s: this program was built without libsodium: give --security none",
                        security_words[a->security]);
    if (a->security == MESH_SECURITY_NONE && !mesh_addr_is_loopback(config->listen))
        return fail_set(fail, EXIT_USAGE,
                        a->key != NULL
                            ? "--listen: with security none a node serves the loopback only: give --security seal, as there is a key"
                            : "--listen: without a key a node serves the loopback only: give --key FILE (mesh-node keygen makes it)");
    if (a->security == MESH_SECURITY_NONE && a->cipher != SECURITY_CIPHER_AUTO)
        return fail_set(fail, EXIT_USAGE, "--cipher %s: without a key nothing is sealed: give --key FILE, or leave it out",
                        security_cipher_words[a->cipher]);
    if (a->key != NULL) {
        int err = mesh_key_read(a->key, &config->cluster_key, reason, sizeof reason);

        if (err != MESH_OK)
            return fail_set(fail, err == MESH_EINVAL ? EXIT_BAD_FILE : EXIT_ENVIRONMENT, "--key %.200s: %s", a->key, reason);
    }
    if (a->security == MESH_SECURITY_NONE)
        log_line("%s: serving the loopback only, and every user of this machine",
                 a->key != NULL ? "security none, so the key is not used" : "no key");
    return 0;
}

/* --key-log, or the environment variable; naming a file asks for lines in it. */
static int take_key_log(const struct arguments *a, struct serve_config *config, struct fail *fail)
{
    const char *variable = getenv("MESH_KEYLOGFILE");

    if (a->key_log != NULL && config->run.security == MESH_SECURITY_NONE)
        return fail_set(fail, EXIT_USAGE, "--key-log %.200s: without a key there is nothing to log: leave it out", a->key_log);
    if (config->run.security != MESH_SECURITY_NONE)
        config->key_log = a->key_log != NULL ? a->key_log : variable != NULL && variable[0] != '\0' ? variable : NULL;
    return 0;
}

static int take_multicast(const struct arguments *a, struct serve_config *config, struct fail *fail)
{
    if (a->multicast == NULL)
        return 0;
    if (multicast_parse(a->multicast, &config->multicast, fail) < 0)
        return blame(a, a->multicast, fail);
    if (mesh_addr_equal(&config->multicast, &config->discover))
        return fail_set(fail, EXIT_USAGE, "--multicast %.100s: is the group of --discover, too: give it another port", a->multicast);
    return 0;
}

/* The loopback has no route to another machine: --listen was forgotten, or /etc/hosts has 127.0.1.1 for this machine's own name, as Debian
 * writes it. The nodes would not hear one another, and each would be a cluster of its own. */
static int check_ways(const struct arguments *a, const struct serve_config *config, struct fail *fail)
{
    char own[MESH_ADDR_TEXT_BYTES], other[MESH_ADDR_TEXT_BYTES];

    for (unsigned i = 0; i < config->seed_count; i++) {
        if (!mesh_udp_is_cut_off(config->listen, config->seed[i]))
            continue;
        mesh_addr_format(config->listen, own);
        mesh_addr_format(config->seed[i], other);
        if (a->cluster_path != NULL && a->listen == NULL)
            return fail_set(fail, EXIT_BAD_FILE,
                            "-c %.150s: this node's own address is %s here, the loopback, by which %s is not reached: write the address of "
                            "this machine, or correct its name in /etc/hosts",
                            a->cluster_path, own, other);
        return fail_set(fail, EXIT_USAGE, "--listen %s: this is the loopback, by which %s is not reached: give the address of this machine",
                        own, other);
    }
    return 0;
}

static int take_options(struct arguments *a, struct serve_config *config, struct fail *fail)
{
    char reason[200];

    if (security_check_key(a->has_security, a->security, a->key, fail) < 0)
        return -1;
    if (parse_listen(a->listen != NULL ? a->listen : "127.0.0.1:7411", &config->listen, fail) < 0 ||
        (a->advertise != NULL && parse_place("--advertise", a->advertise, &config->advertise, fail) < 0))
        return -1;
    for (size_t i = 0; i < a->join.count; i++) {
        struct mesh_addr seed;

        if (parse_place("--join", a->join.values[i], &seed, fail) < 0 || add_seed(config, seed, fail) < 0)
            return -1;
    }
    if (a->cluster_path == NULL && a->node != NULL)
        return fail_set(fail, EXIT_USAGE, "--node %.100s: of which cluster file? Give it with -c CLUSTER.conf", a->node);
    if (a->cluster_path != NULL && take_file(a, config, fail) < 0)
        return -1;
    if (check_ways(a, config, fail) < 0)
        return -1;
    if (a->metrics != NULL && parse_address("--metrics", a->metrics, &config->metrics, fail) < 0)
        return blame(a, a->metrics, fail);
    if (a->model == NULL && config->seed_count == 0)
        return fail_set(fail, EXIT_USAGE, "serve: no model, and no peer to fetch it from: give -m MODEL.gguf, or --join ADDR:PORT");
    if (a->discover != NULL && discover_parse(a->discover, &config->discover, fail) < 0)
        return blame(a, a->discover, fail);
    if (a->discover != NULL && add_seed(config, config->discover, fail) < 0)
        return -1;
    if (take_multicast(a, config, fail) < 0)
        return -1;
    if (a->topology != 0 && a->record.path != NULL)
        return fail_set(fail, EXIT_USAGE, "serve: --topology star and --record: a recording is of the mesh: leave one of them out");
    if (run_options_record(&a->record, fail) < 0)
        return -1;
    if (a->lab != NULL && a->lab[0] == '\0')
        return fail_set(fail, EXIT_USAGE, "--lab: nothing in it: give e.g. --lab loss=1%%,delay=50us, or leave it out");
    if (a->lab != NULL && mesh_lab_parse(a->lab, &config->lab, reason, sizeof reason) != MESH_OK)
        return fail_set(fail, EXIT_USAGE, "--lab %.100s: %s", a->lab, reason);
    if (a->name != NULL && strlen(a->name) > MESH_CLUSTER_NAME_BYTES_MAX)
        return fail_set(fail, EXIT_USAGE, "--name: %zu bytes: give at most %d", strlen(a->name), MESH_CLUSTER_NAME_BYTES_MAX);
    config->busy_poll_us = a->busy_poll_us;
    config->has_gso = a->gso == 0;
    config->run.cluster = a->name != NULL ? a->name : "mesh";
    config->run.threads = (uint16_t)(a->threads > 0 ? a->threads : pool_cores());
    config->run.batch = (uint16_t)a->batch;
    config->run.slots = (uint16_t)a->slots;
    config->run.ctx = a->ctx;
    config->run.kv_type = (enum kv_type)a->kv_type;
    config->run.pace_bytes_per_s = config->lab.pace_bytes_per_s;
    config->run.is_star = a->topology != 0;
    config->run.is_whole = a->pipeline != 0;
    config->run.pace_later_bytes_per_s = config->lab.later_bytes_per_s;
    config->share = a->share;
    config->record = a->record;
    config->drain_s = a->drain;
    config->has_metrics = a->metrics != NULL;
    config->run.kernel = kernel_option(a->kernel, fail);
    if (config->run.kernel == NULL)
        return -1;
    return take_key(a, config, fail) < 0 ? -1 : take_key_log(a, config, fail);
}

static struct model_fetch_config fetch_config(const struct arguments *a, const struct serve_config *config)
{
    return (struct model_fetch_config){
        .peer = config->seed,
        .peer_count = config->seed_count - (config->discover.port != 0), /* a group, the last one, answers no calls */
        .security = config->run.security,
        .key = &config->cluster_key,
        .key_file = a->key,
        .cluster = config->run.cluster,
        .wait_ns = (uint64_t)a->fetch_wait * 1000000000,
        .whole = a->fetch == FETCH_ALL,
    };
}

/* Fetch what every node reads of the model. */
static int fetch_common(const struct arguments *a, struct serve_config *config, const struct model *model, struct fail *fail)
{
    const struct model_fetch_config fetch = fetch_config(a, config);
    uint8_t *wanted = calloc(config->run.part->count, 1);
    int result;

    if (wanted == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    model_needs_common(model, wanted);
    result = model_fetch_more(&fetch, config->run.part, wanted, fail);
    free(wanted);
    return result;
}

static int serve_model(const struct arguments *a, struct serve_config *config, struct fail *fail)
{
    struct model_part *part = config->run.part;
    struct gguf *gguf = gguf_open(a->model, fail);
    struct model *model = gguf == NULL ? NULL : model_open(gguf, fail);
    struct tokenizer *tokenizer = model == NULL ? NULL : tokenizer_open_for(gguf, model->vocab, fail);
    int result = -1;

    if (gguf != NULL)
        gguf_keep_fingerprint(gguf, part != NULL ? part->info.fingerprint : NULL);

    if (tokenizer != NULL) {
        config->run.model = model;
        config->run.tokenizer = tokenizer;
        if (config->run.ctx == 0)
            config->run.ctx = model->ctx < RUN_CTX_DEFAULT ? model->ctx : RUN_CTX_DEFAULT;
        if (config->run.ctx > model->ctx) {
            fail_fill(fail, EXIT_USAGE, "--ctx %u: the model was made for %u tokens: give at most that", config->run.ctx, model->ctx);
            blame(a, config->run.ctx == a->file.ctx ? &a->file : NULL, fail);
        } else if (part == NULL || fetch_common(a, config, model, fail) == 0)
            result = serve(config, fail);
    }
    tokenizer_close(tokenizer);
    model_close(model);
    gguf_close(gguf);
    return result;
}

/* Without a file: fetch a peer's. */
static int find_model(struct arguments *a, struct serve_config *config, struct model_part *part, struct fail *fail)
{
    const struct model_fetch_config fetch = fetch_config(a, config);

    if (a->model != NULL)
        return 0;
    if (model_fetch(&fetch, part, fail) < 0)
        return -1;
    a->model = part->path;
    config->run.part = part;
    return 0;
}

int serve_command(int argc, char *const *argv, struct fail *fail)
{
    static struct arguments a;
    static struct serve_config config;
    static struct model_part part;
    int result;

    a = (struct arguments){.batch = RUN_BATCH_DEFAULT,
                           .slots = 4,
                           .share = BALANCE_SHARE_AUTO,
                           .drain = DRAIN_DEFAULT,
                           .fetch_wait = FETCH_WAIT_S_DEFAULT,
                           .security = MESH_SECURITY_NONE};
    signal(SIGPIPE, SIG_IGN); /* the reader of stderr may go away; a member stays */
    signal(SIGXFSZ, SIG_IGN); /* exceeding a file size limit becomes a write error, reported in words */
    if (parse(&a, argc, argv, fail) < 0)
        return -1;
    if (a.help)
        return 0;
    if (log_start(STDERR_FILENO, fail) < 0) /* until main says why it ends */
        return -1;
    kernel_thread_init();
    result = take_options(&a, &config, fail);
    if (result == 0 && a.lab != NULL)
        log_line("lab: %s", a.lab); /* as `run` says: figures of such a node are no measurements */
    if (result == 0)
        result = find_model(&a, &config, &part, fail);
    if (result == 0)
        result = serve_model(&a, &config, fail);
    model_part_release(&part);
    mesh_wipe(&config.cluster_key, sizeof config.cluster_key);
    return result;
}
