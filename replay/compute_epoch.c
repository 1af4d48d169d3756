#include "compute_epoch.h"

#include <stdlib.h>
#include <string.h>

#include "progress_line.h"

enum { STEPS_AHEAD = 1 /* a tape is read until a step this many after the present one begins: by then it has told all of that one */ };

/* A tape that is read in pace with the steps. */
struct feed {
    struct tape_reader reader;
    uint16_t rank, rank_count;
    bool has_opened, is_over;
    uint64_t opened; /* the latest step of its gathers */
};

struct feeds {
    struct feed feed[COMPUTE_RANKS_MAX];
};

bool compute_epoch_differs(const struct compute_epoch *e)
{
    return e->tiles.difference.is_set || e->token.is_set || e->deal.is_set;
}

/* ---- what is computed ---- */

void compute_epoch_blocks(void *app, const struct recompute_blocks *blocks)
{
    struct compute_epoch *e = app;

    compute_tiles_compare(&e->tiles, blocks);
}

void compute_epoch_token(void *app, uint64_t request, uint32_t index, uint32_t id, uint64_t digest)
{
    struct compute_epoch *e = app;

    e->drawn++;
    if (e->count == 0)
        progress_line_at("computing", e->drawn, e->tokens[0].count);
    for (size_t i = 0; i < e->tapes->path_count; i++) {
        const struct compute_token *other;

        if (!e->is_used[i])
            continue;
        other = compute_tokens_check(&e->tokens[i], request, index, id, digest);
        if (other != NULL && !e->token.is_set)
            e->token = (struct compute_token_difference){.is_set = true, .recorded = *other, .id = id, .digest = digest};
    }
}

/* ---- what was recorded ---- */

static void check_deal(struct compute_epoch *e, const struct feed *feed, const struct mesh_tape_entry *entry, size_t source, uint64_t call)
{
    struct compute_deal_difference deal = {.is_set = true,
                                           .phase = entry->open.phase,
                                           .rank_count = feed->rank_count,
                                           .source = source,
                                           .call = call,
                                           .at_ns = entry->call.at_ns,
                                           .step = entry->open.step};

    if (e->deal.is_set || entry->call.body_bytes != 2u * (feed->rank_count + 1u) ||
        !recompute_first(e->recompute, entry->open.phase, deal.now))
        return;
    for (uint16_t r = 0; r <= feed->rank_count; r++)
        deal.recorded[r] = (uint16_t)(entry->body[2 * r] | entry->body[2 * r + 1] << 8);
    if (memcmp(deal.recorded, deal.now, (feed->rank_count + 1u) * sizeof *deal.now) != 0)
        e->deal = deal;
}

static int take(struct compute_epoch *e, struct feed *feed, const struct mesh_tape_entry *entry, size_t source, uint64_t call,
                struct fail *fail)
{
    if (entry->call.kind == MESH_TAPE_OPEN && entry->call.error == 0) {
        check_deal(e, feed, entry, source, call);
        if (!feed->has_opened || entry->open.step > feed->opened)
            feed->opened = entry->open.step;
        feed->has_opened = true;
    }
    if (compute_tiles_take(&e->tiles, entry, feed->rank, source, call) < 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "no memory for the tiles of a step: close other programs");
    return 0;
}

/* Take all that a tape tells of steps up to this one. */
static int advance(struct compute_epoch *e, struct feed *feed, size_t source, uint64_t step, struct fail *fail)
{
    struct mesh_tape_entry entry;
    uint64_t call;
    int result = 0;

    while (result == 0 && !feed->is_over && !(feed->has_opened && feed->opened > step + STEPS_AHEAD)) {
        result = tape_reader_next(&feed->reader, &entry, &call, fail);
        if (result == 0)
            feed->is_over = true;
        if (result != 1)
            return result;
        e->is_used[e->first[feed->reader.path]] = true;
        result = take(e, feed, &entry, source, call, fail);
    }
    return result;
}

static bool is_over(const struct compute_epoch *e, const struct feeds *feeds)
{
    for (size_t i = 0; i < e->count; i++)
        if (!feeds->feed[i].is_over)
            return false;
    return e->tiles.pending == NULL;
}

/* ---- steps ---- */

static int hear_log(struct compute_epoch *e, uint64_t *step_count, struct fail *fail)
{
    const struct compute_tape *tape = &e->tapes->tapes[e->group[0]];

    *step_count = 0;
    for (size_t at = 0; at < tape->log_bytes;) {
        uint32_t bytes;
        uint64_t step;

        memcpy(&bytes, tape->log + at, sizeof bytes);
        const int heard = recompute_hear(e->recompute, tape->log + at + sizeof bytes, bytes, &step);
        if (heard < 0)
            return fail_set(fail, EXIT_ENVIRONMENT, "no memory for the step log: close other programs");
        if (heard == 1 && step + 1 > *step_count)
            *step_count = step + 1;
        at += sizeof bytes + bytes;
    }
    return 0;
}

static int run_step(struct compute_epoch *e, struct feeds *feeds, uint64_t step, struct fail *fail)
{
    int result = 0;

    for (size_t i = 0; i < e->count && result == 0; i++)
        result = advance(e, &feeds->feed[i], e->group[i], step, fail);
    if (result != 0 || is_over(e, feeds))
        return result;
    compute_tiles_begin(&e->tiles, step);
    result = recompute_step(e->recompute, step);
    if (result == 0)
        e->steps++;
    else
        e->steps_unknown++;
    compute_tiles_end(&e->tiles);
    return result < 0 ? fail_set(fail, EXIT_ENVIRONMENT, "no memory for the candidates of a step: close other programs") : 0;
}

static uint64_t tokens_compared(const struct compute_epoch *e)
{
    uint64_t count = 0;

    for (size_t i = 0; i < e->tapes->path_count; i++)
        count += compute_tokens_compared(&e->tokens[i]);
    return count;
}

static int run_steps(struct compute_epoch *e, struct feeds *feeds, struct fail *fail)
{
    const uint64_t before = tokens_compared(e);
    uint64_t step_count;
    int result = hear_log(e, &step_count, fail);

    for (uint64_t step = 0; step < step_count && result == 0 && !compute_epoch_differs(e); step++) {
        result = run_step(e, feeds, step, fail);
        progress_line_at("computing", step + 1, step_count);
    }
    e->tokens_compared = tokens_compared(e) - before;
    return result;
}

int compute_epoch_run(struct compute_epoch *e, struct fail *fail)
{
    struct feeds *feeds = calloc(1, sizeof *feeds);
    const struct compute_tape *first = &e->tapes->tapes[e->group[0]];
    int result = -1;

    e->is_used = calloc(e->tapes->path_count, sizeof *e->is_used);
    if (feeds == NULL || e->is_used == NULL || compute_tiles_open(&e->tiles, recompute_phases(e->recompute)) < 0)
        fail_set(fail, EXIT_ENVIRONMENT, "no memory for an epoch: close other programs");
    else
        result = first->has_shares ? recompute_set_shares(e->recompute, first->share, first->init.rank_count, fail) : 0;
    for (size_t i = 0; i < e->count && result == 0; i++) {
        const struct compute_tape *tape = &e->tapes->tapes[e->group[i]];
        struct feed *feed = &feeds->feed[i];

        *feed = (struct feed){.rank = tape->init.rank, .rank_count = tape->init.rank_count};
        tape_reader_open(&feed->reader, e->tapes->paths, e->tapes->path_count, tape->path, &tape->chunk);
    }
    if (result == 0)
        result = run_steps(e, feeds, fail);
    for (size_t i = 0; i < e->count && feeds != NULL; i++)
        tape_reader_close(&feeds->feed[i].reader);
    free(feeds);
    return result;
}

void compute_epoch_release(struct compute_epoch *e)
{
    compute_tiles_close(&e->tiles);
    free(e->is_used);
    e->is_used = NULL;
}
