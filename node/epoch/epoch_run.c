#include "epoch_run.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "epoch_run_mesh.h"
#include "epoch_run_rows.h"
#include "node/common/log.h"
#include "node/common/spin.h"
#include "node/engine/security.h"
#include "node/engine/udp_driver.h"

enum {
    PAUSE_NS = 1000000,
    PASSES_MAX = 4,        /* of fetching; then the switch waits no longer */
    NEARLY_POSITIONS = 32, /* of a head: if a pass brought no more, the next one would bring little */
    FOLLOW_NS = 10000000   /* between later passes */
};

/* ---- results ---- */

static void tell(struct epoch_run *run, const struct epoch_run_result *result)
{
    spin_lock(&run->results_lock);
    if (run->result_count == run->result_room) {
        const size_t room = run->result_room > 0 ? 2 * run->result_room : 256;
        struct epoch_run_result *grown = realloc(run->result, room * sizeof *grown);

        if (grown != NULL) {
            run->result = grown;
            run->result_room = room;
        }
    }
    if (run->result_count < run->result_room)
        run->result[run->result_count++] = *result;
    else
        run->has_lost_results = true;
    spin_unlock(&run->results_lock);
    eventcount_notify(run->workers.wakeup);
    if (run->count == 1)
        mesh_udp_wake(run->config->udp); /* where the main thread then sleeps */
}

bool epoch_run_next_result(struct epoch_run *run, struct epoch_run_result *result)
{
    bool is_there;

    spin_lock(&run->results_lock);
    is_there = run->result_count > 0;
    if (is_there) {
        *result = run->result[0];
        memmove(run->result, run->result + 1, --run->result_count * sizeof *run->result);
    }
    spin_unlock(&run->results_lock);
    return is_there;
}

bool epoch_run_has_lost_results(struct epoch_run *run)
{
    bool has_lost;

    spin_lock(&run->results_lock);
    has_lost = run->has_lost_results;
    run->has_lost_results = false;
    spin_unlock(&run->results_lock);
    return has_lost;
}

static void on_token(void *app, uint64_t now_ns, const struct engine_token *token)
{
    const struct epoch_run_result result = {.request = token->request, .when_ns = now_ns, .token = *token};

    tell(app, &result);
}

static void on_done(void *app, uint64_t now_ns, uint64_t request, enum engine_done reason, const struct engine_fault *fault)
{
    const struct epoch_run_result result = {.request = request, .when_ns = now_ns, .is_done = true, .reason = reason};

    (void)fault;
    tell(app, &result);
}

/* ---- the parts ---- */

static bool is_end(const void *tokenizer, uint32_t id)
{
    return tokenizer_is_end(tokenizer, id);
}

/* has_to_fit: fail if memory is short, since there is an alternative. Otherwise it is tried: more nodes may come before all of it is
 * touched. */
static int open_engine(struct epoch_run *run, bool has_to_fit, struct fail *fail)
{
    const struct epoch_run_config *c = run->config;
    const struct engine_hooks hooks = {.on_token = on_token, .on_done = on_done, .app = run};
    const struct engine_config config = {
        .model = c->model,
        .map = &run->map,
        .rank = run->rank,
        .worker_count = c->threads,
        .batch = c->batch,
        .slots = c->slots,
        .ctx = c->ctx,
        .kv_type = c->kv_type,
        .kernel = c->kernel,
        .pace_bytes_per_s = c->pace_bytes_per_s,
        .is_star = c->is_star,
        .is_whole = c->is_whole,
        .pace_later_bytes_per_s = c->pace_later_bytes_per_s,
        .pace_later_at_ns = c->pace_later_at_ns,
        .keeps = true,
        .is_end = is_end,
        .tokenizer = c->tokenizer,
    };
    struct fail doubt = {0};

    run->engine = engine_open(&config, &hooks, fail);
    if (run->engine == NULL)
        return -1;
    if (epoch_run_check_memory(run->engine, &doubt) < 0 && has_to_fit) {
        *fail = doubt;
        return -1;
    }
    if (doubt.text[0] != '\0' && run->rows == NULL)
        log_line("%s; the kernel ends this node when it has had all", doubt.text);
    if (run->rows != NULL)
        engine_take_rows(run->engine, run->rows);
    run->rows = NULL;
    return engine_allocate(run->engine, fail);
}

/* ---- preparing ---- */

/* Members of both epochs may have what this node lacks. */
static void add_sources(struct kv_fetch *fetch, const struct mesh_cluster_member *member, uint16_t count, const uint8_t *own)
{
    for (uint16_t r = 0; r < count; r++)
        if (memcmp(member[r].incarnation, own, MESH_INCARNATION_BYTES) != 0)
            kv_fetch_add_source(fetch, member[r].addr);
}

static int open_fetch(struct epoch_run *run, const struct mesh_cluster_event *plan, const struct epoch_run *present, struct fail *fail)
{
    const struct epoch_run_config *c = run->config;
    const uint8_t *own = plan->members[run->rank].incarnation;
    struct kv_fetch *f = &run->fetch;

    *f = (struct kv_fetch){
        .security = c->security,
        .key = c->key,
        .cluster = c->cluster,
        .ctx = c->ctx,
        .slots = c->slots,
        .is_stopping = &run->workers.is_stopping,
        .saved_kv.shape = {.layers = c->model->layers, .head_dim = c->model->head_dim, .type = c->kv_type},
    };
    if (kv_fetch_open(f) < 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    rowmap_kv_heads(&run->map, c->model, run->rank, &f->first, &f->count);
    add_sources(f, plan->members, plan->member_count, own);
    if (present != NULL) {
        rowmap_kv_heads(&present->map, c->model, present->rank, &f->own_first, &f->own_count);
        add_sources(f, present->member, present->count, own);
        epoch_run_rows_add_peers(run, present->member, present->count);
    }
    return 0;
}

static void ring(struct epoch_run *run)
{
    eventcount_notify(run->workers.wakeup);
    mesh_udp_wake(run->config->udp); /* where the main thread sleeps when this node is alone */
}

static bool is_stopping(struct epoch_run *run)
{
    return atomic_load(&run->workers.is_stopping);
}

/* Fetch all that there is; then what is computed meanwhile, until the epoch begins. */
static void fetch(struct epoch_run *run)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    struct kv_fetch *f = &run->fetch;
    uint64_t waited_ns = 0;

    for (int pass = 0; pass < PASSES_MAX && kv_fetch_has_use(f) && !is_stopping(run); pass++)
        if (kv_fetch_pass(f) <= NEARLY_POSITIONS)
            break;
    atomic_store(&run->has_fetched, true);
    ring(run);
    while (kv_fetch_has_use(f) && !is_stopping(run)) {
        nanosleep(&pause, NULL);
        waited_ns += PAUSE_NS;
        if (waited_ns % FOLLOW_NS == 0)
            kv_fetch_pass(f);
    }
}

static void prepare(void *app, uint16_t index)
{
    struct epoch_run *run = app;
    const struct timespec pause = {.tv_nsec = PAUSE_NS};

    kernel_thread_init();
    pool_give_way();
    if (index == 0) {
        pool_join(run->before);
        run->before = NULL;
        const bool is_open = open_engine(run, !run->is_joining, &run->why) == 0 && epoch_run_mesh_allocate(run, &run->why) == 0 &&
                             epoch_run_rows_fetch(run, &run->workers.is_stopping);

        if (is_open)
            worker_pool_set_load(&run->workers, run->engine);
        atomic_store(&run->preparing, is_open ? EPOCH_RUN_LOADING : EPOCH_RUN_FAILED);
    }
    while (atomic_load(&run->preparing) == EPOCH_RUN_OPENING)
        nanosleep(&pause, NULL);
    if (atomic_load(&run->preparing) == EPOCH_RUN_LOADING)
        worker_pool_load_ahead(&run->workers);
    if (index == 0 && atomic_load(&run->preparing) == EPOCH_RUN_LOADING)
        fetch(run);
    ring(run);
}

static int set_up(struct epoch_run *run, const struct epoch_run_config *config, const struct mesh_cluster_event *epoch,
                  struct eventcount *wakeup, struct fail *fail)
{
    uint64_t missing_bytes; /* ignored: callers that need it have checked before */

    assert(epoch->own_rank >= 0 && epoch->member_count > 0 && epoch->member_count <= MESH_RANKS_MAX);
    run->config = config;
    run->count = epoch->member_count;
    run->rank = (uint16_t)epoch->own_rank;
    memcpy(run->member, epoch->members, run->count * sizeof *run->member);
    epoch_run_rows_add_peers(run, epoch->members, run->count);
    run->workers.wakeup = wakeup;
    run->workers.worker_wakeup = eventcount_open(fail);
    run->workers.recording = run->config->recording;
    return run->workers.worker_wakeup == NULL ? -1 : epoch_run_divide(&run->map, config, epoch->members, run->count, &missing_bytes, fail);
}

int epoch_run_prepare(struct epoch_run *run, const struct epoch_run_config *config, const struct mesh_cluster_event *plan,
                      struct epoch_run *present, struct eventcount *wakeup, struct rows *rows, struct pool *before, struct fail *fail)
{
    memset(run, 0, sizeof *run);
    run->rows = rows;
    run->before = before;
    if (set_up(run, config, plan, wakeup, fail) < 0 || open_fetch(run, plan, present, fail) < 0)
        return -1;
    if (present != NULL)
        run->rows = epoch_run_rows(present);
    run->is_joining = present == NULL;
    atomic_store(&run->preparing, EPOCH_RUN_OPENING);
    run->loaders = pool_start(config->threads, prepare, run, fail);
    return fail->text[0] != '\0' ? -1 : 0;
}

bool epoch_run_is_prepared(struct epoch_run *run)
{
    const enum epoch_run_preparing state = atomic_load(&run->preparing);

    return state == EPOCH_RUN_FAILED ||
           (state == EPOCH_RUN_LOADING && atomic_load(&run->workers.load_left) == 0 && atomic_load(&run->has_fetched));
}

bool epoch_run_fits(struct epoch_run *run, const struct mesh_cluster_event *epoch)
{
    struct rowmap map;
    struct fail fail;
    uint64_t missing_bytes;

    return atomic_load(&run->preparing) == EPOCH_RUN_LOADING && epoch->own_rank == (int)run->rank && epoch->member_count == run->count &&
           epoch_run_divide(&map, run->config, epoch->members, run->count, &missing_bytes, &fail) == 0 && rowmap_is_same(&map, &run->map);
}

/* The workers load what is not loaded by now. */
static void end_preparing(struct epoch_run *run)
{
    atomic_store(&run->workers.is_stopping, true);
    pool_join(run->loaders);
    run->loaders = NULL;
}

/* ---- the epoch ---- */

struct rows *epoch_run_rows(struct epoch_run *run)
{
    return run->is_started ? engine_rows(run->engine) : NULL;
}

int epoch_run_open(struct epoch_run *run, const struct epoch_run_config *config, const struct mesh_cluster_event *epoch,
                   struct eventcount *wakeup, struct rows *rows, struct fail *fail)
{
    int err = 0;

    if (atomic_load(&run->preparing) == EPOCH_RUN_LOADING) {
        rows_drop(rows); /* a prepared run already has its rows */
        end_preparing(run);
    } else {
        run->rows = rows;
        err = set_up(run, config, epoch, wakeup, fail) < 0 ? -1 : open_engine(run, rows == NULL && run->count == 1, fail);
    }
    run->number = epoch->number;
    memcpy(run->member, epoch->members, run->count * sizeof *run->member);
    return err;
}

int epoch_run_start(struct epoch_run *run, const uint8_t epoch_id[16], struct saved_kv *saved_kv, struct fail *fail)
{
    const struct epoch_run_config *config = run->config;
    const struct port_driver driver = udp_driver(config->udp);

    if (run->count > 1 && epoch_run_mesh_open(run, epoch_id, fail) < 0)
        return -1;
    saved_kv_merge(saved_kv, &run->fetch.saved_kv);
    engine_restore(run->engine, saved_kv);
    engine_attach(run->engine, run->mesh, run->mesh == NULL ? NULL : &driver, udp_driver_now_ns, NULL);
    engine_memory(run->engine, &run->memory);
    run->is_started = true;
    if (epoch_run_rows_start(run, fail) < 0 || worker_pool_start(&run->workers, run->engine, config->threads, fail) < 0)
        return -1;
    kv_fetch_close(&run->fetch);
    return 0;
}

void epoch_run_stop_workers(struct epoch_run *run)
{
    atomic_store(&run->stops_fetching, true);
    if (run->is_started)
        worker_pool_stop(&run->workers);
}

void epoch_run_halt(struct epoch_run *run)
{
    const bool was_started = run->is_started;

    epoch_run_stop_workers(run);
    run->is_started = false;
    if (run->has_sealer)
        mesh_udp_set_sealer(run->config->udp, NULL);
    run->has_sealer = false;
    run->has_to_save |= was_started;
}

void epoch_run_save_kv(struct epoch_run *run, struct saved_kv *saved_kv)
{
    if (run->has_to_save)
        engine_save_kv(run->engine, saved_kv);
    run->has_to_save = false;
}

void epoch_run_stop(struct epoch_run *run)
{
    end_preparing(run);
    pool_join(run->before);
    run->before = NULL;
    epoch_run_halt(run);
    epoch_run_rows_stop(run);
    kv_fetch_close(&run->fetch);
    mesh_sealer_release(&run->sealer);
    engine_close(run->engine);
    rows_drop(run->rows);
    free(run->mesh_memory);
    eventcount_close(run->workers.worker_wakeup);
    run->workers.worker_wakeup = NULL;
    run->engine = NULL;
    run->rows = NULL;
    run->mesh = NULL;
    run->mesh_memory = NULL;
}

void epoch_run_release(struct epoch_run *run)
{
    free(run->result);
    memset(run, 0, sizeof *run);
}

bool epoch_run_is_loaded(struct epoch_run *run)
{
    return run->is_started && atomic_load(&run->workers.load_left) == 0;
}

struct refused_look {
    const struct epoch_run *run;
    uint64_t *refused, *replayed;
};

static void look_at_refused(void *app)
{
    const struct refused_look *look = app;
    struct mesh_stats stats;

    mesh_get_stats(look->run->mesh, &stats);
    *look->replayed += stats.dropped[-MESH_EDUPLICATE];
    for (int i = 0; i < MESH_SEAL_REFUSALS; i++)
        look->refused[i] += look->run->sealer.refused[i];
}

void epoch_run_refused(struct epoch_run *run, uint64_t refused[MESH_SEAL_REFUSALS], uint64_t *replayed)
{
    struct refused_look look = {run, refused, replayed};

    if (run->mesh != NULL && run->is_started)
        engine_with_port(run->engine, look_at_refused, &look);
}

struct traffic_look {
    const struct epoch_run *run;
    struct epoch_run_traffic *traffic;
};

static void look_at_traffic(void *app)
{
    const struct traffic_look *look = app;
    struct mesh_peer_stats stats;
    struct mesh_udp_stats udp;

    for (uint16_t r = 0; look->run->mesh != NULL && r < look->run->count; r++) {
        if (r == look->run->rank)
            continue;
        mesh_get_peer_stats(look->run->mesh, r, &stats);
        look->traffic->datagrams_sent += stats.datagrams_sent - stats.shared_sent;
        look->traffic->lost += stats.lost;
        look->traffic->probes_lost += stats.probes_lost;
        look->traffic->naks += stats.naks_sent;
        look->traffic->resent += stats.resent;
        look->traffic->duplicates_sent += stats.duplicates_sent;
        look->traffic->peers_by_group += stats.hears_group;
    }
    if (look->traffic->peers_by_group < 2)
        look->traffic->peers_by_group = 0; /* a group of one is sent to directly */
    if (look->run->mesh != NULL)
        look->traffic->cipher = security_cipher_name(&look->run->sealer);
    mesh_udp_get_stats(look->run->config->udp, &udp);
    look->traffic->kernel_drops = udp.kernel_drops;
    look->traffic->segments_refused = udp.segments_refused;
    look->traffic->sent_to_group = udp.sent_to_group;
}

void epoch_run_traffic(struct epoch_run *run, struct epoch_run_traffic *traffic)
{
    struct traffic_look look = {run, traffic};

    memset(traffic, 0, sizeof *traffic);
    if (run->mesh != NULL && run->is_started)
        engine_with_port(run->engine, look_at_traffic, &look);
    else if (run->mesh == NULL)
        look_at_traffic(&look); /* alone: only the main thread polls */
}

void epoch_run_read(struct epoch_run *run)
{
    if (run->mesh != NULL && run->is_started)
        engine_read(run->engine);
}

uint64_t epoch_run_silent_ranks(struct epoch_run *run)
{
    return run->mesh == NULL || !run->is_started ? 0 : engine_silent_ranks(run->engine);
}

uint64_t epoch_run_starved_ranks(struct epoch_run *run)
{
    return run->mesh == NULL || !run->is_started ? 0 : engine_starved_ranks(run->engine);
}
