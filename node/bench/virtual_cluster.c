#include "virtual_cluster.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "node/model/rowmap.h"

enum { CONTEXT = 512, REQUEST_ID = 1 };
#define DEADLINE_NS UINT64_C(600000000000)

/* ---- the model ---- */

static int map_zeros(struct virtual_model *model, const struct gguf_write *description, struct fail *fail)
{
    const size_t size = description->size + description->data_size;
    void *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (bytes == MAP_FAILED)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory for a model: close other programs");
    memcpy(bytes, description->bytes, description->size);
    model->bytes = bytes;
    model->size = size;
    return 0;
}

int virtual_model_open(struct virtual_model *model, const struct bench_shape *shape, enum tensor_type type, struct fail *fail)
{
    struct synth_options options = shape->options;
    struct gguf_write description;

    *model = (struct virtual_model){0};
    options.type = type;
    int err = synth_describe(&options, &description, fail);
    if (err == 0)
        err = map_zeros(model, &description, fail);
    gguf_write_release(&description);
    if (err < 0)
        return -1;
    model->gguf = gguf_parse(shape->name, model->bytes, model->size, fail);
    model->model = model->gguf == NULL ? NULL : model_open(model->gguf, fail);
    return model->model == NULL ? -1 : 0;
}

void virtual_model_close(struct virtual_model *model)
{
    model_close(model->model);
    gguf_close(model->gguf);
    if (model->bytes != NULL)
        munmap(model->bytes, model->size);
    *model = (struct virtual_model){0};
}

/* ---- a cluster ---- */

/* A node's counters at one moment. */
struct moment {
    uint64_t now_ns, compute_ns, weight_bytes;
    struct virtual_spent spent;
};

struct member {
    struct virtual_node node;
    struct virtual_cluster *cluster;
    struct moment from, to;
};

struct virtual_cluster {
    const struct virtual_cluster_config *config;
    struct rowmap map;
    struct mesh_sim *sim;
    struct member *member; /* (nodes) */
    uint16_t done;         /* nodes */
};

static struct moment moment_of(const struct member *member, uint64_t now_ns)
{
    struct engine_figures figures;

    engine_figures(member->node.engine, &figures);
    return (struct moment){now_ns, figures.compute_ns, figures.weight_bytes_read, member->node.spent};
}

static void on_token(void *app, uint64_t now_ns, const struct engine_token *token)
{
    struct member *member = app;
    const struct virtual_cluster_config *config = member->cluster->config;

    if (token->index + 1 == config->warm_tokens)
        member->from = moment_of(member, now_ns);
    if (token->index + 1 == config->warm_tokens + config->tokens) {
        member->to = moment_of(member, now_ns);
        member->cluster->done++;
    }
}

static bool is_done(void *app)
{
    const struct virtual_cluster *cluster = app;

    return cluster->done == cluster->config->nodes;
}

static struct engine *open_engine(struct virtual_cluster *cluster, uint16_t rank, struct fail *fail)
{
    const struct virtual_cluster_config *c = cluster->config;
    const struct engine_hooks hooks = {.on_token = on_token, .app = &cluster->member[rank]};
    struct engine_config config = {
        .model = c->model,
        .map = &cluster->map,
        .rank = rank,
        .worker_count = 1,
        .batch = 1,
        .slots = 1,
        .ctx = CONTEXT,
        .kv_type = KV_F16,
        .kernel = virtual_kernel(),
        .is_star = c->is_star,
        .is_whole = c->is_whole,
        .send_runs = c->send_runs,
    };
    memcpy(config.tile_rows, c->tile_rows, sizeof config.tile_rows);
    struct engine *engine = engine_open(&config, &hooks, fail);

    if (engine == NULL || engine_allocate(engine, fail) == 0)
        return engine;
    engine_close(engine);
    return NULL;
}

static int open_cluster(struct virtual_cluster *cluster, const struct virtual_cluster_config *config, struct fail *fail)
{
    const struct mesh_sim_link link = {.delay_ns = config->delay_ns};
    uint32_t share[MESH_RANKS_MAX];

    *cluster = (struct virtual_cluster){.config = config};
    for (uint16_t r = 0; r < config->nodes; r++)
        share[r] = 1;
    if (rowmap_init(&cluster->map, config->model, share, config->nodes, fail) < 0)
        return -1;
    cluster->member = calloc(config->nodes, sizeof *cluster->member);
    if (cluster->member == NULL || mesh_sim_open(&cluster->sim, config->nodes, 1, &link) < 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory for %u nodes: close other programs", config->nodes);
    for (uint16_t r = 0; r < config->nodes; r++) {
        struct member *member = &cluster->member[r];
        struct engine *engine;

        member->cluster = cluster;
        mesh_sim_set_port(cluster->sim, r, config->rate_bits_per_s);
        if ((engine = open_engine(cluster, r, fail)) == NULL ||
            virtual_node_open(&member->node, &config->node, cluster->sim, engine, fail) < 0)
            return -1;
    }
    if (config->watch != NULL)
        mesh_sim_watch(cluster->sim, config->watch, config->watch_app);
    return 0;
}

static void close_cluster(struct virtual_cluster *cluster)
{
    mesh_sim_close(cluster->sim);
    for (uint16_t r = 0; cluster->member != NULL && r < cluster->config->nodes; r++)
        virtual_node_close(&cluster->member[r].node);
    free(cluster->member);
}

/* ---- figures ---- */

static void add_member(struct virtual_cluster *cluster, const struct member *member, struct virtual_figures *f)
{
    const double nodes = cluster->config->nodes, tokens = cluster->config->tokens;
    const struct moment *from = &member->from, *to = &member->to;
    const double time_ns = (double)(to->now_ns - from->now_ns), busy = (double)(to->compute_ns - from->compute_ns) / time_ns;

    f->utilisation += busy / nodes;
    if (busy < f->least_utilisation)
        f->least_utilisation = busy;
    f->sending += (double)(to->spent.sending_ns - from->spent.sending_ns) / time_ns / nodes;
    f->receiving += (double)(to->spent.receiving_ns - from->spent.receiving_ns) / time_ns / nodes;
    for (int i = 0; i < VIRTUAL_WAITS; i++)
        f->waiting[i] += (double)(to->spent.waiting_ns[i] - from->spent.waiting_ns[i]) / time_ns / nodes;
    f->tokens_per_s += tokens * 1e9 / time_ns / nodes;
    f->messages += (double)(to->spent.messages - from->spent.messages) / tokens;
    f->send_calls += (double)(to->spent.send_calls - from->spent.send_calls) / tokens;
    f->receive_calls += (double)(to->spent.receive_calls - from->spent.receive_calls) / tokens;
    f->weight_bytes += (double)(to->weight_bytes - from->weight_bytes) / tokens;
    for (uint16_t peer = 0; peer < cluster->config->nodes; peer++) {
        struct mesh_peer_stats stats;

        if (peer == member->node.rank)
            continue;
        mesh_get_peer_stats(member->node.mesh, peer, &stats);
        f->naks += stats.naks_sent;
        f->resent += stats.resent;
    }
}

static int run_cluster(struct virtual_cluster *cluster, struct virtual_figures *figures, struct fail *fail)
{
    const struct virtual_cluster_config *config = cluster->config;
    static const uint32_t prompt[] = {1};
    const struct request request = {
        .id = REQUEST_ID,
        .prompt = prompt,
        .prompt_count = 1,
        .predict = config->warm_tokens + config->tokens + 1,
        .sampling = {.top_p = 1.0f, .repeat_penalty = 1.0f},
        .ignore_end = true,
    };

    assert(config->warm_tokens >= 1 && config->tokens >= 1 && request.predict < CONTEXT);
    if (!engine_submit(cluster->member[0].node.engine, &request))
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory for a request: close other programs");
    if (!mesh_sim_run(cluster->sim, DEADLINE_NS, is_done, cluster))
        return fail_set(fail, EXIT_ENVIRONMENT, "bench: %u simulated nodes have not ended: give them faster links", config->nodes);
    *figures = (struct virtual_figures){.least_utilisation = 1};
    for (uint16_t r = 0; r < config->nodes; r++)
        add_member(cluster, &cluster->member[r], figures);
    return 0;
}

int virtual_cluster_run(const struct virtual_cluster_config *config, struct virtual_figures *figures, struct fail *fail)
{
    struct virtual_cluster cluster;
    int err;

    assert(config->nodes >= 2 && config->nodes <= MESH_RANKS_MAX);
    err = open_cluster(&cluster, config, fail);
    if (err == 0)
        err = run_cluster(&cluster, figures, fail);
    close_cluster(&cluster);
    return err;
}
