#include "served.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "simquestion.h"

enum { NODE_PORT = 1, OTHER_PORT, CLIENT_PORT = 10 };

static _Atomic uint64_t clock_ns; /* worker threads read it, too */
static struct served *open_one;

uint64_t served_now_ns(void)
{
    return atomic_load(&clock_ns);
}

void served_let_pass(uint64_t ns)
{
    atomic_fetch_add(&clock_ns, ns);
}

struct mesh_addr served_addr(uint16_t port)
{
    return (struct mesh_addr){.ip = {[10] = 255, [11] = 255, [12] = 127, [15] = 1}, .port = port};
}

/* ---- the network ---- */

static void take_events(struct served_client *c)
{
    struct mesh_session_event event;
    struct client_message message;

    while (mesh_call_next_event(c->call, served_now_ns(), &event)) {
        c->is_open |= event.type == MESH_SESSION_OPENED;
        c->is_over |= event.type == MESH_SESSION_CLOSED || event.type == MESH_SESSION_FAILED;
        if (event.type == MESH_SESSION_OPENED)
            c->session = event.session;
        if (event.type != MESH_SESSION_RECORD)
            continue;
        c->told[event.record[0]]++;
        if (client_message_read(&message, event.record, event.record_bytes) < 0)
            continue;
        for (uint32_t i = 0; i < message.token_count; i++) {
            assert_true(c->tokens < SERVED_TOKENS);
            c->token[c->tokens++] = message.token[i].id;
        }
        if (message.kind == CLIENT_MESSAGE_DONE)
            c->done = message.done;
        if (message.kind >= CLIENT_MESSAGE_STATE) {
            memcpy(c->text, message.text, message.text_size);
            c->text[message.text_size] = '\0';
        }
    }
}

static bool pass_from_client(struct served *s, unsigned index)
{
    struct served_client *c = &s->client[index];
    uint8_t packet[MESH_SESSION_DATAGRAM_BYTES];
    bool is_any = false;
    size_t bytes;

    mesh_call_tick(c->call, served_now_ns());
    take_events(c);
    while ((bytes = mesh_call_next_datagram(c->call, served_now_ns(), packet, sizeof packet)) > 0) {
        mesh_sessions_receive(s->server.sessions, served_now_ns(), served_addr((uint16_t)(CLIENT_PORT + index)), packet, bytes);
        is_any = true;
    }
    return is_any;
}

static bool pass_to_clients(struct served *s)
{
    uint8_t packet[MESH_SESSION_DATAGRAM_BYTES];
    struct mesh_addr to;
    bool is_any = false;
    size_t bytes;

    while ((bytes = mesh_sessions_next_datagram(s->server.sessions, served_now_ns(), packet, sizeof packet, &to)) > 0) {
        struct served_client *c = &s->client[to.port - CLIENT_PORT];

        if (!c->is_deaf)
            mesh_call_receive(c->call, served_now_ns(), served_addr(NODE_PORT), packet, bytes);
        is_any = true;
    }
    return is_any;
}

/* The next datagram of a process, sealed if there is a key; 0: there is none. */
static size_t next_of_cluster(struct mesh_cluster *from, const struct mesh_seal_key *key, uint8_t packet[MESH_DATAGRAM_BYTES_MIN])
{
    const enum mesh_security security = open_one->config.run.security;
    struct mesh_output output;

    while (mesh_cluster_next_datagram(from, served_now_ns(), packet, MESH_DATAGRAM_BYTES_MIN, &output))
        if (security == MESH_SECURITY_NONE || mesh_seal_packet(key, security, packet, output.bytes) == MESH_OK)
            return output.bytes;
    return 0;
}

static void pass_to_other(struct served *s)
{
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN];
    size_t bytes;

    while ((bytes = next_of_cluster(s->server.cluster, &s->server.process_key, packet)) > 0) {
        if (s->other == NULL || s->other_is_deaf)
            continue;
        assert_int_equal(mesh_open_packet(&s->server.process_key, s->config.run.security, packet, bytes), MESH_OK);
        mesh_cluster_receive(s->other, served_now_ns(), served_addr(NODE_PORT), packet, bytes);
    }
}

/* By the filter, as in the node's loop. */
static void pass_from_other(struct served *s)
{
    const struct packet_ring_entry *taken;
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN];
    size_t bytes;

    while ((bytes = next_of_cluster(s->other, &s->other_key, packet)) > 0) {
        if (s->other_is_mute)
            continue;
        assert_true(packet_filter_take(&s->server.filter, served_now_ns(), served_addr(OTHER_PORT), packet, bytes));
        taken = packet_ring_first(&s->server.filter.ring);
        mesh_cluster_receive(s->server.cluster, served_now_ns(), taken->from, taken->bytes, taken->size);
        packet_ring_drop(&s->server.filter.ring);
    }
}

void served_send(struct server *server)
{
    struct served *s = open_one;

    assert_ptr_equal(server, &s->server);
    if (s->before_send != NULL)
        s->before_send();
    pass_to_other(s);
    pass_to_clients(s);
}

/* ---- clients ---- */

static void seal_session(const struct served *s, struct mesh_session_seal *seal, const uint8_t incarnation[MESH_INCARNATION_BYTES])
{
    const struct serve_config *c = &s->config;

    assert_int_equal(mesh_session_seal_init(seal, c->run.security, &c->cluster_key, c->run.cluster, incarnation), MESH_OK);
}

unsigned served_call(struct served *s)
{
    const unsigned index = s->client_count++;
    struct served_client *c = &s->client[index];
    const struct mesh_call_config config = {
        .incarnation = {7, (uint8_t)index},
        .nonce = 1000 + index,
        .addr = served_addr(NODE_PORT),
        .timeout_ns = 10 * SERVED_S,
        .guard = &c->seal.guard,
    };
    const size_t bytes = mesh_call_memory_bytes();

    assert_true(index < SERVED_CLIENTS);
    seal_session(s, &c->seal, config.incarnation);
    assert_int_equal(posix_memalign(&c->memory, 64, bytes), 0);
    assert_int_equal(mesh_call_init(&c->call, &config, c->memory, bytes, served_now_ns()), 0);
    served_pump(s);
    assert_true(c->is_open);
    return index;
}

void served_hang_up(struct served *s, unsigned client)
{
    mesh_call_close(s->client[client].call, served_now_ns());
    served_pump(s);
}

void served_say(struct served *s, unsigned client, const uint8_t *record, size_t bytes)
{
    assert_int_equal(mesh_call_send(s->client[client].call, served_now_ns(), record, bytes), 0);
    served_pump(s);
}

void served_ask(struct served *s, unsigned client, const struct client_message *message)
{
    static uint8_t record[MESH_RECORD_BYTES_MAX];

    served_say(s, client, record, client_message_write(message, record));
}

void served_ask_text(struct served *s, unsigned client, const char *text, uint32_t predict)
{
    const struct client_message message = {.kind = CLIENT_MESSAGE_ASK,
                                           .ask = {.predict = predict, .ignore_end = true, .sampling = {.top_p = 1, .repeat_penalty = 1}},
                                           .text = text,
                                           .text_size = strlen(text)};

    served_ask(s, client, &message);
}

void served_say_kind(struct served *s, unsigned client, enum client_message_kind kind)
{
    const struct client_message message = {.kind = kind};

    served_ask(s, client, &message);
}

void served_expect_text(const struct served *s, unsigned client, const char *part)
{
    if (strstr(s->client[client].text, part) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", part, s->client[client].text);
}

void served_pump(struct served *s)
{
    bool is_any = true;

    while (is_any) {
        is_any = false;
        for (unsigned i = 0; i < s->client_count; i++)
            is_any |= pass_from_client(s, i);
        serve_run_sessions(&s->server);
        is_any |= pass_to_clients(s);
    }
}

/* ---- the node ---- */

static void open_cluster(struct mesh_cluster **cluster, void **memory, const struct served *s, uint8_t first, bool has_other_model)
{
    const struct mesh_addr seed = served_addr(first == NODE_PORT ? OTHER_PORT : NODE_PORT);
    const size_t bytes = mesh_cluster_memory_bytes();
    struct mesh_cluster_config config = {
        .incarnation = {first},
        .secret = {first},
        .fingerprint = {has_other_model ? 2 : 1},
        .seeds = &seed,
        .seed_count = first == NODE_PORT ? s->config.seed_count : 1,
        .speed = 1000,
        .flags = balance_flags(&s->server.shares.self),
        .addr = served_addr(first),
        .prepares_joins = true,
        .hash = mesh_hash16,
    };

    assert_int_equal(posix_memalign(memory, 64, bytes), 0);
    assert_int_equal(mesh_cluster_init(cluster, &config, *memory, bytes, served_now_ns()), 0);
}

static void open_sessions(const struct served *s, struct server *server)
{
    const struct mesh_sessions_config config = {
        .incarnation = {NODE_PORT}, .capacity = SERVED_CLIENTS, .hash = mesh_hash16, .guard = &server->session_seal.guard};
    const size_t bytes = mesh_sessions_memory_bytes(SERVED_CLIENTS);

    seal_session(s, &server->session_seal, config.incarnation);
    assert_int_equal(posix_memalign(&server->sessions_memory, 64, bytes), 0);
    assert_int_equal(mesh_sessions_init(&server->sessions, &config, server->sessions_memory, bytes, served_now_ns()), 0);
}

static void make_key(const struct served *s, struct mesh_seal_key *key, uint8_t first)
{
    const uint8_t incarnation[MESH_INCARNATION_BYTES] = {first};
    const struct serve_config *c = &s->config;

    if (c->run.security != MESH_SECURITY_NONE)
        assert_int_equal(mesh_seal_key_of_process(key, &c->cluster_key, c->run.cluster, incarnation), MESH_OK);
}

void served_open(struct served *s, unsigned seed_count, enum mesh_security security)
{
    const struct simquestion_model *model = simquestion_model(0);
    struct server *server = &s->server;
    struct fail fail;

    memset(s, 0, sizeof *s);
    open_one = s;
    atomic_store(&clock_ns, 1000 * SERVED_S);
    s->config = (struct serve_config){
        .run = {.model = model->model,
                .tokenizer = model->tokenizer,
                .kernel = kernel_choose(NULL),
                .cluster = "harbour",
                .security = security,
                .key = &s->config.cluster_key,
                .threads = 1,
                .batch = 8,
                .slots = 4,
                .ctx = SERVED_CTX,
                .kv_type = model->kv_type},
        .cluster_key = {.bytes = {11, 12, 13}},
        .seed_count = seed_count,
        .is_quiet = true,
    };
    assert_int_equal(mesh_udp_open(&s->config.run.udp, served_addr(0), NULL), 0);
    server->config = &s->config;
    server->epoch_run_config = s->config.run;
    server->discover_fd = -1;
    server->incarnation[0] = NODE_PORT;
    server->wakeup = eventcount_open(&fail);
    assert_non_null(server->wakeup);
    server->shares.self = (struct balance_member){.speed = 1000, .share = BALANCE_SHARE_AUTO};
    balance_load_init(&server->shares.load, model->model);
    open_cluster(&server->cluster, &server->cluster_memory, s, NODE_PORT, false);
    open_sessions(s, server);
    make_key(s, &server->process_key, NODE_PORT);
    make_key(s, &s->other_key, OTHER_PORT);
    assert_int_equal(serve_watch_open(server, &fail), 0);
    packet_filter_init(&server->filter, security, s->config.run.key, s->config.run.cluster, 1);
}

void served_close(struct served *s)
{
    struct server *server = &s->server;

    serve_end_epoch(server);
    pool_join(serve_take_reclaimer(server));
    saved_kv_release(&server->saved_kv);
    prompt_queue_release(&server->prompt_queue);
    jobs_release(&server->jobs);
    serve_watch_close(server);
    packet_filter_release(&server->filter);
    mesh_udp_close(s->config.run.udp);
    eventcount_close(server->wakeup);
    free(server->cluster_memory);
    free(server->sessions_memory);
    free(s->other_memory);
    mesh_session_seal_release(&server->session_seal);
    for (unsigned i = 0; i < s->client_count; i++) {
        mesh_session_seal_release(&s->client[i].seal);
        free(s->client[i].memory);
    }
}

static uint64_t engine_clock(void *clock)
{
    (void)clock;
    return served_now_ns();
}

void served_begin_alone(struct served *s)
{
    const struct mesh_cluster_member self = {.incarnation = {NODE_PORT}, .addr = served_addr(NODE_PORT), .speed = 1000};
    const struct mesh_cluster_event epoch = {.type = MESH_CLUSTER_EPOCH, .number = 5, .members = &self, .member_count = 1};
    struct epoch_run *run = calloc(1, sizeof *run);
    struct fail fail;

    assert_non_null(run);
    assert_int_equal(epoch_run_open(run, &s->server.epoch_run_config, &epoch, s->server.wakeup, NULL, &fail), 0);
    for (uint32_t i = 0; i < engine_load_count(run->engine); i++)
        engine_load(run->engine, i);
    engine_restore(run->engine, &s->server.saved_kv);
    engine_attach(run->engine, NULL, NULL, engine_clock, NULL);
    run->workers.engine = run->engine;
    run->is_started = true;
    s->server.run = run;
}

void served_work(struct served *s)
{
    jobs_submit(&s->server.jobs, s->server.run);
    do {
        served_let_pass(SERVED_MS / 100);
    } while (engine_work(s->server.run->engine, 0) != ENGINE_IDLE);
    serve_take_results(&s->server);
}

/* ---- others ---- */

void served_start_other(struct served *s, bool has_other_model)
{
    open_cluster(&s->other, &s->other_memory, s, OTHER_PORT, has_other_model);
}

/* The other process has nothing to load. */
static void run_other(struct served *s)
{
    struct mesh_cluster_event event;

    mesh_cluster_tick(s->other, served_now_ns());
    while (mesh_cluster_next_event(s->other, &event))
        if (event.type == MESH_CLUSTER_PREPARE)
            mesh_cluster_ready(s->other, served_now_ns(), event.plan);
    pass_from_other(s);
}

void served_run_other(struct served *s, uint64_t ns)
{
    const uint64_t end_ns = served_now_ns() + ns;

    while (served_now_ns() < end_ns) {
        served_let_pass(SERVED_MS);
        run_other(s);
    }
    free(s->server.cluster_memory);
    open_cluster(&s->server.cluster, &s->server.cluster_memory, s, NODE_PORT, false);
}

bool served_run(struct served *s, uint64_t ns, bool (*is_done)(const struct served *s), struct fail *fail)
{
    const struct timespec moment = {.tv_nsec = 20000}; /* for the threads that prepare, whose time is real */
    const uint64_t end_ns = served_now_ns() + ns;

    while (served_now_ns() < end_ns && (is_done == NULL || !is_done(s))) {
        served_let_pass(SERVED_MS);
        while (s->server.next != NULL && !s->is_held && atomic_load(&s->server.next->preparing) == EPOCH_RUN_OPENING)
            nanosleep(&moment, NULL);
        if (s->server.next != NULL && !epoch_run_is_prepared(s->server.next))
            nanosleep(&moment, NULL);
        if (s->other != NULL)
            run_other(s);
        if (serve_run_cluster(&s->server, fail) < 0)
            return false;
        serve_watch_members(&s->server);
        if (s->server.memory.monitor != NULL)
            serve_watch_memory(&s->server);
        serve_send_outside(&s->server);
    }
    return true;
}

unsigned served_noted(const struct served *s, enum mesh_node_event kind)
{
    return s->server.watching.events.by_kind[kind];
}

const char *served_note(const struct served *s, enum mesh_node_event kind)
{
    const struct event_ring *events = &s->server.watching.events;

    for (uint32_t number = events->count; number >= event_ring_first(events) && number > 0; number--)
        if (event_ring_get(events, number)->event.happened == kind)
            return event_ring_get(events, number)->text;
    return "";
}
