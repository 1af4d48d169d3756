#include "run.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "local_nodes.h"
#include "member.h"
#include "node/common/busy_poll.h"
#include "node/common/memory_text.h"
#include "node/common/pool.h"
#include "node/common/socket_hint.h"
#include "node/engine/multicast.h"
#include "node/engine/security.h"
#include "output.h"
#include "run_interrupt.h"
#include "run_options.h"
#include "run_prompt.h"

enum { EPOCH = 1 /* the members do not change */ };

/* Everything a run holds, in the order of acquisition. */
struct run {
    struct run_options options;
    struct gguf *gguf;
    struct model *model;
    struct tokenizer *tokenizer;
    struct rowmap map;
    const struct kernel *kernel;
    uint32_t threads, ctx;
    struct run_prompt prompt;
    struct local_nodes local_nodes;
    struct security security;
    uint16_t rank;
    struct member *member;
    struct recording *recording;
    bool has_forked, has_begun; /* local nodes; all of them are ready */
};

/* ---- prompt ---- */

static struct request request_of(const struct run *run)
{
    return (struct request){
        .id = 1, /* the only one */
        .prompt = run->prompt.ids,
        .prompt_count = (uint32_t)run->prompt.count,
        .predict = run->options.predict,
        .sampling = run->options.sampling,
        .ignore_end = run->options.ignore_eos,
        .want_digest = run->options.digest || run->options.json,
    };
}

static int check_prompt(const struct run *run, struct fail *fail)
{
    const struct request request = request_of(run);

    if (request_check_size(run->prompt.count, run->ctx, run->model->ctx, "run", fail) < 0)
        return -1;
    return request_check(&request, run->ctx, run->model->vocab, fail);
}

/* ---- model ---- */

static int open_model(struct run *run, struct fail *fail)
{
    struct run_options *o = &run->options;
    uint16_t ranks = run_options_ranks(o);

    if ((run->gguf = gguf_open(o->model, fail)) == NULL || (run->model = model_open(run->gguf, fail)) == NULL ||
        (run->tokenizer = tokenizer_open_for(run->gguf, run->model->vocab, fail)) == NULL)
        return -1;
    run->ctx = o->ctx > 0 ? o->ctx : run->model->ctx < RUN_CTX_DEFAULT ? run->model->ctx : RUN_CTX_DEFAULT;
    if (run->ctx > run->model->ctx)
        return fail_set(fail, EXIT_USAGE, "--ctx %u: the model was made for %u tokens: give at most that", run->ctx, run->model->ctx);
    run->kernel = kernel_choose(o->kernel);
    assert(run->kernel != NULL);
    uint32_t cores = pool_cores(), local = o->peer_count > 0 ? 1 : ranks;
    run->threads = o->threads > 0 ? o->threads : cores / local > 0 ? cores / local : 1;
    return rowmap_init(&run->map, run->model, o->share, ranks, fail);
}

static struct member_config member_config_of(struct run *run, uint16_t rank)
{
    return (struct member_config){
        .model = run->model,
        .tokenizer = run->tokenizer,
        .map = &run->map,
        .rank = rank,
        .threads = (uint16_t)run->threads,
        .batch = (uint16_t)run->options.batch,
        .ctx = run->ctx,
        .kv_type = (enum kv_type)run->options.kv_type,
        .kernel = run->kernel,
        .lab = run->options.lab,
        .is_star = run->options.topology != 0,
        .is_whole = run->options.pipeline != 0,
        .udp = run_options_ranks(&run->options) > 1 ? run->local_nodes.udp[rank] : NULL,
        .peers = run->local_nodes.addr,
        .incarnation = run->security.incarnation[rank],
        .epoch = EPOCH,
        .join_timeout_ns = (uint64_t)run->options.join_timeout_s * 1000000000u,
        .processes = run->local_nodes.child,
        .is_single = run->options.peer_count > 0,
        .recording = run->recording,
        .interrupt = &run_interrupt_signal,
    };
}

/* What all nodes on this machine will hold, before any of it is allocated. */
static int plan_memory(struct run *run, struct fail *fail)
{
    uint16_t first = 0, end = run_options_ranks(&run->options);
    struct engine_memory sum = {0};
    uint64_t available = memory_available_bytes();
    char total[MEMORY_TEXT_BYTES], weights[MEMORY_TEXT_BYTES], kv[MEMORY_TEXT_BYTES], buffers[MEMORY_TEXT_BYTES], left[MEMORY_TEXT_BYTES];

    if (run->options.peer_count > 0) {
        first = (uint16_t)run->options.rank;
        end = (uint16_t)(first + 1);
    }
    for (uint16_t r = first; r < end; r++) {
        struct member_config config = member_config_of(run, r);
        struct engine_memory memory;
        struct member *member = member_open(&config, fail);

        if (member == NULL)
            return -1;
        member_memory(member, &memory);
        member_close(member);
        sum.weight_bytes += memory.weight_bytes;
        sum.kv_bytes += memory.kv_bytes;
        sum.buffer_bytes += memory.buffer_bytes;
    }
    uint64_t needed = sum.weight_bytes + sum.kv_bytes + sum.buffer_bytes;
    memory_text(needed, total);
    memory_text(sum.weight_bytes, weights);
    memory_text(sum.kv_bytes, kv);
    memory_text(sum.buffer_bytes, buffers);
    memory_available_text(available, left);
    fprintf(stderr, "memory: %s needed (weights %s, KV cache %s, buffers %s), %s available\n", total, weights, kv, buffers, left);
    if (needed > available)
        return fail_set(fail, EXIT_ENVIRONMENT,
                        "%s: needs %s, this machine has %s available: use a smaller --ctx, more machines or a smaller model",
                        run->options.model, total, left);
    return 0;
}

/* ---- nodes ---- */

static int open_sockets(struct run *run, struct fail *fail)
{
    struct run_options *o = &run->options;
    char address[MESH_ADDR_TEXT_BYTES];

    if (o->peer_count == 0)
        return o->local > 1 ? local_nodes_bind(&run->local_nodes, (uint16_t)o->local, &o->lab, fail) : 0;
    run->rank = (uint16_t)o->rank;
    run->local_nodes.rank = run->rank;
    memcpy(run->local_nodes.addr, o->peer, sizeof o->peer);
    if (o->peer_count == 1)
        return 0;
    if (mesh_udp_open(&run->local_nodes.udp[run->rank], o->peer[run->rank], &o->lab) != MESH_OK) {
        mesh_addr_format(o->peer[run->rank], address);
        return fail_set(fail, EXIT_ENVIRONMENT, "%s: cannot listen: %s: %s", address, strerror(errno),
                        socket_hint(errno, "give an address of this machine"));
    }
    run->local_nodes.count = (uint16_t)(run->rank + 1);
    return 0;
}

static void draw_seed(struct run *run)
{
    uint64_t seed = (uint64_t)getpid() ^ mesh_udp_now_ns();

    if (run->options.has_seed)
        return;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        seed = mesh_udp_now_ns();
    run->options.sampling.seed = seed;
    if (run->options.sampling.temperature > 0.0f && run->rank == 0)
        fprintf(stderr, "seed: %" PRIu64 "\n", seed);
}

/* In this node's own process. Rank 0 knows all keys, so it alone writes the log. */
static int start_security(struct run *run, struct fail *fail)
{
    const char *log = run->options.key_log != NULL ? run->options.key_log : getenv("MESH_KEYLOGFILE");

    if (log != NULL && log[0] == '\0' && run->options.key_log == NULL)
        log = NULL;
    run->security.has_no_aes = run->options.cipher == SECURITY_CIPHER_CHACHA20;
    if (security_start(&run->security, (enum mesh_security)run->options.security, EPOCH, run->rank, run_options_ranks(&run->options),
                       fail) < 0)
        return -1;
    if (run->local_nodes.udp[run->rank] != NULL)
        mesh_udp_set_sealer(run->local_nodes.udp[run->rank], &run->security.sealer);
    return run->rank == 0 ? security_log(&run->security, log, fail) : 0;
}

/* In this node's own process: one file each. It includes prompts and payloads, as a run is its user's own. */
static int start_recording(struct run *run, struct fail *fail)
{
    const struct run_options *o = &run->options;
    const struct recording_options record = {o->record.path, o->record.size_mb, o->record.time_s, .prompts = true};
    uint8_t fingerprint[32];
    char name[20];
    const struct recording_node node = {name, run->rank, run->local_nodes.addr[run->rank]};

    if (record.path == NULL)
        return 0;
    snprintf(name, sizeof name, "node %u", run->rank);
    if (recording_open(&run->recording, &record, &node, NULL, false, fail) < 0)
        return -1;
    gguf_fingerprint(run->gguf, fingerprint);
    recording_meta_hash(run->recording, "model_fingerprint", fingerprint);
    recording_meta(run->recording, "model", "%s", o->model);
    recording_meta(run->recording, "command", "run");
    recording_meta(run->recording, "nodes", "%u", run->map.rank_count);
    recording_meta(run->recording, "threads", "%u", run->threads);
    recording_meta(run->recording, "batch", "%u", o->batch);
    recording_meta(run->recording, "ctx", "%u", run->ctx);
    recording_meta(run->recording, "kv_type", "%s", run_kv_words[o->kv_type]);
    recording_meta(run->recording, "kernel", "%s", run->kernel->name);
    recording_meta(run->recording, "security", "%s", security_words[o->security]);
    recording_meta(run->recording, "lab", "%s", o->lab_text != NULL ? o->lab_text : "");
    recording_meta(run->recording, "shares", "%s", o->shares_text != NULL ? o->shares_text : "");
    recording_meta(run->recording, "pipeline", "%s", run_pipeline_words[o->pipeline]);
    return 0;
}

/* With its endpoint, which the recording knows by then. */
static void record_epoch(struct run *run)
{
    struct mesh_cluster_member member[MESH_RANKS_MAX];

    for (uint16_t r = 0; r < run->map.rank_count; r++)
        member[r] = (struct mesh_cluster_member){.addr = run->local_nodes.addr[r], .share = run->options.share[r]};
    recording_epoch(run->recording, mesh_udp_now_ns(), EPOCH, NULL, run->rank, member, run->map.share, run->map.rank_count);
}

static int start_member(struct run *run, struct fail *fail)
{
    if (start_recording(run, fail) < 0)
        return -1;
    struct member_config config = member_config_of(run, run->rank);

    run->member = member_open(&config, fail);
    if (run->member == NULL || member_start(run->member, fail) < 0)
        return -1;
    record_epoch(run);
    return 0;
}

static int print_tokens(struct run *run, struct output *output, struct fail *fail)
{
    struct member_token token;
    int (*watch)(void *, struct fail *) = run->local_nodes.count > 1 ? local_nodes_watch : NULL;
    int got, err = 0;

    while ((got = member_next_token(run->member, &token, watch, &run->local_nodes, fail)) > 0) {
        if (err == 0 && output_token(output, &token, fail) < 0) {
            err = -1;
            member_cancel(run->member);
        }
    }
    return got < 0 ? -1 : err;
}

/* Rank 0: everything from joining to saying goodbye. */
static int generate(struct run *run, struct fail *fail)
{
    const struct request request = request_of(run);
    struct member_report reports[MESH_RANKS_MAX];
    struct member_outcome outcome;
    struct output output;
    int (*watch)(void *, struct fail *) = run->local_nodes.count > 1 ? local_nodes_watch : NULL;

    if (member_wait_ready(run->member, watch, &run->local_nodes, fail) < 0)
        return -1;
    run->has_begun = true;
    gguf_release_pages(run->gguf); /* the shard is a copy; only embedding rows are read from now on */
    if (member_submit(run->member, &request, fail) < 0)
        return -1;
    run_interrupt_cancels(run->member);
    output_begin(&output, &run->options, run->tokenizer, run->prompt.has_text);
    int err = print_tokens(run, &output, fail);
    run_interrupt_end();
    run_interrupt_cancels(NULL);
    if (err < 0)
        return -1;
    member_outcome(run->member, &outcome);
    member_finish(run->member, reports);
    struct output_figures figures = {
        .prompt_tokens = request.prompt_count,
        .threads = run->threads,
        .kernel = run->kernel->name,
        .cipher = security_cipher_name(&run->security.sealer),
        .outcome = &outcome,
        .reports = reports,
        .ranks = run->map.rank_count,
    };
    if (output_end(&output, fail) < 0 || output_figures(&output, &figures, fail) < 0)
        return -1;
    return output_check(&outcome, run->options.model, fail);
}

static int run_nodes(struct run *run, struct fail *fail)
{
    if (run->map.rank_count > 1)
        gguf_keep_fingerprint(run->gguf, NULL); /* once, not in every process */
    if (open_sockets(run, fail) < 0 || plan_memory(run, fail) < 0 || security_draw(&run->security, fail) < 0)
        return -1;
    draw_seed(run);
    run_interrupt_watch();
    if (run->local_nodes.count > 1 && run->options.peer_count == 0) {
        if (recording_check_others(run->options.record.path, run->local_nodes.count, fail) < 0 ||
            local_nodes_fork(&run->local_nodes, &run->options.lab, fail) < 0)
            return -1;
        run->rank = run->local_nodes.rank;
        run->has_forked = true;
    }
    struct mesh_udp *own = run->local_nodes.udp[run->rank];
    if (own != NULL)
        mesh_udp_set_segmentation(own, run->options.gso == 0);
    int err = (own != NULL &&
               (multicast_open(own, run->options.multicast, fail) < 0 || busy_poll_set(own, run->options.busy_poll_us, fail) < 0)) ||
                      start_security(run, fail) < 0
                  ? -1
                  : start_member(run, fail);
    if (err == 0)
        err = run->rank == 0 ? generate(run, fail) : member_wait_ready(run->member, NULL, NULL, fail);
    if (err == 0 && run->rank != 0) {
        run->has_begun = true;
        if (!run->has_forked)
            run_interrupt_end();
        if (!run->has_forked && run_interrupt_signal != 0)
            run_interrupt_die();
        gguf_release_pages(run->gguf);
        err = member_serve(run->member, fail);
    }
    if (err == 0 && run->rank == 0)
        err = local_nodes_join(&run->local_nodes, fail);
    return err;
}

/* A run that was interrupted before it began, or of which the local nodes failed to start, leaves nothing behind, so that it can be started
 * again with the same command line. What a node recorded that waited in vain for nodes elsewhere is kept: it shows what it heard. */
static void remove_recordings(const struct run *run)
{
    const char *path = run->options.record.path;
    const bool has_own = run->recording != NULL;

    if (path == NULL || run->has_begun)
        return;
    if (run->has_forked && run->rank == 0)
        recording_remove(path, has_own ? 0 : 1, run->local_nodes.count);
    else if (!run->has_forked && has_own && run_interrupt_signal != 0)
        recording_remove(path, run->rank, (uint16_t)(run->rank + 1));
}

static int release(struct run *run, int err, struct fail *fail)
{
    if (run->rank == 0)
        local_nodes_kill(&run->local_nodes);
    member_close(run->member);
    if (recording_close(run->recording, err == 0 ? fail : NULL) < 0)
        err = -1;
    remove_recordings(run);
    local_nodes_close(&run->local_nodes);
    security_release(&run->security);
    free(run->prompt.ids);
    tokenizer_close(run->tokenizer);
    model_close(run->model);
    gguf_close(run->gguf);
    return err;
}

int run_command(int argc, char *const *argv, struct fail *fail)
{
    static struct run run;
    int err;

    run = (struct run){0};
    if (run_options_parse(&run.options, argc, argv, fail) < 0)
        return -1;
    if (run.options.help) {
        run_options_help();
        return 0;
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* exceeding a file size limit becomes a write error, reported in words */
    engine_keep_heap();
    err = open_model(&run, fail);
    if (err == 0 && run.options.rank == 0)
        err = run_prompt_make(&run.options, run.tokenizer, run.ctx, &run.prompt, fail) < 0 || check_prompt(&run, fail) < 0 ? -1 : 0;
    if (err == 0)
        err = run_nodes(&run, fail);
    if (err != 0 && run_interrupt_signal == 0)
        run_interrupt_end(); /* what follows is no start any more: a signal ends it at once */
    err = release(&run, err, fail);
    if (run_interrupt_signal != 0 && !run.has_begun)
        run_interrupt_die();
    return err;
}
