/* Memory of the engine: planning, allocating and freeing it. */
#include <malloc.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine_layout.h"
#include "node/common/pages.h"

static uint32_t padded(uint32_t rows)
{
    return (rows + BLOCK_COLUMNS - 1) / BLOCK_COLUMNS * BLOCK_COLUMNS;
}

static uint32_t subs_of(const struct engine *e)
{
    return (e->config.batch + INBOX_SUB_TOKENS - 1u) / INBOX_SUB_TOKENS;
}

/* One list of all buffers, used to add up and to allocate, so that the two cannot differ. */
struct buffer {
    void *at; /* address of a pointer of any type, therefore copied as bytes */
    size_t bytes;
};

enum {
    BUFFERS_MAX = 20,
    HEAP_BLOCK_BYTES = 32 << 20,     /* larger ones are mappings of their own */
    CACHE_MAPPED_BYTES_MIN = 1 << 20 /* and so are caches of keys and values */
};

/* Zero if the layout has failed. */
static size_t attention_tiles(const struct engine *e)
{
    return e->phase == NULL || e->phase[PHASE_ATTENTION].matrix == NULL ? 0 : e->phase[PHASE_ATTENTION].matrix->tile_count;
}

static size_t list_buffers(struct engine *e, struct buffer list[BUFFERS_MAX])
{
    const struct model *m = e->model;
    size_t batch = e->config.batch, candidates = m->vocab, n = 0;

    list[n++] = (struct buffer){&e->embed_norm, padded(m->dim) * sizeof(float)};
    list[n++] = (struct buffer){&e->embed_values, 2 * (size_t)padded(m->dim) * sizeof(float)};
    list[n++] = (struct buffer){&e->rope_cos, batch * (m->head_dim / 2 + 1) * sizeof(float)};
    list[n++] = (struct buffer){&e->rope_sin, batch * (m->head_dim / 2 + 1) * sizeof(float)};
    list[n++] = (struct buffer){&e->residual, batch * padded(e->x_rows) * sizeof(float)};
    list[n++] = (struct buffer){&e->qkv, batch * e->qkv_stride * sizeof(float)};
    list[n++] = (struct buffer){&e->eager, 2 * e->eager_floats * sizeof(float)};
    list[n++] = (struct buffer){&e->eager_done, 2 * (size_t)e->eager_tiles * sizeof *e->eager_done};
    list[n++] = (struct buffer){&e->qkv_done, subs_of(e) * attention_tiles(e) * sizeof *e->qkv_done};
    list[n++] = (struct buffer){&e->logits, e->config.slots * (size_t)padded(e->vocab_rows) * sizeof(float)};
    list[n++] = (struct buffer){&e->candidates, candidates * sizeof *e->candidates};
    list[n++] = (struct buffer){&e->candidate_scratch, (size_t)e->vocab_rows * sizeof *e->candidate_scratch};
    list[n++] = (struct buffer){&e->segment, (size_t)e->phase_count * subs_of(e) * sizeof *e->segment};
    list[n++] = (struct buffer){&e->phase_left, e->phase_count * sizeof *e->phase_left};
    list[n++] = (struct buffer){&e->time.phase_begin, e->phase_count * sizeof *e->time.phase_begin};
    list[n++] = (struct buffer){&e->time.phase_end, e->phase_count * sizeof *e->time.phase_end};
    list[n++] = (struct buffer){&e->time.phases, ENGINE_STEPS_KEPT * (size_t)e->phase_count * sizeof *e->time.phases};
    list[n++] = (struct buffer){&e->time.use, e->config.map->rank_count * sizeof *e->time.use};
    list[n++] = (struct buffer){&e->worker, e->config.worker_count * sizeof *e->worker};
    return n;
}

/* Only a worker that waits for other ranks begins more than one unit. */
static uint32_t units_of(const struct engine *e)
{
    return e->config.map->rank_count > 1 ? UNITS_MAX : 1;
}

static size_t sum_floats(uint32_t unit)
{
    return (size_t)(unit == 0 ? INBOX_SUB_TOKENS : EAGER_TOKENS) * TILE_FLOATS_MAX;
}

static size_t parked_floats(const struct engine *e)
{
    return (size_t)e->slices_max * EAGER_TOKENS * TILE_FLOATS_MAX;
}

static size_t worker_bytes(const struct engine *e)
{
    size_t bytes = e->scratch_floats * sizeof(float);

    for (uint32_t u = 0; u < units_of(e); u++)
        bytes += e->slices_max + (sum_floats(u) + parked_floats(e)) * sizeof(float);
    return bytes;
}

/* Of norms and biases. */
static uint64_t vector_bytes(const struct engine *e)
{
    uint64_t floats = 2 * (uint64_t)padded(e->x_rows);

    floats += e->model->architecture->has_biases ? e->qkv_stride : 0;
    floats += e->model->architecture->has_head_norms ? 2 * e->model->head_dim : 0;
    return e->model->layers * floats * sizeof(float);
}

static uint64_t kv_bytes(const struct engine *e)
{
    return e->config.slots * (uint64_t)e->kv_slot_bytes;
}

/* Untouched pages of a mapped cache cost nothing until positions are filled; in a heap block calloc touches all of them. A small cache
 * stays on the heap, where the next epoch finds it again. */
static bool has_mapped_cache(const struct engine *e)
{
    return kv_bytes(e) >= CACHE_MAPPED_BYTES_MIN;
}

static void *allocate_cache(const struct engine *e)
{
    return has_mapped_cache(e) ? pages_zeros(kv_bytes(e) + 64) : calloc(1, kv_bytes(e) + 64);
}

static void free_cache(struct engine *e)
{
    if (has_mapped_cache(e))
        pages_release(e->kv, kv_bytes(e) + 64);
    else
        free(e->kv);
}

/* Per slot: the tokens of the running request, and of one that waits to start. */
static uint64_t token_bytes(const struct engine *e)
{
    return 2 * (uint64_t)e->config.slots * e->config.ctx * sizeof(uint32_t);
}

/* Memory of the endpoint; its size does not depend on the path and buffer that are not known yet. */
static uint64_t mesh_bytes(const struct engine *e)
{
    struct mesh_config config = {.epoch = 1, .datagram_bytes_max = MESH_DATAGRAM_BYTES_MIN, .receive_buffer_bytes = 1 << 20};

    if (e->config.map->rank_count == 1)
        return 0;
    engine_mesh_sizes(e, &config);
    return mesh_memory_bytes(&config);
}

void engine_memory(const struct engine *engine, struct engine_memory *memory)
{
    struct buffer list[BUFFERS_MAX];
    size_t count = list_buffers((struct engine *)engine, list); /* only takes addresses, writes nothing */

    *memory = (struct engine_memory){.weight_bytes = rows_memory_bytes(engine->rows), .kv_bytes = kv_bytes(engine)};
    for (size_t i = 0; i < count; i++)
        memory->buffer_bytes += list[i].bytes;
    memory->buffer_bytes += (ENGINE_INBOXES + 1) * inbox_bytes(&engine->inbox_limits) + vector_bytes(engine) + mesh_bytes(engine) +
                            token_bytes(engine) + engine->config.worker_count * worker_bytes(engine);
}

void engine_keep_heap(void)
{
#ifdef M_TRIM_THRESHOLD
    mallopt(M_ARENA_MAX, 1); /* one for all threads: engines are opened on one thread and freed on another */
    mallopt(M_MMAP_THRESHOLD, HEAP_BLOCK_BYTES);
    mallopt(M_TRIM_THRESHOLD, 2 * HEAP_BLOCK_BYTES);
#endif
}

/* Buffers are many and small, and heap pages that are populated one at a time, when touched, are slow on some machines. So the heap grows
 * once, in huge pages. A block that is not part of the heap, as without engine_keep_heap, is left alone. */
static void grow_heap(size_t bytes)
{
    uint8_t *block = bytes < HEAP_BLOCK_BYTES ? malloc(bytes) : NULL;

    if (block != NULL && (uintptr_t)block < (uintptr_t)sbrk(0)) {
        pages_prefer_huge(block, bytes);
        pages_have(block, bytes);
    }
    free(block);
}

static void *zeros(size_t bytes)
{
    void *memory = NULL;

    if (posix_memalign(&memory, 64, bytes + 64) != 0)
        return NULL;
    memset(memory, 0, bytes + 64);
    return memory;
}

static int allocate_units(const struct engine *e, struct worker *w)
{
    for (uint32_t u = 0; u < units_of(e); u++) {
        struct unit *unit = &w->units[u];

        unit->slice = zeros(e->slices_max);
        unit->sum = zeros(sum_floats(u) * sizeof(float));
        unit->parked = zeros(parked_floats(e) * sizeof(float));
        if (unit->slice == NULL || unit->sum == NULL || unit->parked == NULL)
            return -1;
    }
    w->unit = w->units;
    return 0;
}

static int allocate_workers(struct engine *e)
{
    for (uint16_t i = 0; i < e->config.worker_count; i++) {
        struct worker *w = &e->worker[i];

        w->scratch = zeros(e->scratch_floats * sizeof(float));
        if (w->scratch == NULL || allocate_units(e, w) < 0)
            return -1;
    }
    return 0;
}

static int no_memory(struct fail *fail)
{
    return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory for buffers and KV cache: use a smaller --ctx or --batch");
}

/* All of a vector's values are checked, so that every node says the same of them. all: (its length) */
static int read_vector(const struct engine *e, const struct gguf_tensor *vector, float *all, struct fail *fail)
{
    const uint32_t count = (uint32_t)vector->dims[0];
    char name[GGUF_SHOWN_NAME_BYTES];

    model_read_vector(vector, count, all);
    for (uint32_t i = 0; i < count; i++) {
        if (isfinite(all[i]))
            continue;
        gguf_show_name(&vector->name, name);
        return fail_set(fail, EXIT_BAD_FILE, "%s: tensor '%s': value %u is not a finite number: the file is damaged: copy it again",
                        gguf_path(e->model->gguf), name, i);
    }
    return 0;
}

/* Values first .. first+count-1 to out. */
static int copy_vector(const struct engine *e, const struct gguf_tensor *vector, uint32_t first, uint32_t count, float *out,
                       struct fail *fail)
{
    float *all = zeros(vector->dims[0] * sizeof *all);
    int err = all == NULL ? no_memory(fail) : read_vector(e, vector, all, fail);

    if (err == 0)
        memcpy(out, all + first, count * sizeof *out);
    free(all);
    return err;
}

/* Own rows of the norm weights that will read a gather, padded with zeros. */
static int copy_norm(const struct engine *e, const struct gguf_tensor *norm, float **out, struct fail *fail)
{
    *out = zeros(padded(e->x_rows) * sizeof **out);
    if (*out == NULL)
        return no_memory(fail);
    return copy_vector(e, norm, (uint32_t)e->config.map->x[e->config.rank] * BLOCK_COLUMNS, e->x_rows, *out, fail);
}

/* Own rows of the biases of k, v and q, where their results stand. */
static int copy_biases(const struct engine *e, const struct model_layer *layer, float **out, struct fail *fail)
{
    struct rowmap_rows rows;

    *out = zeros(e->qkv_stride * sizeof **out);
    if (*out == NULL)
        return no_memory(fail);
    rowmap_rows(e->config.map, e->model, e->config.rank, &rows);
    if (copy_vector(e, layer->k_bias, rows.kv_first, rows.kv_count, *out + e->k_column, fail) < 0 ||
        copy_vector(e, layer->v_bias, rows.kv_first, rows.kv_count, *out + e->v_column, fail) < 0)
        return -1;
    return copy_vector(e, layer->q_bias, rows.z_first, rows.z_count, *out + e->q_column, fail);
}

static int copy_head_norms(const struct engine *e, const struct model_layer *layer, float **out, struct fail *fail)
{
    const uint32_t head_dim = e->model->head_dim;

    *out = zeros(2 * (size_t)head_dim * sizeof **out);
    if (*out == NULL)
        return no_memory(fail);
    if (read_vector(e, layer->k_norm, *out, fail) < 0)
        return -1;
    return read_vector(e, layer->q_norm, *out + head_dim, fail);
}

static int allocate_vectors(struct engine *e, struct fail *fail)
{
    for (uint32_t i = 0; i < e->model->layers; i++) {
        const struct model_layer *layer = &e->model->layer[i];
        struct phase *phase = &e->phase[i * ENGINE_PHASES_PER_LAYER];
        bool is_last = i + 1 == e->model->layers;

        if (copy_norm(e, layer->ffn_norm, &phase[PHASE_WO].norm, fail) < 0 ||
            copy_norm(e, is_last ? e->model->output_norm : layer[1].attn_norm, &phase[PHASE_DOWN].norm, fail) < 0)
            return -1;
        if (layer->q_bias != NULL && copy_biases(e, layer, &phase[PHASE_ATTENTION].bias, fail) < 0)
            return -1;
        if (layer->q_norm != NULL && copy_head_norms(e, layer, &phase[PHASE_ATTENTION].head_norms, fail) < 0)
            return -1;
    }
    return read_vector(e, e->model->layer[0].attn_norm, e->embed_norm, fail);
}

int engine_allocate(struct engine *e, struct fail *fail)
{
    struct buffer list[BUFFERS_MAX];
    size_t count = list_buffers(e, list);
    struct engine_memory planned;
    bool is_short = false;

    engine_memory(e, &planned);
    grow_heap(planned.buffer_bytes);
    for (size_t i = 0; i < count; i++) {
        void *memory = zeros(list[i].bytes);

        memcpy(list[i].at, &memory, sizeof memory);
        is_short |= memory == NULL;
    }
    if (is_short || allocate_workers(e) < 0)
        return no_memory(fail);
    if (allocate_vectors(e, fail) < 0)
        return -1;
    for (int i = 0; i < ENGINE_INBOXES; i++)
        if (inbox_init(&e->inbox[i], &e->inbox_limits, fail) < 0)
            return -1;
    if (inbox_init(&e->embed, &e->inbox_limits, fail) < 0)
        return -1;
    /* Last, or a small cache would get the memory for which the heap was grown. */
    e->kv = allocate_cache(e);
    if (e->kv == NULL)
        return no_memory(fail);
    atomic_store(&e->loads_left, engine_load_count(e));
    return rows_allocate(e->rows, fail);
}

void engine_layout_release(struct engine *e)
{
    struct buffer list[BUFFERS_MAX];
    size_t count = list_buffers(e, list);

    for (uint16_t i = 0; e->worker != NULL && i < e->config.worker_count; i++) {
        for (uint32_t u = 0; u < UNITS_MAX; u++) {
            free(e->worker[i].units[u].slice);
            free(e->worker[i].units[u].sum);
            free(e->worker[i].units[u].parked);
        }
        free(e->worker[i].scratch);
    }
    for (size_t i = 0; i < count; i++) {
        void *memory;

        memcpy(&memory, list[i].at, sizeof memory);
        free(memory);
    }
    free_cache(e);
    free(e->attention);
    for (int i = 0; i < ENGINE_INBOXES; i++)
        inbox_release(&e->inbox[i]);
    inbox_release(&e->embed);
    rows_drop(e->from);
    rows_drop(e->rows);
    for (uint16_t p = 0; e->phase != NULL && p < e->phase_count; p++) {
        free(e->phase[p].norm);
        free(e->phase[p].bias);
        free(e->phase[p].head_norms);
    }
    free(e->phase);
}
