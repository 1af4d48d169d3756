#include "publisher.h"

#include <assert.h>

/* Steps that are not over, including the one being computed: with fewer, a step takes precedence over a request. */
enum { URGENT = 2 };

void publisher_init(struct publisher *p, bool is_sequencer, const struct scheduler_limits *limits,
                    uint32_t (*candidates)(const void *app, const struct sampling *sampling), void *app)
{
    *p = (struct publisher){.is_sequencer = is_sequencer, .candidates = candidates, .app = app};
    scheduler_init(&p->scheduler, limits);
}

/* Plan one more step, if fewer than `ahead` are not over. */
static bool next_step(struct publisher *p, const struct steplog *log, uint64_t ahead)
{
    if (p->scheduler.count == 0 || p->step >= atomic_load_explicit(&log->over, memory_order_acquire) + ahead)
        return false;
    p->entry.step = p->step;
    if (!scheduler_next(&p->scheduler, &p->entry))
        return false;
    p->record_bytes = record_put_step(&p->entry, p->record);
    p->has_entry = true;
    return true;
}

static bool is_running(const struct scheduler *scheduler, uint64_t request)
{
    for (uint16_t i = 0; i < scheduler->count; i++)
        if (scheduler->sequence[i].request == request)
            return true;
    return false;
}

/* Has every request begun that is in the log? Then no slot changes hands before the next one begins. */
static bool is_settled(const struct publisher *p, const struct steplog *log)
{
    return scheduler_is_settled(&p->scheduler, atomic_load_explicit(&log->over, memory_order_acquire));
}

/* The next request from the queue; one that runs already, since another node has submitted it too, is not published again. */
static void take_request(struct publisher *p, struct request_queue *queue, const struct steplog *log)
{
    if (p->is_sequencer && (p->missing > 0 || !scheduler_has_room(&p->scheduler) || (p->is_holding && !is_settled(p, log))))
        return;
    p->is_holding = false;
    while ((p->request = request_queue_take(queue)) != NULL && p->is_sequencer && is_running(&p->scheduler, p->request->id))
        request_queue_remove(queue, p->request->id);
    p->index = 0;
}

bool publisher_next(struct publisher *p, struct request_queue *queue, const struct steplog *log)
{
    if (p->record_bytes > 0)
        return true;
    if (p->is_sequencer && next_step(p, log, URGENT))
        return true;
    if (p->request == NULL)
        take_request(p, queue, log);
    if (p->request == NULL)
        return p->is_sequencer && next_step(p, log, STEPLOG_AHEAD);
    p->record_bytes = record_put_request(p->request, p->index, p->record);
    return true;
}

/* Where the request that is published begins. */
static uint32_t begin_at(struct publisher *p, const struct steplog *log)
{
    const uint32_t from = p->from == NULL ? 0 : p->from(p->app, p->request);
    const uint32_t reusable = p->reusable != NULL && is_settled(p, log) ? p->reusable(p->app, p->request) : 0;

    p->is_holding = reusable > from;
    return p->is_holding ? reusable : from;
}

/* The sequencer learns of a request from the log, as every node does. */
static void log_request(struct publisher *p, struct request_queue *queue, struct steplog *log)
{
    uint64_t complete;
    int err = steplog_take_record(log, p->record, p->record_bytes, &complete);

    assert(err == 0);
    (void)err;
    if (complete == 0)
        return;
    assert(complete == p->request->id);
    scheduler_add(&p->scheduler, p->request, p->candidates(p->app, &p->request->sampling), begin_at(p, log));
    p->request = NULL;
    request_queue_remove(queue, complete);
}

void publisher_sent(struct publisher *p, struct request_queue *queue, struct steplog *log)
{
    if (p->has_entry) {
        steplog_add(log, &p->entry);
        p->step++;
        p->has_entry = false;
    } else if (p->is_sequencer) {
        p->index++;
        log_request(p, queue, log);
    } else if (p->request != NULL && ++p->index == record_request_count(p->request)) {
        /* It stays in the queue until the log returns it. */
        p->request = NULL;
    }
    p->record_bytes = 0;
    p->sent_to = 0;
}

void publisher_forget(struct publisher *p, struct request_queue *queue, uint64_t request)
{
    scheduler_end(&p->scheduler, request);
    if (p->request != NULL && p->request->id == request) {
        if (p->is_sequencer)
            return; /* another one of the same id has ended; this one is still to run */
        p->request = NULL;
    }
    request_queue_remove(queue, request);
}
