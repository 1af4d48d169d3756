#include "simcluster.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/model/rowmap.h"

enum { RECEIVE_BUFFER_BYTES = 212992 };

static uint64_t clock_ns(void *app)
{
    const struct simcluster *cluster = app;

    return mesh_sim_now_ns(cluster->sim);
}

/* The node's result of a request, added when it hears of the request for the first time. */
static struct simcluster_result *result_of(struct simcluster_node *node, uint64_t id)
{
    for (uint32_t i = 0; i < node->result_count; i++)
        if (node->result[i].id == id)
            return &node->result[i];
    assert(node->result_count < SIMCLUSTER_REQUESTS_MAX);
    node->result[node->result_count] = (struct simcluster_result){.id = id};
    return &node->result[node->result_count++];
}

static void on_step(void *app, uint64_t now_ns, uint64_t request, uint32_t positions)
{
    (void)now_ns;
    (void)positions;
    result_of(app, request)->steps++;
}

static void on_token(void *app, uint64_t now_ns, const struct engine_token *token)
{
    struct simcluster_result *result = result_of(app, token->request);

    (void)now_ns;
    assert(result->token_count < SIMCLUSTER_TOKENS_MAX && !result->is_done);
    if (result->token_count == 0)
        result->index_first = token->index;
    assert(token->index == result->index_first + result->token_count);
    result->digest_of[result->token_count] = token->digest;
    result->token[result->token_count++] = token->id;
    result->digest += token->digest;
}

static void on_done(void *app, uint64_t now_ns, uint64_t request, enum engine_done reason, const struct engine_fault *fault)
{
    struct simcluster_result *result = result_of(app, request);

    (void)now_ns;
    assert(!result->is_done);
    result->reason = reason;
    if (fault != NULL)
        result->fault = *fault;
    result->is_done = true;
}

static void on_logits(void *app, uint64_t request, uint32_t position, uint32_t id_first, uint32_t rows, const float *logits)
{
    struct simcluster_node *node = app;

    (void)request;
    (void)position;
    if (node->logits != NULL)
        memcpy(node->logits + id_first, logits, rows * sizeof *logits);
}

/* Carries out an action that is due on a node. */
static bool act(struct simcluster_node *node, uint64_t now_ns)
{
    struct simcluster *cluster = node->cluster;
    bool has_acted = false;

    for (uint32_t i = 0; cluster->actions_over < cluster->action_count && i < cluster->action_count; i++) {
        struct simcluster_action *action = &cluster->action[i];

        if (action->is_over || action->rank != node->rank || action->at_ns > now_ns)
            continue;
        action->is_over = action->request != NULL ? engine_submit(node->engine, action->request) : engine_cancel(node->engine, action->id);
        cluster->actions_over += action->is_over;
        has_acted |= action->is_over;
    }
    return has_acted;
}

static uint64_t work(void *app, uint64_t now_ns)
{
    struct simcluster_node *node = app;
    bool has_acted = act(node, now_ns);

    return engine_work(node->engine, 0) == ENGINE_WORKED || has_acted ? node->unit_ns : 0;
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

static bool is_end(const void *tokenizer, uint32_t id)
{
    const uint32_t *end = tokenizer;

    return end != NULL && *end == id;
}

static int open_node(struct simcluster *cluster, uint16_t rank)
{
    struct simcluster_node *node = &cluster->node[rank];
    struct engine_hooks hooks = {.on_step = on_step, .on_token = on_token, .on_done = on_done, .on_logits = on_logits, .app = node};
    struct engine_config config = {
        .model = cluster->config.model,
        .map = &cluster->map,
        .rank = rank,
        .worker_count = 1,
        .batch = cluster->config.batch,
        .slots = cluster->config.slots > 0 ? cluster->config.slots : 1,
        .ctx = cluster->config.ctx,
        .kv_type = cluster->config.kv_type,
        .is_star = cluster->config.is_star,
        .is_whole = cluster->config.is_whole,
        .kernel = kernel_choose(cluster->config.kernel),
        .keeps = cluster->config.saved_kv != NULL,
        .is_end = is_end,
        .tokenizer = cluster->config.end_token,
    };
    struct fail fail = {0};

    if (cluster->config.tile_rows != NULL)
        memcpy(config.tile_rows, cluster->config.tile_rows[rank], sizeof config.tile_rows);
    *node = (struct simcluster_node){.cluster = cluster, .rank = rank, .unit_ns = cluster->config.unit_ns};
    node->result = calloc(SIMCLUSTER_REQUESTS_MAX, sizeof *node->result);
    assert(node->result != NULL);
    node->engine = engine_open(&config, &hooks, &fail);
    if (node->engine == NULL || engine_allocate(node->engine, &fail) < 0) {
        snprintf(cluster->reason, sizeof cluster->reason, "%s", fail.text);
        return -1;
    }
    for (uint32_t i = 0; i < engine_load_count(node->engine); i++)
        engine_load(node->engine, i);
    if (cluster->config.rank_count > 1 && open_endpoint(cluster, node) < 0)
        return -1;
    if (config.keeps)
        engine_restore(node->engine, &cluster->config.saved_kv[rank]);
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
        free(cluster->node[r].result);
    }
    cluster->sim = NULL;
}

static void add_action(struct simcluster *cluster, const struct simcluster_action *action)
{
    assert(cluster->action_count < SIMCLUSTER_ACTIONS_MAX && action->rank < cluster->config.rank_count);
    cluster->action[cluster->action_count++] = *action;
}

void simcluster_submit_at(struct simcluster *cluster, uint64_t at_ns, uint16_t rank, const struct request *request)
{
    struct simcluster_action action = {.at_ns = at_ns, .rank = rank, .request = request, .id = request->id};

    add_action(cluster, &action);
}

void simcluster_cancel_at(struct simcluster *cluster, uint64_t at_ns, uint16_t rank, uint64_t id)
{
    struct simcluster_action action = {.at_ns = at_ns, .rank = rank, .id = id};

    add_action(cluster, &action);
}

void simcluster_submit(struct simcluster *cluster, const struct request *request)
{
    simcluster_submit_at(cluster, 0, 0, request);
}

const struct simcluster_result *simcluster_result(const struct simcluster *cluster, uint16_t rank, uint64_t id)
{
    static const struct simcluster_result nothing;
    const struct simcluster_node *node = &cluster->node[rank];

    for (uint32_t i = 0; i < node->result_count; i++)
        if (node->result[i].id == id)
            return &node->result[i];
    return &nothing;
}

bool simcluster_is_done(void *app)
{
    const struct simcluster *cluster = app;

    if (cluster->actions_over < cluster->action_count)
        return false;
    for (uint32_t i = 0; i < cluster->action_count; i++) {
        const struct simcluster_action *action = &cluster->action[i];

        if (action->request == NULL)
            continue;
        const struct simcluster_result *own = simcluster_result(cluster, action->rank, action->id);
        if (!own->is_done)
            return false;
        for (uint16_t r = 0; own->reason != ENGINE_DONE_CANCELLED && r < cluster->config.rank_count; r++)
            if (!simcluster_result(cluster, r, action->id)->is_done)
                return false;
    }
    return true;
}

bool simcluster_run(struct simcluster *cluster, uint64_t deadline_ns)
{
    struct simcluster_node *node = &cluster->node[0];

    if (cluster->config.rank_count > 1)
        return mesh_sim_run(cluster->sim, deadline_ns, simcluster_is_done, cluster);
    /* A single node has no network to wait for: only its work takes time. */
    while (!simcluster_is_done(cluster) && cluster->alone_ns < deadline_ns) {
        work(node, cluster->alone_ns);
        cluster->alone_ns += node->unit_ns;
    }
    return simcluster_is_done(cluster);
}

static bool is_same(const struct simcluster_result *a, const struct simcluster_result *b)
{
    return a->token_count == b->token_count && a->digest == b->digest && a->reason == b->reason &&
           memcmp(a->token, b->token, a->token_count * sizeof *a->token) == 0;
}

bool simcluster_agrees(const struct simcluster *cluster)
{
    for (uint32_t i = 0; i < cluster->node[0].result_count; i++) {
        const struct simcluster_result *first = &cluster->node[0].result[i];

        for (uint16_t r = 1; r < cluster->config.rank_count; r++) {
            const struct simcluster_result *other = simcluster_result(cluster, r, first->id);

            if (first->is_done && other->is_done && !is_same(first, other))
                return false;
        }
    }
    return true;
}
