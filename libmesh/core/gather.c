/* The ring of gathers: what is held, what is complete, when it is freed.
 *
 * A slot lives from mesh_open_gather until it is consumed here, complete, and held by all readers of this rank's blocks. Its bitmap has a
 * bit per block of a token: of own blocks, that they are published; of others', that they have arrived. `held` is the ordinal of the first
 * gather that lacks something; have_through is the one before. */
#include "tap.h"

#include "bits.h"
#include "ring.h"

#include <assert.h>
#include <string.h>

struct mesh_slot *mesh_slot_find(struct mesh *mesh, uint64_t end)
{
    for (unsigned i = 0; i < MESH_GATHERS_OPEN_MAX; i++)
        if (mesh->slots[i].is_open && mesh->slots[i].end == end)
            return &mesh->slots[i];
    return NULL;
}

static uint64_t *row_of(struct mesh_slot *slot, unsigned token)
{
    assert(token < slot->gather.token_count);
    return slot->bits + (size_t)token * slot->row_words;
}

const uint64_t *mesh_slot_row(const struct mesh_slot *slot, unsigned token)
{
    assert(token < slot->gather.token_count);
    return slot->bits + (size_t)token * slot->row_words;
}

size_t mesh_slot_row_bytes(const struct mesh_slot *slot, unsigned block_first, unsigned block_count)
{
    const struct mesh_gather *gather = &slot->gather;
    size_t bytes = (size_t)block_count * gather->block_bytes;

    assert(block_count > 0);
    if (block_first + block_count == gather->block_count)
        bytes -= gather->block_bytes - gather->last_block_bytes;
    return bytes;
}

bool mesh_range_meet(const struct mesh_range *a, const struct mesh_range *b, struct mesh_range *both)
{
    const unsigned token = a->token_first > b->token_first ? a->token_first : b->token_first;
    const unsigned block = a->block_first > b->block_first ? a->block_first : b->block_first;
    const unsigned a_tokens_end = (unsigned)a->token_first + a->token_count, b_tokens_end = (unsigned)b->token_first + b->token_count;
    const unsigned a_blocks_end = (unsigned)a->block_first + a->block_count, b_blocks_end = (unsigned)b->block_first + b->block_count;
    const unsigned tokens_end = a_tokens_end < b_tokens_end ? a_tokens_end : b_tokens_end;
    const unsigned blocks_end = a_blocks_end < b_blocks_end ? a_blocks_end : b_blocks_end;

    if (token >= tokens_end || block >= blocks_end)
        return false;
    *both = (struct mesh_range){(uint16_t)token, (uint16_t)(tokens_end - token), (uint16_t)block, (uint16_t)(blocks_end - block)};
    return true;
}

bool mesh_ranges_are_disjoint(const struct mesh_range *ranges, unsigned count)
{
    struct mesh_range both;

    for (unsigned i = 1; i < count; i++)
        for (unsigned j = 0; j < i; j++)
            if (mesh_range_meet(&ranges[i], &ranges[j], &both))
                return false;
    return true;
}

bool mesh_slot_contains(const struct mesh_slot *slot, uint16_t rank, const struct mesh_range *range)
{
    return (unsigned)range->token_first + range->token_count <= slot->gather.token_count && range->block_first >= slot->first[rank] &&
           (unsigned)range->block_first + range->block_count <= slot->first[rank + 1];
}

void mesh_slot_mark(struct mesh_slot *slot, const struct mesh_range *range)
{
    for (unsigned token = range->token_first; token < (unsigned)range->token_first + range->token_count; token++)
        mesh_bits_set(row_of(slot, token), range->block_first, (unsigned)range->block_first + range->block_count);
}

static uint8_t *place(const struct mesh_slot *slot, unsigned token, unsigned block)
{
    return slot->gather.data + (size_t)token * slot->gather.token_stride + (size_t)block * slot->gather.block_bytes;
}

void mesh_slot_copy_out(const struct mesh_slot *slot, const struct mesh_range *range, uint8_t *out)
{
    size_t bytes = mesh_slot_row_bytes(slot, range->block_first, range->block_count);

    for (unsigned i = 0; i < range->token_count; i++)
        memcpy(out + i * bytes, place(slot, range->token_first + i, range->block_first), bytes);
}

void mesh_slot_copy_in(struct mesh_slot *slot, const struct mesh_range *range, const uint8_t *data, size_t data_stride)
{
    size_t bytes = mesh_slot_row_bytes(slot, range->block_first, range->block_count);

    assert(bytes <= data_stride);
    for (unsigned i = 0; i < range->token_count; i++)
        memcpy(place(slot, range->token_first + i, range->block_first), data + i * data_stride, bytes);
}

/* ---- pace: how long after this rank had what it needs do a rank's blocks usually arrive? ---- */

struct mesh_pace *mesh_pace_of(struct mesh *mesh, const struct mesh_slot *slot, uint16_t rank)
{
    unsigned tokens = slot->gather.token_count;
    unsigned token_class = tokens == 1 ? 0 : tokens < 16 ? 1 : tokens < 128 ? 2 : 3;

    return &mesh->pace[((size_t)rank * mesh->config.phase_count + slot->gather.phase) * MESH_TOKEN_CLASSES + token_class];
}

/* Jacobson's estimator. */
void mesh_pace_add(struct mesh_pace *pace, uint64_t sample_ns)
{
    int64_t sample = sample_ns < UINT32_MAX / 2 ? (int64_t)sample_ns : UINT32_MAX / 2;
    int64_t error = sample - pace->mean_ns;

    if (!pace->mean_ns) {
        pace->mean_ns = (uint32_t)sample + 1;
        pace->deviation_ns = (uint32_t)sample / 2;
        return;
    }
    pace->mean_ns = (uint32_t)(pace->mean_ns + error / 8);
    if (!pace->mean_ns)
        pace->mean_ns = 1;
    pace->deviation_ns = (uint32_t)(pace->deviation_ns + ((error < 0 ? -error : error) - pace->deviation_ns) / 4);
}

/* ---- the ring ---- */

/* No token's blocks reach into those of the next one. */
static bool are_apart(const struct mesh_gather *gather)
{
    return gather->token_count == 1 ||
           gather->token_stride >= (size_t)(gather->block_count - 1u) * gather->block_bytes + gather->last_block_bytes;
}

static bool is_valid(const struct mesh *mesh, const struct mesh_gather *gather)
{
    const struct mesh_config *config = &mesh->config;

    if (gather->step > MESH_STEP_MAX || gather->phase >= config->phase_count)
        return false;
    if (!gather->token_count || gather->token_count > config->tokens_max || !gather->block_count ||
        gather->block_count > config->blocks_max)
        return false;
    if (!gather->block_bytes || gather->block_bytes > MESH_BLOCK_BYTES_MAX || !gather->last_block_bytes ||
        gather->last_block_bytes > gather->block_bytes)
        return false;
    if (gather->first[0] != 0 || gather->first[config->rank_count] != gather->block_count)
        return false;
    for (unsigned rank = 0; rank < config->rank_count; rank++)
        if (gather->first[rank] > gather->first[rank + 1])
            return false;
    return gather->data && are_apart(gather) && gather->readers & (mesh->others | UINT64_C(1) << config->rank);
}

/* The first incomplete gather is what this rank waits for from now on. */
static void start_waiting(struct mesh *mesh)
{
    struct mesh_slot *slot;

    if (mesh->held == mesh->opened)
        return;
    slot = mesh_slot_at(mesh, mesh->held);
    if (slot->base_ns)
        return;
    slot->base_ns = mesh->now_ns ? mesh->now_ns : 1;
    mesh_nak_expect(mesh, slot);
}

static void advance_held(struct mesh *mesh)
{
    uint64_t before = mesh->held;

    while (mesh->held < mesh->opened && mesh_slot_at(mesh, mesh->held)->is_complete) {
        struct mesh_slot *slot = mesh_slot_at(mesh, mesh->held);

        if (!slot->base_ns)
            slot->base_ns = mesh->now_ns ? mesh->now_ns : 1;
        mesh->through = slot->end;
        mesh->held++;
    }
    if (mesh->held != before)
        mesh_status_advanced(mesh);
    start_waiting(mesh);
}

static void complete(struct mesh *mesh, struct mesh_slot *slot)
{
    assert(!slot->is_complete && !slot->missing);
    slot->is_complete = true;
    if (slot->is_reader)
        mesh_event_gather(mesh, MESH_EVENT_COMPLETE, slot);
    advance_held(mesh);
}

static void free_slot(struct mesh *mesh, struct mesh_slot *slot)
{
    mesh_sender_forget(mesh, slot);
    slot->is_open = false;
    mesh->stats.gathers_freed++;
    mesh_event_gather(mesh, MESH_EVENT_FREED, slot);
}

static bool is_held_by_readers(const struct mesh *mesh, const struct mesh_slot *slot)
{
    if (slot->readers && slot->unpublished)
        return false;
    for (uint64_t ranks = slot->readers; ranks; ranks &= ranks - 1) {
        const struct mesh_peer *peer = &mesh->peers[__builtin_ctzll(ranks)];

        if (peer->through < slot->end && peer->state != MESH_PEER_GONE)
            return false;
    }
    return true;
}

void mesh_slot_release(struct mesh *mesh, struct mesh_slot *slot)
{
    if (slot->is_open && slot->is_complete && slot->is_consumed && is_held_by_readers(mesh, slot))
        free_slot(mesh, slot);
}

void mesh_gather_release(struct mesh *mesh)
{
    for (uint64_t ordinal = mesh_ordinal_first(mesh); ordinal < mesh->opened; ordinal++)
        mesh_slot_release(mesh, mesh_slot_at(mesh, ordinal));
}

/* What the readers must have before this gather is sent to them. */
static uint64_t wait_through(const struct mesh *mesh)
{
    return mesh->opened >= MESH_AHEAD_MAX ? mesh->ends[(mesh->opened - MESH_AHEAD_MAX) % (2 * MESH_GATHERS_OPEN_MAX)] : 0;
}

static void fill_slot(struct mesh *mesh, struct mesh_slot *slot, const struct mesh_gather *gather)
{
    const uint16_t self = mesh->config.rank;
    uint64_t *bits = slot->bits;

    memset(slot, 0, sizeof *slot);
    slot->bits = bits;
    slot->is_open = true;
    slot->gather = *gather;
    slot->gather.first = NULL;
    slot->end = mesh_end_of(mesh, gather->step, gather->phase);
    slot->wait_through = wait_through(mesh);
    memcpy(slot->first, gather->first, (mesh->config.rank_count + 1u) * sizeof *slot->first);
    slot->row_words = (gather->block_count + 63u) / 64;
    memset(bits, 0, (size_t)gather->token_count * slot->row_words * sizeof *bits);
    slot->queue_first = slot->queue_last = -1;
    slot->is_reader = gather->readers >> self & 1;
    slot->unpublished = (uint32_t)(slot->first[self + 1] - slot->first[self]) * gather->token_count;
    slot->readers = slot->unpublished ? gather->readers & mesh->others : 0;
    for (uint16_t rank = 0; rank < mesh->config.rank_count && slot->is_reader; rank++) {
        struct mesh_owed *owed = &slot->owed[rank];

        if (rank == self)
            continue;
        owed->missing = (uint32_t)(slot->first[rank + 1] - slot->first[rank]) * gather->token_count;
        slot->missing += owed->missing;
    }
}

int mesh_open_gather(struct mesh *mesh, uint64_t now_ns, const struct mesh_gather *gather)
{
    struct mesh_slot *slot = &mesh->slots[mesh->opened % MESH_GATHERS_OPEN_MAX];

    assert(now_ns >= mesh->now_ns);
    mesh->now_ns = now_ns;
    if (!is_valid(mesh, gather) || mesh_end_of(mesh, gather->step, gather->phase) <= mesh->opened_end)
        return MESH_EINVAL;
    if (slot->is_open || mesh->opened - mesh->held >= MESH_GATHERS_OPEN_MAX || !mesh_event_room(mesh))
        return MESH_AGAIN;
    fill_slot(mesh, slot, gather);
    mesh->opened_end = slot->end;
    mesh->ends[mesh->opened % (2 * MESH_GATHERS_OPEN_MAX)] = slot->end;
    mesh->opened++;
    mesh->stats.gathers_opened++;
    if (!slot->missing) {
        complete(mesh, slot);
        slot->is_consumed = !slot->is_reader || !slot->readers; /* nothing to receive, or neither that nor to send */
        mesh_slot_release(mesh, slot);
    } else {
        start_waiting(mesh);
        mesh_nak_opened(mesh, slot);
        mesh_early_opened(mesh, slot);
    }
    if (mesh_is_tapped(mesh))
        mesh_tap_open(mesh, gather);
    return 0;
}

void mesh_gather_arrived(struct mesh *mesh, struct mesh_slot *slot, uint16_t rank, uint32_t blocks)
{
    struct mesh_owed *owed = &slot->owed[rank];

    assert(blocks <= owed->missing && owed->missing <= slot->missing);
    owed->missing -= blocks;
    slot->missing -= blocks;
    if (!owed->missing && !owed->was_resent)
        mesh_pace_add(mesh_pace_of(mesh, slot, rank), slot->base_ns ? mesh->now_ns - slot->base_ns : 0);
    if (!slot->missing)
        complete(mesh, slot);
}

void mesh_consume(struct mesh *mesh, uint64_t now_ns, uint64_t step, uint16_t phase)
{
    uint64_t end = mesh_end_of(mesh, step, phase);
    struct mesh_slot *slot = mesh_slot_find(mesh, end);

    assert(now_ns >= mesh->now_ns);
    mesh->now_ns = now_ns;
    assert(step <= MESH_STEP_MAX && phase < mesh->config.phase_count);
    assert(end <= mesh->opened_end); /* was opened, perhaps freed at once */
    if (slot) {
        assert(slot->is_complete);
        slot->is_consumed = true;
        mesh_slot_release(mesh, slot);
    }
    if (mesh_is_tapped(mesh))
        mesh_tap_consume(mesh, step, phase);
}
