#include "simapp.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libmesh/core/mix.h"

enum { SIMAPP_UNUSED_BYTE = 0xa5 };

static uint64_t simapp_end(const struct simshape *shape)
{
    return shape->step_count * shape->phase_count;
}

__attribute__((format(printf, 2, 3))) static void simapp_fail(struct simapp *app, const char *format, ...)
{
    va_list arguments;

    if (app->error[0] == '\0') {
        const int used = snprintf(app->error, sizeof app->error, "rank %u: ", app->rank);

        va_start(arguments, format);
        vsnprintf(app->error + used, sizeof app->error - (size_t)used, format, arguments);
        va_end(arguments);
    }
}

void simapp_init(struct simapp *app, const struct simshape *shape, uint16_t rank)
{
    memset(app, 0, sizeof *app);
    app->shape = shape;
    app->rank = rank;
    app->open_ahead = 2;
    app->tile_ns_max = 20000;
    app->record = malloc(MESH_RECORD_BYTES_MAX);
    for (uint64_t g = 0; g < simapp_end(shape); g++) {
        app->exchanged_count += simshape_is_exchanged(shape, g);
    }
}

void simapp_release(struct simapp *app)
{
    for (size_t i = 0; i < SIMAPP_SLOTS; i++) {
        free(app->slots[i].data);
        free(app->slots[i].arrived);
    }
    free(app->record);
}

/* ---- gathers ---- */

static const struct simshape_phase *simapp_phase(const struct simapp *app, uint64_t gather)
{
    return &app->shape->phases[gather % app->shape->phase_count];
}

static bool simapp_reads(const struct simapp *app, uint64_t gather)
{
    return (simapp_phase(app, gather)->readers >> app->rank & 1) != 0;
}

/* No other rank produces or reads any block of it, as far as this rank is concerned: the core frees it when it is opened. */
static bool simapp_is_idle(const struct simapp *app, uint64_t gather)
{
    const struct simshape_phase *phase = simapp_phase(app, gather);
    const uint16_t own = (uint16_t)(phase->first[app->rank + 1] - phase->first[app->rank]);
    const bool sends = own > 0 && (phase->readers & ~(UINT64_C(1) << app->rank)) != 0;

    return !sends && (!simapp_reads(app, gather) || own == phase->block_count);
}

static uint16_t simapp_tokens(const struct simapp *app, uint64_t gather)
{
    return simshape_tokens(app->shape, gather / app->shape->phase_count);
}

static struct simapp_gather *simapp_slot(struct simapp *app, uint64_t gather)
{
    struct simapp_gather *slot = &app->slots[gather % SIMAPP_SLOTS];

    return slot->is_open && slot->gather == gather ? slot : NULL;
}

static void simapp_slot_clear(struct simapp_gather *slot)
{
    free(slot->data);
    free(slot->arrived);
    memset(slot, 0, sizeof *slot);
}

/* False when there is no room yet. */
static bool simapp_open(struct simapp *app, uint64_t now_ns, uint64_t number)
{
    const struct simshape_phase *phase = simapp_phase(app, number);
    const uint16_t tokens = simapp_tokens(app, number);
    const size_t stride = simshape_token_stride(phase) + number % 3 * 8; /* strides may be larger than needed */
    const uint16_t own = (uint16_t)(phase->first[app->rank + 1] - phase->first[app->rank]);
    struct simapp_gather *slot = &app->slots[number % SIMAPP_SLOTS];
    struct mesh_gather gather = {
        .step = number / app->shape->phase_count,
        .phase = (uint16_t)(number % app->shape->phase_count),
        .token_count = tokens,
        .block_count = phase->block_count,
        .block_bytes = phase->block_bytes,
        .last_block_bytes = phase->last_block_bytes,
        .token_stride = stride,
        .first = phase->first,
        .readers = phase->readers,
    };
    int err;

    if (slot->is_open) {
        return false;
    }
    gather.data = malloc(stride * tokens);
    memset(gather.data, SIMAPP_UNUSED_BYTE, stride * tokens);
    err = mesh_open_gather(app->mesh, now_ns, &gather);
    if (err != 0) {
        free(gather.data);
        if (err != MESH_AGAIN) {
            simapp_fail(app, "mesh_open_gather %" PRIu64 ": %d", number, err);
        }
        return false;
    }
    *slot = (struct simapp_gather){.gather = number, .data = gather.data, .is_open = true};
    slot->arrived = calloc(tokens, phase->block_count);
    slot->missing = simapp_reads(app, number) ? (uint32_t)tokens * (uint32_t)(phase->block_count - own) : 0;
    return true;
}

static void simapp_open_ahead(struct simapp *app, uint64_t now_ns)
{
    while (app->to_open < simapp_end(app->shape) && app->to_open <= app->to_publish + app->open_ahead) {
        if (simshape_is_exchanged(app->shape, app->to_open) && !simapp_open(app, now_ns, app->to_open)) {
            return;
        }
        app->to_open++;
    }
}

static size_t simapp_offset(const struct simapp *app, uint64_t gather, uint16_t token, uint16_t block)
{
    const struct simshape_phase *phase = simapp_phase(app, gather);

    return token * (simshape_token_stride(phase) + gather % 3 * 8) + (size_t)block * phase->block_bytes;
}

static void simapp_consume(struct simapp *app, uint64_t now_ns, uint64_t gather)
{
    struct simapp_gather *slot = simapp_slot(app, gather);

    if (slot == NULL || slot->is_consumed) {
        return;
    }
    slot->is_consumed = true;
    if (simapp_reads(app, gather)) { /* the contents must be intact until now */
        const struct simshape_phase *phase = simapp_phase(app, gather);

        for (uint16_t token = 0; token < simapp_tokens(app, gather); token++) {
            for (uint16_t block = 0; block < phase->block_count; block++) {
                if (!simshape_matches(app->shape, gather, token, block, slot->data + simapp_offset(app, gather, token, block))) {
                    simapp_fail(app, "gather %" PRIu64 " token %u block %u is wrong when consumed", gather, token, block);
                }
            }
        }
    }
    mesh_consume(app->mesh, now_ns, gather / app->shape->phase_count, (uint16_t)(gather % app->shape->phase_count));
}

/* ---- publishing ---- */

struct simapp_tiles {
    uint16_t tokens, blocks;      /* per tile */
    uint32_t across, down, count; /* tiles per token range, token ranges */
};

static struct simapp_tiles simapp_tiles(const struct simapp *app, uint64_t gather)
{
    const struct simshape_phase *phase = simapp_phase(app, gather);
    const uint32_t own = (uint32_t)(phase->first[app->rank + 1] - phase->first[app->rank]);
    const uint32_t tokens = simapp_tokens(app, gather);
    const uint64_t draw = mesh_draw(app->shape->seed, 1000 + app->rank, gather);
    struct simapp_tiles tiles = {0};

    if (own == 0 || simapp_is_idle(app, gather)) {
        return tiles;
    }
    tiles.blocks = (uint16_t)(1 + draw % own);
    tiles.tokens = (uint16_t)(1 + (draw >> 20) % tokens);
    for (;;) {
        tiles.across = (own + tiles.blocks - 1) / tiles.blocks;
        tiles.down = (tokens + tiles.tokens - 1) / tiles.tokens;
        tiles.count = tiles.across * tiles.down;
        if (tiles.count <= SIMAPP_TILES_MAX) {
            return tiles;
        }
        tiles.blocks = (uint16_t)(tiles.blocks < own ? tiles.blocks + 1u : own);
        tiles.tokens = (uint16_t)(tiles.tokens < tokens ? tiles.tokens + 1u : tokens);
    }
}

/* Finish and publish the next tile; false when the core has no room. */
static bool simapp_publish_tile(struct simapp *app, uint64_t now_ns, const struct simapp_tiles *tiles)
{
    const uint64_t gather = app->to_publish;
    const struct simshape_phase *phase = simapp_phase(app, gather);
    struct simapp_gather *slot = simapp_slot(app, gather);
    const uint32_t turn = (uint32_t)((app->tile * 67u + mesh_draw(app->shape->seed, 2000 + app->rank, gather) % 64) % tiles->count);
    const uint16_t token_first = (uint16_t)(turn / tiles->across * tiles->tokens);
    const uint16_t block_first = (uint16_t)(phase->first[app->rank] + turn % tiles->across * tiles->blocks);
    const uint16_t token_end =
        (uint16_t)(simapp_tokens(app, gather) < token_first + tiles->tokens ? simapp_tokens(app, gather) : token_first + tiles->tokens);
    const uint16_t block_end =
        (uint16_t)(phase->first[app->rank + 1] < block_first + tiles->blocks ? phase->first[app->rank + 1] : block_first + tiles->blocks);
    int err;

    if (slot == NULL) {
        simapp_fail(app, "gather %" PRIu64 " was freed before it was published", gather);
        return false;
    }
    for (uint16_t token = token_first; token < token_end; token++) {
        for (uint16_t block = block_first; block < block_end; block++) {
            simshape_fill(app->shape, gather, token, block, slot->data + simapp_offset(app, gather, token, block));
        }
    }
    err = mesh_publish(app->mesh, now_ns, gather / app->shape->phase_count, (uint16_t)(gather % app->shape->phase_count), token_first,
                       (uint16_t)(token_end - token_first), block_first, (uint16_t)(block_end - block_first));
    if (err != 0 && err != MESH_AGAIN) {
        simapp_fail(app, "mesh_publish: %d", err);
    }
    return err == 0;
}

/* Whether the gather from which the current one is computed has arrived; and which gather that is. */
static bool simapp_input_is_complete(struct simapp *app, uint64_t gather, uint64_t *input)
{
    for (*input = gather; (*input)-- > 0;) {
        if (simshape_is_exchanged(app->shape, *input)) {
            const struct simapp_gather *slot = simapp_slot(app, *input);

            return !simapp_reads(app, *input) || slot == NULL || slot->is_complete;
        }
    }
    return true;
}

/* True when a tile was finished. */
static bool simapp_publish(struct simapp *app, uint64_t now_ns)
{
    while (app->to_publish < app->to_open) {
        const bool exchanged = simshape_is_exchanged(app->shape, app->to_publish);
        const struct simapp_tiles tiles = simapp_tiles(app, app->to_publish);
        uint64_t input;

        if (exchanged && !simapp_input_is_complete(app, app->to_publish, &input)) {
            return false;
        }
        if (exchanged && app->tile < tiles.count) {
            if (!simapp_publish_tile(app, now_ns, &tiles)) {
                return false;
            }
            app->tile++;
            return true;
        }
        if (exchanged && input != UINT64_MAX) {
            simapp_consume(app, now_ns, input);
        }
        app->to_publish++;
        app->tile = 0;
        simapp_open_ahead(app, now_ns);
    }
    return false;
}

/* The last gather has no successor whose publishing would consume it. */
static void simapp_consume_last(struct simapp *app, uint64_t now_ns)
{
    uint64_t input;

    if (app->to_publish == simapp_end(app->shape) && simapp_input_is_complete(app, app->to_publish, &input) && input != UINT64_MAX) {
        simapp_consume(app, now_ns, input);
    }
}

/* ---- records ---- */

static bool simapp_send_records(struct simapp *app, uint64_t now_ns)
{
    const uint64_t due = 1 + app->to_publish * app->shape->records / simapp_end(app->shape);

    for (uint16_t to = 0; to < app->shape->rank_count; to++) {
        const uint16_t number = app->records_sent[to];
        size_t size;
        int err;

        if (to == app->rank || number >= app->shape->records || number >= due) {
            continue;
        }
        size = simshape_record(app->shape, app->rank, to, number, app->record);
        err = mesh_send_record(app->mesh, now_ns, to, app->record, size);
        if (err == 0) {
            app->records_sent[to]++;
            return true;
        }
        if (err != MESH_AGAIN) {
            simapp_fail(app, "mesh_send_record %u to %u: %d", number, to, err);
        }
    }
    return false;
}

static void simapp_on_record(struct simapp *app, const struct mesh_event *event)
{
    const uint16_t number = app->records_received[event->rank]++;
    size_t size;

    if (number >= app->shape->records) {
        simapp_fail(app, "one record too many from %u", event->rank);
        return;
    }
    size = simshape_record(app->shape, event->rank, app->rank, number, app->record);
    if (size != event->record_bytes || memcmp(app->record, event->record, size) != 0) {
        simapp_fail(app, "record %u from %u: %zu bytes, not the %zu that were sent, or other bytes", number, event->rank,
                    event->record_bytes, size);
    }
}

/* ---- events ---- */

static void simapp_on_arrived(struct simapp *app, const struct mesh_event *event)
{
    const uint64_t gather = event->step * app->shape->phase_count + event->phase;
    const struct simshape_phase *phase = simapp_phase(app, gather);
    struct simapp_gather *slot = simapp_slot(app, gather);

    if (slot == NULL || !simapp_reads(app, gather) || event->rank >= app->shape->rank_count || event->rank == app->rank ||
        event->block_first < phase->first[event->rank] || event->block_first + event->block_count > phase->first[event->rank + 1] ||
        event->token_first + event->token_count > simapp_tokens(app, gather)) {
        simapp_fail(app, "arrived: tokens %u+%u blocks %u+%u of gather %" PRIu64 " from %u: not expected", event->token_first,
                    event->token_count, event->block_first, event->block_count, gather, event->rank);
        return;
    }
    for (unsigned t = event->token_first; t < (unsigned)event->token_first + event->token_count; t++) {
        for (unsigned b = event->block_first; b < (unsigned)event->block_first + event->block_count; b++) {
            const uint16_t token = (uint16_t)t, block = (uint16_t)b;
            uint8_t *arrived = &slot->arrived[t * phase->block_count + b];

            if (*arrived != 0) {
                simapp_fail(app, "gather %" PRIu64 " token %u block %u arrived twice", gather, token, block);
                return;
            }
            if (!simshape_matches(app->shape, gather, token, block, slot->data + simapp_offset(app, gather, token, block))) {
                simapp_fail(app, "gather %" PRIu64 " token %u block %u arrived wrong", gather, token, block);
                return;
            }
            *arrived = 1;
            slot->missing--;
        }
    }
}

static void simapp_on_complete(struct simapp *app, const struct mesh_event *event)
{
    const uint64_t gather = event->step * app->shape->phase_count + event->phase;
    struct simapp_gather *slot = simapp_slot(app, gather);

    if (slot == NULL || !simapp_reads(app, gather) || slot->is_complete || slot->missing != 0) {
        simapp_fail(app, "complete: gather %" PRIu64 ": not expected, or %u blocks are missing", gather, slot != NULL ? slot->missing : 0);
        return;
    }
    slot->is_complete = true;
}

static void simapp_on_freed(struct simapp *app, const struct mesh_event *event)
{
    const uint64_t gather = event->step * app->shape->phase_count + event->phase;
    struct simapp_gather *slot = simapp_slot(app, gather);

    if (slot == NULL || (!simapp_is_idle(app, gather) && simapp_reads(app, gather) && (!slot->is_complete || !slot->is_consumed))) {
        simapp_fail(app, "freed: gather %" PRIu64 ": not open, or not complete, or still in use", gather);
        return;
    }
    if (gather > app->to_publish ? simapp_tiles(app, gather).count > 0
                                 : gather == app->to_publish && app->tile < simapp_tiles(app, gather).count) {
        simapp_fail(app, "freed: gather %" PRIu64 ": not published yet", gather);
        return;
    }
    simapp_slot_clear(slot);
    app->freed_count++;
}

static void simapp_on_event(struct simapp *app, const struct mesh_event *event)
{
    switch (event->type) {
    case MESH_EVENT_UP:
        app->up |= UINT64_C(1) << event->rank;
        break;
    case MESH_EVENT_REFUSED:
        app->refused_count++;
        snprintf(app->reason, sizeof app->reason, "%s", event->reason);
        break;
    case MESH_EVENT_ARRIVED:
        simapp_on_arrived(app, event);
        break;
    case MESH_EVENT_COMPLETE:
        simapp_on_complete(app, event);
        break;
    case MESH_EVENT_FREED:
        simapp_on_freed(app, event);
        break;
    case MESH_EVENT_RECORD:
        simapp_on_record(app, event);
        break;
    case MESH_EVENT_GONE:
        app->gone_count++;
        break;
    case MESH_EVENT_NONE:
    default:
        simapp_fail(app, "event of unknown type %d", (int)event->type);
        break;
    }
}

/* ---- work ---- */

uint64_t simapp_work(void *void_app, uint64_t now_ns)
{
    struct simapp *app = void_app;
    struct mesh_event event;
    uint64_t draw;

    while (mesh_next_event(app->mesh, &event)) {
        simapp_on_event(app, &event);
    }
    if (!app->is_started || app->error[0] != '\0') {
        return 0;
    }
    simapp_open_ahead(app, now_ns);
    if (!simapp_publish(app, now_ns) && !simapp_send_records(app, now_ns)) {
        simapp_consume_last(app, now_ns);
        return 0;
    }
    draw = mesh_draw(app->shape->seed, 3000 + app->rank, app->to_publish * SIMAPP_TILES_MAX + app->tile);
    return 1 + mesh_draw_below(draw, app->tile_ns_max);
}

bool simapp_is_done(const struct simapp *app)
{
    for (uint16_t peer = 0; peer < app->shape->rank_count; peer++) {
        if (peer != app->rank && (app->records_sent[peer] < app->shape->records || app->records_received[peer] < app->shape->records)) {
            return false;
        }
    }
    return app->to_publish == simapp_end(app->shape) && app->freed_count == app->exchanged_count && mesh_is_quiet(app->mesh);
}

void simapp_describe(const struct simapp *app, char *out, size_t bytes)
{
    unsigned records_sent = 0, records_received = 0;

    for (uint16_t peer = 0; peer < app->shape->rank_count; peer++) {
        records_sent += app->records_sent[peer];
        records_received += app->records_received[peer];
    }
    snprintf(out, bytes,
             "rank %u: opened up to %" PRIu64 ", publishes %" PRIu64 " tile %u, freed %" PRIu64 " of %" PRIu64
             " gathers, records sent %u received %u, up %#" PRIx64 ", %s",
             app->rank, app->to_open, app->to_publish, app->tile, app->freed_count, app->exchanged_count, records_sent, records_received,
             app->up, mesh_is_quiet(app->mesh) ? "quiet" : "not quiet");
}
