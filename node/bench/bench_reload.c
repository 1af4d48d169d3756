/* Loading by a survivor when one of three nodes has died: all rows of its new share from the file, or only those that it lacks, alternating
 * in one process. One thread, whose processor time is measured, so other programs do not count. */
#include <stdio.h>

#include "bench.h"
#include "bench_memory.h"
#include "node/engine/engine.h"

enum { NODES = 3, RUNS = 9, RUNS_QUICK = 3, CONTEXT = 512, BATCH = 128, SLOTS = 4 };

struct reload {
    const struct model *model;
    const struct kernel *kernel;
    struct bench_series file_ms, kept_ms, copied_percent;
};

static struct engine *open_engine(const struct reload *r, const struct rowmap *map, uint16_t rank, struct rows *rows, struct fail *fail)
{
    const struct engine_config config = {.model = r->model,
                                         .map = map,
                                         .rank = rank,
                                         .worker_count = 1,
                                         .batch = BATCH,
                                         .slots = SLOTS,
                                         .ctx = CONTEXT,
                                         .kv_type = KV_F16,
                                         .kernel = r->kernel,
                                         .keeps = true};
    struct engine *engine = engine_open(&config, NULL, fail);

    if (engine == NULL) {
        rows_drop(rows);
        return NULL;
    }
    if (rows != NULL)
        engine_take_rows(engine, rows);
    if (engine_allocate(engine, fail) < 0) {
        engine_close(engine);
        return NULL;
    }
    return engine;
}

static void load(struct engine *engine)
{
    for (uint32_t i = 0, count = engine_load_count(engine); i < count; i++)
        engine_load(engine, i);
}

/* Rank 0 or 1 of three continues as that of two: the first one keeps all its rows, the middle one half of them. */
static int reload(struct reload *r, uint16_t rank, bool keeps, struct fail *fail)
{
    static const uint32_t shares[NODES] = {1, 1, 1};
    struct rowmap before_map, map;
    struct engine_figures figures;
    struct engine_memory memory;
    struct engine *before, *engine;
    struct rows *rows;
    uint64_t begin_ns;

    if (rowmap_init(&before_map, r->model, shares, NODES, fail) < 0 || rowmap_init(&map, r->model, shares, NODES - 1, fail) < 0)
        return -1;
    before = open_engine(r, &before_map, rank, NULL, fail);
    if (before == NULL)
        return -1;
    load(before);
    begin_ns = bench_memory_thread_ns();
    rows = keeps ? engine_rows(before) : NULL;
    engine_close(before);
    engine = open_engine(r, &map, rank, rows, fail);
    if (engine == NULL)
        return -1;
    load(engine);
    bench_add(keeps ? &r->kept_ms : &r->file_ms, (double)(bench_memory_thread_ns() - begin_ns) / 1e6);
    engine_figures(engine, &figures);
    engine_memory(engine, &memory);
    if (keeps)
        bench_add(&r->copied_percent, 100.0 * (double)figures.copied_bytes / (double)memory.weight_bytes);
    engine_close(engine);
    return 0;
}

static int measure(struct bench *bench, struct reload *r, const char *name, uint16_t rank, struct fail *fail)
{
    const char *survivor = rank == 0 ? "first" : "middle";
    char people[60];
    struct bench_row row = {.event = "reload", .name = people};

    r->file_ms.count = r->kept_ms.count = r->copied_percent.count = 0;
    for (int i = 0; i < (bench->quick ? RUNS_QUICK : RUNS); i++)
        if (reload(r, rank, false, fail) < 0 || reload(r, rank, true, fail) < 0)
            return -1;
    snprintf(people, sizeof people, "%s, %s", name, survivor);
    bench_label_text(&row, "model", name);
    bench_label_text(&row, "survivor", survivor);
    bench_label_number(&row, "nodes", NODES);
    bench_value(&row, "file_ms", "ms CPU to load the share of 2 from the file", 1, bench_stat_of(&r->file_ms));
    bench_value(&row, "kept_ms", "with the rows of that of 3", 1, bench_stat_of(&r->kept_ms));
    bench_value(&row, "kept_ratio", "of it", 2, bench_ratio_of(&r->kept_ms, &r->file_ms));
    bench_value(&row, "copied_percent", "% copied", 0, bench_stat_of(&r->copied_percent));
    bench_print(bench, &row);
    return 0;
}

int bench_reload(struct bench *bench, const char *name, const char *path, struct fail *fail)
{
    static struct reload r;
    struct gguf *gguf = gguf_open(path, fail);
    struct model *model = gguf == NULL ? NULL : model_open(gguf, fail);
    int err = model == NULL ? -1 : 0;

    engine_keep_heap();
    r = (struct reload){.model = model, .kernel = bench->kernel};
    for (uint16_t rank = 0; rank < 2 && err == 0; rank++)
        err = measure(bench, &r, name, rank, fail);
    model_close(model);
    gguf_close(gguf);
    return err;
}
