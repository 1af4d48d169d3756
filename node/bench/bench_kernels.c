/* Plain reads of memory, and the dot products of every tensor type alternating with them, on one thread.
 *
 * A run goes over many chunks: plain read, dot product, plain read, ... and takes the median chunk of each, so that an interrupt or another
 * program does not count. Times are the thread's processor time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "bench_memory.h"

enum {
    PROMPT_TOKENS = 64,
    RUNS = 7,
    CHUNKS_PER_RUN = 12,
    PROMPT_BYTES = 256 << 10, /* panel bytes multiplied in one prompt measurement */
    FLOAT_PROMPT_BYTES = 1 << 20
};

struct kernels {
    struct bench *bench;
    struct bench_memory memory;
    struct act_slice *q;     /* (PROMPT_TOKENS) */
    uint8_t *panel;          /* the same as a token panel, if the kernel has them */
    struct act_slice_f32 *f; /* (PROMPT_TOKENS) */
    float *out;              /* (panels of a chunk, PANEL_ROWS) or (PROMPT_TOKENS, panels, PANEL_ROWS) */
};

struct type_series {
    struct bench_series read_gb_per_s, decode_gb_per_s, decode_gmac_per_s, prompt_gmac_per_s;
};

static size_t least_panel_bytes(void)
{
    size_t least = SIZE_MAX;

    for (int t = 0; t < TYPE_COUNT; t++) {
        const struct tensor_type_info *info = tensor_type_info((enum tensor_type)t);

        if (info != NULL) {
            size_t bytes = kernel_panel_bytes((enum tensor_type)t, SLICE_COLUMNS);

            least = bytes < least ? bytes : least;
        }
    }
    return least;
}

static void fill_activations(struct kernels *k)
{
    uint8_t wire[SLICE_BLOCKS * BLOCK_WIRE_BYTES];
    const struct kernel_tokens_wire blocks = {.data = wire, .block_stride = BLOCK_WIRE_BYTES, .blocks = SLICE_BLOCKS, .with_halves = true};
    const float d = 1.0f / 64.0f;

    for (size_t t = 0; t < PROMPT_TOKENS; t++) {
        for (size_t c = 0; c < SLICE_COLUMNS; c++) {
            const int8_t q = (int8_t)((int)((t * 37 + c * 11) % 255) - 127);
            uint8_t *block = wire + c / BLOCK_COLUMNS * BLOCK_WIRE_BYTES;

            memcpy(block, &d, sizeof d);
            block[4 + c % BLOCK_COLUMNS] = (uint8_t)q;
            k->f[t].v[c] = (float)q / 127.0f;
        }
        kernel_unpack(wire, BLOCK_WIRE_BYTES, 0, SLICE_BLOCKS, false, &k->q[t]);
        if (k->bench->kernel->tokens != NULL)
            k->bench->kernel->tokens->put(&blocks, k->panel, PROMPT_TOKENS, t, 1);
    }
}

static int open_kernels(struct kernels *k, struct fail *fail)
{
    size_t out_bytes = BENCH_CHUNK_BYTES / least_panel_bytes() * PANEL_ROWS * sizeof *k->out;
    void *q = NULL, *panel = NULL, *f = NULL, *out = NULL;

    if (posix_memalign(&q, 64, PROMPT_TOKENS * sizeof *k->q) != 0 || posix_memalign(&f, 64, PROMPT_TOKENS * sizeof *k->f) != 0 ||
        posix_memalign(&panel, 64, PROMPT_TOKENS * sizeof *k->q) != 0 || posix_memalign(&out, 64, out_bytes) != 0) {
        free(q);
        free(panel);
        free(f);
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    }
    k->q = memset(q, 0, PROMPT_TOKENS * sizeof *k->q);
    k->panel = panel;
    k->f = memset(f, 0, PROMPT_TOKENS * sizeof *k->f);
    k->out = memset(out, 0, out_bytes);
    fill_activations(k);
    return bench_memory_open(&k->memory, k->bench->buffer_bytes, fail);
}

static void close_kernels(struct kernels *k)
{
    bench_memory_close(&k->memory);
    free(k->q);
    free(k->panel);
    free(k->f);
    free(k->out);
}

/* ---- measuring ---- */

static double gb_per_s(size_t bytes, uint64_t ns)
{
    return (double)bytes / (double)(ns > 0 ? ns : 1);
}

static uint64_t time_read(struct kernels *k)
{
    const uint8_t *chunk = bench_memory_next(&k->memory);
    uint64_t begin_ns = bench_memory_thread_ns();

    bench_memory_read(&k->memory, chunk, BENCH_CHUNK_BYTES);
    return bench_memory_thread_ns() - begin_ns;
}

/* Multiply `panels` panels of the next chunk by `tokens` tokens. */
static uint64_t time_dot(struct kernels *k, enum tensor_type type, size_t panels, size_t tokens)
{
    bool is_float = tensor_type_info(type)->is_float;
    const uint8_t *chunk = bench_memory_next(&k->memory);
    const void *x = is_float ? (const void *)k->f : (const void *)k->q;
    size_t stride = is_float ? sizeof *k->f : sizeof *k->q;
    const struct kernel_tokens *beside = tokens > 1 ? k->bench->kernel->tokens : NULL;
    uint64_t begin_ns = bench_memory_thread_ns();

    if (beside != NULL && beside->dot[type] != NULL)
        beside->dot[type](chunk, panels, SLICE_COLUMNS, k->panel, tokens, k->out, panels * PANEL_ROWS, false);
    else
        k->bench->kernel->dot[type](chunk, panels, SLICE_COLUMNS, x, stride, tokens, k->out, panels * PANEL_ROWS, false);
    return bench_memory_thread_ns() - begin_ns;
}

static void run_once(struct kernels *k, enum tensor_type type, struct type_series *series)
{
    size_t panel_bytes = kernel_panel_bytes(type, SLICE_COLUMNS), panels = BENCH_CHUNK_BYTES / panel_bytes;
    size_t prompt_panels = (tensor_type_info(type)->is_float ? FLOAT_PROMPT_BYTES : PROMPT_BYTES) / panel_bytes;
    size_t weights = (size_t)PANEL_ROWS * SLICE_COLUMNS;
    struct bench_series read = {.count = 0}, decode = {.count = 0}, prompt = {.count = 0};

    for (int i = 0; i < (k->bench->quick ? 2 : CHUNKS_PER_RUN); i++) {
        bench_add(&read, gb_per_s(BENCH_CHUNK_BYTES, time_read(k)));
        bench_add(&decode, gb_per_s(panels * panel_bytes, time_dot(k, type, panels, 1)));
        bench_add(&prompt, gb_per_s(prompt_panels * weights * PROMPT_TOKENS, time_dot(k, type, prompt_panels, PROMPT_TOKENS)));
    }
    double decode_median = bench_stat_of(&decode).median;
    bench_add(&series->read_gb_per_s, bench_stat_of(&read).median);
    bench_add(&series->decode_gb_per_s, decode_median);
    bench_add(&series->decode_gmac_per_s, decode_median * (double)weights / (double)panel_bytes);
    bench_add(&series->prompt_gmac_per_s, bench_stat_of(&prompt).median);
}

static void measure_type(struct kernels *k, enum tensor_type type)
{
    struct type_series series = {.read_gb_per_s = {.count = 0}};
    const char *name = tensor_type_info(type)->name;
    struct bench_row row = {.event = "kernel", .name = name};

    bench_progress(k->bench, name);
    for (int r = 0; r < (k->bench->quick ? 2 : RUNS); r++)
        run_once(k, type, &series);
    bench_label_text(&row, "type", name);
    bench_label_text(&row, "kernel", k->bench->kernel->name);
    bench_label_number(&row, "threads", 1);
    bench_label_number(&row, "prompt_tokens", PROMPT_TOKENS);
    bench_value(&row, "read_gb_per_s", "GB/s", 1, bench_stat_of(&series.read_gb_per_s));
    bench_value(&row, "decode_gb_per_s", "GB/s", 1, bench_stat_of(&series.decode_gb_per_s));
    bench_value(&row, "decode_read_ratio", "of read", 2, bench_ratio_of(&series.decode_gb_per_s, &series.read_gb_per_s));
    bench_value(&row, "prompt_gmac_per_s", "GMAC/s", 0, bench_stat_of(&series.prompt_gmac_per_s));
    bench_value(&row, "prompt_decode_ratio", "x decode", 1, bench_ratio_of(&series.prompt_gmac_per_s, &series.decode_gmac_per_s));
    bench_print(k->bench, &row);
}

int bench_kernels(struct bench *bench, struct fail *fail)
{
    static const enum tensor_type types[] = {TYPE_Q8_0, TYPE_Q4_0, TYPE_Q4_1, TYPE_Q5_0, TYPE_Q5_1, TYPE_Q2_K, TYPE_Q3_K,
                                             TYPE_Q4_K, TYPE_Q5_K, TYPE_Q6_K, TYPE_F16,  TYPE_BF16, TYPE_F32};
    struct kernels k = {.bench = bench};
    char heading[200];

    if (!bench_has_memory(bench, "kernels", bench->buffer_bytes))
        return 0;
    bench_progress(bench, "filling memory");
    if (open_kernels(&k, fail) < 0) {
        close_kernels(&k);
        return -1;
    }
    snprintf(heading, sizeof heading, "kernels: %s, 1 thread: plain read (%s), decode (1 token), prompt (%d tokens)", bench->kernel->name,
             bench_memory_loop_name(&k.memory), PROMPT_TOKENS);
    bench_heading(bench, heading);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (bench->kernel->dot[types[i]] != NULL && (bench->type < 0 || bench->type == (int)types[i]))
            measure_type(&k, types[i]);
    close_kernels(&k);
    return 0;
}
