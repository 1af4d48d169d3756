/* Requests that begin as another one did: they go on behind what they have in common.
 *
 * Keys and values of a position follow from the tokens up to it, to the bit, whoever has asked and in whatever steps they were computed. So
 * the slot of a request that runs, or has ended and was not followed by another one, holds what a request with the same first tokens would
 * compute again: a conversation goes on behind its last answer, and what many requests begin with is computed once.
 *
 * Every rank makes the same of the log, so all of them hold the same tokens in the same slots, and find the same place for a request; they
 * need not speak about it. Rank 0 decides from which position a request is computed, while it is certain that nothing else begins before
 * the request does (scheduler_is_settled): another one could take the slot. */
#include <assert.h>
#include <string.h>

#include "engine_state.h"
#include "node/common/spin.h"

enum { REUSE_MIN = 16 /* tokens; fewer are computed in the time of one */ };

static uint32_t common(const uint32_t *a, const uint32_t *b, uint32_t count)
{
    uint32_t same = 0;

    while (same < count && a[same] == b[same])
        same++;
    return same;
}

static bool has_positions(const struct sequence *s)
{
    return s->is_active || s->is_kept;
}

uint32_t engine_reusable(void *app, const struct request *request)
{
    struct engine *e = app;
    uint32_t best = 0;

    spin_lock(&e->slot_lock);
    for (uint16_t i = 0; i < e->config.slots; i++) {
        const struct sequence *s = &e->sequence[i];
        const uint32_t most = request->prompt_count - 1; /* the last known token must be computed: the next one is drawn from it */
        const uint32_t same = has_positions(s) ? common(s->token, request->prompt, s->positions_done < most ? s->positions_done : most) : 0;

        best = same > best ? same : best;
    }
    spin_unlock(&e->slot_lock);
    return best >= REUSE_MIN ? best : 0;
}

/* The slot that has the request's first `position` tokens and least besides; NULL: none has. Under the lock. */
static struct sequence *find_source(struct engine *e, uint64_t request, uint32_t position)
{
    struct sequence *best = NULL;

    for (uint16_t i = 0; position > 0 && i < e->config.slots; i++) {
        struct sequence *s = &e->sequence[i];

        if (has_positions(s) && s->positions_done >= position && (best == NULL || s->positions_done < best->positions_done) &&
            steplog_begins_with(&e->log, request, s->token, position))
            best = s;
    }
    return best;
}

/* The free slot that has been out of use for longest, if possible another one than `spared`; NULL: there is none. */
static struct sequence *find_free(struct engine *e, const struct sequence *spared)
{
    struct sequence *best = NULL;

    for (uint16_t i = 0; i < e->config.slots; i++) {
        struct sequence *s = &e->sequence[i];

        if (!s->is_active && (best == NULL || best == spared || (s != spared && s->ended < best->ended)))
            best = s;
    }
    return best;
}

struct sequence *engine_start_sequence(struct engine *e, uint64_t request, uint32_t position, const struct sequence **source)
{
    struct sequence *s;

    spin_lock(&e->slot_lock);
    s = find_source(e, request, position);
    *source = s;
    /* What was said last is of no use to others once somebody goes on behind it; of a long one that shares its beginning it is. */
    if (s == NULL || s->is_active || position < s->positions_done / 4 * 3)
        s = find_free(e, *source);
    if (s != NULL && !steplog_start(&e->log, s, request))
        s = NULL;
    spin_unlock(&e->slot_lock);
    return s;
}

void engine_set_positions(struct engine *e, struct sequence *s, uint32_t positions)
{
    spin_lock(&e->slot_lock);
    s->positions_done = positions;
    spin_unlock(&e->slot_lock);
}

void engine_stop_sequence(struct engine *e, struct sequence *s)
{
    spin_lock(&e->slot_lock);
    s->is_active = false;
    s->is_kept = e->config.keeps && s->positions_done > 0;
    s->ended = e->entry.step + 1;
    spin_unlock(&e->slot_lock);
}
