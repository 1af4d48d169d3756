#include "publisher.h"

#include <assert.h>

/* Steps that are not over, including the one being computed: with fewer, a step takes precedence over a request. */
enum { URGENT = 2 };

void publisher_init(struct publisher *p, bool is_sequencer, const struct planner_limits *limits,
                    uint32_t (*candidates)(const void *app, const struct sampling *sampling), const void *app)
{
    *p = (struct publisher){.is_sequencer = is_sequencer, .candidates = candidates, .app = app};
    planner_init(&p->planner, limits);
}

/* Plan one more step, if fewer than `ahead` are not over. */
static bool next_step(struct publisher *p, const struct steplog *log, uint64_t ahead)
{
    if (p->planner.count == 0 || p->step >= atomic_load_explicit(&log->over, memory_order_acquire) + ahead)
        return false;
    p->entry.step = p->step;
    if (!planner_next(&p->planner, &p->entry))
        return false;
    p->record_bytes = record_put_step(&p->entry, p->record);
    p->has_entry = true;
    return true;
}

static bool is_running(const struct planner *planner, uint64_t request)
{
    for (uint16_t i = 0; i < planner->count; i++)
        if (planner->sequence[i].request == request)
            return true;
    return false;
}

/* The next request from the intake; one that runs already, since another node has submitted it too, is not published again. */
static void take_request(struct publisher *p, struct intake *intake)
{
    if (p->is_sequencer && (p->missing > 0 || !planner_has_room(&p->planner)))
        return;
    while ((p->request = intake_take(intake)) != NULL && p->is_sequencer && is_running(&p->planner, p->request->id))
        intake_remove(intake, p->request->id);
    p->index = 0;
}

bool publisher_next(struct publisher *p, struct intake *intake, const struct steplog *log)
{
    if (p->record_bytes > 0)
        return true;
    if (p->is_sequencer && next_step(p, log, URGENT))
        return true;
    if (p->request == NULL)
        take_request(p, intake);
    if (p->request == NULL)
        return p->is_sequencer && next_step(p, log, STEPLOG_AHEAD);
    p->record_bytes = record_put_request(p->request, p->index, p->record);
    return true;
}

/* The sequencer learns of a request from the log, as every node does. */
static void log_request(struct publisher *p, struct intake *intake, struct steplog *log)
{
    uint64_t complete;
    int err = steplog_take_record(log, p->record, p->record_bytes, &complete);

    assert(err == 0);
    (void)err;
    if (complete == 0)
        return;
    assert(complete == p->request->id);
    planner_add(&p->planner, p->request, p->candidates(p->app, &p->request->sampling), p->from == NULL ? 0 : p->from(p->app, p->request));
    p->request = NULL;
    intake_remove(intake, complete);
}

void publisher_sent(struct publisher *p, struct intake *intake, struct steplog *log)
{
    if (p->has_entry) {
        steplog_add(log, &p->entry);
        p->step++;
        p->has_entry = false;
    } else if (p->is_sequencer) {
        p->index++;
        log_request(p, intake, log);
    } else if (p->request != NULL && ++p->index == record_request_count(p->request)) {
        /* It stays in the intake until the log returns it. */
        p->request = NULL;
    }
    p->record_bytes = 0;
    p->sent_to = 0;
}

void publisher_forget(struct publisher *p, struct intake *intake, uint64_t request)
{
    planner_end(&p->planner, request);
    if (p->request != NULL && p->request->id == request) {
        if (p->is_sequencer)
            return; /* another one of the same id has ended; this one is still to run */
        p->request = NULL;
    }
    intake_remove(intake, request);
}
