/* Records: a node's messages about requests and steps, and short messages between nodes. */
#include <assert.h>
#include <string.h>

#include "engine_state.h"
#include "node/common/spin.h"

/* ---- short ones: a bounded queue, from any thread ---- */

/* data: the type, then the rest. */
static bool post(struct engine *e, uint16_t to, enum record_type type, const uint8_t *rest, size_t bytes)
{
    bool has_room;

    spin_lock(&e->message_lock);
    has_room = e->message_tail - e->message_head < ENGINE_MESSAGES_MAX;
    if (has_room) {
        struct message *m = &e->message[e->message_tail++ % ENGINE_MESSAGES_MAX];

        m->to = to;
        m->bytes = (uint16_t)(bytes + 1);
        m->data[0] = (uint8_t)type;
        memcpy(m->data + 1, rest, bytes);
    }
    spin_unlock(&e->message_lock);
    return has_room;
}

bool engine_post(struct engine *e, uint16_t to, const uint8_t *message, size_t bytes)
{
    assert(bytes <= ENGINE_MESSAGE_BYTES_MAX && e->port.mesh != NULL);
    if (!post(e, to, RECORD_MESSAGE, message, bytes))
        return false;
    engine_wake(e); /* the sleeper at the port sends it */
    return true;
}

static bool post_cancel(struct engine *e, uint16_t to, uint64_t request, bool is_refused)
{
    uint8_t record[RECORD_CANCEL_BYTES];
    size_t bytes = record_put_cancel(request, is_refused, record);

    return post(e, to, RECORD_CANCEL, record + 1, bytes - 1);
}

static int send_messages(struct engine *e)
{
    int count = 0;

    spin_lock(&e->message_lock);
    while (e->message_head != e->message_tail) {
        const struct message *m = &e->message[e->message_head % ENGINE_MESSAGES_MAX];

        if (mesh_send_record(e->port.mesh, engine_now(e), m->to, m->data, m->bytes) != MESH_OK)
            break;
        e->message_head++;
        count++;
    }
    spin_unlock(&e->message_lock);
    return count;
}

bool engine_has_records(struct engine *e)
{
    bool has_some;

    spin_lock(&e->message_lock);
    has_some = e->message_head != e->message_tail;
    spin_unlock(&e->message_lock);
    return has_some || e->kept_record_bytes > 0 || e->publisher.record_bytes > 0 || atomic_load(&e->queue.fresh) > 0;
}

/* ---- cancels ---- */

/* End a request that is not in the log; its submitter is told. False: not possible now. */
static bool drop(struct engine *e, uint64_t request, uint16_t origin)
{
    bool is_told = origin == e->config.rank ? id_ring_put(&e->dropped, request) : post_cancel(e, origin, request, false);

    if (is_told)
        request_queue_remove(&e->queue, request);
    return is_told;
}

/* True: nothing is left to be done about it on this rank. */
static bool settle_cancel(struct engine *e, uint64_t request)
{
    uint16_t origin = 0;
    enum request_queue_state state = request_queue_state(&e->queue, request, &origin);
    bool is_sequencer = e->publisher.is_sequencer;

    if (is_sequencer && scheduler_cancel(&e->publisher.scheduler, request))
        return true;
    if (state == REQUEST_QUEUE_FRESH)
        return drop(e, request, origin);
    /* Too early while its records are being sent. */
    if (e->publisher.request != NULL && e->publisher.request->id == request)
        return false;
    return is_sequencer || post_cancel(e, 0, request, false);
}

static void settle_cancels(struct engine *e)
{
    for (uint32_t i = 0; i < REQUEST_QUEUE_CANCELS_MAX; i++) {
        uint64_t request = request_queue_cancel_at(&e->queue, i);

        if (request != 0 && settle_cancel(e, request))
            request_queue_cancel_done(&e->queue, i);
    }
}

/* ---- saying ---- */

/* Send the current record to every rank that does not have it yet; false when a queue is full. */
static bool give_record(struct engine *e, struct publisher *p)
{
    uint16_t receivers = p->is_sequencer ? e->config.map->rank_count : 1;

    for (; e->port.mesh != NULL && p->sent_to < receivers; p->sent_to++) {
        if (p->sent_to == e->config.rank)
            continue;
        if (mesh_send_record(e->port.mesh, engine_now(e), p->sent_to, p->record, p->record_bytes) != MESH_OK)
            return false;
    }
    return true;
}

int engine_send_records(struct engine *e)
{
    uint64_t ended;
    int count = 0;

    engine_send_kept(e);
    while (id_ring_take(&e->ended, &ended))
        publisher_forget(&e->publisher, &e->queue, ended);
    if (request_queue_has_cancels(&e->queue))
        settle_cancels(e);
    while (publisher_next(&e->publisher, &e->queue, &e->log) && give_record(e, &e->publisher)) {
        publisher_sent(&e->publisher, &e->queue, &e->log);
        count++;
    }
    return e->port.mesh == NULL ? count : count + send_messages(e);
}

/* ---- hearing ---- */

/* The sequencer gets requests from the ranks on which they were submitted. Malformed records are dropped: their senders are members, so
 * this is a bug of theirs. */
static void hear_submitted(struct engine *e, const struct mesh_event *event)
{
    uint64_t refused;

    (void)request_queue_take_record(&e->queue, event->rank, event->record, event->record_bytes, &refused);
    if (refused != 0)
        post_cancel(e, event->rank, refused, true);
}

static void hear_cancel(struct engine *e, const struct mesh_event *event)
{
    struct bytes in = bytes_reader(event->record + 1, event->record_bytes - 1);
    uint64_t request;
    uint16_t origin;
    bool is_refused;

    if (record_get_cancel(&in, &request, &is_refused) < 0 || request_queue_state(&e->queue, request, &origin) == REQUEST_QUEUE_ABSENT)
        return;
    if (id_ring_put(is_refused ? &e->refused : &e->dropped, request))
        publisher_forget(&e->publisher, &e->queue, request);
}

/* Malformed records are dropped: the sequencer is a member, so this is a bug of it, and the step then does not begin. */
static void hear_log(struct engine *e, const struct mesh_event *event)
{
    uint64_t complete;

    if (steplog_take_record(&e->log, event->record, event->record_bytes, &complete) == 0 && complete != 0)
        publisher_forget(&e->publisher, &e->queue, complete);
}

void engine_on_record(struct engine *e, const struct mesh_event *event)
{
    uint8_t type = event->record_bytes > 0 ? event->record[0] : 0;

    if (type == RECORD_MESSAGE) {
        if (e->hooks.on_message != NULL)
            e->hooks.on_message(e->hooks.app, event->rank, event->record + 1, event->record_bytes - 1);
    } else if (type == RECORD_KEPT) {
        engine_hear_kept(e, event->rank, event->record, event->record_bytes);
    } else if (e->publisher.is_sequencer) {
        hear_submitted(e, event);
    } else if (event->rank == 0 && type == RECORD_CANCEL) {
        hear_cancel(e, event);
    } else if (event->rank == 0) {
        hear_log(e, event);
    }
}
