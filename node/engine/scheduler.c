#include "scheduler.h"

#include <assert.h>
#include <string.h>

void scheduler_init(struct scheduler *scheduler, const struct scheduler_limits *limits)
{
    assert(limits->slots >= 1 && limits->slots <= RECORD_PARTS_MAX && limits->batch >= 1 && limits->ctx >= 1);
    *scheduler = (struct scheduler){.limits = *limits};
}

bool scheduler_has_room(const struct scheduler *scheduler)
{
    return scheduler->count < scheduler->limits.slots;
}

void scheduler_add(struct scheduler *scheduler, const struct request *request, uint32_t candidates, uint32_t from)
{
    /* The last position computed is that of the last but one generated token. */
    uint64_t end = (uint64_t)request->prompt_count - request->generated_before + request->predict - 1;

    assert(scheduler_has_room(scheduler) && candidates <= scheduler->limits.candidates_max && end >= request->prompt_count);
    assert(from < request->prompt_count);
    scheduler->sequence[scheduler->count++] = (struct scheduled){
        .request = request->id,
        .known = request->prompt_count,
        .end = end < scheduler->limits.ctx ? (uint32_t)end : scheduler->limits.ctx,
        .position = from,
        .candidates = candidates,
    };
}

/* Returns count when it is not there. */
static uint16_t find(const struct scheduler *scheduler, uint64_t request)
{
    uint16_t i = 0;

    while (i < scheduler->count && scheduler->sequence[i].request != request)
        i++;
    return i;
}

bool scheduler_cancel(struct scheduler *scheduler, uint64_t request)
{
    uint16_t i = find(scheduler, request);

    if (i == scheduler->count)
        return false;
    scheduler->sequence[i].wants_cancel = true;
    return true;
}

bool scheduler_is_settled(const struct scheduler *scheduler, uint64_t step)
{
    for (uint16_t i = 0; i < scheduler->count; i++)
        if (!scheduler->sequence[i].is_begun || scheduler->sequence[i].begun_in >= step)
            return false;
    return true;
}

void scheduler_end(struct scheduler *scheduler, uint64_t request)
{
    uint16_t i = find(scheduler, request);

    if (i == scheduler->count)
        return;
    scheduler->count--;
    memmove(&scheduler->sequence[i], &scheduler->sequence[i + 1], (scheduler->count - i) * sizeof *scheduler->sequence);
}

/* ---- a step ---- */

/* The place of a planned part in the step: prompts' pieces before single tokens, unsampled before sampled ones, so that the last of a
 * step's tokens is a sampled one if any is. */
enum place { PLACE_PIECE, PLACE_LAST_PIECE, PLACE_SINGLE, PLACES };

struct draft {
    uint32_t tokens_left;
    uint64_t candidates_left;
    uint16_t count[RECORD_PARTS_MAX]; /* of each sequence's part; 0: none */
    bool is_sampled[RECORD_PARTS_MAX];
};

static bool is_idle(const struct scheduled *s)
{
    return s->position == s->end || (s->wants_cancel && s->is_begun);
}

/* Its next token is sampled. */
static bool is_single(const struct scheduled *s)
{
    return !is_idle(s) && s->position + 1 >= s->known;
}

static bool is_piece(const struct scheduled *s)
{
    return !is_idle(s) && s->position + 1 < s->known;
}

static void draft_singles(struct scheduler *scheduler, struct draft *draft, uint32_t reserved)
{
    uint16_t turn = find(scheduler, scheduler->turn), first = turn == scheduler->count ? 0 : turn;
    bool all_fit = true;

    for (uint16_t n = 0; n < scheduler->count; n++) {
        uint16_t i = (uint16_t)((first + n) % scheduler->count);
        const struct scheduled *s = &scheduler->sequence[i];

        if (!is_single(s))
            continue;
        if (draft->tokens_left > reserved && s->candidates <= draft->candidates_left) {
            draft->count[i] = 1;
            draft->is_sampled[i] = true;
            draft->tokens_left--;
            draft->candidates_left -= s->candidates;
        } else if (all_fit) {
            scheduler->turn = s->request;
            all_fit = false;
        }
    }
}

static void draft_pieces(const struct scheduler *scheduler, struct draft *draft)
{
    for (uint16_t i = 0; i < scheduler->count && draft->tokens_left > 0; i++) {
        const struct scheduled *s = &scheduler->sequence[i];
        uint32_t left = s->known - s->position;

        if (!is_piece(s))
            continue;
        /* Without room for its candidates the last token waits, and becomes a single one. */
        bool is_last = left <= draft->tokens_left && s->candidates <= draft->candidates_left;
        uint32_t count = is_last ? left : left - 1 < draft->tokens_left ? left - 1 : draft->tokens_left;
        draft->count[i] = (uint16_t)count;
        draft->is_sampled[i] = is_last;
        draft->tokens_left -= count;
        draft->candidates_left -= is_last ? s->candidates : 0;
    }
}

static enum place place_of(const struct scheduled *s, bool is_sampled)
{
    return is_single(s) ? PLACE_SINGLE : is_sampled ? PLACE_LAST_PIECE : PLACE_PIECE;
}

static void add_part(struct step_entry *entry, struct scheduled *s, uint16_t count, bool is_sampled)
{
    entry->part[entry->part_count++] = (struct step_part){
        .request = s->request,
        .position = s->position,
        .count = count,
        .is_sampled = is_sampled,
        .is_cancelled = count == 0,
        .begins = !s->is_begun && s->position > 0,
    };
    s->begun_in = s->is_begun ? s->begun_in : entry->step;
    s->position += count;
    s->is_begun = true;
}

static void add_cancels(struct scheduler *scheduler, struct step_entry *entry)
{
    for (uint16_t i = 0; i < scheduler->count; i++) {
        struct scheduled *s = &scheduler->sequence[i];

        if (!s->wants_cancel || !s->is_begun || s->is_cancelled)
            continue;
        add_part(entry, s, 0, false);
        s->is_cancelled = true;
    }
}

static void add_drafted(struct scheduler *scheduler, const struct draft *draft, struct step_entry *entry)
{
    enum place place[RECORD_PARTS_MAX];

    for (uint16_t i = 0; i < scheduler->count; i++)
        place[i] = place_of(&scheduler->sequence[i], draft->is_sampled[i]);
    for (int p = 0; p < PLACES; p++)
        for (uint16_t i = 0; i < scheduler->count; i++)
            if (draft->count[i] > 0 && place[i] == (enum place)p)
                add_part(entry, &scheduler->sequence[i], draft->count[i], draft->is_sampled[i]);
}

static bool has_pieces(const struct scheduler *scheduler)
{
    for (uint16_t i = 0; i < scheduler->count; i++)
        if (is_piece(&scheduler->sequence[i]))
            return true;
    return false;
}

bool scheduler_next(struct scheduler *scheduler, struct step_entry *entry)
{
    struct draft draft = {.tokens_left = scheduler->limits.batch, .candidates_left = scheduler->limits.candidates_max};
    /* Single tokens leave some room for prompts; if a step has room for one token only, every other step. */
    uint32_t reserved = !has_pieces(scheduler) ? 0 : scheduler->limits.batch > 1 || scheduler->is_odd ? 1 : 0;

    entry->part_count = 0;
    draft_singles(scheduler, &draft, reserved);
    draft_pieces(scheduler, &draft);
    /* A request that begins in this very step is not cancelled in it. */
    add_cancels(scheduler, entry);
    add_drafted(scheduler, &draft, entry);
    scheduler->is_odd = !scheduler->is_odd;
    return entry->part_count > 0;
}
