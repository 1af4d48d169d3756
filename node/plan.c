#include "plan.h"

#include <inttypes.h>

#include "json.h"
#include "memory_text.h"

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
    return 0;
}

int plan_make(struct plan *plan, struct fail *fail)
{
    for (uint16_t r = 0; r < plan->map.rank_count; r++)
        if (plan_one(plan, r, fail) < 0)
            return -1;
    return 0;
}

static uint64_t node_bytes(const struct plan_node *node)
{
    return node->memory.weight_bytes + node->memory.kv_bytes + node->memory.buffer_bytes;
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
    json_event_end(&json);
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
}

void plan_print(const struct plan *plan, bool json, FILE *out)
{
    if (json)
        print_json(plan, out);
    else
        print_text(plan, out);
}
