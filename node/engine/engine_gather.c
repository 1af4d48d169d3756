/* Gathers as the node sees them: opened in order ahead of the work, filled by workers and peers, freed when nobody needs them. */
#include <assert.h>

#include "engine_layout.h"
#include "engine_state.h"
#include "head.h"

uint64_t engine_readers(const struct engine *e, uint16_t phase)
{
    /* A step that draws nothing needs the last layer's keys and values only. */
    if (e->sample_count == 0 && engine_is_last_layer(e, phase))
        return 0;
    return e->phase[phase].readers;
}

static const struct gather_form *form_of(struct engine *e, uint16_t phase, const struct inbox *inbox)
{
    return phase + 1 < e->phase_count ? &e->phase[phase].form : &e->candidate_form[inbox - e->inbox];
}

/* Every rank has its summaries, and as many candidates as its rows and the requests' sampling allow. */
static void shape_candidates(struct engine *e, struct inbox *inbox)
{
    size_t index = (size_t)(inbox - e->inbox);
    struct gather_form *form = &e->candidate_form[index];
    uint16_t *first = e->candidate_first[index];
    uint32_t block_bytes;

    head_shape(e, e->config.map, first, &block_bytes);
    *form = (struct gather_form){
        .block_count = first[e->config.map->rank_count],
        .block_bytes = block_bytes,
        .last_block_bytes = block_bytes,
        .first = first,
    };
}

static void free_if_done(struct inbox *inbox)
{
    if (inbox->is_consumed && inbox->is_released)
        inbox->is_free = true;
}

static struct inbox *find_inbox(struct engine *e, uint64_t step, uint16_t phase)
{
    for (int i = 0; i < ENGINE_INBOXES; i++)
        if (!e->inbox[i].is_free && e->inbox[i].step == step && e->inbox[i].phase == phase)
            return &e->inbox[i];
    return NULL;
}

bool engine_on_consume(void *app, const struct port_word *word)
{
    struct inbox *inbox = find_inbox(app, word->step, engine_phase_at(app, word->phase));

    assert(inbox != NULL && !inbox->is_consumed);
    inbox->is_consumed = true;
    free_if_done(inbox);
    return !((struct engine *)app)->config.is_star || engine_star_consume(inbox);
}

static int open_at_endpoint(struct engine *e, struct inbox *inbox, uint64_t readers)
{
    struct mesh_gather gather = {
        .step = inbox->step,
        .phase = inbox->phase,
        .token_count = inbox->token_count,
        .block_count = inbox->form->block_count,
        .block_bytes = inbox->form->block_bytes,
        .last_block_bytes = inbox->form->last_block_bytes,
        .data = inbox->wire,
        .token_stride = inbox->wire_token_stride,
        .first = inbox->form->first,
        .readers = readers,
    };

    if (!e->config.is_star)
        inbox->releases_left = 1;
    int err = e->config.is_star ? engine_star_open(e, inbox, &gather) : mesh_open_gather(e->port.mesh, engine_now(e), &gather);
    assert(err == MESH_OK || err == MESH_AGAIN);
    return err;
}

/* All blocks are missing. */
static void begin_gather(struct engine *e, struct inbox *inbox, uint16_t phase)
{
    if (phase + 1 == e->phase_count)
        shape_candidates(e, inbox);
    inbox_begin(inbox, form_of(e, phase, inbox), engine_gather_rows(e, phase));
    inbox->step = e->step;
    inbox->phase = phase;
    for (uint16_t r = 0; r < e->config.map->rank_count; r++)
        atomic_store_explicit(&inbox->rank_missing[r], (uint32_t)(inbox->form->first[r + 1] - inbox->form->first[r]) * inbox->token_count,
                              memory_order_relaxed);
    if (phase + 1 == e->phase_count)
        atomic_fetch_add(&e->candidates_missing, inbox->form->block_count);
}

/* Open one gather of the open step; false while its slot is in use. */
static bool open_gather(struct engine *e, uint64_t serial, uint16_t phase)
{
    struct inbox *inbox = engine_place(e, serial, phase);
    uint64_t readers = engine_readers(e, phase);

    if (!inbox->is_free && !inbox->is_half_open)
        return false;
    if (!inbox->is_half_open)
        begin_gather(e, inbox, phase);
    /* A gather without readers is not exchanged. */
    if (e->port.mesh == NULL || readers == 0) {
        inbox->is_released = true;
    } else if (open_at_endpoint(e, inbox, readers) != MESH_OK) {
        if (inbox->is_half_open)
            return false;
        inbox->is_free = true;
        if (phase + 1 == e->phase_count)
            atomic_fetch_sub(&e->candidates_missing, inbox->form->block_count);
        return false;
    }
    /* A rank that reads nothing of it will not report it consumed later. In a star rank 0 must pass it on first. */
    if (!engine_reads(e, readers)) {
        inbox->is_consumed = true;
        if (!inbox->is_released && (!e->config.is_star || (e->config.rank != 0 && inbox->has_down)))
            mesh_consume(e->port.mesh, engine_now(e), inbox->step, engine_read_phase(e, phase));
        free_if_done(inbox);
    }
    atomic_store_explicit(&inbox->gather, serial * e->phase_count + phase, memory_order_release);
    return true;
}

static int open_gathers(struct engine *e)
{
    int count = 0;
    uint64_t serial = atomic_load_explicit(&e->step_serial, memory_order_acquire);

    if (serial != e->open_serial) {
        assert(e->open_serial == 0 || e->open_phase == e->phase_count);
        e->open_serial = serial;
        e->open_phase = 0;
        engine_refine_runs(e, serial);
    }
    while (serial > 0 && e->open_phase < e->phase_count && open_gather(e, serial, e->open_phase)) {
        e->open_phase++;
        count++;
    }
    return count;
}

int engine_on_owned(void *app)
{
    struct engine *e = app;
    int count = open_gathers(e);

    if (e->config.is_star && e->port.mesh != NULL)
        count += engine_star_pass_on(e);
    return count + engine_send_records(e);
}

/* ---- events ---- */

static void take_arrived(struct engine *e, struct inbox *inbox, const struct mesh_event *event)
{
    engine_time_arrived(e, inbox, event);
    if (inbox->form->slices > 0)
        inbox_take(inbox, e->config.kernel, event->token_first, event->token_count, event->block_first, event->block_count);
    else
        atomic_fetch_sub_explicit(&e->candidates_missing, (uint32_t)event->block_count * event->token_count, memory_order_acq_rel);
}

static void on_arrived(struct engine *e, const struct mesh_event *event)
{
    struct inbox *inbox = find_inbox(e, event->step, engine_phase_at(e, event->phase));
    struct mesh_event part;

    assert(inbox != NULL);
    if (!e->config.is_star) {
        take_arrived(e, inbox, event);
        return;
    }
    for (uint16_t r = 0; r < e->config.map->rank_count && !inbox->is_consumed; r++)
        if (engine_star_part(e, inbox, r, event, &part))
            take_arrived(e, inbox, &part);
}

void engine_on_event(void *app, const struct mesh_event *event)
{
    struct engine *e = app;
    struct inbox *inbox;

    switch (event->type) {
    case MESH_EVENT_ARRIVED:
        on_arrived(e, event);
        break;
    case MESH_EVENT_COMPLETE:
        if (e->config.is_star)
            engine_star_complete(e, find_inbox(e, event->step, engine_phase_at(e, event->phase)), event->phase);
        break;
    case MESH_EVENT_FREED:
        inbox = find_inbox(e, event->step, engine_phase_at(e, event->phase));
        assert(inbox != NULL && inbox->releases_left > 0);
        inbox->is_released = --inbox->releases_left == 0;
        free_if_done(inbox);
        break;
    case MESH_EVENT_RECORD:
        engine_on_record(e, event);
        break;
    case MESH_EVENT_UP:
    case MESH_EVENT_REFUSED:
    case MESH_EVENT_GONE:
        if (e->hooks.on_peer != NULL)
            e->hooks.on_peer(e->hooks.app, event);
        break;
    default:
        break;
    }
}
