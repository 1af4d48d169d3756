#include "train_pass.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "node/model/rope.h"

enum { ALIGNMENT = 64 };

/* Hands out pieces of one block of memory; without memory it only counts. */
struct arena {
    uint8_t *memory;
    size_t used;
};

static void *take(struct arena *arena, size_t count, size_t bytes)
{
    void *piece = arena->memory != NULL ? arena->memory + arena->used : NULL;

    arena->used += (count * bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return piece;
}

static float *floats(struct arena *arena, size_t count)
{
    return take(arena, count, sizeof(float));
}

static void lay_out_layer(struct train_kept *kept, const struct train_layout *layout, size_t tokens, struct arena *arena)
{
    const size_t dim = layout->shape.dim, hidden = layout->shape.hidden;

    kept->x = floats(arena, tokens * dim);
    kept->attn_in = floats(arena, tokens * dim);
    kept->qkv = floats(arena, tokens * layout->qkv_dim);
    kept->attended = floats(arena, tokens * dim);
    kept->middle = floats(arena, tokens * dim);
    kept->ffn_in = floats(arena, tokens * dim);
    kept->gate_up = floats(arena, tokens * 2 * hidden);
    kept->hidden = floats(arena, tokens * hidden);
    kept->attn_factor = floats(arena, tokens);
    kept->ffn_factor = floats(arena, tokens);
}

static void lay_out(struct train_pass *pass, const struct train_layout *layout, size_t tokens, uint16_t threads, struct arena *arena)
{
    const size_t dim = layout->shape.dim, hidden = layout->shape.hidden, pairs = layout->head_dim / 2;

    for (uint32_t l = 0; l < layout->shape.layers; l++)
        lay_out_layer(&pass->kept[l], layout, tokens, arena);
    pass->gradient = floats(arena, layout->count);
    pass->x = floats(arena, tokens * dim);
    pass->normed = floats(arena, tokens * dim);
    pass->factor = floats(arena, tokens);
    pass->logits_row = (layout->shape.vocab + 15) / 16 * 16;
    pass->logits = floats(arena, tokens * pass->logits_row);
    pass->token_loss = take(arena, tokens, sizeof *pass->token_loss);
    pass->dx = floats(arena, tokens * dim);
    pass->dnormed = floats(arena, tokens * dim);
    pass->dqkv = floats(arena, tokens * layout->qkv_dim);
    pass->dgate_up = floats(arena, tokens * 2 * hidden);
    pass->dhidden = floats(arena, tokens * hidden);
    pass->cosine = floats(arena, layout->shape.ctx * pairs);
    pass->sine = floats(arena, layout->shape.ctx * pairs);
    pass->scratch = take(arena, threads, sizeof *pass->scratch);
    pass->scratch_floats = GEMM_SCRATCH + train_attention_floats(layout);
    for (uint16_t t = 0; t < threads; t++) {
        float *scratch = floats(arena, pass->scratch_floats);

        if (arena->memory != NULL)
            pass->scratch[t] = scratch;
    }
}

uint64_t train_pass_bytes(const struct train_layout *layout, uint32_t rows, uint16_t threads)
{
    struct train_pass pass;
    struct arena arena = {NULL, 0};

    lay_out(&pass, layout, (size_t)rows * layout->shape.ctx, threads, &arena);
    return arena.used;
}

static void fill_rope(struct train_pass *pass)
{
    const uint32_t pairs = pass->layout->head_dim / 2;
    struct rope_parameters parameters;
    struct rope_config config;
    struct fail fail;

    rope_parameters_default(pass->layout->head_dim, &parameters);
    parameters.freq_base = TRAIN_ROPE_BASE;
    int failed = rope_config_init(&config, &parameters, NULL, &fail);
    assert(failed == 0); /* the layout has checked the size of a head */
    (void)failed;
    for (uint32_t position = 0; position < pass->layout->shape.ctx; position++)
        rope_table(&config, position, pass->cosine + (size_t)position * pairs, pass->sine + (size_t)position * pairs);
}

int train_pass_open(struct train_pass *pass, const struct train_layout *layout, const struct kernel *kernel, struct team *team,
                    uint32_t rows, const float *weights, struct fail *fail)
{
    struct arena arena = {NULL, 0};
    void *memory = NULL;

    assert(rows > 0);
    memset(pass, 0, sizeof *pass);
    pass->layout = layout;
    pass->kernel = kernel;
    pass->team = team;
    pass->rows = rows;
    pass->tokens = (size_t)rows * layout->shape.ctx;
    pass->weights = weights;
    pass->memory_bytes = train_pass_bytes(layout, rows, team_threads(team));
    if (posix_memalign(&memory, ALIGNMENT, pass->memory_bytes) != 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: cannot have %zu bytes for a batch: give a smaller --batch or --ctx",
                        pass->memory_bytes);
    pass->memory = arena.memory = memory;
    lay_out(pass, layout, pass->tokens, team_threads(team), &arena);
    assert(arena.used == pass->memory_bytes);
    fill_rope(pass);
    return 0;
}

void train_pass_close(struct train_pass *pass)
{
    free(pass->memory);
    pass->memory = NULL;
}

size_t train_pass_blocks(const struct train_pass *pass)
{
    return (pass->tokens + TRAIN_BLOCK - 1) / TRAIN_BLOCK;
}

void train_pass_block(const struct train_pass *pass, size_t task, size_t *first, size_t *last)
{
    *first = task * TRAIN_BLOCK;
    *last = pass->tokens - *first < TRAIN_BLOCK ? pass->tokens : *first + TRAIN_BLOCK;
}

struct gemm_work {
    struct train_pass *pass;
    const struct gemm *gemm;
    size_t wanted;
};

static void gemm_work(void *app, size_t task, uint16_t thread)
{
    const struct gemm_work *work = app;

    gemm_task(work->pass->kernel->train, work->gemm, work->wanted, task, work->pass->scratch[thread]);
}

void train_pass_gemm(struct train_pass *pass, const struct gemm *gemm)
{
    struct gemm_work work = {pass, gemm, 4u * team_threads(pass->team)};

    team_run(pass->team, gemm_tasks(pass->kernel->train, gemm, work.wanted), gemm_work, &work);
}
