#include "plan.h"

#include <stdlib.h>

#include "mesh/program/json.h"
#include "model_needs.h"
#include "node/common/memory_text.h"

static int count_chunks(const struct plan *plan, uint16_t rank, uint32_t *chunks, struct fail *fail)
{
    const uint32_t count = model_chunk_count(gguf_file_bytes(plan->model->gguf));
    uint8_t *wanted = calloc(count, 1);

    if (wanted == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    model_needs_common(plan->model, wanted);
    model_needs_rows(plan->model, &plan->map, rank, wanted);
    *chunks = 0;
    for (uint32_t chunk = 0; chunk < count; chunk++)
        *chunks += wanted[chunk];
    free(wanted);
    return 0;
}

static int plan_one(struct plan *plan, uint16_t rank, struct fail *fail)
{
    struct engine_config config = {
        .model = plan->model,
        .map = &plan->map,
        .rank = rank,
        .worker_count = plan->threads,
        .batch = plan->batch,
        .slots = plan->slots,
        .ctx = plan->ctx,
        .kv_type = plan->kv_type,
        .kernel = kernel_choose(NULL),
    };
    struct plan_node *node = &plan->node[rank];
    struct engine *engine = engine_open(&config, NULL, fail);
    struct engine_share share;

    if (engine == NULL)
        return -1;
    engine_share(engine, &share);
    engine_memory(engine, &node->memory);
    engine_close(engine);
    *node = (struct plan_node){
        .share = plan->map.share[rank],
        .x_rows = share.x_rows,
        .h_rows = share.h_rows,
        .vocab_rows = share.vocab_rows,
        .heads = share.heads,
        .kv_heads = share.kv_heads,
        .memory = node->memory,
        .embedding_bytes = plan->model->token_embd->data_size,
    };
    return count_chunks(plan, rank, &node->chunks, fail);
}

static uint64_t node_bytes(const struct plan_node *node)
{
    return node->memory.weight_bytes + node->memory.kv_bytes + node->memory.buffer_bytes;
}

/* The most that one of the remaining nodes holds when `gone` is gone. */
static int plan_without(const struct plan *plan, uint16_t gone, uint64_t *largest, struct fail *fail)
{
    static struct plan fewer;
    uint32_t shares[MESH_RANKS_MAX];
    uint16_t count = 0;
    bool has_share = false;

    for (uint16_t r = 0; r < plan->map.rank_count; r++)
        if (r != gone) {
            has_share |= plan->map.share[r] > 0;
            shares[count++] = plan->map.share[r];
        }
    *largest = UINT64_MAX;
    if (!has_share)
        return 0;
    fewer = *plan;
    if (rowmap_init(&fewer.map, plan->model, shares, count, fail) < 0)
        return -1;
    *largest = 0;
    for (uint16_t r = 0; r < count; r++) {
        if (plan_one(&fewer, r, fail) < 0)
            return -1;
        if (node_bytes(&fewer.node[r]) > *largest)
            *largest = node_bytes(&fewer.node[r]);
    }
    return 0;
}

/* The maximum over every node that may go; of nodes with equal shares one is enough. */
static int plan_fewer(struct plan *plan, struct fail *fail)
{
    plan->available_bytes = memory_available_bytes();
    plan->fewer_bytes = plan->map.rank_count > 1 ? 0 : UINT64_MAX;
    for (uint16_t r = 0; plan->map.rank_count > 1 && r < plan->map.rank_count; r++) {
        uint64_t largest = 0;
        bool is_first = true;

        for (uint16_t other = 0; other < r; other++)
            is_first &= plan->map.share[other] != plan->map.share[r];
        if (is_first && plan_without(plan, r, &largest, fail) < 0)
            return -1;
        plan->fewer_bytes = largest > plan->fewer_bytes ? largest : plan->fewer_bytes;
    }
    return 0;
}

int plan_make(struct plan *plan, struct fail *fail)
{
    for (uint16_t r = 0; r < plan->map.rank_count; r++)
        if (plan_one(plan, r, fail) < 0)
            return -1;
    return plan_fewer(plan, fail);
}

bool plan_fits_on_one_fewer(const struct plan *plan)
{
    return plan->fewer_bytes != UINT64_MAX && plan->fewer_bytes <= plan->available_bytes;
}

static void print_json_node(struct json *json, const struct plan_node *node, uint16_t rank)
{
    json_event_begin(json, "node");
    json_uint(json, "rank", rank);
    json_uint(json, "share", node->share);
    json_uint(json, "heads", node->heads);
    json_uint(json, "kv_heads", node->kv_heads);
    json_uint(json, "dim_rows", node->x_rows);
    json_uint(json, "hidden_rows", node->h_rows);
    json_uint(json, "vocab_rows", node->vocab_rows);
    json_uint(json, "weight_bytes", node->memory.weight_bytes);
    json_uint(json, "kv_bytes", node->memory.kv_bytes);
    json_uint(json, "buffer_bytes", node->memory.buffer_bytes);
    json_uint(json, "total_bytes", node_bytes(node));
    json_uint(json, "mapped_embedding_bytes", node->embedding_bytes);
    json_uint(json, "model_chunks", node->chunks);
    json_event_end(json);
}

static void print_json(const struct plan *plan, FILE *out)
{
    const struct model *m = plan->model;
    struct json json;
    uint64_t total = 0, largest = 0;

    json_init(&json, out);
    for (uint16_t r = 0; r < plan->map.rank_count; r++) {
        uint64_t bytes = node_bytes(&plan->node[r]);

        print_json_node(&json, &plan->node[r], r);
        total += bytes;
        largest = bytes > largest ? bytes : largest;
    }
    json_event_begin(&json, "summary");
    json_text(&json, "model", gguf_path(m->gguf));
    json_uint(&json, "nodes", plan->map.rank_count);
    json_uint(&json, "layers", m->layers);
    json_uint(&json, "dim", m->dim);
    json_uint(&json, "hidden", m->hidden);
    json_uint(&json, "heads", m->heads);
    json_uint(&json, "kv_heads", m->kv_heads);
    json_uint(&json, "vocab", m->vocab);
    json_uint(&json, "ctx", plan->ctx);
    json_uint(&json, "slots", plan->slots);
    json_uint(&json, "total_bytes", total);
    json_uint(&json, "largest_node_bytes", largest);
    json_bool(&json, "fits_on_one_fewer", plan_fits_on_one_fewer(plan));
    if (plan->fewer_bytes != UINT64_MAX)
        json_uint(&json, "largest_node_bytes_on_one_fewer", plan->fewer_bytes);
    json_event_end(&json);
}

static void print_fewer(const struct plan *plan, FILE *out)
{
    char needs[MEMORY_TEXT_BYTES], has[MEMORY_TEXT_BYTES];

    if (plan->map.rank_count == 1)
        return;
    if (plan->fewer_bytes == UINT64_MAX) {
        fputs("When the only node with a share goes, no node is left to compute: give others one.\n", out);
        return;
    }
    memory_text(plan->fewer_bytes, needs);
    memory_available_text(plan->available_bytes, has);
    fprintf(out, "One node fewer: a node then holds up to %s; where each has as much as this machine (%s), the model %s.\n", needs, has,
            plan_fits_on_one_fewer(plan) ? "fits" : "does not fit: add a node, or use a smaller model");
}

static void print_text(const struct plan *plan, FILE *out)
{
    const struct model *m = plan->model;
    char weights[MEMORY_TEXT_BYTES], kv[MEMORY_TEXT_BYTES], buffers[MEMORY_TEXT_BYTES], total[MEMORY_TEXT_BYTES];

    fprintf(out, "%s: %u layers, dim %u, hidden %u, %u heads on %u KV heads, vocabulary %u; context %u", gguf_path(m->gguf), m->layers,
            m->dim, m->hidden, m->heads, m->kv_heads, m->vocab, plan->ctx);
    if (plan->slots > 1)
        fprintf(out, " for each of %u requests", plan->slots);
    fputc('\n', out);
    fprintf(out, "%4s %6s %6s %6s %7s %7s %7s %10s %10s %10s %10s\n", "rank", "share", "heads", "kv", "dim", "hidden", "vocab", "weights",
            "KV cache", "buffers", "total");
    for (uint16_t r = 0; r < plan->map.rank_count; r++) {
        const struct plan_node *node = &plan->node[r];

        memory_text(node->memory.weight_bytes, weights);
        memory_text(node->memory.kv_bytes, kv);
        memory_text(node->memory.buffer_bytes, buffers);
        memory_text(node_bytes(node), total);
        fprintf(out, "%4u %6u %6u %6u %7u %7u %7u %10s %10s %10s %10s\n", r, node->share, node->heads, node->kv_heads, node->x_rows,
                node->h_rows, node->vocab_rows, weights, kv, buffers, total);
    }
    memory_text(plan->node[0].embedding_bytes, total);
    fprintf(out, "Besides, every node maps the token embedding (%s of the file) and reads one row of it per token.\n", total);
    print_fewer(plan, out);
}

void plan_print(const struct plan *plan, bool json, FILE *out)
{
    if (json)
        print_json(plan, out);
    else
        print_text(plan, out);
}
