/* Gathers as the node sees them: opened in order ahead of the work, filled by workers and peers, freed when nobody needs them. */
#include <assert.h>
#include <string.h>

#include "bytes.h"
#include "engine_state.h"
#include "head.h"

uint64_t engine_readers(const struct engine *e, uint16_t phase)
{
    /* A step that draws nothing needs the last layer's keys and values only. */
    if (e->sample_count == 0 && phase + 1 < e->phase_count && phase + 1 + ENGINE_PHASES_PER_LAYER >= e->phase_count)
        return 0;
    return e->phase[phase].readers;
}

static const struct gather_form *form_of(struct engine *e, uint16_t phase, const struct inbox *inbox)
{
    return phase + 1 < e->phase_count ? &e->phase[phase].form : &e->candidate_form[inbox - e->slot];
}

/* Every rank has at least its summary, and as many candidates as its rows allow. */
static void shape_candidates(struct engine *e, struct inbox *inbox)
{
    size_t index = (size_t)(inbox - e->slot);
    struct gather_form *form = &e->candidate_form[index];
    uint16_t *first = e->candidate_first[index];

    uint32_t count[MESH_RANKS_MAX], total = 0;
    for (uint16_t r = 0; r < e->config.map->rank_count; r++) {
        uint32_t rows = e->config.map->vocab[r + 1] - e->config.map->vocab[r];

        count[r] = e->sample_count == 0 ? 0 : sampler_candidate_count(&e->sequence.request.sampling, rows);
        total += count[r];
    }
    uint32_t block_bytes = head_block_bytes(total);
    first[0] = 0;
    for (uint16_t r = 0; r < e->config.map->rank_count; r++)
        first[r + 1] = (uint16_t)(first[r] + head_candidate_blocks(count[r], block_bytes));
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

static struct inbox *find_slot(struct engine *e, uint64_t step, uint16_t phase)
{
    for (int i = 0; i < ENGINE_SLOTS; i++)
        if (!e->slot[i].is_free && e->slot[i].step == step && e->slot[i].phase == phase)
            return &e->slot[i];
    return NULL;
}

void engine_on_consume(void *app, const struct port_word *word)
{
    struct inbox *inbox = find_slot(app, word->step, word->phase);

    assert(inbox != NULL && !inbox->is_consumed);
    inbox->is_consumed = true;
    free_if_done(inbox);
}

static int open_at_endpoint(struct engine *e, const struct inbox *inbox, uint64_t readers)
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

    int err = mesh_open_gather(e->port.mesh, engine_now(e), &gather);
    assert(err == MESH_OK || err == MESH_AGAIN);
    return err;
}

/* Open one gather of the open step; false while its place is taken. */
static bool open_gather(struct engine *e, uint64_t serial, uint16_t phase)
{
    struct inbox *inbox = engine_slot(e, serial, phase);
    uint64_t readers = engine_readers(e, phase);

    if (!inbox->is_free)
        return false;
    if (phase + 1 == e->phase_count)
        shape_candidates(e, inbox);
    inbox_begin(inbox, form_of(e, phase, inbox), phase + 1 < e->phase_count ? e->token_count : 1);
    inbox->step = e->entry.step;
    inbox->phase = phase;
    if (phase + 1 == e->phase_count)
        atomic_fetch_add(&e->candidates_missing, inbox->form->block_count);
    /* What nobody reads is not exchanged. */
    if (e->port.mesh == NULL || readers == 0) {
        inbox->is_released = true;
    } else if (open_at_endpoint(e, inbox, readers) != MESH_OK) {
        inbox->is_free = true;
        if (phase + 1 == e->phase_count)
            atomic_fetch_sub(&e->candidates_missing, inbox->form->block_count);
        return false;
    }
    /* Who reads nothing of it will not say so later. */
    if (!engine_reads(e, readers)) {
        inbox->is_consumed = true;
        if (!inbox->is_released)
            mesh_consume(e->port.mesh, engine_now(e), inbox->step, phase);
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
    }
    while (serial > 0 && e->open_phase < e->phase_count && open_gather(e, serial, e->open_phase)) {
        e->open_phase++;
        count++;
    }
    return count;
}

/* ---- records ---- */

/* Give the record in hand to every peer that does not have it yet; false when one's queue is full. */
static bool send_to_all(struct engine *e, struct record_sender *sender)
{
    for (; sender->sent_to < e->config.map->rank_count; sender->sent_to++) {
        if (sender->sent_to == e->config.rank)
            continue;
        if (mesh_send_record(e->port.mesh, engine_now(e), sender->sent_to, sender->record, sender->record_bytes) != MESH_OK)
            return false;
    }
    return true;
}

static int send_steps(struct engine *e)
{
    int count = 0;
    struct record_sender *sender = &e->sender;

    while (sender_next(sender, &e->log, e->config.batch, e->config.ctx)) {
        if (e->port.mesh != NULL && !send_to_all(e, sender))
            return count;
        sender_sent(sender, &e->log);
        count++;
    }
    if (atomic_load(&sender->has_ended) && atomic_load(&sender->state) != SENDER_FREE)
        sender_end(sender);
    return count;
}

static int send_messages(struct engine *e)
{
    int count = 0;

    while (atomic_flag_test_and_set_explicit(&e->message_lock, memory_order_acquire))
        ;
    while (e->message_head != e->message_tail) {
        const struct message *m = &e->message[e->message_head % ENGINE_MESSAGES_MAX];

        if (mesh_send_record(e->port.mesh, engine_now(e), m->to, m->data, m->bytes) != MESH_OK)
            break;
        e->message_head++;
        count++;
    }
    atomic_flag_clear_explicit(&e->message_lock, memory_order_release);
    return count;
}

bool engine_post(struct engine *e, uint16_t to, const uint8_t *message, size_t bytes)
{
    bool has_room;

    assert(bytes <= ENGINE_MESSAGE_BYTES_MAX && e->port.mesh != NULL);
    while (atomic_flag_test_and_set_explicit(&e->message_lock, memory_order_acquire))
        ;
    has_room = e->message_tail - e->message_head < ENGINE_MESSAGES_MAX;
    if (has_room) {
        struct message *m = &e->message[e->message_tail++ % ENGINE_MESSAGES_MAX];

        m->to = to;
        m->bytes = (uint16_t)(bytes + 1);
        m->data[0] = RECORD_MESSAGE;
        memcpy(m->data + 1, message, bytes);
    }
    atomic_flag_clear_explicit(&e->message_lock, memory_order_release);
    return has_room;
}

bool engine_has_messages(struct engine *e)
{
    bool has_some;

    while (atomic_flag_test_and_set_explicit(&e->message_lock, memory_order_acquire))
        ;
    has_some = e->message_head != e->message_tail;
    atomic_flag_clear_explicit(&e->message_lock, memory_order_release);
    return has_some;
}

int engine_on_owned(void *app)
{
    struct engine *e = app;
    int count = open_gathers(e);

    if (e->config.rank == 0)
        count += send_steps(e);
    if (e->port.mesh != NULL)
        count += send_messages(e);
    return count;
}

/* ---- events ---- */

static void on_arrived(struct engine *e, const struct mesh_event *event)
{
    struct inbox *inbox = find_slot(e, event->step, event->phase);

    assert(inbox != NULL);
    if (inbox->form->slices > 0)
        inbox_take(inbox, e->config.kernel, event->token_first, event->token_count, event->block_first, event->block_count);
    else
        atomic_fetch_sub_explicit(&e->candidates_missing, (uint32_t)event->block_count * event->token_count, memory_order_acq_rel);
}

static void on_record(struct engine *e, const struct mesh_event *event)
{
    if (event->record_bytes > 0 && event->record[0] == RECORD_MESSAGE) {
        if (e->hooks.on_message != NULL)
            e->hooks.on_message(e->hooks.app, event->rank, event->record + 1, event->record_bytes - 1);
    } else if (event->rank == 0) {
        /* Malformed ones are dropped: the sequencer is a member, so this is its bug, and the step then does not begin. */
        (void)steplog_take_record(&e->log, event->record, event->record_bytes);
    }
}

void engine_on_event(void *app, const struct mesh_event *event)
{
    struct engine *e = app;
    struct inbox *inbox;

    switch (event->type) {
    case MESH_EVENT_ARRIVED:
        on_arrived(e, event);
        break;
    case MESH_EVENT_FREED:
        inbox = find_slot(e, event->step, event->phase);
        assert(inbox != NULL);
        inbox->is_released = true;
        free_if_done(inbox);
        break;
    case MESH_EVENT_RECORD:
        on_record(e, event);
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
