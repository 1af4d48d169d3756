#include "compute_tiles.h"

#include <stdlib.h>
#include <string.h>

int compute_tiles_open(struct compute_tiles *t, uint16_t phases)
{
    *t = (struct compute_tiles){.phase_count = phases, .phase = calloc(phases, sizeof(void *))};
    return t->phase != NULL ? 0 : -1;
}

static void free_list(struct compute_tile *tile)
{
    for (struct compute_tile *next; tile != NULL; tile = next) {
        next = tile->next;
        free(tile);
    }
}

void compute_tiles_close(struct compute_tiles *t)
{
    for (uint16_t p = 0; t->phase != NULL && p < t->phase_count; p++)
        free_list(t->phase[p]);
    free_list(t->pending);
    free(t->phase);
    *t = (struct compute_tiles){0};
}

/* ---- tiles of tapes ---- */

static void of_publish(const struct mesh_tape_entry *entry, uint16_t own, struct compute_tile *tile)
{
    const struct mesh_tape_publish *p = &entry->publish;

    *tile = (struct compute_tile){.step = p->step,
                                  .phase = p->phase,
                                  .token_first = p->token_first,
                                  .token_count = p->token_count,
                                  .block_first = p->block_first,
                                  .block_count = p->block_count,
                                  .rank = own};
}

static bool of_datagram(const struct mesh_tape_entry *entry, struct compute_tile *tile)
{
    uint8_t packet[MESH_TILE_OVERHEAD_BYTES + 1];
    struct mesh_message message;

    /* Only the bytes before the data are read; a tile has some data. */
    if (entry->call.body_bytes != MESH_TILE_OVERHEAD_BYTES)
        return false;
    memcpy(packet, entry->body, MESH_TILE_OVERHEAD_BYTES);
    packet[MESH_TILE_OVERHEAD_BYTES] = 0;
    if (mesh_wire_decode(packet, sizeof packet, &message) != 0 || message.header.type != MESH_TYPE_TILE)
        return false;
    const struct mesh_tile *p = &message.as.tile;
    *tile = (struct compute_tile){.step = p->step,
                                  .phase = p->phase,
                                  .token_first = p->token_first,
                                  .token_count = p->token_count,
                                  .block_first = p->block_first,
                                  .block_count = p->block_count,
                                  .rank = message.header.src};
    return true;
}

bool compute_tile_of(const struct mesh_tape_entry *entry, uint16_t own, struct compute_tile *tile)
{
    if (entry->call.kind == MESH_TAPE_PUBLISH)
        of_publish(entry, own, tile);
    else
        return entry->call.kind == MESH_TAPE_RECEIVE && of_datagram(entry, tile);
    return true;
}

int compute_tiles_take(struct compute_tiles *t, const struct mesh_tape_entry *entry, uint16_t own, size_t source, uint64_t call)
{
    struct compute_tile head = {0}, *tile;

    if (entry->call.error != 0 || entry->call.payload != MESH_TAPE_WHOLE || !compute_tile_of(entry, own, &head) ||
        head.phase >= t->phase_count)
        return 0;
    if (head.step < t->step) {
        t->too_late++;
        return 0;
    }
    tile = malloc(sizeof *tile + entry->call.payload_bytes);
    if (tile == NULL)
        return -1;
    *tile = head;
    tile->source = source;
    tile->call = call;
    tile->at_ns = entry->call.at_ns;
    tile->bytes = entry->call.payload_bytes;
    memcpy(tile->data, entry->payload, tile->bytes);
    tile->next = t->pending;
    t->pending = tile;
    return 0;
}

/* ---- a step ---- */

void compute_tiles_begin(struct compute_tiles *t, uint64_t step)
{
    struct compute_tile **from = &t->pending;

    t->step = step;
    while (*from != NULL) {
        struct compute_tile *tile = *from;

        if (tile->step != step) {
            from = &tile->next;
            continue;
        }
        *from = tile->next;
        tile->next = t->phase[tile->phase];
        t->phase[tile->phase] = tile;
    }
}

void compute_tiles_end(struct compute_tiles *t)
{
    for (uint16_t p = 0; p < t->phase_count; p++) {
        for (const struct compute_tile *tile = t->phase[p]; tile != NULL; tile = tile->next) {
            t->tiles += tile->compared > 0;
            t->not_computed += tile->compared == 0;
            t->blocks += tile->compared;
        }
        free_list(t->phase[p]);
        t->phase[p] = NULL;
    }
    t->step++;
}

/* ---- comparing ---- */

static uint32_t bytes_of_block(const struct recompute_blocks *b, uint32_t block)
{
    return block + 1 == b->blocks ? b->last_block_bytes : b->block_bytes;
}

/* Bytes of the blocks of one token of a tile. */
static size_t bytes_of_token(const struct recompute_blocks *b, const struct compute_tile *tile)
{
    return (tile->block_count - 1) * (size_t)b->block_bytes + bytes_of_block(b, tile->block_first + tile->block_count - 1u);
}

static bool is_before(const struct compute_difference *d, uint16_t phase, uint32_t token, uint32_t block)
{
    if (!d->is_set || d->phase != phase)
        return !d->is_set || phase < d->phase;
    return token != d->token ? token < d->token : block < d->block;
}

static struct compute_difference *note(struct compute_tiles *t, const struct compute_tile *tile, uint32_t token, uint32_t block)
{
    struct compute_difference *d = &t->difference;

    if (!is_before(d, tile->phase, token, block))
        return NULL;
    *d = (struct compute_difference){.is_set = true,
                                     .call = tile->call,
                                     .at_ns = tile->at_ns,
                                     .step = tile->step,
                                     .source = tile->source,
                                     .phase = tile->phase,
                                     .token = (uint16_t)token,
                                     .block = (uint16_t)block,
                                     .rank = tile->rank};
    return d;
}

/* Compare blocks first .. end-1 of a token, recorded and computed. */
static void compare_token(struct compute_tiles *t, const struct compute_tile *tile, const struct recompute_blocks *b, uint32_t token,
                          uint32_t first, uint32_t end)
{
    const uint8_t *recorded = tile->data + (token - tile->token_first) * bytes_of_token(b, tile);
    const uint8_t *computed = b->data + (token - b->token_first) * b->token_stride;

    for (uint32_t block = first; block < end; block++) {
        const uint8_t *expected = recorded + (block - tile->block_first) * (size_t)b->block_bytes;
        const uint8_t *actual = computed + (block - b->block_first) * (size_t)b->block_bytes;
        const uint32_t bytes = bytes_of_block(b, block);
        struct compute_difference *d;

        if (memcmp(expected, actual, bytes) == 0 || (d = note(t, tile, token, block)) == NULL)
            continue;
        d->block_bytes = bytes < COMPUTE_BLOCK_BYTES_MAX ? bytes : COMPUTE_BLOCK_BYTES_MAX;
        memcpy(d->expected, expected, d->block_bytes);
        memcpy(d->actual, actual, d->block_bytes);
    }
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static void compare_tile(struct compute_tiles *t, struct compute_tile *tile, const struct recompute_blocks *b)
{
    const uint32_t first = larger(tile->block_first, b->block_first);
    const uint32_t end = smaller((uint32_t)tile->block_first + tile->block_count, (uint32_t)b->block_first + b->block_count);
    const uint32_t token_first = larger(tile->token_first, b->token_first);
    const uint32_t token_end = smaller((uint32_t)tile->token_first + tile->token_count, (uint32_t)b->token_first + b->token_count);

    if (first >= end || token_first >= token_end)
        return;
    tile->compared += (end - first) * (token_end - token_first);
    if (tile->block_first + tile->block_count > b->blocks || tile->bytes != tile->token_count * bytes_of_token(b, tile)) {
        struct compute_difference *d = note(t, tile, token_first, first);

        if (d != NULL)
            d->is_shape = true;
        return;
    }
    for (uint32_t token = token_first; token < token_end; token++)
        compare_token(t, tile, b, token, first, end);
}

static void compare_all(struct compute_tiles *t, const struct recompute_blocks *b)
{
    for (struct compute_tile *tile = b->phase < t->phase_count ? t->phase[b->phase] : NULL; tile != NULL; tile = tile->next)
        compare_tile(t, tile, b);
}

/* Earlier builds gathered all tokens of a step in the last layer, too. */
static bool has_all_tokens(const struct compute_tiles *t, const struct recompute_blocks *b)
{
    for (const struct compute_tile *tile = b->phase < t->phase_count ? t->phase[b->phase] : NULL; tile != NULL; tile = tile->next)
        if (tile->token_first + tile->token_count > b->rows)
            return true;
    return false;
}

void compute_tiles_compare(struct compute_tiles *t, const struct recompute_blocks *b)
{
    if (b->row_token == NULL || !has_all_tokens(t, b)) {
        compare_all(t, b);
        return;
    }
    for (uint16_t i = 0; i < b->token_count; i++) {
        struct recompute_blocks row = *b;

        row.token_first = b->row_token[b->token_first + i];
        row.token_count = 1;
        row.data += i * b->token_stride;
        compare_all(t, &row);
    }
}
