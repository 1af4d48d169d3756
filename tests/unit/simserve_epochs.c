/* Epochs of simulated serving nodes: what serve.c and shift.c do on events of the cluster core, without threads and sockets. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "node/engine_state.h"
#include "simserve.h"

enum { RECEIVE_BUFFER_BYTES = 212992 };

static void fail(struct simserve_node *node, const char *what)
{
    simmembers_fail(&node->serve->members, node->member, what);
}

static void free_shift(struct shift *shift)
{
    engine_close(shift->engine);
    free(shift->mesh_memory);
    memset(shift, 0, sizeof *shift);
}

/* Its keys and values are kept. */
static void end_shift(struct simserve_node *node)
{
    struct engine_figures figures;

    if (node->shift->is_started) {
        engine_figures(node->shift->engine, &figures);
        node->serve->recomputed += figures.recomputed;
        engine_keep(node->shift->engine, &node->kept);
    }
    free_shift(node->shift);
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

static bool open_engine(struct simserve_node *node, struct shift *shift, struct fail *why)
{
    const struct shift_config *c = &node->shift_config;
    const struct engine_hooks hooks = {.on_token = simserve_on_token, .on_done = simserve_on_done, .app = node};
    const struct engine_config config = {
        .model = c->model,
        .map = &shift->map,
        .rank = shift->rank,
        .worker_count = 1,
        .batch = c->batch,
        .slots = c->slots,
        .ctx = c->ctx,
        .kv_type = c->kv_type,
        .kernel = c->kernel,
        .keeps = true,
        .is_end = is_end,
        .tokenizer = c->tokenizer,
    };

    shift->engine = engine_open(&config, &hooks, why);
    return shift->engine != NULL && engine_allocate(shift->engine, why) == 0;
}

static bool open_mesh(struct simserve_node *node)
{
    struct shift *shift = node->shift;
    struct mesh_config config = {
        .epoch = shift->number, .datagram_bytes_max = node->serve->config.datagram_bytes, .receive_buffer_bytes = RECEIVE_BUFFER_BYTES};
    size_t bytes;

    engine_mesh_config(shift->engine, &config);
    memcpy(config.incarnation, shift->member[shift->rank].incarnation, sizeof config.incarnation);
    bytes = mesh_memory_bytes(&config);
    if (posix_memalign(&shift->mesh_memory, 64, bytes) != 0 ||
        mesh_init(&shift->mesh, &config, shift->mesh_memory, bytes, clock_ns(node->member)) != MESH_OK)
        return false;
    for (uint16_t r = 0; r < shift->count; r++)
        if (r != shift->rank)
            mesh_set_peer(shift->mesh, r, shift->member[r].addr);
    return true;
}

static bool lacks_memory(struct simserve_node *node, const struct mesh_cluster_event *event, uint64_t *missing_bytes)
{
    struct rowmap map;
    struct fail why;

    return shift_divide(&map, &node->shift_config, event->members, event->member_count, missing_bytes, &why) == 0 && *missing_bytes > 0;
}

/* Engine and row map of the members of an EPOCH or PREPARE event. */
static bool set_up(struct simserve_node *node, struct shift *shift, const struct mesh_cluster_event *event)
{
    struct fail why = {.text = "no memory"};
    uint64_t missing_bytes;

    memset(shift, 0, sizeof *shift);
    shift->config = &node->shift_config;
    shift->count = event->member_count;
    shift->rank = (uint16_t)event->own_rank;
    shift->crew.worker_bell = node->serve->bell;
    if (shift_divide(&shift->map, shift->config, event->members, shift->count, &missing_bytes, &why) == 0 &&
        open_engine(node, shift, &why)) {
        shift->crew.engine = shift->engine;
        return true;
    }
    fail(node, why.text);
    free_shift(shift);
    return false;
}

/* Uses the prepared engine if it is for these members; otherwise makes a new one. */
static bool begin_engine(struct simserve_node *node, const struct mesh_cluster_event *epoch)
{
    struct shift *next = node->next;

    if (next->engine == NULL || !shift_fits(next, epoch)) {
        free_shift(next);
        return set_up(node, node->shift, epoch);
    }
    node->serve->prepared++;
    node->next = node->shift;
    node->shift = next;
    return true;
}

static void begin_shift(struct simserve_node *node, const struct mesh_cluster_event *epoch)
{
    struct shift *shift;

    end_shift(node);
    node->busy_ns = 0;
    node->watch_at_ns = 0;
    memcpy(&node->stamp, epoch->id, sizeof node->stamp);
    if (lacks_memory(node, epoch, &node->missing_bytes)) {
        free_shift(node->next);
        simserve_watch_epoch(node);
        return;
    }
    if (!begin_engine(node, epoch))
        return;
    shift = node->shift;
    shift->number = epoch->number;
    memcpy(shift->member, epoch->members, shift->count * sizeof *shift->member);
    if (shift->count > 1 && !open_mesh(node)) {
        fail(node, "no endpoint");
        free_shift(shift);
        return;
    }
    engine_restore(shift->engine, &node->kept);
    engine_attach(shift->engine, shift->mesh, NULL, clock_ns, node->member);
    shift->is_started = true;
    simserve_watch_epoch(node);
    jobs_submit(&node->jobs, shift);
}

static void prepare_next(struct simserve_node *node, const struct mesh_cluster_event *plan)
{
    uint64_t missing_bytes;

    free_shift(node->next);
    node->next_is_told = false;
    node->member->ready_at_ns = 0; /* simserve_watch_next reports when it is ready */
    if (plan->own_rank >= 0 && !lacks_memory(node, plan, &missing_bytes) && set_up(node, node->next, plan))
        atomic_store(&node->next->preparing, SHIFT_LOADING);
}

void simserve_watch_next(struct simserve_node *node, uint64_t own_ns)
{
    if (node->next_is_told || !simserve_is_loaded(node->next))
        return;
    node->next_is_told = true;
    node->member->ready_at_ns = own_ns;
}

bool simserve_is_loaded(const struct shift *shift)
{
    return shift->engine == NULL || shift->crew.load_next >= engine_load_count(shift->engine);
}

void simserve_load(struct shift *shift)
{
    engine_load(shift->engine, shift->crew.load_next++);
}

void simserve_end_shifts(struct simserve_node *node)
{
    end_shift(node);
    free_shift(node->next);
    kept_release(&node->kept);
    memset(&node->kept, 0, sizeof node->kept);
    node->next_is_told = true;
}

void simserve_on_event(struct simserve_node *node, const struct mesh_cluster_event *event)
{
    if (event->type == MESH_CLUSTER_PREPARE) {
        prepare_next(node, event);
    } else if (event->type == MESH_CLUSTER_EPOCH) {
        begin_shift(node, event);
    } else if (event->type == MESH_CLUSTER_EVICTED) {
        end_shift(node);
        free_shift(node->next);
        node->missing_bytes = 0;
        simserve_watch_epoch(node);
    }
}
