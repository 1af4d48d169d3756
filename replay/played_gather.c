#include "played_gather.h"

#include <stdlib.h>
#include <string.h>

enum { PUBLISHED = 1, ARRIVED = 2, RECORDED = 4, COMPARED = 8 };
enum { GATHER_BYTES_MAX = 1 << 28 };

/* ---- opening ---- */

static struct played_gather *make(const struct mesh_tape_open *open)
{
    const size_t stride = (size_t)open->block_count * open->block_bytes;
    struct played_gather *g = calloc(1, sizeof *g);

    if (g == NULL)
        return NULL;
    *g = (struct played_gather){.step = open->step,
                                .phase = open->phase,
                                .token_count = open->token_count,
                                .block_count = open->block_count,
                                .block_bytes = open->block_bytes,
                                .last_block_bytes = open->last_block_bytes,
                                .stride = stride,
                                .data = calloc(open->token_count, stride),
                                .recorded = calloc(open->token_count, stride),
                                .marks = calloc(open->token_count, open->block_count)};
    return g;
}

static void free_gather(struct played_gather *g)
{
    free(g->data);
    free(g->recorded);
    free(g->marks);
    free(g);
}

struct played_gather *played_gather_open(struct played_gathers *gathers, const struct mesh_tape_entry *entry, const char **reason)
{
    const struct mesh_tape_open *open = &entry->open;
    uint16_t first[MESH_RANKS_MAX + 1] = {0};
    struct played_gather *g;

    *reason = "no gather is like that";
    if (entry->call.body_bytes != 2 * (gathers->rank_count + 1u) || open->token_count == 0 || open->block_count == 0 ||
        open->block_bytes == 0 || open->block_bytes > MESH_BLOCK_BYTES_MAX || open->last_block_bytes > open->block_bytes ||
        (uint64_t)open->token_count * open->block_count * open->block_bytes > GATHER_BYTES_MAX)
        return NULL;
    for (unsigned r = 0; r <= gathers->rank_count; r++) {
        first[r] = (uint16_t)(entry->body[2 * r] | entry->body[2 * r + 1] << 8);
        if (first[r] < (r > 0 ? first[r - 1] : 0) || first[r] > open->block_count)
            return NULL;
    }
    *reason = NULL;
    g = make(open);
    if (g == NULL)
        return NULL;
    if (g->data == NULL || g->recorded == NULL || g->marks == NULL) {
        free_gather(g);
        return NULL;
    }
    memcpy(g->first, first, sizeof first);
    g->is_read = (open->readers >> gathers->rank & 1) != 0;
    g->next = gathers->gathers;
    gathers->gathers = g;
    return g;
}

struct played_gather *played_gather_find(const struct played_gathers *gathers, uint64_t step, uint16_t phase)
{
    struct played_gather *g = gathers->gathers;

    while (g != NULL && (g->step != step || g->phase != phase))
        g = g->next;
    return g;
}

/* ---- ranges ---- */

/* Bytes of the blocks of one token. */
static size_t row_bytes(const struct played_gather *g, uint16_t block_first, uint16_t block_count)
{
    const size_t bytes = (size_t)block_count * g->block_bytes;

    return block_first + block_count == g->block_count ? bytes - (g->block_bytes - g->last_block_bytes) : bytes;
}

static bool is_within(const struct played_gather *g, const struct compute_tile *range, uint16_t rank)
{
    return range->token_count > 0 && range->block_count > 0 && (uint32_t)range->token_first + range->token_count <= g->token_count &&
           range->block_first >= g->first[rank] && (uint32_t)range->block_first + range->block_count <= g->first[rank + 1];
}

static uint8_t *mark_of(const struct played_gather *g, unsigned token, unsigned block)
{
    return &g->marks[(size_t)token * g->block_count + block];
}

static bool has_mark(const struct played_gather *g, const struct compute_tile *range, uint8_t mark)
{
    for (unsigned t = range->token_first; t < (unsigned)range->token_first + range->token_count; t++)
        for (unsigned b = range->block_first; b < (unsigned)range->block_first + range->block_count; b++)
            if ((*mark_of(g, t, b) & mark) != 0)
                return true;
    return false;
}

static void set_mark(struct played_gather *g, const struct compute_tile *range, uint8_t mark)
{
    for (unsigned t = range->token_first; t < (unsigned)range->token_first + range->token_count; t++)
        for (unsigned b = range->block_first; b < (unsigned)range->block_first + range->block_count; b++)
            *mark_of(g, t, b) |= mark;
}

static void copy_rows(const struct played_gather *g, uint8_t *to, const struct compute_tile *range, const uint8_t *rows)
{
    const size_t bytes = row_bytes(g, range->block_first, range->block_count);

    for (unsigned i = 0; i < range->token_count; i++)
        memcpy(to + (range->token_first + i) * g->stride + (size_t)range->block_first * g->block_bytes, rows + i * bytes, bytes);
}

static bool fits(const struct played_gather *g, const struct compute_tile *range, uint32_t bytes)
{
    return bytes == range->token_count * row_bytes(g, range->block_first, range->block_count);
}

/* ---- publishing ---- */

const char *played_gather_fill(const struct played_gathers *gathers, struct played_gather *g, const struct mesh_tape_entry *entry)
{
    struct compute_tile range;

    if (!compute_tile_of(entry, gathers->rank, &range) || !is_within(g, &range, gathers->rank))
        return "the blocks are not this rank's";
    if (has_mark(g, &range, PUBLISHED))
        return "the blocks have been published";
    if (entry->call.payload != MESH_TAPE_WHOLE)
        return "the recorder had to leave the data out";
    if (!fits(g, &range, entry->call.payload_bytes))
        return "the blocks have another length in this gather";
    copy_rows(g, g->data, &range, entry->payload);
    return NULL;
}

void played_gather_published(struct played_gather *g, const struct mesh_tape_publish *p)
{
    const struct compute_tile range = {
        .token_first = p->token_first, .token_count = p->token_count, .block_first = p->block_first, .block_count = p->block_count};

    set_mark(g, &range, PUBLISHED);
}

/* ---- comparing ---- */

bool played_is_before(const struct compute_difference *a, const struct compute_difference *b)
{
    if (!a->is_set || !b->is_set)
        return a->is_set;
    if (a->step != b->step)
        return a->step < b->step;
    if (a->phase != b->phase)
        return a->phase < b->phase;
    return a->token != b->token ? a->token < b->token : a->block < b->block;
}

static void note(struct compute_difference *first, const struct played_gathers *gathers, const struct played_gather *g, unsigned token,
                 unsigned block)
{
    const size_t at = token * g->stride + (size_t)block * g->block_bytes;
    struct compute_difference d = {.is_set = true,
                                   .step = g->step,
                                   .phase = g->phase,
                                   .token = (uint16_t)token,
                                   .block = (uint16_t)block,
                                   .rank = gathers->node,
                                   .block_bytes = (uint32_t)row_bytes(g, (uint16_t)block, 1)};

    if (!played_is_before(&d, first))
        return;
    memcpy(d.expected, g->recorded + at, d.block_bytes);
    memcpy(d.actual, g->data + at, d.block_bytes);
    *first = d;
}

static void compare_block(struct played_gathers *gathers, const struct played_gather *g, unsigned token, unsigned block)
{
    const size_t at = token * g->stride + (size_t)block * g->block_bytes;
    uint8_t *mark = mark_of(g, token, block);

    if ((*mark & (ARRIVED | RECORDED | COMPARED)) != (ARRIVED | RECORDED))
        return;
    *mark |= COMPARED;
    gathers->compared++;
    if (memcmp(g->data + at, g->recorded + at, row_bytes(g, (uint16_t)block, 1)) == 0)
        return;
    gathers->different++;
    note(&gathers->first_difference, gathers, g, token, block);
}

static void compare(struct played_gathers *gathers, const struct played_gather *g, const struct compute_tile *range)
{
    for (unsigned t = range->token_first; t < (unsigned)range->token_first + range->token_count; t++)
        for (unsigned b = range->block_first; b < (unsigned)range->block_first + range->block_count; b++)
            compare_block(gathers, g, t, b);
}

void played_gather_arrived(struct played_gathers *gathers, struct played_gather *g, const struct mesh_event *event)
{
    const struct compute_tile range = {.token_first = event->token_first,
                                       .token_count = event->token_count,
                                       .block_first = event->block_first,
                                       .block_count = event->block_count};

    set_mark(g, &range, ARRIVED);
    compare(gathers, g, &range);
}

static void take_recorded(struct played_gathers *gathers, struct played_gather *g, const struct compute_tile *tile, const uint8_t *data,
                          uint32_t bytes)
{
    if (!is_within(g, tile, gathers->node) || !fits(g, tile, bytes))
        return;
    copy_rows(g, g->recorded, tile, data);
    set_mark(g, tile, RECORDED);
    compare(gathers, g, tile);
}

/* The tile came before its gather was opened, so the endpoint may have kept its data. */
static void keep_early(struct played_gathers *gathers, const struct compute_tile *tile, const uint8_t *data, uint32_t bytes)
{
    struct compute_tile *early;

    if (gathers->has_opened &&
        (tile->step < gathers->opened_step || (tile->step == gathers->opened_step && tile->phase <= gathers->opened_phase)))
        return; /* the gather is over: the tile came twice */
    early = malloc(sizeof *early + bytes);
    if (early == NULL)
        return; /* one tile less to compare */
    *early = *tile;
    early->bytes = bytes;
    memcpy(early->data, data, bytes);
    early->next = gathers->early;
    gathers->early = early;
}

static void take_early(struct played_gathers *gathers, struct played_gather *g)
{
    for (struct compute_tile **from = &gathers->early; *from != NULL;) {
        struct compute_tile *early = *from;

        if (early->step != g->step || early->phase != g->phase) {
            from = &early->next;
            continue;
        }
        take_recorded(gathers, g, early, early->data, early->bytes);
        *from = early->next;
        free(early);
    }
}

void played_gather_opened(struct played_gathers *gathers, struct played_gather *g)
{
    gathers->has_opened = true;
    gathers->opened_step = g->step;
    gathers->opened_phase = g->phase;
    take_early(gathers, g);
}

void played_gather_recorded(struct played_gathers *gathers, const struct mesh_tape_entry *entry)
{
    struct compute_tile tile;
    struct played_gather *g;

    if (entry->call.error != 0 || entry->call.payload != MESH_TAPE_WHOLE || !compute_tile_of(entry, gathers->rank, &tile) ||
        tile.rank != gathers->node)
        return;
    g = played_gather_find(gathers, tile.step, tile.phase);
    if (g != NULL)
        take_recorded(gathers, g, &tile, entry->payload, entry->call.payload_bytes);
    else
        keep_early(gathers, &tile, entry->payload, entry->call.payload_bytes);
}

/* ---- the end ---- */

static void count_rest(struct played_gathers *gathers, const struct played_gather *g)
{
    for (unsigned t = 0; t < g->token_count; t++)
        for (unsigned b = g->first[gathers->node]; b < g->first[gathers->node + 1]; b++) {
            const uint8_t mark = *mark_of(g, t, b) & (ARRIVED | RECORDED);

            gathers->unknown += mark == ARRIVED;
            gathers->missing += mark == RECORDED;
            if (mark == RECORDED)
                note(&gathers->first_missing, gathers, g, t, b);
        }
}

void played_gather_release(struct played_gathers *gathers, bool all)
{
    for (struct played_gather **from = &gathers->gathers; *from != NULL;) {
        struct played_gather *g = *from;

        if (!all && !(g->is_freed && g->is_over)) {
            from = &g->next;
            continue;
        }
        *from = g->next;
        count_rest(gathers, g);
        free_gather(g);
    }
    for (struct compute_tile *next; all && gathers->early != NULL; gathers->early = next) {
        next = gathers->early->next;
        free(gathers->early);
    }
}
