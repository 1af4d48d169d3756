#include "recompute.h"

#include <inttypes.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "node/common/pool.h"
#include "node/common/spin.h"
#include "node/engine/head.h"
#include "node/engine/udp_driver.h"
#include "node/gguf/gguf_guard.h"
#include "node/run/run_options.h"
#include "recompute_state.h"

/* ---- opening ---- */

void recompute_guard(const char *program)
{
    gguf_guard_program(program);
}

struct recompute *recompute_open(const char *path, uint32_t threads, struct fail *fail)
{
    struct recompute *r = calloc(1, sizeof *r);
    const uint32_t all = 1, count = threads > 0 ? threads : pool_cores();

    if (r == NULL) {
        fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
        return NULL;
    }
    atomic_flag_clear(&r->telling);
    r->team = team_open((uint16_t)(count > TEAM_THREADS_MAX ? TEAM_THREADS_MAX : count), fail);
    if (r->team != NULL && (r->gguf = gguf_open(path, fail)) != NULL && (r->model = model_open(r->gguf, fail)) != NULL &&
        (r->tokenizer = tokenizer_open_for(r->gguf, r->model->vocab, fail)) != NULL && rowmap_init(&r->map, r->model, &all, 1, fail) == 0)
        return r;
    recompute_close(r);
    return NULL;
}

static void forget_log(struct recompute *r)
{
    for (struct heard *next; r->first != NULL; r->first = next) {
        next = r->first->next;
        free(r->first);
    }
    r->last = NULL;
}

void recompute_close(struct recompute *r)
{
    if (r == NULL)
        return;
    forget_log(r);
    engine_close(r->engine);
    free(r->message);
    tokenizer_close(r->tokenizer);
    model_close(r->model);
    gguf_close(r->gguf);
    team_close(r->team);
    free(r);
}

void recompute_fingerprint(const struct recompute *r, uint8_t out[32])
{
    gguf_fingerprint(r->gguf, out);
}

/* ---- what the engine tells ---- */

static bool has_fault(const struct engine *e)
{
    for (uint16_t i = 0; i < e->part_count; i++)
        if (e->part[i].fault.is_set)
            return true;
    return false;
}

static bool has_room(struct recompute *r, size_t bytes)
{
    uint8_t *grown = bytes > r->message_bytes ? realloc(r->message, bytes) : r->message;

    if (grown == NULL)
        return false;
    r->message = grown;
    r->message_bytes = bytes > r->message_bytes ? bytes : r->message_bytes;
    return true;
}

/* The messages that each recorded rank must have sent. With a fault, they include what each rank saw of it, which is not known here, so
 * none is passed on. */
static void tell_candidates(struct recompute *r, uint16_t phase)
{
    uint16_t first[MESH_RANKS_MAX + 1];
    uint32_t block_bytes;

    if (!r->has_shares || has_fault(r->engine))
        return;
    head_shape(r->engine, &r->shares, first, &block_bytes);
    for (uint16_t rank = 0; rank < r->shares.rank_count; rank++) {
        const uint16_t count = (uint16_t)(first[rank + 1] - first[rank]);
        const size_t bytes = (size_t)count * block_bytes;

        if (!has_room(r, bytes)) {
            r->has_no_memory = true;
            return;
        }
        head_write_other(r->engine, &r->shares, rank, r->message, bytes);
        const struct recompute_blocks blocks = {phase,       0,           1,          first[rank], count, first[r->shares.rank_count],
                                                block_bytes, block_bytes, r->message, bytes,       1,     NULL};
        r->hooks.on_blocks(r->hooks.app, &blocks);
    }
}

static void on_blocks(void *app, const struct engine_blocks *b)
{
    struct recompute *r = app;
    const struct engine *e = r->engine;
    const bool is_sampled = engine_is_last_layer(e, b->phase) && e->sample_count > 0;
    const struct recompute_blocks blocks = {b->phase,
                                            b->token_first,
                                            b->token_count,
                                            b->block_first,
                                            b->block_count,
                                            b->blocks,
                                            b->block_bytes,
                                            b->last_block_bytes,
                                            b->data,
                                            b->token_stride,
                                            engine_gather_rows(e, b->phase),
                                            is_sampled ? e->sample_token : NULL};

    if (r->is_filling || r->hooks.on_blocks == NULL)
        return;
    spin_lock(&r->telling);
    if (b->phase + 1u == r->engine->phase_count)
        tell_candidates(r, b->phase);
    else
        r->hooks.on_blocks(r->hooks.app, &blocks);
    spin_unlock(&r->telling);
}

static void on_token(void *app, uint64_t now_ns, const struct engine_token *token)
{
    struct recompute *r = app;

    (void)now_ns;
    if (r->hooks.on_token == NULL)
        return;
    spin_lock(&r->telling);
    r->hooks.on_token(r->hooks.app, token->request, token->index, token->id, token->digest);
    spin_unlock(&r->telling);
}

/* ---- an epoch ---- */

static bool is_end(const void *tokenizer, uint32_t id)
{
    return tokenizer_is_end(tokenizer, id);
}

static int kv_type_of(const char *name)
{
    for (int i = 0; run_kv_words[i] != NULL; i++)
        if (strcmp(run_kv_words[i], name) == 0)
            return i;
    return -1;
}

static int check_setup(const struct recompute *r, const struct recompute_setup *setup, struct fail *fail)
{
    if (setup->ctx < 1 || setup->ctx > r->model->ctx || setup->batch < 1 || setup->batch > ENGINE_BATCH_MAX || setup->slots < 1 ||
        setup->slots > ENGINE_SLOTS_MAX || setup->kv_type == NULL || kv_type_of(setup->kv_type) < 0)
        return fail_set(fail, EXIT_BAD_FILE,
                        "recorded with --ctx %u, --batch %u, %u slots, --kv-type %.20s: this model cannot be computed like that: "
                        "give the model of the recording",
                        setup->ctx, setup->batch, setup->slots, setup->kv_type != NULL ? setup->kv_type : "none");
    return 0;
}

static void load(void *app, size_t task, uint16_t thread)
{
    struct recompute *r = app;

    (void)thread;
    engine_load(r->engine, (uint32_t)task);
}

int recompute_begin(struct recompute *r, const struct recompute_setup *setup, const struct recompute_hooks *hooks, struct fail *fail)
{
    struct rows *rows = r->engine == NULL ? NULL : engine_rows(r->engine);
    const struct engine_hooks engine_hooks = {.on_blocks = on_blocks, .on_token = on_token, .app = r};

    if (check_setup(r, setup, fail) < 0) {
        rows_drop(rows);
        return -1;
    }
    const struct engine_config config = {
        .model = r->model,
        .map = &r->map,
        .worker_count = team_threads(r->team),
        .batch = setup->batch,
        .slots = setup->slots,
        .ctx = setup->ctx,
        .kv_type = (enum kv_type)kv_type_of(setup->kv_type),
        .kernel = kernel_choose(NULL),
        .follows = true,
        .is_end = is_end,
        .tokenizer = r->tokenizer,
    };

    engine_close(r->engine);
    forget_log(r);
    r->hooks = *hooks;
    r->steps = 0;
    r->has_shares = false;
    r->engine = engine_open(&config, &engine_hooks, fail);
    if (r->engine == NULL) {
        rows_drop(rows);
        return -1;
    }
    if (rows != NULL)
        engine_take_rows(r->engine, rows);
    if (engine_allocate(r->engine, fail) < 0)
        return -1;
    team_run(r->team, engine_load_count(r->engine), load, r);
    engine_attach(r->engine, NULL, NULL, udp_driver_now_ns, NULL);
    return 0;
}

int recompute_set_shares(struct recompute *r, const uint32_t *shares, uint16_t rank_count, struct fail *fail)
{
    r->has_shares = shares != NULL;
    return shares == NULL ? 0 : rowmap_init(&r->shares, r->model, shares, rank_count, fail);
}

bool recompute_first(const struct recompute *r, uint16_t phase, uint16_t *first)
{
    const enum phase_kind kind = phase < r->engine->phase_count ? r->engine->phase[phase].kind : PHASE_HEAD;
    const uint16_t *from = kind == PHASE_ATTENTION ? r->shares.z : kind == PHASE_GATE_UP ? r->shares.h : r->shares.x;

    if (!r->has_shares || kind == PHASE_HEAD)
        return false;
    memcpy(first, from, (r->shares.rank_count + 1u) * sizeof *first);
    return true;
}

uint16_t recompute_phases(const struct recompute *r)
{
    return r->engine->phase_count;
}

/* ---- the log ---- */

bool recompute_is_log(const uint8_t *record, size_t bytes)
{
    return bytes > 0 && (record[0] == RECORD_REQUEST || record[0] == RECORD_TOKENS || record[0] == RECORD_STEP);
}

int recompute_hear(struct recompute *r, const uint8_t *record, size_t bytes, uint64_t *step)
{
    struct heard *heard = malloc(sizeof *heard + bytes);
    struct bytes in = bytes_reader(record, bytes);
    struct step_entry entry;

    if (heard == NULL)
        return -1;
    *heard = (struct heard){.bytes = bytes};
    memcpy(heard->record, record, bytes);
    if (bytes_get_u8(&in) == RECORD_STEP && record_get_step(&in, &entry) == 0) {
        heard->is_step = true;
        heard->step = *step = entry.step;
    }
    *(r->last != NULL ? &r->last->next : &r->first) = heard;
    r->last = heard;
    return heard->is_step;
}

static void work(void *app, size_t task, uint16_t thread)
{
    struct recompute *r = app;

    (void)task;
    while (!atomic_load_explicit(&r->is_idle, memory_order_relaxed)) {
        const enum engine_work_result result = engine_work(r->engine, thread);

        if (result == ENGINE_IDLE)
            atomic_store(&r->is_idle, true);
        else if (result == ENGINE_WAITING)
            sched_yield();
    }
}

/* Run until no step is left. A thread that calls while another one opens a step gets nothing to do, so engine_work is asked again. */
static void run(struct recompute *r)
{
    do {
        atomic_store(&r->is_idle, false);
        team_run(r->team, team_threads(r->team), work, r);
    } while (engine_work(r->engine, 0) != ENGINE_IDLE);
}

/* Steps of the engine's log are numbered without gaps. */
static bool follow_step(struct recompute *r, struct step_entry *entry)
{
    uint8_t record[RECORD_BYTES_MAX];

    entry->step = r->steps;
    if (!engine_follow(r->engine, record, record_put_step(entry, record)))
        return false;
    r->steps++;
    run(r);
    return true;
}

/* Positions from .. end-1 of a request, nothing drawn. */
static bool fill(struct recompute *r, uint64_t request, uint32_t end)
{
    bool is_done = true;

    r->is_filling = true;
    for (uint32_t at = 0; at < end && is_done;) {
        const uint32_t batch = r->engine->config.batch, count = end - at < batch ? end - at : batch;
        struct step_entry entry = {.part_count = 1, .part = {{.request = request, .position = at, .count = (uint16_t)count}}};

        is_done = follow_step(r, &entry);
        at += count;
    }
    r->is_filling = false;
    return is_done;
}

static bool take_step(struct recompute *r, const struct heard *heard)
{
    struct bytes in = bytes_reader(heard->record + 1, heard->bytes - 1);
    struct step_entry entry;

    if (record_get_step(&in, &entry) < 0)
        return false;
    for (uint16_t i = 0; i < entry.part_count; i++)
        if (entry.part[i].begins && !fill(r, entry.part[i].request, entry.part[i].position))
            return false;
    return follow_step(r, &entry);
}

int recompute_step(struct recompute *r, uint64_t step)
{
    bool is_done = false, is_found = false;

    r->has_no_memory = false;
    while (r->first != NULL && !is_found) {
        struct heard *heard = r->first;

        if (heard->is_step && heard->step > step)
            break;
        r->first = heard->next;
        if (r->first == NULL)
            r->last = NULL;
        is_found = heard->is_step && heard->step == step;
        if (heard->is_step)
            is_done = take_step(r, heard);
        else
            (void)engine_follow(r->engine, heard->record, heard->bytes); /* other records do not matter */
        free(heard);
    }
    if (r->has_no_memory)
        return -1;
    return is_found && is_done ? 0 : 1;
}

int recompute_request(struct recompute *r, const struct request *request, struct fail *fail)
{
    uint8_t record[RECORD_BYTES_MAX];
    const uint64_t tokens = (uint64_t)request->prompt_count + request->predict;
    const uint32_t last = request->prompt_count - 1;
    const uint32_t end = tokens - 1 < r->engine->config.ctx ? (uint32_t)tokens - 1 : r->engine->config.ctx;

    if (request_check(request, r->engine->config.ctx, r->model->vocab, fail) < 0) {
        fail->exit_code = EXIT_BAD_FILE;
        return -1;
    }
    for (uint32_t i = 0; i < record_request_count(request); i++)
        if (!engine_follow(r->engine, record, record_put_request(request, i, record)))
            return fail_set(fail, EXIT_BAD_FILE, "request %" PRIu64 ": it cannot be begun: record again", request->id);
    if (!fill(r, request->id, last))
        return fail_set(fail, EXIT_BAD_FILE, "request %" PRIu64 ": its prompt cannot be computed: record again", request->id);
    for (uint32_t at = last; at < end; at++) {
        struct step_entry entry = {.part_count = 1,
                                   .part = {{.request = request->id, .position = at, .count = 1, .is_sampled = true, .begins = at == 0}}};

        if (!follow_step(r, &entry))
            break;
    }
    return 0;
}
