/* Epochs of simulated serving nodes: what serve.c and epoch_run.c do on events of the cluster core, without threads and sockets. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "node/engine/engine_state.h"
#include "simserve.h"

enum { RECEIVE_BUFFER_BYTES = 212992 };

static void fail(struct simserve_node *node, const char *what)
{
    simmembers_fail(&node->serve->members, node->member, what);
}

static void free_run(struct epoch_run *run)
{
    engine_close(run->engine);
    free(run->mesh_memory);
    memset(run, 0, sizeof *run);
}

/* Its keys and values are kept. */
static void end_run(struct simserve_node *node)
{
    struct engine_figures figures;

    if (node->run->is_started) {
        engine_figures(node->run->engine, &figures);
        node->serve->recomputed += figures.recomputed;
        node->serve->reused += figures.reused;
        engine_save_kv(node->run->engine, &node->saved_kv);
    }
    free_run(node->run);
    jobs_begin_epoch(&node->jobs);
}

static uint64_t clock_ns(void *member)
{
    const struct simmember *own = member;

    return simmembers_clock(own->members, own->place);
}

static bool is_end(const void *tokenizer, uint32_t id)
{
    return tokenizer_is_end(tokenizer, id);
}

static bool open_engine(struct simserve_node *node, struct epoch_run *run, struct fail *why)
{
    const struct epoch_run_config *c = &node->epoch_run_config;
    const struct engine_hooks hooks = {.on_token = simserve_on_token, .on_done = simserve_on_done, .app = node};
    const struct engine_config config = {
        .model = c->model,
        .map = &run->map,
        .rank = run->rank,
        .worker_count = 1,
        .batch = c->batch,
        .slots = c->slots,
        .ctx = c->ctx,
        .kv_type = c->kv_type,
        .kernel = c->kernel,
        .is_star = c->is_star,
        .is_whole = c->is_whole,
        .keeps = true,
        .is_end = is_end,
        .tokenizer = c->tokenizer,
    };

    run->engine = engine_open(&config, &hooks, why);
    return run->engine != NULL && engine_allocate(run->engine, why) == 0;
}

static bool open_mesh(struct simserve_node *node)
{
    struct epoch_run *run = node->run;
    struct mesh_config config = {
        .epoch = run->number, .datagram_bytes_max = node->serve->config.datagram_bytes, .receive_buffer_bytes = RECEIVE_BUFFER_BYTES};
    size_t bytes;

    engine_mesh_config(run->engine, &config);
    memcpy(config.incarnation, run->member[run->rank].incarnation, sizeof config.incarnation);
    bytes = mesh_memory_bytes(&config);
    if (posix_memalign(&run->mesh_memory, 64, bytes) != 0 ||
        mesh_init(&run->mesh, &config, run->mesh_memory, bytes, clock_ns(node->member)) != MESH_OK)
        return false;
    if (node->serve->config.has_group)
        mesh_set_group(run->mesh, node->serve->config.datagram_bytes);
    for (uint16_t r = 0; r < run->count; r++)
        if (r != run->rank)
            mesh_set_peer(run->mesh, r, run->member[r].addr);
    return true;
}

static bool lacks_memory(struct simserve_node *node, const struct mesh_cluster_event *event, uint64_t *missing_bytes)
{
    struct rowmap map;
    struct fail why;

    return epoch_run_divide(&map, &node->epoch_run_config, event->members, event->member_count, missing_bytes, &why) == 0 &&
           *missing_bytes > 0;
}

/* Engine and row map of the members of an EPOCH or PREPARE event. */
static bool set_up(struct simserve_node *node, struct epoch_run *run, const struct mesh_cluster_event *event)
{
    struct fail why = {.text = "no memory"};
    uint64_t missing_bytes;

    memset(run, 0, sizeof *run);
    run->config = &node->epoch_run_config;
    run->count = event->member_count;
    run->rank = (uint16_t)event->own_rank;
    run->workers.worker_wakeup = node->serve->wakeup;
    if (epoch_run_divide(&run->map, run->config, event->members, run->count, &missing_bytes, &why) == 0 && open_engine(node, run, &why)) {
        run->workers.engine = run->engine;
        return true;
    }
    fail(node, why.text);
    free_run(run);
    return false;
}

/* Uses the prepared engine if it is for these members; otherwise makes a new one. */
static bool begin_engine(struct simserve_node *node, const struct mesh_cluster_event *epoch)
{
    struct epoch_run *next = node->next;

    if (next->engine == NULL || !epoch_run_fits(next, epoch)) {
        free_run(next);
        return set_up(node, node->run, epoch);
    }
    node->serve->prepared++;
    node->next = node->run;
    node->run = next;
    return true;
}

static void begin_run(struct simserve_node *node, const struct mesh_cluster_event *epoch)
{
    struct epoch_run *run;

    end_run(node);
    node->busy_ns = 0;
    node->watch_at_ns = 0;
    memcpy(&node->stamp, epoch->id, sizeof node->stamp);
    if (lacks_memory(node, epoch, &node->missing_bytes)) {
        free_run(node->next);
        simserve_watch_epoch(node);
        return;
    }
    if (!begin_engine(node, epoch))
        return;
    run = node->run;
    run->number = epoch->number;
    memcpy(run->member, epoch->members, run->count * sizeof *run->member);
    if (run->count > 1 && !open_mesh(node)) {
        fail(node, "no endpoint");
        free_run(run);
        return;
    }
    engine_restore(run->engine, &node->saved_kv);
    engine_attach(run->engine, run->mesh, NULL, clock_ns, node->member);
    run->is_started = true;
    simserve_watch_epoch(node);
    jobs_submit(&node->jobs, run);
}

static void prepare_next(struct simserve_node *node, const struct mesh_cluster_event *plan)
{
    uint64_t missing_bytes;

    free_run(node->next);
    node->next_is_reported = false;
    node->member->ready_at_ns = 0; /* simserve_watch_next reports when it is ready */
    if (plan->own_rank >= 0 && !lacks_memory(node, plan, &missing_bytes) && set_up(node, node->next, plan))
        atomic_store(&node->next->preparing, EPOCH_RUN_LOADING);
}

void simserve_watch_next(struct simserve_node *node, uint64_t own_ns)
{
    if (node->next_is_reported || !simserve_is_loaded(node->next))
        return;
    node->next_is_reported = true;
    node->member->ready_at_ns = own_ns;
}

bool simserve_is_loaded(const struct epoch_run *run)
{
    return run->engine == NULL || run->workers.load_next >= engine_load_count(run->engine);
}

void simserve_load(struct epoch_run *run)
{
    engine_load(run->engine, run->workers.load_next++);
}

void simserve_end_runs(struct simserve_node *node)
{
    end_run(node);
    free_run(node->next);
    saved_kv_release(&node->saved_kv);
    memset(&node->saved_kv, 0, sizeof node->saved_kv);
    node->next_is_reported = true;
}

void simserve_on_event(struct simserve_node *node, const struct mesh_cluster_event *event)
{
    if (event->type == MESH_CLUSTER_PREPARE) {
        prepare_next(node, event);
    } else if (event->type == MESH_CLUSTER_EPOCH) {
        begin_run(node, event);
    } else if (event->type == MESH_CLUSTER_EVICTED) {
        end_run(node);
        free_run(node->next);
        node->missing_bytes = 0;
        simserve_watch_epoch(node);
    }
}
