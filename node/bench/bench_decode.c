/* Whole steps of the engine, one node: of one request, alternating with plain reads of memory by the same threads, with steps of several
 * requests together, and at the end of a long context.
 *
 * The threads go from step to step together: compute one, read a piece of memory, compute the next. With one thread times are the thread's
 * processor time, so that other programs do not count; with more they are wall-clock times. */
#include <assert.h>
#include <inttypes.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "bench_memory.h"
#include "bench_model.h"
#include "node/common/pool.h"
#include "node/engine/engine.h"
#include "node/engine/udp_driver.h"

enum {
    PROMPT_TOKENS = 128,
    TOKENS = 16, /* of a run, after the first */
    TOKENS_QUICK = 4,
    RUNS = 5,
    CONTEXT = 2048,
    CONTEXT_QUICK = 512,
    FEW_POSITIONS = 64, /* compared with a full context */
    TOGETHER = 8,       /* requests, at most */
    TOGETHER_WAYS = 3,
    TOGETHER_PROMPT_TOKENS = PROMPT_TOKENS / TOGETHER,
    TOGETHER_WARM = 4, /* steps until all of them generate */
    READ_CHUNKS = 4    /* per thread, between two tokens */
};

static const uint32_t together_counts[TOGETHER_WAYS] = {2, 4, TOGETHER}; /* requests */

struct decode {
    struct bench *bench;
    const struct bench_memory *memory;
    struct engine *engine;
    struct request request;
    uint32_t runs, tokens, context;
    uint16_t threads;
    uint64_t ids;                     /* given to requests */
    _Atomic uint32_t made, load_next; /* tokens, in all runs; tiles */
    _Atomic uint32_t arrived, rounds; /* of the barrier */
    _Atomic size_t chunk;             /* to be read next */
    uint64_t weight_bytes_per_token;
    struct bench_series prompt_per_s, tokens_per_s, gb_per_s, read_gb_per_s, together_per_s[TOGETHER_WAYS];
    struct bench_series few_ns, full_ns; /* a token's time with few positions and with nearly a full context */
};

/* A barrier that spins, since sleeping threads would wake late. */
static void meet(struct decode *d)
{
    uint32_t round = atomic_load(&d->rounds);

    if (atomic_fetch_add(&d->arrived, 1) + 1 == d->threads) {
        atomic_store(&d->arrived, 0);
        atomic_fetch_add(&d->rounds, 1);
        return;
    }
    for (uint32_t spins = 0; atomic_load(&d->rounds) == round; spins++)
        if (spins > 1000)
            sched_yield();
}

static void on_token(void *app, uint64_t now_ns, const struct engine_token *token)
{
    struct decode *d = app;

    (void)now_ns, (void)token;
    atomic_fetch_add(&d->made, 1);
}

static uint64_t time_ns(const struct decode *d)
{
    return d->threads == 1 ? bench_memory_thread_ns() : mesh_udp_now_ns();
}

/* All threads compute until there are `target` tokens. Returns the time that took. */
static uint64_t time_token(struct decode *d, uint16_t worker, uint32_t target)
{
    meet(d);
    uint64_t begin_ns = time_ns(d);
    while (atomic_load_explicit(&d->made, memory_order_acquire) < target)
        if (engine_work(d->engine, worker) != ENGINE_WORKED && d->threads > 1)
            sched_yield();
    meet(d);
    return time_ns(d) - begin_ns;
}

static uint64_t time_read(struct decode *d)
{
    size_t count = d->memory->bytes / BENCH_CHUNK_BYTES;
    uint64_t begin_ns = time_ns(d);

    for (int i = 0; i < READ_CHUNKS; i++)
        bench_memory_read(d->memory, d->memory->data + atomic_fetch_add(&d->chunk, 1) % count * BENCH_CHUNK_BYTES, BENCH_CHUNK_BYTES);
    meet(d);
    return time_ns(d) - begin_ns;
}

static void submit(struct decode *d, uint32_t prompt_count, uint32_t predict)
{
    d->request.id = ++d->ids;
    d->request.prompt_count = prompt_count;
    d->request.predict = predict;
    while (!engine_submit(d->engine, &d->request))
        engine_work(d->engine, 0);
}

static uint64_t weight_bytes(const struct decode *d)
{
    struct engine_figures figures;

    engine_figures(d->engine, &figures);
    return figures.weight_bytes_read;
}

/* One request: its prompt, then token by token, with reads in between. made: tokens before. */
static void run_one(struct decode *d, uint16_t worker, uint32_t made)
{
    struct bench_series token = {.count = 0}, read = {.count = 0};
    const uint32_t tokens = d->tokens;

    assert(tokens > 0);
    if (worker == 0)
        submit(d, PROMPT_TOKENS, tokens + 1);
    uint64_t prompt_ns = time_token(d, worker, ++made), before_bytes = weight_bytes(d);
    for (uint32_t t = 1; t <= tokens; t++) {
        bench_add(&token, 1e9 / (double)(time_token(d, worker, made + t) + 1));
        bench_add(&read, (double)READ_CHUNKS * BENCH_CHUNK_BYTES * d->threads / (double)(time_read(d) + 1));
    }
    if (worker != 0)
        return;
    d->weight_bytes_per_token = (weight_bytes(d) - before_bytes) / tokens;
    double tokens_per_s = bench_stat_of(&token).median;
    bench_add(&d->prompt_per_s, PROMPT_TOKENS * 1e9 / (double)(prompt_ns + 1));
    bench_add(&d->tokens_per_s, tokens_per_s);
    bench_add(&d->gb_per_s, tokens_per_s * (double)d->weight_bytes_per_token / 1e9);
    bench_add(&d->read_gb_per_s, bench_stat_of(&read).median);
}

/* Several requests: steps that have a token of each. Returns how many tokens were made. */
static uint32_t run_together(struct decode *d, uint16_t worker, uint32_t made, uint32_t count, struct bench_series *series)
{
    const uint32_t tokens = d->tokens, predict = 2 * TOGETHER_WARM + tokens;
    struct bench_series step = {.count = 0};

    for (uint32_t i = 0; worker == 0 && i < count; i++)
        submit(d, TOGETHER_PROMPT_TOKENS, predict);
    time_token(d, worker, made + count * TOGETHER_WARM);
    for (uint32_t t = 1; t <= tokens; t++)
        bench_add(&step, count * 1e9 / (double)(time_token(d, worker, made + count * (TOGETHER_WARM + t)) + 1));
    time_token(d, worker, made + count * predict);
    if (worker == 0)
        bench_add(series, bench_stat_of(&step).median);
    return count * predict;
}

/* The time of a token at `positions` positions: the median of the tokens up to there. Returns how many tokens were made. */
static uint32_t run_positions(struct decode *d, uint16_t worker, uint32_t made, uint32_t positions, struct bench_series *series)
{
    const uint32_t tokens = d->tokens;
    struct bench_series token = {.count = 0};

    if (worker == 0)
        submit(d, positions - tokens, tokens + 1);
    time_token(d, worker, ++made);
    for (uint32_t t = 1; t <= tokens; t++)
        bench_add(&token, (double)time_token(d, worker, made + t));
    if (worker == 0)
        bench_add(series, bench_stat_of(&token).median);
    return tokens + 1;
}

/* A full context, measured between two measurements of few positions: its prompt takes long, so this is not part of every run. */
static void run_context(struct decode *d, uint16_t worker, uint32_t made)
{
    made += run_positions(d, worker, made, FEW_POSITIONS, &d->few_ns);
    made += run_positions(d, worker, made, d->context, &d->full_ns);
    made += run_positions(d, worker, made, FEW_POSITIONS, &d->few_ns);
    run_positions(d, worker, made, d->context, &d->full_ns);
}

/* Returns how many tokens were made. */
static uint32_t run_once(struct decode *d, uint16_t worker, uint32_t made)
{
    const uint32_t before = made;

    run_one(d, worker, made);
    made += d->tokens + 1;
    for (size_t i = 0; i < TOGETHER_WAYS; i++)
        made += run_together(d, worker, made, together_counts[i], &d->together_per_s[i]);
    return made - before;
}

static void work(void *app, uint16_t worker)
{
    struct decode *d = app;
    uint32_t count = engine_load_count(d->engine), index, made = 0;

    kernel_thread_init();
    while ((index = atomic_fetch_add(&d->load_next, 1)) < count)
        engine_load(d->engine, index);
    meet(d);
    for (uint32_t r = 0; r < d->runs; r++)
        made += run_once(d, worker, made);
    if (d->threads == 1)
        run_context(d, worker, made);
}

static int run_threads(struct decode *d, const struct model *model, struct fail *fail)
{
    struct engine_hooks hooks = {.on_token = on_token, .app = d};
    struct engine_config config = {
        .model = model,
        .worker_count = d->threads,
        .batch = PROMPT_TOKENS,
        .slots = TOGETHER,
        .ctx = d->context,
        .kv_type = KV_F16,
        .kernel = d->bench->kernel,
    };
    struct rowmap map;
    const uint32_t share[MESH_RANKS_MAX] = {1};

    if (rowmap_init(&map, model, share, 1, fail) < 0)
        return -1;
    config.map = &map;
    d->engine = engine_open(&config, &hooks, fail);
    if (d->engine == NULL || engine_allocate(d->engine, fail) < 0) {
        engine_close(d->engine);
        return -1;
    }
    engine_attach(d->engine, NULL, NULL, udp_driver_now_ns, NULL);
    struct pool *pool = pool_start(d->threads, work, d, fail);
    pool_join(pool);
    engine_close(d->engine);
    return fail->text[0] != '\0' ? -1 : 0;
}

static void print(struct decode *d, const char *shape, const char *type)
{
    char name[64];
    struct bench_row row = {.event = "decode", .name = name};

    snprintf(name, sizeof name, "%s %s, %u thread%s", shape, type, d->threads, d->threads == 1 ? "" : "s");
    bench_label_text(&row, "model", shape);
    bench_label_text(&row, "type", type);
    bench_label_text(&row, "kernel", d->bench->kernel->name);
    bench_label_number(&row, "threads", d->threads);
    bench_label_number(&row, "weight_bytes_per_token", d->weight_bytes_per_token);
    bench_value(&row, "read_gb_per_s", "GB/s read", 1, bench_stat_of(&d->read_gb_per_s));
    bench_value(&row, "decode_gb_per_s", "GB/s", 1, bench_stat_of(&d->gb_per_s));
    bench_value(&row, "decode_read_ratio", "of read", 2, bench_ratio_of(&d->gb_per_s, &d->read_gb_per_s));
    bench_value(&row, "gen_tok_per_s", "tok/s", 1, bench_stat_of(&d->tokens_per_s));
    bench_value(&row, "prompt_tok_per_s", "tok/s prompt", 0, bench_stat_of(&d->prompt_per_s));
    bench_print(d->bench, &row);
}

static void print_together(struct decode *d, const char *shape, const char *type, size_t way)
{
    char name[64];
    struct bench_row row = {.event = "decode_together", .name = name};

    snprintf(name, sizeof name, "%s %s, %u thread%s, %" PRIu32 " requests", shape, type, d->threads, d->threads == 1 ? "" : "s",
             together_counts[way]);
    bench_label_text(&row, "model", shape);
    bench_label_text(&row, "type", type);
    bench_label_text(&row, "kernel", d->bench->kernel->name);
    bench_label_number(&row, "threads", d->threads);
    bench_label_number(&row, "requests", together_counts[way]);
    bench_value(&row, "gen_tok_per_s", "tok/s", 1, bench_stat_of(&d->together_per_s[way]));
    bench_value(&row, "one_request_ratio", "of one request", 2, bench_ratio_of(&d->together_per_s[way], &d->tokens_per_s));
    bench_print(d->bench, &row);
}

static void print_context(struct decode *d, const char *shape, const char *type)
{
    char name[64];
    struct bench_row row = {.event = "decode_context", .name = name};

    snprintf(name, sizeof name, "%s %s, context of %u", shape, type, d->context);
    bench_label_text(&row, "model", shape);
    bench_label_text(&row, "type", type);
    bench_label_text(&row, "kernel", d->bench->kernel->name);
    bench_label_number(&row, "threads", d->threads);
    bench_label_number(&row, "positions", d->context);
    bench_label_number(&row, "few_positions", FEW_POSITIONS);
    bench_value(&row, "few_ratio", "of a token's time at 64", 2, bench_ratio_of(&d->full_ns, &d->few_ns));
    bench_print(d->bench, &row);
}

static int measure(struct bench *bench, const struct bench_memory *memory, const struct model *model, const char *shape,
                   enum tensor_type type, uint16_t threads, struct fail *fail)
{
    struct decode *d = calloc(1, sizeof *d);
    uint32_t prompt[CONTEXT];

    if (d == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    for (uint32_t i = 0; i < CONTEXT; i++)
        prompt[i] = (300 + i * 37) % model->vocab;
    d->bench = bench;
    d->memory = memory;
    d->threads = threads;
    d->runs = bench->quick ? 2 : RUNS;
    d->tokens = bench->quick ? TOKENS_QUICK : TOKENS;
    d->context = bench->quick ? CONTEXT_QUICK : CONTEXT;
    d->request = (struct request){
        .prompt = prompt,
        .sampling = {.top_p = 1, .repeat_penalty = 1},
        .ignore_end = true,
    };
    int err = run_threads(d, model, fail);
    if (err == 0) {
        print(d, shape, tensor_type_info(type)->name);
        for (size_t i = 0; i < TOGETHER_WAYS; i++)
            print_together(d, shape, tensor_type_info(type)->name, i);
        if (threads == 1)
            print_context(d, shape, tensor_type_info(type)->name);
    }
    free(d);
    return err;
}

/* One shape and type, on one thread and on two. */
static int measure_type(struct bench *bench, const struct bench_memory *memory, const struct bench_shape *shape, enum tensor_type type,
                        struct fail *fail)
{
    struct bench_model file;
    char text[64];
    int err = -1;

    snprintf(text, sizeof text, "decode %s %s", shape->name, tensor_type_info(type)->name);
    if (!bench_has_memory(bench, text, 2 * bench_model_bytes(shape, type) + (400u << 20)))
        return 0;
    bench_progress(bench, text);
    if (bench_model_write(&file, shape, type, fail) < 0)
        return -1;
    struct gguf *gguf = gguf_open(file.path, fail);
    struct model *model = gguf == NULL ? NULL : model_open(gguf, fail);
    if (model != NULL) {
        err = measure(bench, memory, model, shape->name, type, 1, fail);
        if (err == 0 && bench->cores > 1)
            err = measure(bench, memory, model, shape->name, type, 2, fail);
    }
    model_close(model);
    gguf_close(gguf);
    bench_model_close(&file);
    return err;
}

int bench_decode(struct bench *bench, struct fail *fail)
{
    const struct bench_shape *shape = bench->quick ? &bench_shape_small : &bench_shape_1b;
    struct bench_memory memory;

    if (!bench_has_memory(bench, "decode", bench->buffer_bytes))
        return 0;
    bench_progress(bench, "filling memory");
    if (bench_memory_open(&memory, bench->buffer_bytes, fail) < 0)
        return -1;
    bench_heading(bench, "decode: whole steps of one node, in turns with plain reads by the same threads; prompts of 128 tokens");
    static const enum tensor_type types[] = {TYPE_Q8_0, TYPE_Q4_0};
    int err = 0;
    if (bench->type >= 0)
        err = measure_type(bench, &memory, shape, (enum tensor_type)bench->type, fail);
    for (size_t i = 0; bench->type < 0 && i < sizeof types / sizeof *types && err == 0; i++)
        err = measure_type(bench, &memory, shape, types[i], fail);
    bench_memory_close(&memory);
    return err;
}
