#include "engine_time.h"

#include <string.h>

#include "engine_state.h"
#include "node/common/spin.h"

enum { RANK_BITS = 6 };

/* The cause of a worker's wait, in one word: rank, phase, block. */
static uint64_t cause(uint16_t rank, uint16_t phase, uint16_t block)
{
    return (uint64_t)rank << 32 | (uint64_t)phase << 16 | block;
}

static uint16_t cause_rank(uint64_t what)
{
    return (uint16_t)(what >> 32);
}

/* ---- what is waited for ---- */

/* The first peer that has not delivered all of blocks from..end of a gather; the own rank if none. */
static uint64_t missing_from(const struct engine *e, const struct inbox *inbox, uint16_t phase, uint32_t from, uint32_t end)
{
    const uint16_t *first = inbox->form->first;

    for (uint16_t r = 0; r < e->config.map->rank_count; r++) {
        const uint32_t begin = first[r] > from ? first[r] : from;

        if (r != e->config.rank && begin < end && begin < first[r + 1] &&
            atomic_load_explicit(&inbox->rank_missing[r], memory_order_relaxed) > 0)
            return cause(r, phase, (uint16_t)begin);
    }
    return cause(e->config.rank, phase, (uint16_t)from);
}

/* The first slice that the unit in hand needs and that has not arrived. */
static uint64_t missing_slice(const struct engine *e, const struct worker *w, const struct inbox *inbox, uint16_t phase)
{
    for (uint32_t s = 0; s < inbox->form->slices; s++) {
        const uint32_t end = (s + 1) * SLICE_BLOCKS;

        if (!inbox_is_ready(inbox, w->unit->segment->sub, s))
            return missing_from(e, inbox, phase, s * SLICE_BLOCKS, end < inbox->form->block_count ? end : inbox->form->block_count);
    }
    return cause(e->config.rank, phase, 0);
}

static uint64_t cause_of_unit(struct engine *e, const struct worker *w)
{
    const uint16_t phase = w->unit->segment->phase;
    const bool has_input = w->unit->kind == UNIT_TILE || w->unit->kind == UNIT_EAGER || w->unit->kind == UNIT_CANDIDATES;
    const struct inbox *inbox = phase > 0 && has_input ? engine_inbox(e, (uint16_t)(phase - 1)) : NULL;

    if (inbox != NULL)
        return missing_slice(e, w, inbox, (uint16_t)(phase - 1));
    /* A gather that is not open yet waits for the readers of an earlier one: no particular rank. */
    return phase > 0 && has_input ? cause(MESH_TELEMETRY_NOBODY, (uint16_t)(phase - 1), 0) : cause(e->config.rank, phase, 0);
}

/* All units of the step are taken: other workers compute the last ones, or candidates of peers are missing. This worker holds no unit, so
 * the step may end meanwhile, and only atomics may be read. */
static uint64_t cause_of_end(struct engine *e)
{
    const uint16_t last = (uint16_t)(e->phase_count - 1);
    const struct inbox *inbox = engine_inbox(e, last);
    const uint32_t units = (uint32_t)atomic_load_explicit(&e->unit_limit, memory_order_acquire);

    if (inbox != NULL && atomic_load_explicit(&e->units_done, memory_order_acquire) >= units)
        for (uint16_t r = 0; r < e->config.map->rank_count; r++)
            if (r != e->config.rank && atomic_load_explicit(&inbox->rank_missing[r], memory_order_relaxed) > 0)
                return cause(r, last, 0);
    return cause(e->config.rank, last, 0);
}

/* ---- waiting ---- */

static void begin_wait(struct engine *e, struct worker *w, uint64_t now_ns)
{
    if (atomic_load_explicit(&w->doing, memory_order_relaxed) == MESH_WORKER_WAITING)
        return;
    atomic_store_explicit(&w->wait_serial, atomic_load_explicit(&e->step_serial, memory_order_relaxed), memory_order_relaxed);
    atomic_store_explicit(&w->wait_since_ns, now_ns, memory_order_relaxed);
    atomic_store_explicit(&w->doing, MESH_WORKER_WAITING, memory_order_release);
}

/* A wait is over: note it if it is this worker's longest in its step. */
static void end_wait(struct worker *w, uint64_t now_ns)
{
    const uint64_t since_ns = atomic_load_explicit(&w->wait_since_ns, memory_order_relaxed);
    const uint64_t serial = atomic_load_explicit(&w->wait_serial, memory_order_relaxed);

    if (atomic_load_explicit(&w->stall_serial, memory_order_relaxed) == serial &&
        atomic_load_explicit(&w->stall_ns, memory_order_relaxed) >= now_ns - since_ns)
        return;
    atomic_store_explicit(&w->stall_ns, now_ns - since_ns, memory_order_relaxed);
    atomic_store_explicit(&w->stall_begin_ns, since_ns, memory_order_relaxed);
    atomic_store_explicit(&w->stall_what, atomic_load_explicit(&w->wait_what, memory_order_relaxed), memory_order_relaxed);
    atomic_store_explicit(&w->stall_serial, serial, memory_order_release);
}

/* Charge the time since the last mark to what the worker has been doing. */
static void charge(struct engine *e, struct worker *w, uint64_t now_ns)
{
    const uint64_t spent_ns = now_ns > w->mark_ns && w->mark_ns > 0 ? now_ns - w->mark_ns : 0;
    const uint16_t rank = cause_rank(atomic_load_explicit(&w->wait_what, memory_order_relaxed));

    w->mark_ns = now_ns;
    switch (atomic_load_explicit(&w->doing, memory_order_relaxed)) {
    case MESH_WORKER_IDLE:
        worker_count(&w->idle_ns, spent_ns);
        break;
    case MESH_WORKER_WAITING:
        worker_count(&w->wait_ns, spent_ns);
        if (rank < e->config.map->rank_count)
            worker_count(&w->waited_ns[rank], spent_ns);
        break;
    default:
        break;
    }
}

void engine_time_begin(struct engine *e, struct worker *w, uint64_t now_ns)
{
    charge(e, w, now_ns);
}

void engine_time_computed(struct worker *w, uint64_t begin_ns, uint64_t end_ns)
{
    if (atomic_load_explicit(&w->doing, memory_order_relaxed) == MESH_WORKER_WAITING)
        end_wait(w, begin_ns);
    atomic_store_explicit(&w->doing, MESH_WORKER_COMPUTING, memory_order_release);
    w->mark_ns = end_ns;
}

void engine_time_waits(struct engine *e, struct worker *w)
{
    atomic_store_explicit(&w->wait_what, cause_of_unit(e, w), memory_order_relaxed);
    begin_wait(e, w, w->mark_ns);
}

void engine_time_rests(struct engine *e, struct worker *w, bool is_open, bool has_worked)
{
    const uint64_t now_ns = engine_now(e);
    const uint32_t was_doing = atomic_load_explicit(&w->doing, memory_order_relaxed);

    if (has_worked && was_doing == MESH_WORKER_COMPUTING) {
        worker_count(&w->poll_ns, now_ns > w->mark_ns && w->mark_ns > 0 ? now_ns - w->mark_ns : 0);
        w->mark_ns = now_ns;
    } else {
        charge(e, w, now_ns);
    }
    if (is_open) {
        atomic_store_explicit(&w->wait_what, cause_of_end(e), memory_order_relaxed);
        begin_wait(e, w, now_ns);
        return;
    }
    if (was_doing == MESH_WORKER_WAITING)
        end_wait(w, now_ns);
    atomic_store_explicit(&w->doing, MESH_WORKER_IDLE, memory_order_release);
}

void engine_worker_time(const struct engine *e, uint16_t worker, struct mesh_telemetry_worker *out)
{
    const struct worker *w = &e->worker[worker];
    const uint64_t what = atomic_load_explicit(&w->wait_what, memory_order_relaxed);

    *out = (struct mesh_telemetry_worker){
        .worker = worker,
        .doing = (uint8_t)atomic_load_explicit(&w->doing, memory_order_acquire),
        .waits_for = MESH_TELEMETRY_NOBODY,
        .waits_phase = MESH_TELEMETRY_NOBODY,
        .compute_ns = atomic_load_explicit(&w->compute_ns, memory_order_relaxed),
        .send_ns = atomic_load_explicit(&w->send_ns, memory_order_relaxed),
        .poll_ns = atomic_load_explicit(&w->poll_ns, memory_order_relaxed),
        .wait_ns = atomic_load_explicit(&w->wait_ns, memory_order_relaxed),
        .idle_ns = atomic_load_explicit(&w->idle_ns, memory_order_relaxed),
    };
    if (out->doing == MESH_WORKER_WAITING) {
        out->waits_for = cause_rank(what);
        out->waits_phase = (uint16_t)(what >> 16);
    }
}

uint64_t engine_waited_ns(const struct engine *e, uint16_t rank)
{
    uint64_t sum = 0;

    for (uint16_t i = 0; i < e->config.worker_count; i++)
        sum += atomic_load_explicit(&e->worker[i].waited_ns[rank], memory_order_relaxed);
    return sum;
}

/* ---- from sending to use ---- */

void engine_time_arrived(struct engine *e, struct inbox *inbox, const struct mesh_event *event)
{
    const uint64_t sent_ns = mesh_sent_here_ns(e->port.mesh, event->rank, event->sent_ns);
    const uint32_t last = (uint32_t)event->block_first + event->block_count - 1;
    const uint32_t sub_last = ((uint32_t)event->token_first + event->token_count - 1) / INBOX_SUB_TOKENS;

    atomic_fetch_sub_explicit(&inbox->rank_missing[event->rank], (uint32_t)event->block_count * event->token_count, memory_order_relaxed);
    if (sent_ns == 0 || inbox->form->slices == 0)
        return;
    for (uint32_t sub = event->token_first / INBOX_SUB_TOKENS; sub <= sub_last; sub++)
        for (uint32_t slice = event->block_first / SLICE_BLOCKS; slice <= last / SLICE_BLOCKS; slice++)
            atomic_store_explicit(&inbox->sent[sub * inbox->form->slices + slice], sent_ns << RANK_BITS | event->rank,
                                  memory_order_relaxed);
}

void engine_time_used(struct engine *e, _Atomic uint64_t *sent)
{
    const uint64_t value = atomic_exchange_explicit(sent, 0, memory_order_relaxed), now_ns = engine_now(e);
    const uint64_t sent_ns = value >> RANK_BITS;

    if (value == 0)
        return; /* another worker was first */
    spin_lock(&e->time.lock);
    mesh_histogram_add(&e->time.use[value & ((1u << RANK_BITS) - 1)], now_ns > sent_ns ? now_ns - sent_ns : 0);
    spin_unlock(&e->time.lock);
}

void engine_use_latency(struct engine *e, uint16_t rank, struct mesh_histogram *out)
{
    spin_lock(&e->time.lock);
    *out = e->time.use[rank];
    spin_unlock(&e->time.lock);
}

/* ---- steps ---- */

uint16_t engine_phase_count(const struct engine *e)
{
    return e->phase_count;
}

void engine_time_phase(struct engine *e, uint16_t phase, bool is_end)
{
    atomic_store_explicit(is_end ? &e->time.phase_end[phase] : &e->time.phase_begin[phase], engine_now(e), memory_order_relaxed);
}

void engine_time_step_begins(struct engine *e)
{
    e->time.step_begin_ns = engine_now(e);
    for (uint16_t p = 0; p < e->phase_count; p++) {
        atomic_store_explicit(&e->time.phase_begin[p], 0, memory_order_relaxed);
        atomic_store_explicit(&e->time.phase_end[p], 0, memory_order_relaxed);
    }
}

static void take_stall(struct mesh_telemetry_step *step, uint64_t begin_ns, uint64_t stall_ns, uint64_t what)
{
    if (stall_ns <= step->stall_ns)
        return;
    step->stall_ns = stall_ns;
    step->stall_begin_ns = begin_ns > step->begin_ns ? begin_ns - step->begin_ns : 0;
    step->stall_rank = cause_rank(what);
    step->stall_phase = (uint16_t)(what >> 16);
    step->stall_block = (uint16_t)what;
}

/* The longest wait of all workers, including waits that still go on. */
static void find_stall(const struct engine *e, struct mesh_telemetry_step *step, uint64_t now_ns)
{
    const uint64_t serial = atomic_load_explicit(&e->step_serial, memory_order_relaxed);

    for (uint16_t i = 0; i < e->config.worker_count; i++) {
        const struct worker *w = &e->worker[i];

        if (atomic_load_explicit(&w->stall_serial, memory_order_acquire) == serial)
            take_stall(step, atomic_load_explicit(&w->stall_begin_ns, memory_order_relaxed),
                       atomic_load_explicit(&w->stall_ns, memory_order_relaxed),
                       atomic_load_explicit(&w->stall_what, memory_order_relaxed));
        if (atomic_load_explicit(&w->doing, memory_order_acquire) == MESH_WORKER_WAITING &&
            atomic_load_explicit(&w->wait_serial, memory_order_relaxed) == serial) {
            const uint64_t since_ns = atomic_load_explicit(&w->wait_since_ns, memory_order_relaxed);

            take_stall(step, since_ns, now_ns > since_ns ? now_ns - since_ns : 0,
                       atomic_load_explicit(&w->wait_what, memory_order_relaxed));
        }
    }
}

static uint32_t in_units(uint64_t from_ns, uint64_t to_ns)
{
    const uint64_t units = to_ns > from_ns ? (to_ns - from_ns) / MESH_TELEMETRY_PHASE_NS : 0;

    return units < UINT32_MAX ? (uint32_t)units : UINT32_MAX;
}

void engine_time_step_ends(struct engine *e)
{
    struct engine_times *t = &e->time;
    const uint64_t now_ns = engine_now(e);
    struct mesh_telemetry_step step = {
        .step = e->step,
        .begin_ns = t->step_begin_ns,
        .duration_ns = now_ns - t->step_begin_ns,
        .tokens = e->token_count,
        .sampled = e->sample_count,
        .stall_rank = MESH_TELEMETRY_NOBODY,
        .phase_total = e->phase_count,
    };
    struct mesh_telemetry_phase *phases;

    find_stall(e, &step, now_ns);
    atomic_fetch_add_explicit(&t->stepping_ns, step.duration_ns, memory_order_relaxed);
    atomic_fetch_add_explicit(&t->positions, e->token_count, memory_order_relaxed);
    atomic_fetch_add_explicit(&t->tokens, e->sample_count, memory_order_relaxed);
    spin_lock(&e->time.lock);
    phases = t->phases + t->count % ENGINE_STEPS_KEPT * e->phase_count;
    t->steps[t->count % ENGINE_STEPS_KEPT] = step;
    for (uint16_t p = 0; p < e->phase_count; p++) {
        const uint64_t begin_ns = atomic_load_explicit(&t->phase_begin[p], memory_order_relaxed);
        const uint64_t end_ns = atomic_load_explicit(&t->phase_end[p], memory_order_relaxed);

        phases[p].begin = begin_ns > 0 ? in_units(t->step_begin_ns, begin_ns) : 0;
        phases[p].duration = begin_ns > 0 ? in_units(begin_ns, end_ns) : 0;
    }
    t->count++;
    spin_unlock(&e->time.lock);
}

bool engine_next_step(struct engine *e, uint64_t *serial, struct mesh_telemetry_step *step, struct mesh_telemetry_phase *phases)
{
    struct engine_times *t = &e->time;
    bool is_there;

    spin_lock(&e->time.lock);
    if (*serial + ENGINE_STEPS_KEPT < t->count)
        *serial = t->count - ENGINE_STEPS_KEPT;
    is_there = *serial < t->count;
    if (is_there) {
        *step = t->steps[*serial % ENGINE_STEPS_KEPT];
        memcpy(phases, t->phases + *serial % ENGINE_STEPS_KEPT * e->phase_count, e->phase_count * sizeof *phases);
        ++*serial;
    }
    spin_unlock(&e->time.lock);
    return is_there;
}
