#include "run_options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/program/options.h"
#include "mesh/udp.h"
#include "node/common/busy_poll.h"
#include "node/engine/engine.h"
#include "node/engine/multicast.h"
#include "node/engine/security.h"

enum { REASON_BYTES = 200, PEER_TEXT_MAX = 128, SHARE_MAX = 1000000 };

const char *const run_kv_words[] = {"f16", "f32", "q8_0", NULL};
const char *const run_topology_words[] = {"mesh", "star", NULL};
const char *const run_pipeline_words[] = {"on", "off", NULL};

/* Results of parsing; options write here. */
static struct run_options parsed;

/* clang-format off */
static const struct option_spec specs[] = {
    {.name = "model", .short_name = 'm', .kind = OPTION_TEXT, .target = &parsed.model, .metavar = "FILE",
     .help = "GGUF model to run"},
    {.name = "prompt", .short_name = 'p', .kind = OPTION_PROSE, .target = &parsed.prompt, .metavar = "TEXT",
     .help = "text to continue"},
    {.name = "file", .short_name = 'f', .kind = OPTION_TEXT, .target = &parsed.prompt_file, .metavar = "FILE",
     .help = "read the prompt from FILE (- for stdin)"},
    {.name = "chat", .kind = OPTION_FLAG, .target = &parsed.chat,
     .help = "the prompt is a question to a model made for answering"},
    {.name = "system", .kind = OPTION_PROSE, .target = &parsed.system, .metavar = "TEXT",
     .help = "with --chat: how it is to answer"},
    {.name = "prompt-ids", .kind = OPTION_TEXT, .target = &parsed.prompt_ids, .metavar = "FILE",
     .help = "token ids to continue instead"},
    {.name = "predict", .short_name = 'n', .kind = OPTION_U32, .target = &parsed.predict, .min = 1, .max = 1 << 24, .metavar = "TOKENS",
     .help = "limit of generated tokens (128)"},
    {.name = "local", .kind = OPTION_U32, .target = &parsed.local, .min = 1, .max = MESH_RANKS_MAX, .metavar = "N",
     .help = "node processes on this machine (1)"},
    {.name = "shares", .kind = OPTION_TEXT, .target = &parsed.shares_text, .metavar = "3,2,1",
     .help = "how the rows are divided among the nodes (equally)"},
    {.name = "temp", .kind = OPTION_FLOAT, .target = &parsed.sampling.temperature, .metavar = "T",
     .help = "temperature, 0 is greedy (0.8)"},
    {.name = "top-k", .kind = OPTION_U32, .target = &parsed.sampling.top_k, .max = 1 << 22, .metavar = "K",
     .help = "sample from the K most likely tokens, 0: off (40)"},
    {.name = "top-p", .kind = OPTION_FLOAT, .target = &parsed.sampling.top_p, .metavar = "P",
     .help = "sample from the most likely tokens of total probability P (0.95)"},
    {.name = "min-p", .kind = OPTION_FLOAT, .target = &parsed.sampling.min_p, .metavar = "P",
     .help = "drop tokens less likely than P times the most likely (0.05)"},
    {.name = "repeat-penalty", .kind = OPTION_FLOAT, .target = &parsed.sampling.repeat_penalty, .metavar = "X",
     .help = "penalty of tokens among the last 64 (1: off)"},
    {.name = "presence-penalty", .kind = OPTION_FLOAT, .target = &parsed.sampling.presence_penalty, .metavar = "X",
     .help = "the same, subtracted once (0)"},
    {.name = "frequency-penalty", .kind = OPTION_FLOAT, .target = &parsed.sampling.frequency_penalty, .metavar = "X",
     .help = "the same, per occurrence (0)"},
    {.name = "seed", .kind = OPTION_U64, .target = &parsed.sampling.seed, .was_set = &parsed.has_seed, .metavar = "S",
     .help = "seed of sampling (random, and printed)"},
    {.name = "ignore-eos", .kind = OPTION_FLAG, .target = &parsed.ignore_eos,
     .help = "do not stop at the end-of-text token"},
    {.name = "ctx", .kind = OPTION_U32, .target = &parsed.ctx, .min = 1, .max = MODEL_CTX_MAX, .metavar = "N",
     .help = "context in tokens (the model's, at most 4096)"},
    {.name = "threads", .short_name = 't', .kind = OPTION_U32, .target = &parsed.threads, .min = 1, .max = RUN_THREADS_MAX, .metavar = "N",
     .help = "threads per node (cores divided by local nodes)"},
    {.name = "batch", .kind = OPTION_U32, .target = &parsed.batch, .min = 1, .max = ENGINE_BATCH_MAX, .metavar = "N",
     .help = "prompt tokens per step (128)"},
    {.name = "kv-type", .kind = OPTION_WORD, .target = &parsed.kv_type, .words = run_kv_words,
     .help = "type of keys and values in the KV cache (f16)"},
    {.name = "kernel", .kind = OPTION_TEXT, .target = &parsed.kernel, .metavar = "NAME",
     .help = "instruction set to use (the fastest)"},
    {.name = "ids", .kind = OPTION_FLAG, .target = &parsed.ids,
     .help = "print token ids instead of text"},
    {.name = "digest", .kind = OPTION_FLAG, .target = &parsed.digest,
     .help = "print a line of hashes, to compare runs by"},
    {.name = "json", .kind = OPTION_FLAG, .target = &parsed.json,
     .help = "one JSON object per token, and a summary"},
    {.name = "security", .kind = OPTION_WORD, .target = &parsed.security, .words = security_words,
     .help = "auth: authenticate, seal: also encrypt (seal; --peers: none)"},
    {.name = "cipher", .kind = OPTION_WORD, .target = &parsed.cipher, .words = security_cipher_words,
     .help = "chacha20: no AES, even where all processors have it (auto)"},
    {.name = "key-log", .kind = OPTION_TEXT, .target = &parsed.key_log, .metavar = "FILE",
     .help = "append the keys of this run, to open captures of it"},
    {.name = "record", .kind = OPTION_TEXT, .target = &parsed.record.path, .metavar = "FILE.db",
     .help = "record a trace, a file per node: FILE.db, FILE.1.db, ..."},
    {.name = "record-size", .kind = OPTION_U32, .target = &parsed.record.size_mb, .min = 1, .max = RECORDING_SIZE_MB_MAX, .metavar = "MB",
     .help = "continue in FILE-2.db at this size (never)"},
    {.name = "record-time", .kind = OPTION_U32, .target = &parsed.record.time_s, .min = 1, .max = RECORDING_TIME_S_MAX,
     .metavar = "SECONDS", .help = "or at this age (never)"},
    {.name = "lab", .kind = OPTION_PROSE, .target = &parsed.lab_text, .metavar = "SPEC",
     .help = "experiments: pace=10GB/s,delay=50us,loss=1%,dup=1%,reorder=1%,seed=7"},
    {.name = "topology", .kind = OPTION_WORD, .target = &parsed.topology, .words = run_topology_words,
     .help = "star: all results go through rank 0 (mesh)"},
    {.name = "pipeline", .kind = OPTION_WORD, .target = &parsed.pipeline, .words = run_pipeline_words,
     .help = "off: exchange whole matrices, not tiles (on)"},
    {.name = "multicast", .kind = OPTION_TEXT, .target = &parsed.multicast_text, .metavar = "GROUP[:PORT]",
     .help = "send each tile once, to this group (to each node)"},
    {.name = "busy-poll", .kind = OPTION_U32, .target = &parsed.busy_poll_us, .max = BUSY_POLL_US_MAX, .metavar = "US",
     .help = "microseconds to busy-poll the network card's queue (0)"},
    {.name = "gso", .kind = OPTION_WORD, .target = &parsed.gso, .words = run_pipeline_words,
     .help = "off: send without segmentation offload by the kernel (on)"},
    {.name = "peers", .kind = OPTION_PROSE, .target = &parsed.peers_text, .metavar = "A:P,B:P",
     .help = "instead of --local: addresses of all nodes, in order of rank"},
    {.name = "rank", .kind = OPTION_U32, .target = &parsed.rank, .max = MESH_RANKS_MAX - 1, .metavar = "R",
     .help = "rank of this node; rank 0 has the prompt (0)"},
    {.name = "join-timeout", .kind = OPTION_U32, .target = &parsed.join_timeout_s, .min = 1, .max = 86400, .metavar = "SECONDS",
     .help = "timeout for the other nodes to answer (30)"},
    {.name = "help", .short_name = 'h', .kind = OPTION_STOP, .target = &parsed.help,
     .help = "this text"},
};
/* clang-format on */
enum { SPEC_COUNT = sizeof specs / sizeof *specs };

void run_options_help(void)
{
    static const char *const usage[] = {"mesh-node run -m MODEL.gguf [-p TEXT | -f FILE] [-n TOKENS] [--local N] [options]",
                                        "Generate text on this machine, divided among N node processes.", NULL};
    static const char *const examples[] = {"mesh-node run -m model.gguf -p \"Once upon a time\" -n 100 --local 3",
                                           "mesh-node run -m model.gguf -p abc --temp 0 --digest", NULL};

    options_help(stdout, usage, specs, SPEC_COUNT, examples);
}

uint16_t run_options_ranks(const struct run_options *options)
{
    return (uint16_t)(options->peer_count > 0 ? options->peer_count : options->local);
}

int run_options_shares(const char *text, uint16_t ranks, uint32_t *shares, struct fail *fail)
{
    const char *at = text;
    uint32_t count = 0;

    for (uint16_t r = 0; r < ranks; r++)
        shares[r] = 1;
    for (; at != NULL; count++) {
        char *end;

        errno = 0;
        unsigned long value = strtoul(at, &end, 10);
        if (end == at || *at < '0' || *at > '9' || errno != 0 || value > SHARE_MAX || (*end != ',' && *end != '\0'))
            return fail_set(fail, EXIT_USAGE, "--shares %s: '%.20s' is no share: give whole numbers 0 to %d with commas between", text, at,
                            SHARE_MAX);
        if (count < ranks)
            shares[count] = (uint32_t)value;
        at = *end == ',' ? end + 1 : NULL;
    }
    if (text != NULL && count != ranks)
        return fail_set(fail, EXIT_USAGE, "--shares %s: %u share%s for %u node%s: give one per node", text, count, count == 1 ? "" : "s",
                        ranks, ranks == 1 ? "" : "s");
    return 0;
}

static int parse_peer(struct run_options *o, const char *text, struct fail *fail)
{
    char reason[REASON_BYTES];
    struct mesh_addr *peer = &o->peer[o->peer_count];
    const int err = mesh_addr_parse(text, peer, reason, sizeof reason);

    if (err == MESH_ESYSTEM)
        return fail_set(fail, EXIT_ENVIRONMENT, "--peers: %s", reason);
    if (err != MESH_OK)
        return fail_set(fail, EXIT_USAGE, "--peers: '%s': %s: give ADDRESS:PORT", text, reason);
    if (!mesh_addr_is_loopback(*peer))
        return fail_set(fail, EXIT_USAGE,
                        "--peers: '%s': nodes have no key, so they talk on loopback only: give 127.0.0.1:PORT or [::1]:PORT", text);
    if (peer->port == 0)
        return fail_set(fail, EXIT_USAGE, "--peers: '%s': port 0 is any port, so no node would find it: give a port from 1 to 65535", text);
    for (uint32_t i = 0; i < o->peer_count; i++)
        if (mesh_addr_equal(&o->peer[i], peer))
            return fail_set(fail, EXIT_USAGE, "--peers: '%s': given for rank %u and for rank %u: give every node its own port", text, i,
                            o->peer_count);
    o->peer_count++;
    return 0;
}

static int parse_peers(struct run_options *o, struct fail *fail)
{
    char text[PEER_TEXT_MAX];

    for (const char *at = o->peers_text; at != NULL;) {
        const char *comma = strchr(at, ',');
        size_t size = comma == NULL ? strlen(at) : (size_t)(comma - at);

        if (o->peer_count == MESH_RANKS_MAX)
            return fail_set(fail, EXIT_USAGE, "--peers: more than %d addresses: a mesh has at most so many nodes: give fewer",
                            MESH_RANKS_MAX);
        if (size >= sizeof text)
            return fail_set(fail, EXIT_USAGE, "--peers: an address of %zu characters: give ADDRESS:PORT", size);
        memcpy(text, at, size);
        text[size] = '\0';
        if (parse_peer(o, text, fail) < 0)
            return -1;
        at = comma == NULL ? NULL : comma + 1;
    }
    if (o->peer_count > 0 && o->rank >= o->peer_count)
        return fail_set(fail, EXIT_USAGE, "--rank %u: --peers has %u address%s: give a rank from 0 to %u", o->rank, o->peer_count,
                        o->peer_count == 1 ? "" : "es", o->peer_count - 1);
    if (o->peer_count == 0 && o->rank != 0)
        return fail_set(fail, EXIT_USAGE, "--rank %u: applies with --peers only: give --peers", o->rank);
    return 0;
}

static int check_security(struct run_options *o, struct fail *fail)
{
    if (o->security < 0)
        o->security = o->peers_text == NULL && mesh_seal_is_available() ? MESH_SECURITY_SEAL : MESH_SECURITY_NONE;
    if (o->security != MESH_SECURITY_NONE && o->peers_text != NULL)
        return fail_set(fail, EXIT_USAGE,
                        "--security %s: nodes that are started one by one with --peers have no key to share: leave it out, or give --local",
                        security_words[o->security]);
    if (o->security != MESH_SECURITY_NONE && !mesh_seal_is_available())
        return fail_set(fail, EXIT_ENVIRONMENT,
                        "--security %s: this mesh-node was built without libsodium: install it and build again, or give --security none",
                        security_words[o->security]);
    if (o->cipher != SECURITY_CIPHER_AUTO && o->security == MESH_SECURITY_NONE)
        return fail_set(fail, EXIT_USAGE, "--cipher %s: without --security seal or auth no cipher is used: leave it out",
                        security_cipher_words[o->cipher]);
    if (o->key_log != NULL && o->security == MESH_SECURITY_NONE)
        return fail_set(fail, EXIT_USAGE, "--key-log %s: without --security seal or auth there are no keys: leave it out", o->key_log);
    return 0;
}

int run_options_record(const struct recording_options *record, struct fail *fail)
{
    const char *how = record->size_mb > 0  ? "--record-size"
                      : record->time_s > 0 ? "--record-time"
                      : record->prompts    ? "--record-prompts"
                                           : NULL;

    if (record->path == NULL && how != NULL)
        return fail_set(fail, EXIT_USAGE, "%s: nothing is recorded: give --record FILE.db, or leave it out", how);
    return 0;
}

static int check(struct run_options *o, struct fail *fail)
{
    char reason[REASON_BYTES];

    if (o->model == NULL)
        return fail_set(fail, EXIT_USAGE, "run: no model: give one with -m MODEL.gguf");
    if ((o->prompt != NULL) + (o->prompt_file != NULL) + (o->prompt_ids != NULL) > 1)
        return fail_set(fail, EXIT_USAGE, "run: two of -p, -f and --prompt-ids together: give one prompt");
    if (o->chat && o->prompt_ids != NULL)
        return fail_set(fail, EXIT_USAGE, "run: --chat: a question is text, not --prompt-ids: give it with -p TEXT or -f FILE");
    if (o->chat && o->prompt == NULL && o->prompt_file == NULL)
        return fail_set(fail, EXIT_USAGE, "run: --chat: no question: give one with -p TEXT or -f FILE");
    if (o->system != NULL && !o->chat)
        return fail_set(fail, EXIT_USAGE, "run: --system: only a question has a system text before it: give --chat, too");
    if (o->json && o->ids)
        return fail_set(fail, EXIT_USAGE, "run: --json and --ids together: JSON has the ids: give one of them");
    if (o->peers_text != NULL && o->local != 1)
        return fail_set(fail, EXIT_USAGE, "run: --peers and --local together: give one of them");
    if (o->lab_text != NULL && o->lab_text[0] == '\0')
        return fail_set(fail, EXIT_USAGE, "--lab: nothing in it: give e.g. --lab loss=1%%,delay=50us, or leave it out");
    if (o->lab_text != NULL && mesh_lab_parse(o->lab_text, &o->lab, reason, sizeof reason) != MESH_OK)
        return fail_set(fail, EXIT_USAGE, "--lab %s: %s", o->lab_text, reason);
    if (o->multicast_text != NULL && multicast_parse(o->multicast_text, &o->multicast, fail) < 0)
        return -1;
    if (o->topology != 0 && o->record.path != NULL)
        return fail_set(fail, EXIT_USAGE, "run: --topology star and --record: a recording is of the mesh: leave one of them out");
    if (run_options_record(&o->record, fail) < 0 || kernel_option(o->kernel, fail) == NULL || sampler_check(&o->sampling, fail) < 0 ||
        parse_peers(o, fail) < 0 || check_security(o, fail) < 0)
        return -1;
    return run_options_shares(o->shares_text, run_options_ranks(o), o->share, fail);
}

int run_options_parse(struct run_options *options, int argc, char *const *argv, struct fail *fail)
{
    parsed = (struct run_options){
        .predict = 128,
        .local = 1,
        .batch = RUN_BATCH_DEFAULT,
        .join_timeout_s = RUN_JOIN_TIMEOUT_DEFAULT_S,
        .kv_type = KV_F16,
        .security = -1, /* not said */
        .sampling = {.temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f, .repeat_penalty = 1.0f},
    };
    if (options_parse(specs, SPEC_COUNT, argc, argv, NULL, fail) < 0)
        return -1;
    if (!parsed.help && check(&parsed, fail) < 0)
        return -1;
    *options = parsed;
    return 0;
}
