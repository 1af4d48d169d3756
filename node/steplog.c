#include "steplog.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"

static void lock(struct steplog *log)
{
    while (atomic_flag_test_and_set_explicit(&log->lock, memory_order_acquire))
        ;
}

static void unlock(struct steplog *log)
{
    atomic_flag_clear_explicit(&log->lock, memory_order_release);
}

int steplog_init(struct steplog *log, struct sequence *sequence, uint32_t ctx, struct fail *fail)
{
    memset(log, 0, sizeof *log);
    memset(sequence, 0, sizeof *sequence);
    atomic_flag_clear(&log->lock);
    log->ctx = sequence->ctx = ctx;
    log->arrived_token = calloc(ctx, sizeof *log->arrived_token);
    sequence->token = calloc(ctx, sizeof *sequence->token);
    if (log->arrived_token == NULL || sequence->token == NULL) {
        steplog_release(log, sequence);
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory for %u tokens: use a smaller --ctx", ctx);
    }
    return 0;
}

void steplog_release(struct steplog *log, struct sequence *sequence)
{
    free(log->arrived_token);
    free(sequence->token);
    log->arrived_token = sequence->token = NULL;
}

void steplog_add(struct steplog *log, const struct step_entry *entry)
{
    lock(log);
    assert(entry->step == log->known && log->known - atomic_load(&log->over) < STEPLOG_ENTRIES_MAX);
    log->entry[log->known % STEPLOG_ENTRIES_MAX] = *entry;
    log->known++;
    unlock(log);
}

bool steplog_next(struct steplog *log, struct step_entry *entry)
{
    bool is_known;

    lock(log);
    uint64_t over = atomic_load_explicit(&log->over, memory_order_relaxed);
    is_known = over < log->known;
    if (is_known)
        *entry = log->entry[over % STEPLOG_ENTRIES_MAX];
    unlock(log);
    return is_known;
}

void steplog_step_over(struct steplog *log)
{
    atomic_fetch_add_explicit(&log->over, 1, memory_order_release);
}

bool steplog_start(struct steplog *log, struct sequence *sequence, uint32_t request)
{
    bool is_there;

    lock(log);
    is_there = log->has_arrived && log->arrived.id == request && log->arrived_count == log->arrived.prompt_count;
    if (is_there) {
        uint32_t *tokens = sequence->token;

        sequence->request = log->arrived;
        sequence->token = log->arrived_token;
        log->arrived_token = tokens;
        sequence->token_count = sequence->request.prompt_count;
        sequence->generated = sequence->positions_done = 0;
        sequence->is_active = true;
        log->has_arrived = false;
    }
    unlock(log);
    return is_there;
}

/* ---- records ---- */

static void put_request(struct bytes *out, const struct request *r)
{
    bytes_put_u8(out, RECORD_REQUEST);
    bytes_put_u32(out, r->id);
    bytes_put_u32(out, r->prompt_count);
    bytes_put_u32(out, r->predict);
    bytes_put_f32(out, r->sampling.temperature);
    bytes_put_u32(out, r->sampling.top_k);
    bytes_put_f32(out, r->sampling.top_p);
    bytes_put_f32(out, r->sampling.min_p);
    bytes_put_f32(out, r->sampling.repeat_penalty);
    bytes_put_f32(out, r->sampling.presence_penalty);
    bytes_put_f32(out, r->sampling.frequency_penalty);
    bytes_put_u64(out, r->sampling.seed);
    bytes_put_u8(out, (uint8_t)((r->ignore_end ? 1 : 0) | (r->want_digest ? 2 : 0)));
}

static void get_request(struct bytes *in, struct request *r)
{
    *r = (struct request){0};
    r->id = bytes_get_u32(in);
    r->prompt_count = bytes_get_u32(in);
    r->predict = bytes_get_u32(in);
    r->sampling.temperature = bytes_get_f32(in);
    r->sampling.top_k = bytes_get_u32(in);
    r->sampling.top_p = bytes_get_f32(in);
    r->sampling.min_p = bytes_get_f32(in);
    r->sampling.repeat_penalty = bytes_get_f32(in);
    r->sampling.presence_penalty = bytes_get_f32(in);
    r->sampling.frequency_penalty = bytes_get_f32(in);
    r->sampling.seed = bytes_get_u64(in);
    uint8_t flags = bytes_get_u8(in);
    r->ignore_end = (flags & 1) != 0;
    r->want_digest = (flags & 2) != 0;
}

static void put_step(struct bytes *out, const struct step_entry *entry)
{
    bytes_put_u8(out, RECORD_STEP);
    bytes_put_u64(out, entry->step);
    bytes_put_u32(out, entry->request);
    bytes_put_u32(out, entry->position);
    bytes_put_u16(out, entry->count);
    bytes_put_u8(out, (uint8_t)((entry->is_sampled ? 1 : 0) | (entry->is_cancelled ? 2 : 0)));
}

static void get_step(struct bytes *in, struct step_entry *entry)
{
    *entry = (struct step_entry){0};
    entry->step = bytes_get_u64(in);
    entry->request = bytes_get_u32(in);
    entry->position = bytes_get_u32(in);
    entry->count = bytes_get_u16(in);
    uint8_t flags = bytes_get_u8(in);
    entry->is_sampled = (flags & 1) != 0;
    entry->is_cancelled = (flags & 2) != 0;
}

static int take_tokens(struct steplog *log, struct bytes *in)
{
    uint32_t id = bytes_get_u32(in), first = bytes_get_u32(in), count = bytes_get_u32(in);
    int err = -1;

    if (!bytes_ok(in) || bytes_left(in) != 4 * (size_t)count)
        return -1;
    lock(log);
    if (log->has_arrived && log->arrived.id == id && first == log->arrived_count && count <= log->arrived.prompt_count - first) {
        for (uint32_t i = 0; i < count; i++)
            log->arrived_token[first + i] = bytes_get_u32(in);
        log->arrived_count += count;
        err = 0;
    }
    unlock(log);
    return err;
}

static int take_request(struct steplog *log, struct bytes *in)
{
    struct request request;

    get_request(in, &request);
    if (!bytes_ok(in) || bytes_left(in) != 0 || request.prompt_count == 0 || request.prompt_count > log->ctx)
        return -1;
    lock(log);
    log->arrived = request;
    log->arrived_count = 0;
    log->has_arrived = true;
    unlock(log);
    return 0;
}

/* Computes some positions that there are, or tells of a cancel. */
static bool entry_is_possible(const struct steplog *log, const struct step_entry *entry)
{
    return entry->is_cancelled || (entry->count > 0 && (uint64_t)entry->position + entry->count <= log->ctx);
}

int steplog_take_record(struct steplog *log, const uint8_t *record, size_t bytes)
{
    struct bytes in = bytes_reader(record, bytes);
    struct step_entry entry;

    switch (bytes_get_u8(&in)) {
    case RECORD_REQUEST:
        return take_request(log, &in);
    case RECORD_TOKENS:
        return take_tokens(log, &in);
    case RECORD_STEP:
        get_step(&in, &entry);
        if (!bytes_ok(&in) || bytes_left(&in) != 0 || entry.step != log->known || !entry_is_possible(log, &entry) ||
            log->known - atomic_load(&log->over) >= STEPLOG_ENTRIES_MAX)
            return -1;
        steplog_add(log, &entry);
        return 0;
    default:
        return -1;
    }
}

/* ---- the sequencer ---- */

bool sender_submit(struct record_sender *sender, const struct request *request)
{
    uint32_t *prompt;

    if (atomic_load_explicit(&sender->state, memory_order_acquire) != SENDER_FREE)
        return false;
    prompt = malloc(request->prompt_count * sizeof *prompt);
    if (prompt == NULL)
        return false;
    memcpy(prompt, request->prompt, request->prompt_count * sizeof *prompt);
    sender->request = *request;
    sender->request.id = ++sender->next_id;
    sender->request.prompt = NULL;
    sender->prompt = prompt;
    sender->part = sender->position = 0;
    sender->is_planned = false;
    sender->record_bytes = 0;
    atomic_store(&sender->want_cancel, false);
    atomic_store(&sender->has_ended, false);
    atomic_store_explicit(&sender->state, SENDER_SUBMITTED, memory_order_release);
    return true;
}

void sender_end(struct record_sender *sender)
{
    free(sender->prompt);
    sender->prompt = NULL;
    sender->record_bytes = 0;
    sender->has_entry = false;
    atomic_store_explicit(&sender->state, SENDER_FREE, memory_order_release);
}

/* Part 0 is the request, the others its tokens. */
static void make_request_part(struct record_sender *sender)
{
    struct bytes out = bytes_writer(sender->record, sizeof sender->record);

    if (sender->part == 0) {
        put_request(&out, &sender->request);
    } else {
        uint32_t first = (sender->part - 1) * STEPLOG_TOKENS_PER_RECORD;
        uint32_t left = sender->request.prompt_count - first;
        uint32_t count = left < STEPLOG_TOKENS_PER_RECORD ? left : STEPLOG_TOKENS_PER_RECORD;

        bytes_put_u8(&out, RECORD_TOKENS);
        bytes_put_u32(&out, sender->request.id);
        bytes_put_u32(&out, first);
        bytes_put_u32(&out, count);
        for (uint32_t i = 0; i < count; i++)
            bytes_put_u32(&out, sender->prompt[first + i]);
    }
    sender->record_bytes = bytes_size(&out);
}

static void plan_entry(struct record_sender *sender, uint16_t batch, uint32_t ctx)
{
    uint32_t prompt = sender->request.prompt_count;
    struct step_entry entry = {.step = sender->step, .request = sender->request.id, .position = sender->position};

    if (atomic_load(&sender->want_cancel)) {
        entry.is_cancelled = true;
        sender->is_planned = true;
    } else if (sender->position < prompt) {
        uint32_t left = prompt - sender->position;

        entry.count = (uint16_t)(left < batch ? left : batch);
        entry.is_sampled = entry.count == left;
    } else {
        entry.count = 1;
        entry.is_sampled = true;
    }
    sender->position += entry.count;
    /* The last position computed is that of the last but one generated token. */
    uint64_t last = (uint64_t)prompt + sender->request.predict - 1;
    if (sender->position >= last && sender->position >= prompt)
        sender->is_planned = true;
    if (sender->position >= ctx)
        sender->is_planned = true;
    sender->entry = entry;
    sender->has_entry = true;
}

bool sender_next(struct record_sender *sender, struct steplog *log, uint16_t batch, uint32_t ctx)
{
    struct bytes out = bytes_writer(sender->record, sizeof sender->record);

    int state = atomic_load_explicit(&sender->state, memory_order_acquire);

    /* Until it is submitted, a request belongs to who submits it. */
    if (state != SENDER_FREE && sender->record_bytes > 0)
        return true;
    switch (state) {
    case SENDER_SUBMITTED:
        atomic_store(&sender->state, SENDER_REQUEST);
        /* fall through */
    case SENDER_REQUEST:
        make_request_part(sender);
        return true;
    case SENDER_STEPS:
        if (atomic_load(&sender->has_ended))
            return false;
        if (sender->is_planned && atomic_load(&sender->want_cancel) && !sender->entry.is_cancelled)
            sender->is_planned = false; /* a cancel is still to be told */
        if (sender->is_planned || sender->step >= atomic_load_explicit(&log->over, memory_order_acquire) + STEPLOG_AHEAD)
            return false;
        plan_entry(sender, batch, ctx);
        put_step(&out, &sender->entry);
        sender->record_bytes = bytes_size(&out);
        return true;
    default:
        return false;
    }
}

void sender_sent(struct record_sender *sender, struct steplog *log)
{
    if (sender->has_entry) {
        steplog_add(log, &sender->entry);
        sender->step++;
        sender->has_entry = false;
    } else {
        /* The sequencer learns of its own request in the same way as everybody. */
        int err = steplog_take_record(log, sender->record, sender->record_bytes);

        assert(err == 0);
        (void)err;
        sender->part++;
        if ((uint64_t)(sender->part - 1) * STEPLOG_TOKENS_PER_RECORD >= sender->request.prompt_count)
            atomic_store(&sender->state, SENDER_STEPS);
    }
    sender->record_bytes = 0;
    sender->sent_to = 0;
}
