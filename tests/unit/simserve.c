#include "simserve.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "libmesh/core/core.h"
#include "libmesh/core/mix.h"
#include "node/engine/engine_state.h"
#include "simattack.h"

enum {
    WATCH_NS = 5000000, /* interval at which serve.c looks for silent members */
    WORK_PER_LOAD = 16, /* pieces of work between two loads of a node that always computes */
    POLL_NS = 1000000,  /* interval at which a computing node polls the network */
    RECEIVE_BUFFER_BYTES = 212992
};

enum draw { DRAW_JOBS = 5100, DRAW_CLOCK };

static struct simserve_node *node_of(const struct simmember *member)
{
    struct simserve *serve = member->members->app;

    return &serve->node[member->place];
}

/* ---- datagrams of an epoch ---- */

/* Replaces the tag that sealing writes: known only to the members of the sender's epoch. */
static void stamp_of(const struct simserve_node *node, uint16_t rank, uint8_t stamp[16])
{
    uint64_t words[2] = {0, 0};

    if (rank < node->run->count) {
        memcpy(words, node->run->member[rank].incarnation, sizeof words);
        words[0] = mesh_mix64(node->stamp ^ words[0]) | 1;
    }
    memcpy(stamp, words, sizeof words);
}

/* As the program does, but as each datagram comes. */
static int receive_in_epoch(struct simserve_node *node, uint64_t own_ns, struct mesh_addr from, const uint8_t *packet, size_t bytes,
                            uint16_t src)
{
    const int err = mesh_receive(node->run->mesh, own_ns, from, packet, bytes);

    if (err == 0 && node->member->number == node->run->number && mesh_cluster_is_waiting(node->member->cluster))
        mesh_cluster_heard(node->member->cluster, own_ns, src);
    return err;
}

static int receive(struct simmember *member, uint64_t own_ns, struct mesh_addr from, const uint8_t *packet, size_t bytes)
{
    static uint8_t plain[UINT16_MAX];
    struct simserve_node *node = node_of(member);
    uint8_t *tag = plain + offsetof(struct mesh_header_bytes, tag), stamp[16];
    struct mesh_header header;

    if (simserve_watch_receive(node, from, packet, bytes))
        return 0;
    if (node->run->mesh == NULL || bytes > sizeof plain || mesh_wire_decode_header(packet, bytes, &header) != 0)
        return MESH_EEPOCH;
    if (node->serve->config.is_plain)
        return receive_in_epoch(node, own_ns, from, packet, bytes, header.src);
    memcpy(plain, packet, bytes);
    stamp_of(node, header.src, stamp);
    if (header.epoch != node->run->number || memcmp(tag, stamp, sizeof stamp) != 0) {
        node->serve->foreign++;
        return MESH_EAUTH;
    }
    memset(tag, 0, sizeof stamp);
    return receive_in_epoch(node, own_ns, from, plain, bytes, header.src);
}

static void tick(struct simmember *member, uint64_t own_ns)
{
    struct simserve_node *node = node_of(member);

    if (node->run->mesh != NULL)
        mesh_tick(node->run->mesh, own_ns);
}

static uint64_t timeout(const struct simmember *member)
{
    const struct simserve_node *node = node_of(member);
    uint64_t at_ns = watch_due_ns(&node->watch, simmembers_clock(&node->serve->members, member->place));

    if (node->run->mesh == NULL)
        return at_ns;
    if (mesh_timeout(node->run->mesh) < at_ns)
        at_ns = mesh_timeout(node->run->mesh);
    return engine_is_stepping(node->run->engine) && node->watch_at_ns < at_ns ? node->watch_at_ns : at_ns;
}

static bool next_outside(struct simserve_node *node, uint8_t *packet, size_t capacity, struct mesh_output *output)
{
    output->ranks = output->group = 0;
    output->bytes = simserve_next_outside(node, packet, capacity, &output->addr);
    return output->bytes > 0;
}

static uint64_t places_of(const struct simserve_node *node, uint64_t ranks)
{
    uint64_t places = 0;

    for (; ranks != 0; ranks &= ranks - 1)
        places |= UINT64_C(1) << node->run->member[__builtin_ctzll(ranks)].addr.port;
    return places;
}

static bool next_datagram(struct simmember *member, uint64_t own_ns, uint8_t *packet, size_t capacity, struct mesh_output *output)
{
    struct simserve_node *node = node_of(member);

    do {
        if (node->run->mesh == NULL || !mesh_next_datagram(node->run->mesh, own_ns, packet, capacity, output))
            return next_outside(node, packet, capacity, output);
        if (!node->serve->config.is_plain)
            stamp_of(node, node->run->rank, packet + offsetof(struct mesh_header_bytes, tag));
    } while (output->ranks == 0 && (!node->serve->config.is_plain || output->addr.port == member->place));
    output->ranks = places_of(node, output->ranks);
    if (output->group != 0) { /* whoever hears the group gets it, in this epoch or not */
        output->group = ~(UINT64_C(1) << member->place) & ((UINT64_C(1) << node->serve->config.count) - 1);
        output->ranks |= output->group;
    }
    return true;
}

/* ---- what a node attends to ---- */

static void on_event(struct simmember *member, const struct mesh_cluster_event *event)
{
    simserve_on_event(node_of(member), event);
}

static void watch_members(struct simserve_node *node, uint64_t own_ns)
{
    uint64_t silent;

    if (node->run->mesh == NULL || own_ns < node->watch_at_ns)
        return;
    node->watch_at_ns = own_ns + WATCH_NS;
    for (silent = engine_silent_ranks(node->run->engine); silent != 0; silent &= silent - 1) {
        mesh_cluster_suspect(node->member->cluster, own_ns, (uint16_t)__builtin_ctzll(silent));
        node->serve->suspected++;
    }
}

/* ---- bounds ---- */

static void raise_to(uint32_t *high, uint64_t value)
{
    if (value > *high)
        *high = (uint32_t)value;
}

/* The sizes of a node's queues at one moment. The cores assert most limits themselves. */
static void check_queues(struct simserve_node *node)
{
    struct simserve *serve = node->serve;
    const struct mesh *mesh = node->run->mesh;

    for (uint16_t r = 0; r < node->run->count; r++)
        raise_to(&serve->waiting_high, node->run->engine->queue.waiting[r]);
    for (uint16_t r = 0; mesh != NULL && r < node->run->count; r++)
        raise_to(&serve->fragments_high, mesh->peers[r].channel.send_end - mesh->peers[r].channel.send_first);
    if (mesh != NULL) {
        raise_to(&serve->published_high, mesh->published_count);
        raise_to(&serve->events_high, mesh->event_count);
    }
    if (serve->waiting_high > REQUEST_QUEUE_WAITING_MAX || serve->fragments_high > MESH_FRAGMENTS ||
        serve->published_high > MESH_SEND_QUEUE || serve->events_high > MESH_EVENT_QUEUE)
        simmembers_fail(&serve->members, node->member, "a queue is longer than it may be");
}

/* ---- a node's time ---- */

static void run_engine(struct simserve_node *node, uint64_t own_ns)
{
    const struct simserve_config *config = &node->serve->config;
    struct engine *engine = node->run->engine;

    if (node->busy_ns > 0) {
        engine_poll(engine);
    } else if (!simserve_is_loaded(node->run)) {
        simserve_load(node->run);
        engine_poll(engine);
        node->busy_ns = config->load_ns * node->slow;
    } else if (engine_work(engine, 0) == ENGINE_WORKED) {
        node->busy_ns = config->unit_ns * node->slow;
    }
    check_queues(node);
    watch_members(node, own_ns);
}

/* Loading happens when there is nothing else to do, and now and then even so, as threads of lowest priority do it. */
static void load_ahead(struct simserve_node *node, uint64_t own_ns)
{
    if (!simserve_is_loaded(node->next) && (node->busy_ns == 0 || ++node->work_count >= WORK_PER_LOAD)) {
        simserve_load(node->next);
        node->busy_ns += node->serve->config.load_ns * node->slow;
        node->work_count = 0;
    }
    simserve_watch_next(node, own_ns);
}

/* The time of a long piece of work passes in parts, since the network is polled in between. */
static uint64_t spend(struct simserve_node *node)
{
    const uint64_t spent_ns = node->busy_ns < POLL_NS ? node->busy_ns : POLL_NS;

    node->busy_ns -= spent_ns;
    return spent_ns;
}

static uint64_t work(struct simmember *member, uint64_t own_ns)
{
    struct simserve_node *node = node_of(member);

    if (node->run->is_started) {
        if (node->job_count > 0)
            jobs_submit(&node->jobs, node->run);
        run_engine(node, own_ns);
    }
    load_ahead(node, own_ns);
    simserve_tell_clients(node);
    watch_run(&node->watch, own_ns);
    return spend(node);
}

static const struct simmembers_beside beside = {receive, tick, timeout, next_datagram, on_event, work};

/* ---- opening ---- */

static void open_node(struct simserve *serve, uint16_t place)
{
    const struct simquestion_model *model = simquestion_model(serve->config.model);
    struct simserve_node *node = &serve->node[place];

    node->serve = serve;
    node->member = &serve->members.at[place];
    node->slow = 1;
    node->run = &node->shifts[0];
    node->next = &node->shifts[1];
    node->next_is_reported = true;
    node->epoch_run_config = (struct epoch_run_config){
        .model = model->model,
        .tokenizer = model->tokenizer,
        .kernel = kernel_choose(NULL),
        .threads = 1,
        .batch = serve->config.batch,
        .slots = serve->config.slots,
        .ctx = SIMQUESTION_CTX,
        .kv_type = model->kv_type,
        .is_star = serve->config.is_star,
        .is_whole = serve->config.is_whole,
    };
    node->member->config.prepares_joins = true;
    node->member->clock_offset_ns = mesh_draw(serve->config.seed, DRAW_CLOCK, place) >> 16;
    for (uint16_t other = 0; other < serve->config.count; other++)
        if (other != place)
            simmembers_add_seed(&serve->members, place, other);
    mesh_sim_set_receive_buffer(serve->members.sim, place, RECEIVE_BUFFER_BYTES);
    mesh_sim_set_deaf(serve->members.sim, place, (serve->config.deaf >> place & 1) != 0);
    if (node_metrics_init(&node->metrics) < 0)
        abort();
}

void simserve_open(struct simserve *serve, const struct simserve_config *config)
{
    struct fail why;

    assert(config->count <= SIMSERVE_PLACES_MAX);
    memset(serve, 0, sizeof *serve);
    serve->config = *config;
    serve->wakeup = eventcount_open(&why);
    assert(serve->wakeup != NULL);
    simmembers_open(&serve->members, config->count, config->seed, &config->link);
    serve->members.beside = &beside;
    serve->members.app = serve;
    for (uint16_t place = 0; place < config->count; place++)
        open_node(serve, place);
}

void simserve_close(struct simserve *serve)
{
    for (uint16_t place = 0; place < serve->config.count; place++)
        simserve_crash(serve, place);
    for (uint16_t place = 0; place < serve->config.count; place++)
        node_metrics_release(&serve->node[place].metrics);
    simmembers_close(&serve->members);
    eventcount_close(serve->wakeup);
}

void simserve_start(struct simserve *serve, uint16_t place)
{
    struct simserve_node *node = &serve->node[place];

    if (node->member->cluster != NULL)
        return;
    node->jobs.next = 0;
    node->jobs.seed = mesh_draw(serve->config.seed, DRAW_JOBS, (uint64_t)place << 32 | node->member->processes);
    node->is_paused = node->is_leaving = false;
    serve->members.paused &= ~(UINT64_C(1) << place);
    node->missing_bytes = 0;
    simmembers_start(&serve->members, place);
    simserve_watch_begin(node);
}

void simserve_crash(struct simserve *serve, uint16_t place)
{
    struct simserve_node *node = &serve->node[place];

    if (node->member->cluster == NULL)
        return;
    simmembers_crash(&serve->members, place);
    simserve_lose_asks(node);
    simserve_watch_end(node);
    simserve_end_runs(node);
}

/* ---- running ---- */

uint64_t simserve_alive(const struct simserve *serve)
{
    uint64_t places = 0;

    for (uint16_t place = 0; place < serve->config.count; place++)
        if (serve->node[place].member->cluster != NULL && !serve->node[place].is_leaving)
            places |= UINT64_C(1) << place;
    return places;
}

bool simserve_is_settled(const struct simserve *serve)
{
    const uint64_t alive = simserve_alive(serve);

    for (uint16_t place = 0; place < serve->config.count; place++)
        if (serve->node[place].member->cluster != NULL && serve->node[place].is_leaving)
            return false;
    if (alive != 0 && !simmembers_agree(&serve->members, alive))
        return false;
    for (uint32_t i = 0; i < serve->ask_count; i++)
        if (!serve->ask[i].is_done && !serve->ask[i].is_lost && !serve->ask[i].is_ended)
            return false;
    return true;
}

uint16_t simserve_sequencer(const struct simserve *serve)
{
    return simmembers_place(&serve->members, 0);
}

struct goal {
    struct simserve *serve;
    bool (*is_done)(const struct simserve *serve);
};

/* Checked after every event: a process that has left ends. */
static bool is_reached(void *app)
{
    const struct goal *goal = app;
    struct simserve *serve = goal->serve;

    for (uint16_t place = 0; place < serve->config.count; place++)
        if (serve->members.at[place].has_left && serve->members.at[place].cluster != NULL)
            simserve_crash(serve, place);
    return serve->members.error[0] != '\0' || (goal->is_done != NULL && goal->is_done(serve));
}

bool simserve_run_until(struct simserve *serve, bool (*is_done)(const struct simserve *serve), uint64_t span_ns)
{
    struct goal goal = {serve, is_done};

    if (!is_reached(&goal))
        simattack_run(serve->members.attack, serve->members.sim, mesh_sim_now_ns(serve->members.sim) + span_ns, is_reached, &goal,
                      serve->members.paused);
    return serve->members.error[0] == '\0' && (is_done == NULL || is_done(serve));
}

bool simserve_run(struct simserve *serve, uint64_t span_ns)
{
    return simserve_run_until(serve, NULL, span_ns);
}

void simserve_form(struct simserve *serve)
{
    for (uint16_t place = 0; place < serve->config.count; place++)
        simserve_start(serve, place);
    if (!simserve_run_until(serve, simserve_is_settled, 10 * SIMMEMBERS_S))
        simmembers_fail(&serve->members, &serve->members.at[0], "they do not come together");
}
