#include "played_rank.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { SLEEP_NS = 10000000, LINGER_NS = 2000000000, MEMORY_BYTES_MAX = 1 << 30 };
enum outcome { FAILED = -1, NOT_YET, DONE };

/* ---- time ---- */

static int64_t recorded_ns(const struct played_rank *p)
{
    return mesh_trace_clock_first_ns(p->own, (int64_t)p->entry.call.at_ns) - p->clock->recorded_ns;
}

static uint64_t start_clock(struct played_rank *p)
{
    uint64_t started_ns = 0;
    const uint64_t now_ns = mesh_udp_now_ns();

    return atomic_compare_exchange_strong(&p->clock->started_ns, &started_ns, now_ns) ? now_ns : started_ns;
}

/* Is it the time of the call? If not, it is at due_ns. Calls from before the first step are made as soon as possible. */
static bool is_time(struct played_rank *p)
{
    const int64_t after_ns = recorded_ns(p);
    uint64_t started_ns = atomic_load(&p->clock->started_ns);

    p->due_ns = 0;
    if (after_ns < 0)
        return true;
    if (started_ns == 0 && p->gathers.rank != 0)
        return false;
    if (started_ns == 0)
        started_ns = start_clock(p);
    if (p->clock->speed > 0)
        p->due_ns = started_ns + (uint64_t)((double)after_ns / (double)p->clock->speed);
    return p->due_ns <= mesh_udp_now_ns();
}

/* ---- calls ---- */

static enum outcome refuse(struct played_rank *p, const char *why)
{
    char text[PLAYED_WHAT_BYTES];

    mesh_tape_text(&p->entry, text, sizeof text);
    return fail_set(&p->fail, EXIT_BAD_FILE, "%.150s: rank %u: %.150s: %.100s: record again", p->tapes->paths[p->tape->path],
                    p->gathers.rank, text, why);
}

static enum outcome outcome_of(struct played_rank *p, int err)
{
    if (err == MESH_OK)
        return DONE;
    return err == MESH_AGAIN ? NOT_YET : refuse(p, mesh_strerror(err));
}

static enum outcome call_open(struct played_rank *p)
{
    const struct mesh_tape_open *open = &p->entry.open;
    struct played_gather *g = played_gather_find(&p->gathers, open->step, open->phase);
    const char *reason;

    if (g == NULL)
        g = played_gather_open(&p->gathers, &p->entry, &reason);
    if (g == NULL && reason != NULL)
        return refuse(p, reason);
    if (g == NULL)
        return fail_set(&p->fail, EXIT_ENVIRONMENT, "no memory for a gather: close other programs");
    const struct mesh_gather gather = {.step = g->step,
                                       .phase = g->phase,
                                       .token_count = g->token_count,
                                       .block_count = g->block_count,
                                       .block_bytes = g->block_bytes,
                                       .last_block_bytes = g->last_block_bytes,
                                       .data = g->data,
                                       .token_stride = g->stride,
                                       .first = g->first,
                                       .readers = open->readers};
    const enum outcome outcome = outcome_of(p, mesh_open_gather(p->mesh, mesh_udp_now_ns(), &gather));
    if (outcome == DONE)
        played_gather_opened(&p->gathers, g);
    return outcome;
}

static enum outcome call_publish(struct played_rank *p)
{
    const struct mesh_tape_publish *range = &p->entry.publish;
    struct played_gather *g = played_gather_find(&p->gathers, range->step, range->phase);
    const char *reason;
    enum outcome outcome;

    if (g == NULL)
        return DONE; /* freed at once, as no rank reads it */
    reason = played_gather_fill(&p->gathers, g, &p->entry);
    if (reason != NULL)
        return refuse(p, reason);
    outcome = outcome_of(p, mesh_publish(p->mesh, mesh_udp_now_ns(), range->step, range->phase, range->token_first, range->token_count,
                                         range->block_first, range->block_count));
    if (outcome == DONE)
        played_gather_published(g, range);
    return outcome;
}

static enum outcome call_consume(struct played_rank *p)
{
    struct played_gather *g = played_gather_find(&p->gathers, p->entry.consume.step, p->entry.consume.phase);

    if (g == NULL)
        return DONE;
    if (g->is_consumed)
        return refuse(p, "it has been consumed");
    if (g->is_read && !g->is_complete)
        return NOT_YET;
    g->is_consumed = true;
    mesh_consume(p->mesh, mesh_udp_now_ns(), g->step, g->phase);
    return DONE;
}

static enum outcome call_send(struct played_rank *p)
{
    const struct mesh_tape_send *send = &p->entry.send;

    if (send->to >= p->gathers.rank_count || send->to == p->gathers.rank || send->payload_bytes == 0 ||
        send->payload_bytes > MESH_RECORD_BYTES_MAX)
        return refuse(p, "no rank sends that");
    if (send->payload != MESH_TAPE_WHOLE)
        return refuse(p, "the recorder had to leave the data out");
    return outcome_of(p, mesh_send_record(p->mesh, mesh_udp_now_ns(), send->to, p->entry.payload, send->payload_bytes));
}

/* Has enough time passed for an event that may never come? A goodbye is not acknowledged. */
static bool has_lingered(struct played_rank *p)
{
    const uint64_t now_ns = mesh_udp_now_ns();

    if (p->linger_ns == 0)
        p->linger_ns = now_ns + LINGER_NS;
    return now_ns >= p->linger_ns;
}

/* The others have received everything first, or have had the time. */
static enum outcome call_goodbye(struct played_rank *p)
{
    if (!mesh_is_quiet(p->mesh) && !has_lingered(p))
        return NOT_YET;
    mesh_goodbye(p->mesh, mesh_udp_now_ns());
    while (mesh_udp_flush(p->udp, p->mesh) > 0)
        ;
    p->is_at_end = true;
    return DONE;
}

/* ---- what the calls followed from ---- */

static bool is_real_sequencer(const struct played_rank *p, const struct mesh_tape_event *event)
{
    return p->gathers.node == 0 && event->rank == 0;
}

static enum outcome wait_for_record(struct played_rank *p)
{
    const struct mesh_tape_event *event = &p->entry.event;

    if (is_real_sequencer(p, event)) {
        if (event->payload != MESH_TAPE_WHOLE)
            return refuse(p, "the recorder had to leave the data out");
        if (!played_log_expect(&p->log, p->entry.payload, event->payload_bytes))
            return NOT_YET;
    } else if (p->heard[event->rank] <= p->heard_then[event->rank]) {
        return NOT_YET;
    }
    p->heard_then[event->rank]++;
    return DONE;
}

static enum outcome wait_for_event(struct played_rank *p)
{
    const struct mesh_tape_event *event = &p->entry.event;
    struct played_gather *g = played_gather_find(&p->gathers, event->step, event->phase);

    if (event->rank >= p->gathers.rank_count)
        return refuse(p, "there is no such rank");
    switch (event->type) {
    case MESH_EVENT_UP:
        return (p->up >> event->rank & 1) != 0 ? DONE : NOT_YET;
    case MESH_EVENT_COMPLETE:
        return g == NULL || g->is_complete ? DONE : NOT_YET;
    case MESH_EVENT_RECORD:
        return wait_for_record(p);
    case MESH_EVENT_GONE: /* a rank that left before rank 0 would count as lost */
        return (p->gone >> event->rank & 1) != 0 || has_lingered(p) ? DONE : NOT_YET;
    case MESH_EVENT_FREED:
        if (g != NULL)
            g->is_over = true;
        played_gather_release(&p->gathers, false);
        return DONE;
    default:
        return DONE;
    }
}

static enum outcome (*call_of(uint8_t kind))(struct played_rank *)
{
    switch (kind) {
    case MESH_TAPE_OPEN:
        return call_open;
    case MESH_TAPE_PUBLISH:
        return call_publish;
    case MESH_TAPE_CONSUME:
        return call_consume;
    case MESH_TAPE_SEND:
        return call_send;
    case MESH_TAPE_GOODBYE:
        return call_goodbye;
    default:
        return NULL;
    }
}

static void note_late(struct played_rank *p)
{
    const uint64_t now_ns = mesh_udp_now_ns();

    p->calls++;
    if (!p->is_waited_for && p->due_ns > 0 && now_ns > p->due_ns && now_ns - p->due_ns > p->late_ns)
        p->late_ns = now_ns - p->due_ns;
}

/* Play the next entry of the tape. */
static enum outcome play_entry(struct played_rank *p)
{
    enum outcome (*const call)(struct played_rank *) = call_of(p->entry.call.kind);
    enum outcome outcome;

    if (p->entry.call.kind == MESH_TAPE_RECEIVE)
        played_gather_recorded(&p->gathers, &p->entry);
    if (p->entry.call.kind == MESH_TAPE_EVENT) {
        outcome = wait_for_event(p);
        p->is_waited_for |= outcome == NOT_YET;
        return outcome;
    }
    if (call == NULL || p->entry.call.error != 0)
        return DONE;
    if (!is_time(p)) {
        atomic_store(&p->is_asleep, p->due_ns > 0);
        p->is_waited_for = false;
        return NOT_YET;
    }
    outcome = call(p);
    if (outcome == DONE)
        note_late(p);
    p->is_waited_for |= outcome == NOT_YET;
    return outcome;
}

static enum outcome advance(struct played_rank *p)
{
    enum outcome outcome;
    uint64_t number;
    int got;

    atomic_store(&p->is_asleep, false);
    if (p->is_at_end)
        return NOT_YET;
    if (!p->has_entry) {
        got = tape_reader_next(&p->reader, &p->entry, &number, &p->fail);
        if (got < 0)
            return FAILED;
        if (got == 0) {
            p->is_at_end = true; /* it has no goodbye, although it had one when the tapes were searched */
            return NOT_YET;
        }
        p->has_entry = true;
    }
    outcome = play_entry(p);
    p->has_entry = outcome != DONE;
    return outcome;
}

/* ---- the core ---- */

/* The first record of a real rank 0 begins the first step. */
static void take_record(struct played_rank *p, const struct mesh_event *event)
{
    p->heard[event->rank]++;
    if (p->gathers.node != 0 || event->rank != 0)
        return;
    start_clock(p);
    if (played_log_hear(&p->log, event->record, event->record_bytes) < 0 && p->result == 0)
        p->result = fail_set(&p->fail, EXIT_ENVIRONMENT, "no memory for the step log: close other programs");
}

static void take_event(struct played_rank *p, const struct mesh_event *event)
{
    struct played_gather *g = played_gather_find(&p->gathers, event->step, event->phase);

    switch (event->type) {
    case MESH_EVENT_UP:
        p->up |= UINT64_C(1) << event->rank;
        break;
    case MESH_EVENT_GONE:
        p->gone |= UINT64_C(1) << event->rank;
        break;
    case MESH_EVENT_RECORD:
        take_record(p, event);
        break;
    case MESH_EVENT_ARRIVED:
        if (g != NULL && event->rank == p->gathers.node)
            played_gather_arrived(&p->gathers, g, event);
        break;
    case MESH_EVENT_COMPLETE:
        if (g != NULL)
            g->is_complete = true;
        break;
    case MESH_EVENT_FREED:
        if (g != NULL)
            g->is_freed = true;
        played_gather_release(&p->gathers, false);
        break;
    default:
        break;
    }
}

static int drain(struct played_rank *p)
{
    struct mesh_event event;
    int count = 0;

    for (; mesh_next_event(p->mesh, &event); count++)
        take_event(p, &event);
    return count;
}

static void sleep_a_little(struct played_rank *p)
{
    const uint64_t now_ns = mesh_udp_now_ns();
    uint64_t sleep_ns = SLEEP_NS;

    if (atomic_load(&p->is_asleep) && p->due_ns - now_ns < sleep_ns)
        sleep_ns = p->due_ns > now_ns ? p->due_ns - now_ns : 0;
    if (sleep_ns > 0)
        mesh_udp_wait(p->udp, p->mesh, sleep_ns);
}

static void say_what(struct played_rank *p)
{
    const struct mesh_tape_event *event = &p->entry.event;

    if (event->kind == MESH_TAPE_EVENT && event->type == MESH_EVENT_UP)
        snprintf(p->what, sizeof p->what, "rank %u has not answered", event->rank);
    else if (event->kind == MESH_TAPE_EVENT && event->type == MESH_EVENT_COMPLETE)
        snprintf(p->what, sizeof p->what, "not all came of step %" PRIu64 ", phase %u", event->step, event->phase);
    else if (event->kind == MESH_TAPE_EVENT)
        snprintf(p->what, sizeof p->what, "record %" PRIu64 " of rank %u has not come", p->heard_then[event->rank] + 1, event->rank);
    else
        mesh_tape_text(&p->entry, p->what, sizeof p->what);
}

static void *play(void *context)
{
    struct played_rank *p = context;
    enum outcome outcome = DONE;
    int moved;

    while (!p->is_at_end && outcome != FAILED && p->result == 0 && !atomic_load(&p->clock->is_cancelled)) {
        moved = mesh_udp_poll(p->udp, p->mesh) > 0;
        moved += drain(p);
        while ((outcome = advance(p)) == DONE) {
            moved++;
            atomic_fetch_add(&p->moves, 1);
            drain(p);
        }
        mesh_udp_flush(p->udp, p->mesh);
        if (moved == 0 && outcome == NOT_YET && !p->is_at_end)
            sleep_a_little(p);
    }
    if (outcome == FAILED)
        p->result = -1;
    if (!p->is_at_end && p->has_entry)
        say_what(p);
    atomic_store(&p->is_over, true);
    return NULL;
}

/* ---- beginning and end ---- */

static int make_mesh(struct played_rank *p, struct fail *fail)
{
    const struct mesh_tape_init *init = &p->tape->init;
    struct mesh_config config = {.rank = init->rank,
                                 .rank_count = init->rank_count,
                                 .epoch = init->epoch,
                                 .phase_count = init->phase_count,
                                 .tokens_max = init->tokens_max,
                                 .blocks_max = init->blocks_max,
                                 .datagram_bytes_max = mesh_udp_datagram_bytes_max(p->udp),
                                 .receive_buffer_bytes = mesh_udp_receive_buffer_bytes(p->udp),
                                 .reorder_delay_ns = init->reorder_delay_ns,
                                 .copy_loss_ppm = init->copy_loss_ppm};
    const size_t bytes = mesh_memory_bytes(&config);

    if (bytes == 0 || bytes > MEMORY_BYTES_MAX)
        return fail_set(fail, EXIT_BAD_FILE, "%.200s: no endpoint has such a config: record again", p->tapes->paths[p->tape->path]);
    memcpy(config.fingerprint, p->fingerprint, sizeof config.fingerprint);
    memcpy(config.configuration, init->configuration, sizeof config.configuration);
    memcpy(config.incarnation, init->incarnation, sizeof config.incarnation);
    if (posix_memalign(&p->memory, 64, bytes) != 0) {
        p->memory = NULL;
        return fail_set(fail, EXIT_ENVIRONMENT, "no memory for an endpoint like the recorded one: close other programs");
    }
    if (mesh_init(&p->mesh, &config, p->memory, bytes, mesh_udp_now_ns()) != MESH_OK)
        return fail_set(fail, EXIT_BAD_FILE, "%.200s: no endpoint has such a config: record again", p->tapes->paths[p->tape->path]);
    for (uint16_t r = 0; r < init->rank_count; r++) {
        if (r == init->rank)
            continue;
        mesh_set_path(p->mesh, r, mesh_udp_path_bytes(p->addresses[r]));
        mesh_set_peer(p->mesh, r, p->addresses[r]);
        mesh_udp_set_peer(p->udp, r, p->addresses[r]);
    }
    return 0;
}

int played_rank_start(struct played_rank *p, struct fail *fail)
{
    if (make_mesh(p, fail) < 0)
        return -1;
    p->gathers.rank = p->tape->init.rank;
    p->gathers.rank_count = p->tape->init.rank_count;
    tape_reader_open(&p->reader, p->tapes->paths, p->tapes->path_count, p->tape->path, &p->tape->chunk);
    if (pthread_create(&p->thread, NULL, play, p) != 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "no thread for rank %u: close other programs", p->gathers.rank);
    p->is_started = true;
    return 0;
}

void played_rank_join(struct played_rank *p)
{
    if (!p->is_started)
        return;
    pthread_join(p->thread, NULL);
    p->is_started = false;
    p->latency = *mesh_tile_latency(p->mesh, p->gathers.node);
    played_gather_release(&p->gathers, true);
}

void played_rank_release(struct played_rank *p)
{
    played_rank_join(p);
    played_gather_release(&p->gathers, true);
    played_log_release(&p->log);
    tape_reader_close(&p->reader);
    mesh_udp_close(p->udp);
    free(p->memory);
}
