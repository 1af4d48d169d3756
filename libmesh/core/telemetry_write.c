/* Pieces of telemetry, written item by item. An item that finds no room is not written at all; histograms and phases go on in the next
 * piece. */
#include "telemetry_parts.h"

#include <assert.h>
#include <string.h>

/* Once out of room, nothing more is written, and `used` stays as it is. */
struct out {
    uint8_t *at;
    size_t used, capacity;
    bool is_full;
};

static void put_bytes(struct out *out, const void *bytes, size_t count)
{
    out->is_full |= count > out->capacity - out->used;
    if (out->is_full)
        return;
    if (count)
        memcpy(out->at + out->used, bytes, count);
    out->used += count;
}

static void put_varint(struct out *out, uint64_t value)
{
    uint8_t bytes[MESH_TELEMETRY_VARINT_BYTES_MAX];
    size_t count = 0;

    do {
        bytes[count] = (uint8_t)(value & 127);
        value >>= 7;
        bytes[count++] |= value ? 128 : 0;
    } while (value);
    put_bytes(out, bytes, count);
}

static void put_fields(struct out *out, const struct mesh_telemetry_part *part, const void *from)
{
    for (unsigned i = 0; i < part->field_count; i++) {
        const struct mesh_metric *field = &part->fields[i];

        if (field->type == MESH_TELEMETRY_b16) {
            put_bytes(out, (const uint8_t *)from + field->offset, MESH_TELEMETRY_B16_BYTES);
            continue;
        }
        const uint64_t value = mesh_metric_get(field, from);
        assert(field->type == MESH_TELEMETRY_s64 || (value >= field->min && value <= field->max));
        put_varint(out, field->type == MESH_TELEMETRY_s64 ? mesh_telemetry_zigzag(value) : value);
    }
}

/* Room for the item's own head is left; finish_item fills it in. */
static struct out start_item(const struct mesh_telemetry_writer *writer)
{
    struct out out = {writer->bytes, writer->used, writer->capacity, false};

    if (writer->capacity - writer->used < MESH_TELEMETRY_ITEM_OVERHEAD_BYTES)
        out.is_full = true;
    else
        out.used += MESH_TELEMETRY_ITEM_OVERHEAD_BYTES;
    return out;
}

static bool finish_item(struct mesh_telemetry_writer *writer, const struct out *out, enum mesh_telemetry_kind kind)
{
    const size_t bytes = out->used - writer->used - MESH_TELEMETRY_ITEM_OVERHEAD_BYTES;

    if (out->is_full)
        return false;
    assert(bytes <= UINT16_MAX);
    writer->bytes[writer->used] = (uint8_t)kind;
    writer->bytes[writer->used + 1] = (uint8_t)bytes;
    writer->bytes[writer->used + 2] = (uint8_t)(bytes >> 8);
    writer->used = out->used;
    return true;
}

void mesh_telemetry_begin(struct mesh_telemetry_writer *writer, uint8_t *bytes, size_t capacity, const struct mesh_telemetry_head *head)
{
    struct out out = {bytes, 0, capacity, false};

    put_fields(&out, &mesh_telemetry_head_part, head);
    assert(!out.is_full);
    *writer = (struct mesh_telemetry_writer){bytes, out.used, capacity};
}

bool mesh_telemetry_put(struct mesh_telemetry_writer *writer, const struct mesh_telemetry_item *item)
{
    const struct mesh_telemetry_part *part = mesh_telemetry_part(item->kind);
    struct out out = start_item(writer);

    assert(part && part->tail != MESH_TELEMETRY_TAIL_BUCKETS && part->tail != MESH_TELEMETRY_TAIL_PHASES);
    put_fields(&out, part, &item->node);
    if (part->tail == MESH_TELEMETRY_TAIL_TEXT)
        put_bytes(&out, item->tail, item->tail_bytes < MESH_TELEMETRY_TEXT_BYTES_MAX ? item->tail_bytes : MESH_TELEMETRY_TEXT_BYTES_MAX);
    return finish_item(writer, &out, item->kind);
}

/* Buckets from `from` on that are not empty, as far as there is room; returns one after the last that was written. */
static uint16_t put_buckets(struct out *out, const struct mesh_histogram *histogram, uint16_t from)
{
    uint16_t told = from;

    for (uint16_t i = from; i < MESH_HISTOGRAM_BUCKETS; i++) {
        struct out before = *out;

        if (!histogram->buckets[i])
            continue;
        put_varint(out, (uint64_t)(i - told));
        put_varint(out, histogram->buckets[i]);
        if (out->is_full) {
            *out = before;
            return i;
        }
        told = (uint16_t)(i + 1);
    }
    return MESH_HISTOGRAM_BUCKETS;
}

bool mesh_telemetry_put_histogram(struct mesh_telemetry_writer *writer, uint16_t peer, enum mesh_latency which,
                                  const struct mesh_histogram *histogram, uint16_t *bucket)
{
    struct mesh_telemetry_latency latency = {
        .peer = peer, .which = (uint8_t)which, .count = histogram->count, .sum_ns = histogram->sum_ns, .max_ns = histogram->max_ns};
    uint8_t pairs[MESH_TELEMETRY_PIECE_BYTES_MAX];
    struct out tail = {pairs, 0, sizeof pairs, false};
    struct out out = start_item(writer);
    const size_t fields_bytes_max = 3 * 2 + 3 * MESH_TELEMETRY_VARINT_BYTES_MAX + 1;

    assert(*bucket < MESH_HISTOGRAM_BUCKETS);
    if (out.is_full || writer->capacity - out.used < fields_bytes_max + 8)
        return false;
    if (tail.capacity > writer->capacity - out.used - fields_bytes_max)
        tail.capacity = writer->capacity - out.used - fields_bytes_max;
    latency.bucket_first = *bucket;
    latency.bucket_end = put_buckets(&tail, histogram, *bucket);
    assert(latency.bucket_end > *bucket);
    put_fields(&out, mesh_telemetry_part(MESH_TELEMETRY_LATENCY), &latency);
    put_bytes(&out, pairs, tail.used);
    finish_item(writer, &out, MESH_TELEMETRY_LATENCY);
    *bucket = latency.bucket_end;
    return latency.bucket_end == MESH_HISTOGRAM_BUCKETS;
}

bool mesh_telemetry_put_step(struct mesh_telemetry_writer *writer, const struct mesh_telemetry_step *step,
                             const struct mesh_telemetry_phase *phases, uint16_t *phase)
{
    struct mesh_telemetry_step part = *step;
    uint8_t pairs[MESH_TELEMETRY_PIECE_BYTES_MAX];
    struct out tail = {pairs, 0, sizeof pairs, false}, before = tail, out = start_item(writer);
    const size_t fields_bytes_max = 4 * MESH_TELEMETRY_VARINT_BYTES_MAX + 9 * 3 + 6;
    uint32_t begin = 0;
    uint16_t at = *phase;

    if (out.is_full || writer->capacity - out.used < fields_bytes_max + 16)
        return false;
    if (tail.capacity > writer->capacity - out.used - fields_bytes_max)
        tail.capacity = writer->capacity - out.used - fields_bytes_max;
    for (; at < step->phase_total; at++, before = tail) {
        put_varint(&tail, mesh_telemetry_zigzag((uint64_t)((int64_t)phases[at].begin - (int64_t)begin)));
        put_varint(&tail, phases[at].duration);
        if (tail.is_full)
            break;
        begin = phases[at].begin;
    }
    part.phase_first = *phase;
    part.phase_count = (uint16_t)(at - *phase);
    put_fields(&out, mesh_telemetry_part(MESH_TELEMETRY_STEP), &part);
    put_bytes(&out, pairs, before.used);
    finish_item(writer, &out, MESH_TELEMETRY_STEP);
    *phase = at;
    return at == step->phase_total;
}
