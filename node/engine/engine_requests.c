/* Requests as seen by the engine's users and its steps: submitted, cancelled; started in a slot, ended. */
#include <assert.h>

#include "engine_state.h"
#include "node/common/spin.h"

const char *engine_done_name(enum engine_done reason)
{
    static const char *const names[] = {"length", "end", "context", "cancelled", "error", "refused"};

    return (size_t)reason < sizeof names / sizeof *names ? names[reason] : "?";
}

/* ---- for the users ---- */

bool engine_submit(struct engine *e, const struct request *request)
{
    struct fail fail;

    assert(request_check(request, e->config.ctx, e->model->vocab, &fail) == 0);
    return request_queue_submit(&e->queue, request, e->config.rank);
}

bool engine_follow(struct engine *e, const uint8_t *record, size_t bytes)
{
    uint64_t complete;

    assert(e->config.follows);
    return steplog_take_record(&e->log, record, bytes, &complete) == 0;
}

bool engine_cancel(struct engine *e, uint64_t request)
{
    return request_queue_cancel(&e->queue, request);
}

/* ---- for the steps ---- */

/* A prompt's tokens come from its sequencer: each must name a row of the embedding. */
static bool prompt_fits(const struct engine *e, const struct sequence *s)
{
    for (uint32_t i = 0; i < s->token_count; i++)
        if (s->token[i] >= e->model->vocab)
            return false;
    return true;
}

static struct sequence *start(struct engine *e, uint64_t request, uint32_t position)
{
    const struct sequence *source;
    struct sequence *s = engine_start_sequence(e, request, position, &source);

    if (s == NULL || (prompt_fits(e, s) && engine_take_saved_kv(e, s, position, source)))
        return s;
    engine_stop_sequence(e, s);
    return NULL;
}

struct sequence *engine_find_sequence(struct engine *e, const struct step_part *part)
{
    for (uint16_t i = 0; i < e->config.slots; i++)
        if (e->sequence[i].is_active && e->sequence[i].request.id == part->request)
            return &e->sequence[i];
    /* Only a request's first part starts it: other parts may be left from an ended request that was submitted again. */
    return (part->position == 0 || part->begins) && !part->is_cancelled ? start(e, part->request, part->position) : NULL;
}

void engine_end_request(struct engine *e, struct sequence *s, enum engine_done reason, const struct engine_fault *fault)
{
    bool has_room = id_ring_put(&e->ended, s->request.id);

    /* The owner drains it before every step; in between at most twice as many requests can end as there are slots. */
    assert(has_room);
    (void)has_room;
    engine_stop_sequence(e, s);
    if (e->hooks.on_done != NULL)
        e->hooks.on_done(e->hooks.app, engine_now(e), s->request.id, reason, fault);
}

static bool report(struct engine *e, struct id_ring *ring, enum engine_done reason)
{
    uint64_t id;

    if (!id_ring_take(ring, &id))
        return false;
    if (e->hooks.on_done != NULL)
        e->hooks.on_done(e->hooks.app, engine_now(e), id, reason, NULL);
    return true;
}

bool engine_report_dropped(struct engine *e)
{
    return report(e, &e->dropped, ENGINE_DONE_CANCELLED) || report(e, &e->refused, ENGINE_DONE_REFUSED);
}
