/* What a serving node records, besides the calls of its cores: --record. */
#include <stdlib.h>

#include "node/common/pool.h"
#include "node/engine/security.h"
#include "node/run/run_options.h"
#include "serve_state.h"

int serve_record_open(struct server *server, struct fail *fail)
{
    const struct serve_config *config = server->config;
    const bool is_secure = config->run.security != MESH_SECURITY_NONE;
    uint8_t fingerprint[32];
    char address[MESH_ADDR_TEXT_BYTES];
    struct mesh_key key;
    const bool is_advertised = config->advertise.port > 0;
    const struct recording_node node = {address, RECORDING_NO_RANK, is_advertised ? config->advertise : mesh_udp_local(config->run.udp)};

    if (config->record.path == NULL)
        return 0;
    key = config->cluster_key;
    /* Without a key hashes are specific to this process. */
    if (!is_secure && mesh_random(key.bytes, sizeof key.bytes) != MESH_OK)
        return fail_set(fail, EXIT_ENVIRONMENT, "random numbers: the system gives none");
    mesh_addr_format(mesh_udp_local(config->run.udp), address);
    const int err = recording_open(&server->recording, &config->record, &node, &key, true, fail);
    mesh_wipe(&key, sizeof key);
    if (err < 0)
        return -1;
    gguf_fingerprint(config->run.model->gguf, fingerprint);
    recording_meta_hash(server->recording, "model_fingerprint", fingerprint);
    recording_meta(server->recording, "command", "serve");
    recording_meta(server->recording, "threads", "%u", config->run.threads);
    recording_meta(server->recording, "batch", "%u", config->run.batch);
    recording_meta(server->recording, "slots", "%u", config->run.slots);
    recording_meta(server->recording, "ctx", "%u", config->run.ctx);
    recording_meta(server->recording, "kv_type", "%s", run_kv_words[config->run.kv_type]);
    recording_meta(server->recording, "kernel", "%s", config->run.kernel->name);
    recording_meta(server->recording, "security", "%s", security_words[config->run.security]);
    server->epoch_run_config.recording = server->recording;
    if (config->record.prompts)
        serve_log(server, "recording all prompts and answers unencrypted: whoever reads the file can read them");
    return 0;
}

/* ---- closing ---- */

enum { LOOK_NS = 50000000, LOG_NS = 2000000000 };

struct closing {
    struct recording *recording;
    struct eventcount *wakeup;
    atomic_bool is_done;
};

static void close_recording(void *app, uint16_t index)
{
    struct closing *closing = app;

    (void)index;
    recording_close(closing->recording, NULL); /* says what it lacks; that is no failure of serving */
    atomic_store(&closing->is_done, true);
    eventcount_notify(closing->wakeup);
}

/* True: the recording is closed. */
static bool await(struct server *server, struct closing *closing, const volatile sig_atomic_t *signals)
{
    const sig_atomic_t before = *signals;
    const uint64_t begin_ns = mesh_udp_now_ns();
    bool is_told = false;

    while (!atomic_load(&closing->is_done) && *signals == before) {
        const uint32_t seen = eventcount_read(closing->wakeup);

        if (!is_told && mesh_udp_now_ns() - begin_ns > LOG_NS) {
            serve_log(server, "--record %.200s: waiting for its disk, until another signal", server->config->record.path);
            is_told = true;
        }
        if (!atomic_load(&closing->is_done))
            eventcount_wait(closing->wakeup, seen, LOOK_NS);
    }
    return atomic_load(&closing->is_done);
}

void serve_record_close(struct server *server, const volatile sig_atomic_t *signals)
{
    struct closing *closing = server->recording != NULL ? calloc(1, sizeof *closing) : NULL;
    struct pool *pool = NULL;
    struct fail fail;

    if (closing != NULL) {
        closing->recording = server->recording;
        closing->wakeup = eventcount_open(&fail);
        pool = closing->wakeup != NULL ? pool_start(1, close_recording, closing, &fail) : NULL;
    }
    if (pool != NULL && !await(server, closing, signals)) {
        serve_log(server, "--record %.200s: left incomplete", server->config->record.path);
        return; /* the thread ends with the process */
    }
    pool_join(pool);
    if (pool == NULL)
        recording_close(server->recording, NULL);
    if (closing != NULL)
        eventcount_close(closing->wakeup);
    free(closing);
}

/* ---- its disk ---- */

/* recording_watch tells the log. */
void serve_record_watch(struct server *server)
{
    static const char what[] = "the recording cannot be written";
    char cause[RECORDING_CAUSE_BYTES];

    recording_watch(server->recording);
    if (!recording_is_failing(server->recording, cause))
        serve_trouble_over(server, TROUBLE_RECORDING, NULL);
    else if (troubles_begin(&server->troubles, mesh_udp_now_ns(), TROUBLE_RECORDING, NULL, what, cause) != NULL)
        serve_note(server, MESH_NODE_EVENT_TROUBLE, MESH_TELEMETRY_NOBODY, NULL, "%s%s", what, cause);
}

/* ---- what there is to record ---- */

static void record_request(struct server *server, const struct job *job)
{
    const struct request request = {
        .id = job->id,
        .prompt = job->token,
        .prompt_count = job->prompt_count,
        .predict = job->ask.predict,
        .sampling = job->ask.sampling,
        .ignore_end = job->ask.ignore_end,
    };

    recording_request(server->recording, job->asked_ns, &request);
}

void serve_record_asked(struct server *server, const struct job *job)
{
    if (server->recording != NULL)
        record_request(server, job);
}

void serve_record_cancelled(struct server *server, const struct job *job, bool is_asked_for, bool is_in_engine)
{
    const uint64_t now_ns = mesh_udp_now_ns();

    recording_request_cancel(server->recording, now_ns, job->id, is_asked_for ? "the client asked for it" : "the client is gone");
    if (!is_in_engine)
        recording_request_end(server->recording, now_ns, job->id, ENGINE_DONE_CANCELLED);
}

void serve_record_result(struct server *server, const struct epoch_run_result *result)
{
    if (result->is_done)
        recording_request_end(server->recording, result->when_ns, result->request, result->reason);
    else
        recording_token(server->recording, result->when_ns, &result->token);
}

void serve_record_piece(struct server *server, const struct mesh_telemetry_head *head, const uint8_t *piece, size_t bytes)
{
    /* Watchers may want reports more often; all pieces of a report have the same serial number. */
    if (server->recording == NULL || (head->serial != server->record_serial && head->now_ns < server->record_at_ns))
        return;
    if (head->serial != server->record_serial)
        server->record_at_ns = head->now_ns + SERVE_RECORD_NS;
    server->record_serial = head->serial;
    recording_report(server->recording, head->now_ns, serve_unix_ms(), piece, bytes);
}
