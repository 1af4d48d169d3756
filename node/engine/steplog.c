#include "steplog.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "node/common/spin.h"

int steplog_init(struct steplog *log, const struct steplog_limits *limits, struct fail *fail)
{
    bool is_short;

    assert(limits->slots >= 1 && limits->slots <= STEPLOG_SLOTS_MAX);
    memset(log, 0, sizeof *log);
    atomic_flag_clear(&log->lock);
    log->limits = *limits;
    log->arriving = calloc(limits->slots, sizeof *log->arriving);
    is_short = log->arriving == NULL;
    for (uint16_t i = 0; !is_short && i < limits->slots; i++) {
        log->arriving[i].token = calloc(limits->ctx, sizeof *log->arriving[i].token);
        is_short = log->arriving[i].token == NULL;
    }
    if (is_short) {
        steplog_release(log);
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory for %u times %u tokens: use a smaller --ctx", limits->slots,
                        limits->ctx);
    }
    return 0;
}

void steplog_release(struct steplog *log)
{
    for (uint16_t i = 0; log->arriving != NULL && i < log->limits.slots; i++)
        free(log->arriving[i].token);
    free(log->arriving);
    log->arriving = NULL;
}

/* ---- entries ---- */

/* Copy only the parts in use. */
static void copy_entry(struct step_entry *to, const struct step_entry *from)
{
    to->step = from->step;
    to->part_count = from->part_count;
    memcpy(to->part, from->part, from->part_count * sizeof *from->part);
}

void steplog_add(struct steplog *log, const struct step_entry *entry)
{
    spin_lock(&log->lock);
    assert(entry->step == log->known && log->known - atomic_load(&log->over) < STEPLOG_ENTRIES_MAX);
    copy_entry(&log->entry[log->known % STEPLOG_ENTRIES_MAX], entry);
    log->known++;
    spin_unlock(&log->lock);
}

bool steplog_next(struct steplog *log, struct step_entry *entry)
{
    bool is_known;

    spin_lock(&log->lock);
    uint64_t over = atomic_load_explicit(&log->over, memory_order_relaxed);
    is_known = over < log->known;
    if (is_known)
        copy_entry(entry, &log->entry[over % STEPLOG_ENTRIES_MAX]);
    spin_unlock(&log->lock);
    return is_known;
}

void steplog_step_over(struct steplog *log)
{
    atomic_fetch_add_explicit(&log->over, 1, memory_order_release);
}

/* ---- requests ---- */

/* id 0: a free slot. NULL: none. Under the lock. */
static struct arriving *find(struct steplog *log, uint64_t id)
{
    for (uint16_t i = 0; i < log->limits.slots; i++)
        if (log->arriving[i].request.id == id)
            return &log->arriving[i];
    return NULL;
}

bool steplog_start(struct steplog *log, struct sequence *sequence, uint64_t request)
{
    bool is_there;

    assert(request != 0);
    spin_lock(&log->lock);
    struct arriving *a = find(log, request);
    is_there = a != NULL && arriving_is_complete(a);
    if (is_there) {
        uint32_t *token = sequence->token;

        *sequence = (struct sequence){
            .request = a->request,
            .token = a->token,
            .token_count = a->request.prompt_count,
            .generated = a->request.generated_before,
            .is_active = true,
        };
        *a = (struct arriving){.token = token};
    }
    spin_unlock(&log->lock);
    return is_there;
}

bool steplog_begins_with(struct steplog *log, uint64_t request, const uint32_t *token, uint32_t count)
{
    bool does;

    spin_lock(&log->lock);
    const struct arriving *a = find(log, request);
    does = a != NULL && arriving_is_complete(a) && a->request.prompt_count >= count && memcmp(a->token, token, count * sizeof *token) == 0;
    spin_unlock(&log->lock);
    return does;
}

/* ---- records ---- */

static int take_request(struct steplog *log, struct bytes *in)
{
    struct request request;
    struct arriving *a;

    if (record_get_request(in, &request) < 0 || request.prompt_count > log->limits.ctx)
        return -1;
    spin_lock(&log->lock);
    a = find(log, request.id) != NULL ? NULL : find(log, 0);
    if (a != NULL)
        *a = (struct arriving){.request = request, .token = a->token};
    spin_unlock(&log->lock);
    return a != NULL ? 0 : -1;
}

static int take_tokens(struct steplog *log, struct bytes *in, uint64_t *complete)
{
    uint64_t id = record_peek_id(*in);
    int err = -1;

    spin_lock(&log->lock);
    struct arriving *a = id == 0 ? NULL : find(log, id);
    if (a != NULL)
        err = record_get_tokens(in, a);
    if (err == 0 && arriving_is_complete(a))
        *complete = id;
    spin_unlock(&log->lock);
    return err;
}

/* Every part computes some existing positions, or reports a cancel; together they are a step that this node can hold. */
static bool entry_is_possible(const struct steplog *log, const struct step_entry *entry)
{
    uint32_t tokens = 0;

    for (uint16_t i = 0; i < entry->part_count; i++) {
        const struct step_part *p = &entry->part[i];

        if (p->request == 0 || p->is_cancelled != (p->count == 0) || (uint64_t)p->position + p->count > log->limits.ctx)
            return false;
        tokens += p->count;
    }
    return entry->part_count >= 1 && entry->part_count <= log->limits.slots && tokens <= log->limits.batch;
}

static int take_step(struct steplog *log, struct bytes *in)
{
    struct step_entry entry;

    if (record_get_step(in, &entry) < 0 || entry.step != log->known || !entry_is_possible(log, &entry) ||
        log->known - atomic_load(&log->over) >= STEPLOG_ENTRIES_MAX)
        return -1;
    steplog_add(log, &entry);
    return 0;
}

int steplog_take_record(struct steplog *log, const uint8_t *record, size_t bytes, uint64_t *complete)
{
    struct bytes in = bytes_reader(record, bytes);

    *complete = 0;
    switch (bytes_get_u8(&in)) {
    case RECORD_REQUEST:
        return take_request(log, &in);
    case RECORD_TOKENS:
        return take_tokens(log, &in, complete);
    case RECORD_STEP:
        return take_step(log, &in);
    default:
        return -1;
    }
}
