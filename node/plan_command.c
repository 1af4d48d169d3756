/* The command line of `mesh-node plan`. */

#include "commands.h"
#include "mesh/program/options.h"
#include "mesh/program/standard_streams.h"
#include "node/engine/plan.h"
#include "node/run/run_options.h"
#include "node/serve/cluster_file.h"
#include "node/tokenizer/tokenizer.h"

struct plan_options {
    const char *model, *shares, *cluster;
    uint32_t nodes, ctx, threads, batch, slots;
    int kv_type;
    bool json, help;
    bool has_nodes, has_batch, has_kv_type, has_slots;
};

/* Nodes whose share follows their speed count as the mean of the nodes with a given share: speed is known only when they run. */
static void take_shares(const struct cluster_file *file, uint32_t shares[MESH_RANKS_MAX])
{
    for (uint16_t i = 0; i < file->node_count; i++)
        shares[i] = file->node[i].share != CLUSTER_SHARE_AUTO ? file->node[i].share : 1;
}

/* Take from the file what the command line leaves out. */
static int take_cluster(struct plan_options *o, uint32_t shares[MESH_RANKS_MAX], struct fail *fail)
{
    static struct cluster_file file; /* static: the model's path stays in it */

    if (o->has_nodes || o->shares != NULL)
        return fail_set(fail, EXIT_USAGE, "-c %s: says how many nodes there are, and their shares: leave out --nodes and --shares",
                        o->cluster);
    if (cluster_file_read(o->cluster, &file, fail) < 0)
        return -1;
    if (file.node_count == 0)
        return fail_set(fail, EXIT_BAD_FILE, "%s: no [node NAME] in it: name the nodes, or give --nodes", o->cluster);
    o->nodes = file.node_count;
    take_shares(&file, shares);
    if (o->model == NULL && file.model[0] != '\0')
        o->model = file.model;
    if (o->ctx == 0)
        o->ctx = file.ctx;
    if (!o->has_batch)
        o->batch = file.batch;
    if (!o->has_kv_type)
        o->kv_type = file.kv_type;
    if (!o->has_slots)
        o->slots = file.slots;
    return 0;
}

static int make_and_print(const struct plan_options *o, const uint32_t shares[MESH_RANKS_MAX], struct fail *fail)
{
    static struct plan plan;
    struct gguf *gguf = gguf_open(o->model, fail);
    struct model *model = gguf == NULL ? NULL : model_open(gguf, fail);
    struct tokenizer *tokenizer = model == NULL ? NULL : tokenizer_open_for(gguf, model->vocab, fail); /* as `run` would */
    int err = -1;

    if (tokenizer == NULL)
        goto out;
    plan = (struct plan){
        .model = model,
        .ctx = o->ctx,
        .batch = (uint16_t)o->batch,
        .threads = (uint16_t)o->threads,
        .slots = (uint16_t)o->slots,
        .kv_type = (enum kv_type)o->kv_type,
    };
    if (plan.ctx == 0)
        plan.ctx = model->ctx < RUN_CTX_DEFAULT ? model->ctx : RUN_CTX_DEFAULT;
    if (plan.ctx > model->ctx) {
        fail_set(fail, EXIT_USAGE, "--ctx %u: the model was made for %u tokens: give at most that", o->ctx, model->ctx);
        goto out;
    }
    if (rowmap_init(&plan.map, model, shares, (uint16_t)o->nodes, fail) < 0 || plan_make(&plan, fail) < 0)
        goto out;
    plan_print(&plan, o->json, stdout);
    err = standard_streams_flush(fail);
out:
    tokenizer_close(tokenizer);
    model_close(model);
    gguf_close(gguf);
    return err;
}

static int plan_nodes(struct plan_options *o, struct fail *fail)
{
    uint32_t shares[MESH_RANKS_MAX];

    if ((o->cluster != NULL ? take_cluster(o, shares, fail) : run_options_shares(o->shares, (uint16_t)o->nodes, shares, fail)) < 0)
        return -1;
    if (o->model == NULL)
        return fail_set(fail, EXIT_USAGE, "plan: no model: give one with -m MODEL.gguf");
    return make_and_print(o, shares, fail);
}

int plan_command(int argc, char *const *argv, struct fail *fail)
{
    static const char *const usage[] = {"mesh-node plan -m MODEL.gguf [-c CLUSTER.conf | --nodes N] [options]",
                                        "Show what every node would compute and hold, before anything is loaded.", NULL};
    static const char *const examples[] = {"mesh-node plan -m model.gguf --nodes 4",
                                           "mesh-node plan -m model.gguf --nodes 3 --shares 3,2,1 --json", NULL};
    struct plan_options o = {.nodes = 1, .threads = 1, .batch = RUN_BATCH_DEFAULT, .slots = 1};
    const struct option_spec specs[] = {
        {.name = "model", .short_name = 'm', .kind = OPTION_TEXT, .target = &o.model, .metavar = "FILE", .help = "GGUF model"},
        {.name = "cluster",
         .short_name = 'c',
         .kind = OPTION_TEXT,
         .target = &o.cluster,
         .metavar = "FILE",
         .help = "cluster file: nodes, shares, sizes"},
        {.name = "nodes",
         .kind = OPTION_U32,
         .target = &o.nodes,
         .was_set = &o.has_nodes,
         .min = 1,
         .max = MESH_RANKS_MAX,
         .help = "number of nodes (1)"},
        {.name = "shares", .kind = OPTION_TEXT, .target = &o.shares, .metavar = "3,2,1", .help = "how the rows are divided (equally)"},
        {.name = "ctx",
         .kind = OPTION_U32,
         .target = &o.ctx,
         .min = 1,
         .max = MODEL_CTX_MAX,
         .help = "context in tokens (the model's, at most 4096)"},
        {.name = "kv-type",
         .kind = OPTION_WORD,
         .target = &o.kv_type,
         .was_set = &o.has_kv_type,
         .words = run_kv_words,
         .help = "type of keys and values in the KV cache (f16)"},
        {.name = "threads",
         .short_name = 't',
         .kind = OPTION_U32,
         .target = &o.threads,
         .min = 1,
         .max = RUN_THREADS_MAX,
         .help = "threads per node (1)"},
        {.name = "batch",
         .kind = OPTION_U32,
         .target = &o.batch,
         .was_set = &o.has_batch,
         .min = 1,
         .max = ENGINE_BATCH_MAX,
         .help = "prompt tokens per step (128)"},
        {.name = "slots",
         .kind = OPTION_U32,
         .target = &o.slots,
         .was_set = &o.has_slots,
         .min = 1,
         .max = ENGINE_SLOTS_MAX,
         .help = "requests at once, each with a KV cache (1)"},
        {.name = "json", .kind = OPTION_FLAG, .target = &o.json, .help = "one JSON object per node, and a summary"},
        {.name = "help", .short_name = 'h', .kind = OPTION_STOP, .target = &o.help, .help = "this text"},
    };
    const size_t count = sizeof specs / sizeof *specs;

    if (options_parse(specs, count, argc, argv, NULL, fail) < 0)
        return -1;
    if (o.help) {
        options_help(stdout, usage, specs, count, examples);
        return 0;
    }
    return plan_nodes(&o, fail);
}
