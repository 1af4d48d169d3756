#include "member.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "member_state.h"
#include "mesh/program/progress.h"
#include "node/common/bytes.h"
#include "node/engine/multicast.h"
#include "node/engine/udp_driver.h"

enum {
    WATCH_NS = 50000000,
    LINGER_NS = 2000000000 /* rank 0 waits at most twice as long, and so do the others for it */
};

static uint16_t rank_count(const struct member *m)
{
    return m->config.map->rank_count;
}

static void post_report(struct member *m)
{
    struct member_report report;
    uint8_t message[ENGINE_MESSAGE_BYTES_MAX];
    struct bytes out = bytes_writer(message, sizeof message);

    member_make_report(m, &report);
    bytes_put_u8(&out, MESSAGE_REPORT);
    member_report_write(&report, &out);
    engine_post(m->engine, 0, message, bytes_size(&out));
}

static void take_report(struct member *m, uint16_t from, struct bytes *in)
{
    struct member_report report;

    if (member_report_read(&report, in) < 0 || (atomic_load(&m->reported) >> from & 1) != 0)
        return;
    m->report[from] = report;
    atomic_fetch_or(&m->reported, UINT64_C(1) << from);
}

/* ---- hooks of the engine ---- */

static void on_token(void *app, uint64_t now_ns, const struct engine_token *token)
{
    struct member *m = app;
    uint32_t count = atomic_load_explicit(&m->token_count, memory_order_relaxed);

    if (count > m->config.ctx)
        return; /* of another request, which this program never makes */
    if (count == 0) {
        member_count_decode(m);
        m->outcome.first_token_ns = now_ns;
    }
    m->token[count] = (struct member_token){.id = token->id, .digest = token->digest, .when_ns = now_ns};
    atomic_store_explicit(&m->token_count, count + 1, memory_order_release);
    if (m->config.rank == 0)
        eventcount_notify(m->workers.wakeup);
}

static void on_done(void *app, uint64_t now_ns, uint64_t request, enum engine_done reason, const struct engine_fault *fault)
{
    struct member *m = app;

    (void)request;
    member_count_decode(m);
    m->outcome.reason = reason;
    m->outcome.done_ns = now_ns;
    m->outcome.tokens = atomic_load(&m->token_count);
    if (fault != NULL)
        m->outcome.fault = *fault;
    atomic_store(&m->is_done, true);
    eventcount_notify(m->workers.wakeup);
}

static void on_peer(void *app, const struct mesh_event *event)
{
    struct member *m = app;

    if (event->type == MESH_EVENT_UP)
        join_up(&m->join, event->rank);
    else if (event->type == MESH_EVENT_REFUSED)
        join_refused(&m->join, event->rank, event->reason);
    else if (event->type == MESH_EVENT_GONE)
        atomic_fetch_or(&m->gone, UINT64_C(1) << event->rank);
    eventcount_notify(m->workers.wakeup);
}

static void on_message(void *app, uint16_t from, const uint8_t *message, size_t bytes)
{
    struct member *m = app;
    struct bytes in = bytes_reader(message, bytes);

    switch (bytes_get_u8(&in)) {
    case MESSAGE_READY:
        join_ready(&m->join, from);
        break;
    case MESSAGE_FINISH:
        if (from == 0)
            atomic_store(&m->wants_finish, true);
        break;
    case MESSAGE_REPORT:
        if (m->config.rank == 0)
            take_report(m, from, &in);
        break;
    default:
        break; /* of a later version: ignored */
    }
    eventcount_notify(m->workers.wakeup);
}

/* A rank that was there once may have no port only because its process is gone. It said no goodbye, or on_peer knows it. */
static void on_unreachable(void *app, struct mesh_addr to)
{
    struct member *m = app;
    int rank = join_up_at(&m->join, &to);

    if (rank >= 0 && (atomic_fetch_or(&m->ended, UINT64_C(1) << rank) >> rank & 1) == 0)
        eventcount_notify(m->workers.wakeup);
}

/* ---- opening ---- */

static int open_mesh(struct member *m, struct fail *fail)
{
    struct mesh_config config = {
        .epoch = m->config.epoch,
        .datagram_bytes_max = mesh_udp_datagram_bytes_max(m->config.udp),
        .receive_buffer_bytes = mesh_udp_receive_buffer_bytes(m->config.udp),
        .tap = recording_endpoint_tap(m->config.recording),
    };

    engine_mesh_config(m->engine, &config);
    memcpy(config.incarnation, m->config.incarnation, sizeof config.incarnation);
    size_t bytes = mesh_memory_bytes(&config);
    if (posix_memalign(&m->mesh_memory, 64, bytes) != 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: cannot have %zu bytes for the endpoint: use a smaller --batch", bytes);
    int err = mesh_init(&m->mesh, &config, m->mesh_memory, bytes, mesh_udp_now_ns());
    if (err != MESH_OK)
        return fail_set(fail, EXIT_ENVIRONMENT, "mesh: cannot start the endpoint: %s: report this", mesh_strerror(err));
    multicast_tell(m->config.udp, m->mesh);
    for (uint16_t r = 0; r < rank_count(m); r++) {
        if (r == m->config.rank)
            continue;
        mesh_set_path(m->mesh, r, mesh_udp_path_bytes(m->config.peers[r]));
        mesh_set_peer(m->mesh, r, m->config.peers[r]);
        mesh_udp_set_peer(m->config.udp, r, m->config.peers[r]);
    }
    return 0;
}

static bool is_end(const void *tokenizer, uint32_t id)
{
    return tokenizer_is_end(tokenizer, id);
}

struct member *member_open(const struct member_config *config, struct fail *fail)
{
    struct member *m = calloc(1, sizeof *m);
    struct engine_hooks hooks = {.on_token = on_token, .on_done = on_done, .on_peer = on_peer, .on_message = on_message, .app = m};
    struct engine_config engine = {
        .model = config->model,
        .map = config->map,
        .rank = config->rank,
        .worker_count = config->threads,
        .batch = config->batch,
        .slots = 1,
        .ctx = config->ctx,
        .kv_type = config->kv_type,
        .kernel = config->kernel,
        .pace_bytes_per_s = config->lab.pace_bytes_per_s,
        .pace_later_bytes_per_s = config->lab.later_bytes_per_s,
        .pace_later_at_ns = mesh_udp_now_ns() + config->lab.after_ns,
        .is_star = config->is_star,
        .is_whole = config->is_whole,
        .is_end = is_end,
        .tokenizer = config->tokenizer,
    };

    if (m == NULL)
        goto no_memory;
    m->config = *config;
    join_init(&m->join, config->rank, config->map->rank_count, config->peers);
    silence_init(&m->silence, mesh_udp_now_ns());
    m->token = calloc((size_t)config->ctx + 1, sizeof *m->token);
    m->report = calloc(config->map->rank_count, sizeof *m->report);
    if (m->token == NULL || m->report == NULL)
        goto no_memory;
    if (worker_pool_open(&m->workers, fail) == 0)
        m->engine = engine_open(&engine, &hooks, fail);
    if (m->engine != NULL)
        return m;
    member_close(m);
    return NULL;
no_memory:
    fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: use a smaller --ctx");
    member_close(m);
    return NULL;
}

/* Once; also on failure, or the others would wait for this node forever. */
static void leave(struct member *m)
{
    if (m->mesh != NULL && m->workers.pool != NULL && !m->has_left)
        engine_goodbye(m->engine);
    m->has_left = true;
}

void member_close(struct member *m)
{
    if (m == NULL)
        return;
    leave(m);
    worker_pool_stop(&m->workers);
    member_telemetry_close(m);
    engine_close(m->engine);
    worker_pool_close(&m->workers);
    free(m->mesh_memory);
    free(m->token);
    free(m->report);
    free(m);
}

void member_memory(const struct member *m, struct engine_memory *memory)
{
    engine_memory(m->engine, memory);
}

/* ---- starting ---- */

/* The first thread that sees that all is loaded tells rank 0. */
static void report_ready(void *app)
{
    struct member *m = app;
    uint8_t message = MESSAGE_READY;

    if (m->config.rank != 0 && !atomic_exchange(&m->has_said_ready, true))
        engine_post(m->engine, 0, &message, 1);
}

int member_start(struct member *m, struct fail *fail)
{
    const struct port_driver driver = udp_driver(m->config.udp);

    if (engine_allocate(m->engine, fail) < 0 || (m->config.udp != NULL && open_mesh(m, fail) < 0))
        return -1;
    if (m->config.is_single && m->config.udp != NULL)
        mesh_udp_set_unreachable(m->config.udp, on_unreachable, m);
    engine_attach(m->engine, m->mesh, m->mesh == NULL ? NULL : &driver, udp_driver_now_ns, NULL);
    m->workers.on_loaded = report_ready;
    m->workers.app = m;
    m->workers.recording = m->config.recording;
    if (member_telemetry_open(m, fail) < 0)
        return -1;
    return worker_pool_start(&m->workers, m->engine, m->config.threads, fail);
}

/* ---- waiting ---- */

/* No rank leaves, or ends, before rank 0 says that it has finished, unless something went wrong there. */
static int check_gone(struct member *m, struct fail *fail)
{
    uint64_t gone = atomic_load(&m->gone), ended = atomic_load(&m->ended);
    char address[MESH_ADDR_TEXT_BYTES];

    if ((gone | ended) == 0)
        return 0;
    int rank = __builtin_ctzll(gone != 0 ? gone : ended);
    mesh_addr_format(m->config.peers[rank], address);
    if (gone == 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "rank %d (%s): its process has ended: see why, then start again", rank, address);
    return fail_set(fail, EXIT_ENVIRONMENT, "rank %d (%s): has left: see what it prints, then start again", rank, address);
}

/* Check what is known of other ranks: where they are child processes, watch knows more. */
static int check_others(struct member *m, int (*watch)(void *app, struct fail *fail), void *app, struct fail *fail)
{
    return watch != NULL ? watch(app, fail) : check_gone(m, fail);
}

static void show_loading(struct member *m, struct progress *progress)
{
    uint32_t count = engine_load_count(m->engine), left = atomic_load(&m->workers.load_left);

    if (m->config.rank != 0 || !progress_is_due(progress))
        return;
    if (left > 0)
        fprintf(stderr, "\rloading: %3.0f %% ", 100.0 * (count - left) / count);
    else
        fprintf(stderr, "\rloading: waiting for the other nodes ");
}

static int wait_ready(struct member *m, struct progress *progress, int (*watch)(void *app, struct fail *fail), void *app, struct fail *fail)
{
    uint64_t begin_ns = mesh_udp_now_ns();

    for (;;) {
        uint32_t seen = eventcount_read(m->workers.wakeup);

        if (atomic_load(&m->workers.load_left) == 0 && join_is_complete(&m->join))
            return 0;
        if (m->config.interrupt != NULL && *m->config.interrupt != 0)
            return fail_set(fail, EXIT_ENVIRONMENT, "interrupted by a signal before all nodes were ready: start again");
        if (join_check(&m->join, fail) < 0 || check_others(m, watch, app, fail) < 0)
            return -1;
        /* A node that has answered may load as long as it likes: it may have more rows, or a slower disk. */
        if (atomic_load(&m->workers.load_left) > 0 || join_all_up(&m->join))
            begin_ns = mesh_udp_now_ns();
        if (mesh_udp_now_ns() - begin_ns > m->config.join_timeout_ns &&
            join_late(&m->join, m->config.join_timeout_ns, m->config.udp, fail) < 0)
            return -1;
        member_tell_silence(m, progress);
        show_loading(m, progress);
        eventcount_wait(m->workers.wakeup, seen, WATCH_NS);
    }
}

int member_wait_ready(struct member *m, int (*watch)(void *app, struct fail *fail), void *app, struct fail *fail)
{
    struct progress progress;

    progress_begin(&progress);
    int err = wait_ready(m, &progress, watch, app, fail);
    progress_end(&progress);
    return err;
}

int member_submit(struct member *m, const struct request *request, struct fail *fail)
{
    struct request numbered = *request;

    numbered.id = REQUEST_ID;
    m->prompt_tokens = request->prompt_count;
    m->outcome.submitted_ns = mesh_udp_now_ns();
    progress_begin(&m->progress);
    recording_request(m->config.recording, m->outcome.submitted_ns, &numbered);
    if (!engine_submit(m->engine, &numbered))
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory for the prompt: use a shorter one");
    worker_pool_wake(&m->workers);
    return 0;
}

/* Until the first token. */
static void show_prompt(struct member *m)
{
    struct engine_figures figures;

    if (m->token_taken > 0 || !progress_is_due(&m->progress))
        return;
    engine_figures(m->engine, &figures);
    fprintf(stderr, "\rreading the prompt: %3.0f %% ", 100.0 * (double)figures.positions / m->prompt_tokens);
}

int member_next_token(struct member *m, struct member_token *token, int (*watch)(void *app, struct fail *fail), void *app,
                      struct fail *fail)
{
    for (;;) {
        uint32_t seen = eventcount_read(m->workers.wakeup);
        bool is_done = atomic_load(&m->is_done);

        member_record(m);
        if (m->token_taken < atomic_load_explicit(&m->token_count, memory_order_acquire)) {
            *token = m->token[m->token_taken++];
            progress_end(&m->progress);
            return 1;
        }
        if (is_done || check_others(m, watch, app, fail) < 0) {
            progress_end(&m->progress);
            return is_done ? 0 : -1;
        }
        member_tell_silence(m, &m->progress);
        show_prompt(m);
        eventcount_wait(m->workers.wakeup, seen, WATCH_NS);
    }
}

void member_cancel(struct member *m)
{
    engine_cancel(m->engine, REQUEST_ID);
    worker_pool_wake(&m->workers);
}

void member_outcome(const struct member *m, struct member_outcome *outcome)
{
    *outcome = m->outcome;
}

/* ---- ending ---- */

/* Wait until done(m) or the time is over. */
static void wait_until(struct member *m, bool (*done)(struct member *), uint64_t max_ns)
{
    uint64_t begin_ns = mesh_udp_now_ns();

    while (!done(m) && mesh_udp_now_ns() - begin_ns < max_ns)
        eventcount_wait(m->workers.wakeup, eventcount_read(m->workers.wakeup), 1000000);
}

static bool has_reports(struct member *m)
{
    return __builtin_popcountll(atomic_load(&m->reported)) + 1 >= rank_count(m);
}

static bool owes_nothing(struct member *m)
{
    return engine_is_quiet(m->engine);
}

static bool is_over(struct member *m)
{
    return (atomic_load(&m->gone) & 1) != 0;
}

void member_finish(struct member *m, struct member_report *reports)
{
    uint8_t message = MESSAGE_FINISH;

    member_record_end(m);
    for (uint16_t r = 1; r < rank_count(m); r++)
        engine_post(m->engine, r, &message, 1);
    if (rank_count(m) > 1) {
        wait_until(m, has_reports, LINGER_NS);
        wait_until(m, owes_nothing, LINGER_NS);
        leave(m);
    }
    if (reports == NULL)
        return;
    member_make_report(m, &reports[0]);
    /* A report that arrives later is still being written. */
    for (uint16_t r = 1; r < rank_count(m); r++)
        reports[r] = (atomic_load(&m->reported) >> r & 1) != 0 ? m->report[r] : (struct member_report){0};
}

static bool is_done_or_over(struct member *m)
{
    return atomic_load(&m->is_done) || is_over(m);
}

int member_serve(struct member *m, struct fail *fail)
{
    while (!atomic_load(&m->wants_finish)) {
        uint32_t seen = eventcount_read(m->workers.wakeup);

        if (join_check(&m->join, fail) < 0 || (!atomic_load(&m->wants_finish) && check_gone(m, fail) < 0))
            return -1;
        member_record(m);
        member_tell_silence(m, NULL);
        eventcount_wait(m->workers.wakeup, seen, WATCH_NS);
    }
    /* Rank 0 may end its last step, and say so, before this node ends its own. Rank 0 has all it needs, so there is no reason to wait
     * forever. */
    wait_until(m, is_done_or_over, 2 * (uint64_t)LINGER_NS);
    member_record_end(m);
    post_report(m);
    wait_until(m, is_over, 2 * (uint64_t)LINGER_NS);
    return 0;
}
