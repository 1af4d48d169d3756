/* The engine as its users see it: opening, loading, working, figures. What happens inside a step is in engine_step.c, unit.c and
 * the files of the kinds of units. */
#include "engine.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine_layout.h"
#include "engine_state.h"
#include "head.h"
#include "node/common/bytes.h"
#include "node/common/hash.h"

enum {
    LOOK_NS = 200000,       /* between two polls: each is a system call, and a worker that needs input polls anyway */
    LOOK_RELAY_NS = 100000, /* when other ranks wait for what this node passes on */
};

static uint32_t candidates_of(const void *app, const struct sampling *sampling)
{
    const struct engine *e = app;

    return head_candidates(e->config.map, sampling);
}

/* The part of requests: log, slots, waiting requests, records. */
static int open_requests(struct engine *e, struct fail *fail)
{
    const struct engine_config *c = &e->config;
    const struct steplog_limits log = {.ctx = c->ctx, .slots = c->slots, .batch = c->batch};
    const struct scheduler_limits plan = {.ctx = c->ctx, .slots = c->slots, .batch = c->batch, .candidates_max = engine_candidates_max(e)};

    request_queue_init(&e->queue, c->ctx, e->model->vocab);
    publisher_init(&e->publisher, c->rank == 0 && !c->follows, &plan, candidates_of, e);
    if (steplog_init(&e->log, &log, fail) < 0)
        return -1;
    e->sequence = calloc(c->slots, sizeof *e->sequence);
    for (uint16_t i = 0; e->sequence != NULL && i < c->slots; i++)
        e->sequence[i].token = calloc(c->ctx, sizeof *e->sequence[i].token);
    for (uint16_t i = 0; i < c->slots; i++)
        if (e->sequence == NULL || e->sequence[i].token == NULL)
            return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory for %u times %u tokens: use a smaller --ctx", c->slots, c->ctx);
    return 0;
}

static void close_requests(struct engine *e)
{
    for (uint16_t i = 0; e->sequence != NULL && i < e->config.slots; i++)
        free(e->sequence[i].token);
    free(e->sequence);
    steplog_release(&e->log);
    request_queue_release(&e->queue);
}

struct engine *engine_open(const struct engine_config *config, const struct engine_hooks *hooks, struct fail *fail)
{
    struct engine *e;
    void *memory = NULL;

    assert(config->batch >= 1 && config->batch <= ENGINE_BATCH_MAX && config->worker_count >= 1);
    assert(config->slots >= 1 && config->slots <= ENGINE_SLOTS_MAX);
    assert(!config->follows || (config->map->rank_count == 1 && !config->keeps));
    if (posix_memalign(&memory, 64, sizeof *e) != 0) {
        fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
        return NULL;
    }
    e = memory;
    memset(e, 0, sizeof *e);
    e->config = *config;
    e->model = config->model;
    if (hooks != NULL)
        e->hooks = *hooks;
    atomic_flag_clear(&e->advancing);
    atomic_flag_clear(&e->fault_lock);
    atomic_flag_clear(&e->slot_lock);
    atomic_flag_clear(&e->message_lock);
    atomic_flag_clear(&e->time.lock);
    if (engine_layout(e, fail) < 0 || open_requests(e, fail) < 0 || engine_open_saved_kv(e, fail) < 0) {
        engine_close(e);
        return NULL;
    }
    return e;
}

void engine_close(struct engine *e)
{
    if (e == NULL)
        return;
    close_requests(e);
    engine_close_saved_kv(e);
    engine_layout_release(e);
    free(e);
}

void engine_share(const struct engine *e, struct engine_share *share)
{
    *share = (struct engine_share){
        .heads = e->z_rows / e->model->head_dim,
        .kv_heads = e->kv_count,
        .x_rows = e->x_rows,
        .h_rows = e->h_rows,
        .vocab_rows = e->vocab_rows,
    };
}

/* ---- loading ---- */

uint32_t engine_load_count(const struct engine *e)
{
    uint32_t count = 0;

    for (uint16_t p = 0; p < e->phase_count; p++)
        count += e->phase[p].matrix->tile_count;
    return count;
}

/* The next matrix, while rows of this one are packed. */
static void read_ahead(const struct engine *e, uint16_t phase)
{
    if (phase + 1 == e->phase_count)
        matrix_ahead(e->phase[phase].matrix);
    if (phase > 0)
        matrix_ahead(e->phase[phase - 1].matrix);
}

/* Release those earlier rows that no other tile needs. */
static void load_tile(struct engine *e, uint16_t phase, uint32_t tile)
{
    struct rows *from = e->from;
    size_t copied;

    if (tile == 0 && from == NULL)
        read_ahead(e, phase);
    if (matrix_pack(e->phase[phase].matrix, tile, from != NULL ? &from->matrix[phase] : NULL, &copied) && from != NULL)
        rows_forget(from, phase);
    atomic_fetch_add(&e->copied_bytes, copied);
    if (atomic_fetch_sub(&e->loads_left, 1) == 1) {
        e->from = NULL;
        rows_drop(from);
    }
}

void engine_load(struct engine *e, uint32_t index)
{
    /* Backwards, so that the amount that must briefly exist twice is largest at the start, when most memory is still free. */
    for (uint16_t p = e->phase_count; p-- > 0;) {
        struct matrix *m = e->phase[p].matrix;

        if (index < m->tile_count) {
            load_tile(e, p, index);
            return;
        }
        index -= m->tile_count;
    }
    assert(!"index is below engine_load_count");
}

struct rows *engine_rows(struct engine *e)
{
    return rows_hold(e->rows);
}

void engine_take_rows(struct engine *e, struct rows *from)
{
    assert(e->from == NULL && from->count == e->rows->count);
    e->from = from;
}

/* ---- the endpoint ---- */

static void hash_into(uint8_t out[32], const void *data, size_t bytes)
{
    for (uint64_t lane = 0; lane < 4; lane++) {
        uint64_t h = hash_bytes(lane, data, bytes);

        memcpy(out + 8 * lane, &h, sizeof h);
    }
}

/* Version of the rows that gathers have: 2, in the last layer those of sampled tokens only. */
enum { GATHERED_ROWS = 2, KEEPS_AND_REUSES = 2 /* 1: kept only */ };

/* Everything besides the model that all nodes must agree on. */
static void hash_configuration(const struct engine *e, uint8_t out[32])
{
    uint8_t buffer[20 + 20 * (MESH_RANKS_MAX + 1)];
    struct bytes b = bytes_writer(buffer, sizeof buffer);
    const struct rowmap *map = e->config.map;

    bytes_put_u8(&b, GATHERED_ROWS);
    bytes_put_u16(&b, map->rank_count);
    bytes_put_u16(&b, e->config.batch);
    bytes_put_u16(&b, e->config.slots);
    bytes_put_u32(&b, e->config.ctx);
    bytes_put_u32(&b, e->config.kv_type);
    bytes_put_u8(&b, e->config.keeps ? KEEPS_AND_REUSES : 0);
    bytes_put_u8(&b, (uint8_t)((e->config.is_star ? 1 : 0) | (e->config.is_whole ? 2 : 0)));
    for (uint16_t r = 0; r <= map->rank_count; r++) {
        bytes_put_u16(&b, map->x[r]);
        bytes_put_u16(&b, map->h[r]);
        bytes_put_u16(&b, map->z[r]);
        bytes_put_u32(&b, map->heads[r]);
        bytes_put_u32(&b, map->vocab[r]);
    }
    assert(bytes_ok(&b));
    hash_into(out, buffer, bytes_size(&b));
}

void engine_mesh_sizes(const struct engine *e, struct mesh_config *config)
{
    uint32_t blocks = 0;

    for (uint16_t p = 0; p + 1 < e->phase_count; p++)
        if (e->phase[p].form.block_count > blocks)
            blocks = e->phase[p].form.block_count;
    uint32_t candidates = engine_candidate_blocks_max(e);
    config->rank = e->config.rank;
    config->rank_count = e->config.map->rank_count;
    config->phase_count = (uint16_t)(e->phase_count * (e->config.is_star ? 2 : 1));
    config->tokens_max = e->config.batch;
    blocks = blocks > candidates ? blocks : candidates;
    assert(blocks < UINT16_MAX);
    config->blocks_max = (uint16_t)blocks;
}

void engine_mesh_config(const struct engine *e, struct mesh_config *config)
{
    engine_mesh_sizes(e, config);
    gguf_fingerprint(e->model->gguf, config->fingerprint);
    hash_configuration(e, config->configuration);
}

void engine_attach(struct engine *e, struct mesh *mesh, const struct port_driver *driver, uint64_t (*now_ns)(void *), void *clock)
{
    assert((mesh == NULL) == (e->config.map->rank_count == 1));
    e->port.mesh = mesh;
    if (driver != NULL)
        e->port.driver = *driver;
    e->port.now_ns = now_ns;
    e->port.clock = clock;
    e->port.on_owned = engine_on_owned;
    e->port.on_event = engine_on_event;
    e->port.on_consume = engine_on_consume;
    e->port.app = e;
    e->port.answers_events = e->config.is_star;
    port_init(&e->port);
}

/* ---- working ---- */

void engine_port_post(struct engine *e, struct worker *w, const struct port_word *word)
{
    uint64_t before_ns = engine_now(e);

    w->goes_on = false;
    port_post(&e->port, word);
    uint64_t spent_ns = engine_now(e) - before_ns;
    w->port_ns += spent_ns;
    worker_count(&w->send_ns, spent_ns);
}

void engine_send(struct engine *e, struct worker *w)
{
    if (w->has_unsent)
        engine_port_post(e, w, &w->unsent);
    w->has_unsent = false;
}

void engine_poll_if_due(struct engine *e, struct worker *w)
{
    uint64_t now_ns;

    if (e->port.mesh == NULL)
        return;
    now_ns = engine_now(e);
    if (now_ns - w->polled_ns < (e->port.answers_events ? LOOK_RELAY_NS : LOOK_NS))
        return;
    port_poll(&e->port);
    w->polled_ns = engine_now(e);
    w->port_ns += w->polled_ns - now_ns;
    worker_count(&w->poll_ns, w->polled_ns - now_ns);
}

/* All units in hand wait for something; check whether it has arrived, or begin another unit. */
static enum engine_work_result wait_for_input(struct engine *e, struct worker *w)
{
    const int moved = port_poll(&e->port);

    w->polled_ns = w->mark_ns;
    if (moved > 0 || unit_begin_next(e, w))
        return ENGINE_WORKED;
    pace_waits_for_input(w);
    return ENGINE_WAITING;
}

/* Account for time spent on a unit, and the weights read for it. A paced node counts the time its memory would have taken: pace.c. */
static void account(struct engine *e, struct worker *w, uint64_t begin_ns, uint64_t bytes, bool is_decode)
{
    const uint64_t now_ns = engine_now(e), spent_ns = now_ns - begin_ns;
    uint64_t computed_ns = spent_ns > w->port_ns ? spent_ns - w->port_ns : 0;

    engine_time_computed(w, begin_ns, now_ns);
    if (e->config.pace_bytes_per_s == 0)
        worker_count(&w->compute_ns, computed_ns);
    else
        computed_ns = pace_cost_ns(e, now_ns, bytes) * e->config.worker_count;
    if (!is_decode)
        return;
    worker_count(&w->decode_ns, computed_ns);
    worker_count(&w->decode_bytes, bytes);
}

/* False: no progress was possible. A tile's end is the beginning of the next: reading the clock takes as long as a few hundred weights. */
static bool work_on_unit(struct engine *e, struct worker *w)
{
    const uint64_t begin_ns = w->goes_on ? w->mark_ns : engine_now(e);
    const uint64_t before = atomic_load_explicit(&w->weight_bytes, memory_order_relaxed);
    const bool is_decode = (w->unit->kind == UNIT_TILE || w->unit->kind == UNIT_EAGER) && w->unit->segment->token_count <= EAGER_TOKENS;
    const bool is_attention = w->unit->kind == UNIT_KV || w->unit->kind == UNIT_ATTEND;
    uint64_t bytes;

    engine_time_begin(e, w, begin_ns);
    w->port_ns = 0;
    w->goes_on = false;
    w->pace.is_held = false;
    bool is_finished = unit_run(e, w);
    bytes = atomic_load_explicit(&w->weight_bytes, memory_order_relaxed) - before;
    if (is_finished || bytes > 0)
        account(e, w, begin_ns, bytes, is_decode);
    if (is_finished && is_attention)
        engine_poll_if_due(e, w); /* with a long context it takes long and reads no weights, so tile.c does not do this */
    if (w->pace.is_held) {
        engine_time_computed(w, begin_ns, begin_ns);
        pace_wait(e, w);
    }
    w->goes_on = is_finished && !is_attention && !w->pace.is_held;
    return is_finished || bytes > 0 || w->pace.is_held;
}

static enum engine_work_result work_on_units(struct engine *e, struct worker *w)
{
    unit_take_first(w);
    do {
        if (work_on_unit(e, w))
            return ENGINE_WORKED;
    } while (unit_take_next(w));
    unit_take_first(w);
    /* Peers may wait for what this worker has held back. */
    engine_send(e, w);
    engine_time_waits(e, w);
    return wait_for_input(e, w);
}

enum engine_work_result engine_work(struct engine *e, uint16_t worker)
{
    struct worker *w = &e->worker[worker];

    if (w->unit_count > 0 || unit_claim(e, w)) {
        if (w->has_unsent && engine_phase_at(e, w->unsent.phase) != w->unit->segment->phase)
            engine_send(e, w);
        return work_on_units(e, w);
    }
    w->goes_on = false;
    engine_send(e, w);
    int moved = port_poll(&e->port);
    bool has_advanced = engine_advance(e);
    uint64_t begun = atomic_load_explicit(&e->step_serial, memory_order_relaxed);
    bool is_open = begun > atomic_load_explicit(&e->steps_ended, memory_order_relaxed);
    engine_time_rests(e, w, is_open, moved > 0 || has_advanced);
    if (has_advanced)
        return ENGINE_WORKED;
    if (moved > 0)
        return ENGINE_WORKED;
    pace_waits_for_input(w);
    return is_open ? ENGINE_WAITING : ENGINE_IDLE;
}

void engine_note_given(struct engine *e, uint64_t ns)
{
    atomic_fetch_add_explicit(&e->given_ns, ns, memory_order_relaxed);
}

enum port_park_result engine_park(struct engine *e, uint64_t max_ns)
{
    return port_park(&e->port, max_ns);
}

void engine_wake(struct engine *e)
{
    port_rouse(&e->port);
}

void engine_poll(struct engine *e)
{
    port_poll(&e->port);
}

/* ---- figures ---- */

void engine_figures(const struct engine *e, struct engine_figures *figures)
{
    *figures = (struct engine_figures){.steps = atomic_load(&e->steps_ended),
                                       .recomputed = atomic_load(&e->recomputed),
                                       .reused = atomic_load(&e->reused),
                                       .copied_bytes = atomic_load(&e->copied_bytes)};
    figures->stepping_ns = atomic_load_explicit(&e->time.stepping_ns, memory_order_relaxed);
    figures->positions = atomic_load_explicit(&e->time.positions, memory_order_relaxed);
    figures->tokens = atomic_load_explicit(&e->time.tokens, memory_order_relaxed);
    for (uint16_t i = 0; i < e->config.worker_count && e->worker != NULL; i++) { /* NULL: no memory for them */
        figures->compute_ns += atomic_load_explicit(&e->worker[i].compute_ns, memory_order_relaxed);
        figures->weight_bytes_read += atomic_load_explicit(&e->worker[i].weight_bytes, memory_order_relaxed);
        figures->decode_ns += atomic_load_explicit(&e->worker[i].decode_ns, memory_order_relaxed);
        figures->decode_bytes += atomic_load_explicit(&e->worker[i].decode_bytes, memory_order_relaxed);
    }
}

bool engine_is_quiet(struct engine *e)
{
    bool is_quiet;

    if (e->port.mesh == NULL)
        return true;
    port_lock(&e->port);
    is_quiet = !engine_has_records(e) && mesh_is_quiet(e->port.mesh);
    port_unlock(&e->port);
    return is_quiet;
}

void engine_peer_stats(struct engine *e, uint16_t rank, struct mesh_peer_stats *stats)
{
    port_lock(&e->port);
    mesh_get_peer_stats(e->port.mesh, rank, stats);
    port_unlock(&e->port);
}

void engine_with_port(struct engine *e, void (*look)(void *app), void *app)
{
    port_lock(&e->port);
    look(app);
    port_unlock(&e->port);
}

bool engine_is_stepping(struct engine *e)
{
    return atomic_load(&e->step_serial) != atomic_load(&e->steps_ended);
}

uint64_t engine_silent_ranks(struct engine *e)
{
    uint64_t ranks;

    if (!engine_is_stepping(e))
        return 0; /* nothing is due, and a sleeper at the port is not disturbed */
    port_lock(&e->port);
    ranks = mesh_silent_ranks(e->port.mesh, engine_now(e));
    port_unlock(&e->port);
    return ranks;
}

uint64_t engine_starved_ranks(struct engine *e)
{
    uint64_t ranks;

    port_lock(&e->port);
    ranks = mesh_starved_ranks(e->port.mesh, engine_now(e));
    port_unlock(&e->port);
    return ranks;
}

void engine_read(struct engine *e)
{
    port_read(&e->port);
}

void engine_goodbye(struct engine *e)
{
    if (e->port.mesh == NULL)
        return;
    port_lock(&e->port);
    mesh_goodbye(e->port.mesh, engine_now(e));
    /* Immediately: the process may end before another owner comes. */
    if (e->port.driver.flush != NULL)
        e->port.driver.flush(e->port.driver.driver, e->port.mesh);
    port_unlock(&e->port);
}
