#include "reassembly.h"

#include <stdlib.h>
#include <string.h>

enum { UNIT_BYTES = 8, UNITS_MAX = (REASSEMBLY_BYTES_MAX + UNIT_BYTES) / UNIT_BYTES };
#define TIMEOUT_NS UINT64_C(30000000000)

struct slot {
    bool is_used;
    uint64_t started_ns;
    uint8_t src[16], dst[16], protocol;
    uint32_t id;
    size_t units_present, furthest, size; /* size: of the whole; 0 until its last fragment has come */
    uint8_t present[UNITS_MAX / 8 + 1];   /* bit per 8 bytes */
    uint8_t bytes[REASSEMBLY_BYTES_MAX + UNIT_BYTES];
};

struct reassembly {
    struct slot slots[REASSEMBLY_SLOTS];
};

struct reassembly *reassembly_open(void)
{
    return calloc(1, sizeof(struct reassembly));
}

void reassembly_clear(struct reassembly *reassembly)
{
    for (unsigned i = 0; i < REASSEMBLY_SLOTS; i++)
        reassembly->slots[i].is_used = false;
}

void reassembly_close(struct reassembly *reassembly)
{
    free(reassembly);
}

static bool is_of(const struct slot *slot, const struct frame *frame)
{
    return slot->is_used && slot->id == frame->fragment_id && memcmp(slot->src, frame->src.ip, sizeof slot->src) == 0 &&
           memcmp(slot->dst, frame->dst.ip, sizeof slot->dst) == 0 && (frame->is_v6 || slot->protocol == frame->protocol);
}

static struct slot *find_slot(struct reassembly *reassembly, uint64_t ts_ns, const struct frame *frame)
{
    struct slot *chosen = &reassembly->slots[0];

    for (unsigned i = 0; i < REASSEMBLY_SLOTS; i++) {
        struct slot *slot = &reassembly->slots[i];

        if (slot->is_used && ts_ns > slot->started_ns && ts_ns - slot->started_ns > TIMEOUT_NS)
            slot->is_used = false;
        if (is_of(slot, frame))
            return slot;
        if (chosen->is_used && (!slot->is_used || slot->started_ns < chosen->started_ns))
            chosen = slot;
    }
    chosen->is_used = true;
    chosen->started_ns = ts_ns;
    memcpy(chosen->src, frame->src.ip, sizeof chosen->src);
    memcpy(chosen->dst, frame->dst.ip, sizeof chosen->dst);
    chosen->protocol = frame->protocol;
    chosen->id = frame->fragment_id;
    chosen->units_present = chosen->furthest = chosen->size = 0;
    memset(chosen->present, 0, sizeof chosen->present);
    return chosen;
}

static void copy_units(struct slot *slot, size_t offset, const uint8_t *bytes, size_t count)
{
    for (size_t at = 0; at < count; at += UNIT_BYTES) {
        const size_t unit = (offset + at) / UNIT_BYTES, left = count - at;

        if (slot->present[unit / 8] >> unit % 8 & 1)
            continue;
        slot->present[unit / 8] |= (uint8_t)(1 << unit % 8);
        slot->units_present++;
        memcpy(slot->bytes + unit * UNIT_BYTES, bytes + at, left < UNIT_BYTES ? left : UNIT_BYTES);
    }
}

bool reassembly_add(struct reassembly *reassembly, uint64_t ts_ns, struct frame *frame)
{
    const size_t end = frame->fragment_offset + frame->size;
    struct slot *slot;

    if (frame->kind != FRAME_FRAGMENT || frame->captured < frame->size || frame->size == 0 || end > REASSEMBLY_BYTES_MAX ||
        (frame->has_more_fragments && frame->size % UNIT_BYTES != 0))
        return false;
    slot = find_slot(reassembly, ts_ns, frame);
    if (frame->fragment_offset == 0)
        slot->protocol = frame->protocol;
    if (!frame->has_more_fragments && slot->size == 0)
        slot->size = end;
    if (end > slot->furthest)
        slot->furthest = end;
    if (slot->size != 0 && slot->furthest > slot->size) { /* the fragments contradict one another */
        slot->is_used = false;
        return false;
    }
    copy_units(slot, frame->fragment_offset, frame->payload, frame->size);
    if (slot->size == 0 || slot->units_present < (slot->size + UNIT_BYTES - 1) / UNIT_BYTES)
        return false;
    slot->is_used = false;
    frame->protocol = slot->protocol;
    frame_parse_transport(frame, slot->bytes, slot->size, slot->size);
    return true;
}
