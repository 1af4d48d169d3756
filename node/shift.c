#include "shift.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "say.h"
#include "security.h"
#include "shift_mesh.h"
#include "shift_rows.h"

enum {
    PAUSE_NS = 1000000,
    PASSES_MAX = 4,        /* of fetching; then the switch waits no longer */
    NEARLY_POSITIONS = 32, /* of a head: if a pass brought no more, the next one would bring little */
    FOLLOW_NS = 10000000   /* between later passes */
};

/* ---- news ---- */

static void tell(struct shift *shift, const struct shift_news *news)
{
    while (atomic_flag_test_and_set_explicit(&shift->news_lock, memory_order_acquire))
        ;
    if (shift->news_count == shift->news_room) {
        const size_t room = shift->news_room > 0 ? 2 * shift->news_room : 256;
        struct shift_news *grown = realloc(shift->news, room * sizeof *grown);

        if (grown != NULL) {
            shift->news = grown;
            shift->news_room = room;
        }
    }
    /* Without memory a token is lost here; its request continues from what came before, in the next epoch. */
    if (shift->news_count < shift->news_room)
        shift->news[shift->news_count++] = *news;
    atomic_flag_clear_explicit(&shift->news_lock, memory_order_release);
    bell_ring(shift->crew.bell);
    if (shift->count == 1)
        mesh_udp_wake(shift->config->udp); /* where the main thread then sleeps */
}

bool shift_next_news(struct shift *shift, struct shift_news *news)
{
    bool is_there;

    while (atomic_flag_test_and_set_explicit(&shift->news_lock, memory_order_acquire))
        ;
    is_there = shift->news_count > 0;
    if (is_there) {
        *news = shift->news[0];
        memmove(shift->news, shift->news + 1, --shift->news_count * sizeof *shift->news);
    }
    atomic_flag_clear_explicit(&shift->news_lock, memory_order_release);
    return is_there;
}

static void on_token(void *app, uint64_t now_ns, const struct engine_token *token)
{
    const struct shift_news news = {.request = token->request, .when_ns = now_ns, .token = *token};

    tell(app, &news);
}

static void on_done(void *app, uint64_t now_ns, uint64_t request, enum engine_done reason, const struct engine_fault *fault)
{
    const struct shift_news news = {.request = request, .when_ns = now_ns, .is_done = true, .reason = reason};

    (void)fault;
    tell(app, &news);
}

/* ---- the parts ---- */

static bool is_end(const void *tokenizer, uint32_t id)
{
    return tokenizer_is_end(tokenizer, id);
}

/* has_to_fit: fail if memory is short, since there is an alternative. Otherwise it is tried: more nodes may come before all of it is
 * touched. */
static int open_engine(struct shift *shift, bool has_to_fit, struct fail *fail)
{
    const struct shift_config *c = shift->config;
    const struct engine_hooks hooks = {.on_token = on_token, .on_done = on_done, .app = shift};
    const struct engine_config config = {
        .model = c->model,
        .map = &shift->map,
        .rank = shift->rank,
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

    shift->engine = engine_open(&config, &hooks, fail);
    if (shift->engine == NULL)
        return -1;
    if (shift_check_memory(shift->engine, &doubt) < 0 && has_to_fit) {
        *fail = doubt;
        return -1;
    }
    if (doubt.text[0] != '\0' && shift->rows == NULL)
        say("%s; the kernel ends this node when it has had all", doubt.text);
    if (shift->rows != NULL)
        engine_take_rows(shift->engine, shift->rows);
    shift->rows = NULL;
    return engine_allocate(shift->engine, fail);
}

static int poll_udp(void *driver, struct mesh *mesh)
{
    return mesh_udp_poll(driver, mesh);
}

static int flush_udp(void *driver, struct mesh *mesh)
{
    return mesh_udp_flush(driver, mesh);
}

static void wait_udp(void *driver, const struct mesh *mesh, uint64_t max_ns)
{
    mesh_udp_wait(driver, mesh, max_ns);
}

static void wake_udp(void *driver)
{
    mesh_udp_wake(driver);
}

static uint64_t clock_ns(void *clock)
{
    (void)clock;
    return mesh_udp_now_ns();
}

/* ---- preparing ---- */

/* Members of both epochs may have what this node lacks. */
static void add_sources(struct kv_fetch *fetch, const struct mesh_cluster_member *member, uint16_t count, const uint8_t *own)
{
    for (uint16_t r = 0; r < count; r++)
        if (memcmp(member[r].incarnation, own, MESH_INCARNATION_BYTES) != 0)
            kv_fetch_add_source(fetch, member[r].addr);
}

static int open_fetch(struct shift *shift, const struct mesh_cluster_event *plan, const struct shift *present, struct fail *fail)
{
    const struct shift_config *c = shift->config;
    const uint8_t *own = plan->members[shift->rank].incarnation;
    struct kv_fetch *f = &shift->fetch;

    *f = (struct kv_fetch){
        .security = c->security,
        .key = c->key,
        .cluster = c->cluster,
        .ctx = c->ctx,
        .is_stopping = &shift->crew.is_stopping,
        .kept.shape = {.layers = c->model->layers, .head_dim = c->model->head_dim, .type = c->kv_type},
    };
    if (kv_fetch_open(f) < 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    rowmap_kv_heads(&shift->map, c->model, shift->rank, &f->first, &f->count);
    add_sources(f, plan->members, plan->member_count, own);
    if (present != NULL) {
        rowmap_kv_heads(&present->map, c->model, present->rank, &f->own_first, &f->own_count);
        add_sources(f, present->member, present->count, own);
        shift_rows_add_peers(shift, present->member, present->count);
    }
    return 0;
}

static void ring(struct shift *shift)
{
    bell_ring(shift->crew.bell);
    mesh_udp_wake(shift->config->udp); /* where the main thread sleeps when this node is alone */
}

static bool is_stopping(struct shift *shift)
{
    return atomic_load(&shift->crew.is_stopping);
}

/* Fetch all that there is; then what is computed meanwhile, until the epoch begins. */
static void fetch(struct shift *shift)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    struct kv_fetch *f = &shift->fetch;
    uint64_t waited_ns = 0;

    for (int pass = 0; pass < PASSES_MAX && kv_fetch_has_use(f) && !is_stopping(shift); pass++)
        if (kv_fetch_pass(f) <= NEARLY_POSITIONS)
            break;
    atomic_store(&shift->has_fetched, true);
    ring(shift);
    while (kv_fetch_has_use(f) && !is_stopping(shift)) {
        nanosleep(&pause, NULL);
        waited_ns += PAUSE_NS;
        if (waited_ns % FOLLOW_NS == 0)
            kv_fetch_pass(f);
    }
}

static void prepare(void *app, uint16_t index)
{
    struct shift *shift = app;
    const struct timespec pause = {.tv_nsec = PAUSE_NS};

    kernel_thread_init();
    pool_give_way();
    if (index == 0) {
        pool_join(shift->before);
        shift->before = NULL;
        const bool is_open = open_engine(shift, !shift->is_joining, &shift->why) == 0 && shift_mesh_allocate(shift, &shift->why) == 0 &&
                             shift_rows_fetch(shift, &shift->crew.is_stopping);

        if (is_open)
            crew_set_load(&shift->crew, shift->engine);
        atomic_store(&shift->preparing, is_open ? SHIFT_LOADING : SHIFT_FAILED);
    }
    while (atomic_load(&shift->preparing) == SHIFT_OPENING)
        nanosleep(&pause, NULL);
    if (atomic_load(&shift->preparing) == SHIFT_LOADING)
        crew_load_ahead(&shift->crew);
    if (index == 0 && atomic_load(&shift->preparing) == SHIFT_LOADING)
        fetch(shift);
    ring(shift);
}

static int set_up(struct shift *shift, const struct shift_config *config, const struct mesh_cluster_event *epoch, struct bell *bell,
                  struct fail *fail)
{
    uint64_t missing_bytes; /* ignored: callers that need it have checked before */

    assert(epoch->own_rank >= 0 && epoch->member_count > 0 && epoch->member_count <= MESH_RANKS_MAX);
    shift->config = config;
    shift->count = epoch->member_count;
    shift->rank = (uint16_t)epoch->own_rank;
    memcpy(shift->member, epoch->members, shift->count * sizeof *shift->member);
    shift_rows_add_peers(shift, epoch->members, shift->count);
    shift->crew.bell = bell;
    shift->crew.worker_bell = bell_open(fail);
    shift->crew.recording = shift->config->recording;
    return shift->crew.worker_bell == NULL ? -1 : shift_divide(&shift->map, config, epoch->members, shift->count, &missing_bytes, fail);
}

int shift_prepare(struct shift *shift, const struct shift_config *config, const struct mesh_cluster_event *plan, struct shift *present,
                  struct bell *bell, struct rows *rows, struct pool *before, struct fail *fail)
{
    memset(shift, 0, sizeof *shift);
    shift->rows = rows;
    shift->before = before;
    if (set_up(shift, config, plan, bell, fail) < 0 || open_fetch(shift, plan, present, fail) < 0)
        return -1;
    if (present != NULL)
        shift->rows = shift_rows(present);
    shift->is_joining = present == NULL;
    atomic_store(&shift->preparing, SHIFT_OPENING);
    shift->loaders = pool_start(config->threads, prepare, shift, fail);
    return fail->text[0] != '\0' ? -1 : 0;
}

bool shift_is_prepared(struct shift *shift)
{
    const enum shift_preparing state = atomic_load(&shift->preparing);

    return state == SHIFT_FAILED ||
           (state == SHIFT_LOADING && atomic_load(&shift->crew.load_left) == 0 && atomic_load(&shift->has_fetched));
}

bool shift_fits(struct shift *shift, const struct mesh_cluster_event *epoch)
{
    struct rowmap map;
    struct fail fail;
    uint64_t missing_bytes;

    return atomic_load(&shift->preparing) == SHIFT_LOADING && epoch->own_rank == (int)shift->rank && epoch->member_count == shift->count &&
           shift_divide(&map, shift->config, epoch->members, shift->count, &missing_bytes, &fail) == 0 && rowmap_is_same(&map, &shift->map);
}

/* The crew loads what is not loaded by now. */
static void end_preparing(struct shift *shift)
{
    atomic_store(&shift->crew.is_stopping, true);
    pool_join(shift->loaders);
    shift->loaders = NULL;
}

/* ---- the epoch ---- */

struct rows *shift_rows(struct shift *shift)
{
    return shift->is_started ? engine_rows(shift->engine) : NULL;
}

int shift_open(struct shift *shift, const struct shift_config *config, const struct mesh_cluster_event *epoch, struct bell *bell,
               struct rows *rows, struct fail *fail)
{
    int err = 0;

    if (atomic_load(&shift->preparing) == SHIFT_LOADING) {
        rows_drop(rows); /* a prepared shift already has its rows */
        end_preparing(shift);
    } else {
        shift->rows = rows;
        err = set_up(shift, config, epoch, bell, fail) < 0 ? -1 : open_engine(shift, rows == NULL && shift->count == 1, fail);
    }
    shift->number = epoch->number;
    memcpy(shift->member, epoch->members, shift->count * sizeof *shift->member);
    return err;
}

int shift_start(struct shift *shift, const uint8_t epoch_id[16], struct kept *kept, struct fail *fail)
{
    const struct shift_config *config = shift->config;
    const struct port_driver driver = {.poll = poll_udp, .flush = flush_udp, .wait = wait_udp, .wake = wake_udp, .driver = config->udp};

    if (shift->count > 1 && shift_mesh_open(shift, epoch_id, fail) < 0)
        return -1;
    kept_merge(kept, &shift->fetch.kept);
    engine_restore(shift->engine, kept);
    engine_attach(shift->engine, shift->mesh, shift->mesh == NULL ? NULL : &driver, clock_ns, NULL);
    engine_memory(shift->engine, &shift->memory);
    shift->is_started = true;
    if (shift_rows_start(shift, fail) < 0 || crew_start(&shift->crew, shift->engine, config->threads, fail) < 0)
        return -1;
    kv_fetch_close(&shift->fetch);
    return 0;
}

void shift_rest(struct shift *shift)
{
    atomic_store(&shift->stops_fetching, true);
    if (shift->is_started)
        crew_stop(&shift->crew);
}

void shift_halt(struct shift *shift)
{
    const bool was_started = shift->is_started;

    shift_rest(shift);
    shift->is_started = false;
    if (shift->has_sealer)
        mesh_udp_set_sealer(shift->config->udp, NULL);
    shift->has_sealer = false;
    shift->has_to_keep |= was_started;
}

void shift_keep(struct shift *shift, struct kept *kept)
{
    if (shift->has_to_keep)
        engine_keep(shift->engine, kept);
    shift->has_to_keep = false;
}

void shift_stop(struct shift *shift)
{
    end_preparing(shift);
    pool_join(shift->before);
    shift->before = NULL;
    shift_halt(shift);
    shift_rows_stop(shift);
    kv_fetch_close(&shift->fetch);
    mesh_sealer_release(&shift->sealer);
    engine_close(shift->engine);
    rows_drop(shift->rows);
    free(shift->mesh_memory);
    bell_close(shift->crew.worker_bell);
    shift->crew.worker_bell = NULL;
    shift->engine = NULL;
    shift->rows = NULL;
    shift->mesh = NULL;
    shift->mesh_memory = NULL;
}

void shift_release(struct shift *shift)
{
    free(shift->news);
    memset(shift, 0, sizeof *shift);
}

bool shift_is_loaded(struct shift *shift)
{
    return shift->is_started && atomic_load(&shift->crew.load_left) == 0;
}

struct refused_look {
    const struct shift *shift;
    uint64_t *refused, *replayed;
};

static void look_at_refused(void *app)
{
    const struct refused_look *look = app;
    struct mesh_stats stats;

    mesh_get_stats(look->shift->mesh, &stats);
    *look->replayed += stats.dropped[-MESH_EDUPLICATE];
    for (int i = 0; i < MESH_SEAL_REFUSALS; i++)
        look->refused[i] += look->shift->sealer.refused[i];
}

void shift_refused(struct shift *shift, uint64_t refused[MESH_SEAL_REFUSALS], uint64_t *replayed)
{
    struct refused_look look = {shift, refused, replayed};

    if (shift->mesh != NULL && shift->is_started)
        engine_with_port(shift->engine, look_at_refused, &look);
}

struct traffic_look {
    const struct shift *shift;
    struct shift_traffic *traffic;
};

static void look_at_traffic(void *app)
{
    const struct traffic_look *look = app;
    struct mesh_peer_stats stats;
    struct mesh_udp_stats udp;

    for (uint16_t r = 0; look->shift->mesh != NULL && r < look->shift->count; r++) {
        if (r == look->shift->rank)
            continue;
        mesh_get_peer_stats(look->shift->mesh, r, &stats);
        look->traffic->datagrams_sent += stats.datagrams_sent - stats.shared_sent;
        look->traffic->lost += stats.lost;
        look->traffic->naks += stats.naks_sent;
        look->traffic->resent += stats.resent;
        look->traffic->duplicates_sent += stats.duplicates_sent;
        look->traffic->peers_by_group += stats.hears_group;
    }
    if (look->traffic->peers_by_group < 2)
        look->traffic->peers_by_group = 0; /* a group of one is sent to directly */
    if (look->shift->mesh != NULL)
        look->traffic->cipher = security_cipher_name(&look->shift->sealer);
    mesh_udp_get_stats(look->shift->config->udp, &udp);
    look->traffic->kernel_drops = udp.kernel_drops;
    look->traffic->segments_refused = udp.segments_refused;
    look->traffic->sent_to_group = udp.sent_to_group;
}

void shift_traffic(struct shift *shift, struct shift_traffic *traffic)
{
    struct traffic_look look = {shift, traffic};

    memset(traffic, 0, sizeof *traffic);
    if (shift->mesh != NULL && shift->is_started)
        engine_with_port(shift->engine, look_at_traffic, &look);
    else if (shift->mesh == NULL)
        look_at_traffic(&look); /* alone: only the main thread polls */
}

void shift_read(struct shift *shift)
{
    if (shift->mesh != NULL && shift->is_started)
        engine_read(shift->engine);
}

uint64_t shift_silent_ranks(struct shift *shift)
{
    return shift->mesh == NULL || !shift->is_started ? 0 : engine_silent_ranks(shift->engine);
}

uint64_t shift_starved_ranks(struct shift *shift)
{
    return shift->mesh == NULL || !shift->is_started ? 0 : engine_starved_ranks(shift->engine);
}
