#include "simcluster.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/rowmap.h"

enum { RECEIVE_BUFFER_BYTES = 212992 };

static uint64_t clock_ns(void *app)
{
    const struct simcluster *cluster = app;

    return mesh_sim_now_ns(cluster->sim);
}

static void on_token(void *app, uint64_t now_ns, uint32_t request, uint32_t token, uint64_t digest)
{
    struct simcluster_node *node = app;

    (void)now_ns;
    (void)request;
    assert(node->token_count < SIMCLUSTER_TOKENS_MAX);
    node->token[node->token_count++] = token;
    node->digest += digest;
}

static void on_done(void *app, uint64_t now_ns, uint32_t request, enum engine_done reason, const struct engine_fault *fault)
{
    struct simcluster_node *node = app;

    (void)now_ns;
    (void)request;
    node->reason = reason;
    if (fault != NULL)
        node->fault = *fault;
    node->is_done = true;
}

static void on_logits(void *app, uint32_t request, uint32_t position, uint32_t id_first, uint32_t rows, const float *logits)
{
    struct simcluster_node *node = app;

    (void)request;
    (void)position;
    if (node->logits != NULL)
        memcpy(node->logits + id_first, logits, rows * sizeof *logits);
}

static uint64_t work(void *app, uint64_t now_ns)
{
    struct simcluster_node *node = app;

    (void)now_ns;
    return engine_work(node->engine, 0) == ENGINE_WORKED ? node->unit_ns : 0;
}

static int open_endpoint(struct simcluster *cluster, struct simcluster_node *node)
{
    uint64_t buffer = cluster->config.receive_buffer_bytes > 0 ? cluster->config.receive_buffer_bytes : RECEIVE_BUFFER_BYTES;
    struct mesh_config config = {.epoch = 1, .datagram_bytes_max = 32000, .receive_buffer_bytes = buffer};

    engine_mesh_config(node->engine, &config);
    memcpy(config.incarnation, &node->rank, sizeof node->rank);
    size_t bytes = mesh_memory_bytes(&config);
    node->mesh_memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    assert(node->mesh_memory != NULL);
    int err = mesh_init(&node->mesh, &config, node->mesh_memory, bytes, 0);
    if (err != MESH_OK) {
        snprintf(cluster->reason, sizeof cluster->reason, "mesh_init: %s", mesh_strerror(err));
        return -1;
    }
    return 0;
}

static int open_node(struct simcluster *cluster, uint16_t rank)
{
    struct simcluster_node *node = &cluster->node[rank];
    struct engine_hooks hooks = {.on_token = on_token, .on_done = on_done, .on_logits = on_logits, .app = node};
    struct engine_config config = {
        .model = cluster->config.model,
        .map = &cluster->map,
        .rank = rank,
        .worker_count = 1,
        .batch = cluster->config.batch,
        .ctx = cluster->config.ctx,
        .kv_type = cluster->config.kv_type,
        .kernel = kernel_choose(cluster->config.kernel),
    };
    struct fail fail = {0};

    *node = (struct simcluster_node){.cluster = cluster, .rank = rank, .unit_ns = cluster->config.unit_ns};
    node->engine = engine_open(&config, &hooks, &fail);
    if (node->engine == NULL || engine_allocate(node->engine, &fail) < 0) {
        snprintf(cluster->reason, sizeof cluster->reason, "%s", fail.text);
        return -1;
    }
    for (uint32_t i = 0; i < engine_load_count(node->engine); i++)
        engine_load(node->engine, i);
    if (cluster->config.rank_count > 1 && open_endpoint(cluster, node) < 0)
        return -1;
    engine_attach(node->engine, node->mesh, NULL, clock_ns, cluster);
    return 0;
}

int simcluster_open(struct simcluster *cluster, const struct simcluster_config *config)
{
    uint32_t share[MESH_RANKS_MAX], total = 0;
    struct fail fail = {0};

    *cluster = (struct simcluster){.config = *config};
    for (uint16_t r = 0; r < config->rank_count; r++)
        total += config->share[r];
    for (uint16_t r = 0; r < config->rank_count; r++)
        share[r] = total == 0 ? 1 : config->share[r];
    if (rowmap_init(&cluster->map, config->model, share, config->rank_count, &fail) < 0) {
        snprintf(cluster->reason, sizeof cluster->reason, "%s", fail.text);
        return -1;
    }
    int err = mesh_sim_open(&cluster->sim, config->rank_count, config->seed, &config->link);
    assert(err == MESH_OK);
    for (uint16_t r = 0; r < config->rank_count; r++)
        if (open_node(cluster, r) < 0)
            return -1;
    for (uint16_t r = 0; config->rank_count > 1 && r < config->rank_count; r++)
        mesh_sim_attach(cluster->sim, r, cluster->node[r].mesh, work, &cluster->node[r]);
    return 0;
}

void simcluster_close(struct simcluster *cluster)
{
    if (cluster->sim != NULL)
        mesh_sim_close(cluster->sim);
    for (uint16_t r = 0; r < cluster->config.rank_count; r++) {
        engine_close(cluster->node[r].engine);
        free(cluster->node[r].mesh_memory);
        free(cluster->node[r].logits);
    }
    cluster->sim = NULL;
}

void simcluster_submit(struct simcluster *cluster, const struct request *request)
{
    for (uint16_t r = 0; r < cluster->config.rank_count; r++) {
        struct simcluster_node *node = &cluster->node[r];

        node->token_count = 0;
        node->digest = 0;
        node->is_done = false;
    }
    bool is_taken = engine_submit(cluster->node[0].engine, request);
    assert(is_taken);
    (void)is_taken;
}

bool simcluster_is_done(void *app)
{
    const struct simcluster *cluster = app;

    for (uint16_t r = 0; r < cluster->config.rank_count; r++)
        if (!cluster->node[r].is_done)
            return false;
    return true;
}

bool simcluster_run(struct simcluster *cluster, uint64_t deadline_ns)
{
    /* One node has no network to wait for. */
    if (cluster->config.rank_count == 1) {
        while (!cluster->node[0].is_done)
            engine_work(cluster->node[0].engine, 0);
        while (engine_work(cluster->node[0].engine, 0) == ENGINE_WORKED)
            ;
        return true;
    }
    return mesh_sim_run(cluster->sim, deadline_ns, simcluster_is_done, cluster);
}

bool simcluster_agrees(const struct simcluster *cluster)
{
    const struct simcluster_node *first = &cluster->node[0];

    for (uint16_t r = 1; r < cluster->config.rank_count; r++) {
        const struct simcluster_node *node = &cluster->node[r];

        if (node->token_count != first->token_count || node->digest != first->digest ||
            memcmp(node->token, first->token, first->token_count * sizeof *node->token) != 0)
            return false;
    }
    return true;
}
