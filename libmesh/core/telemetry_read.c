/* Pieces of telemetry, read item by item. Nothing is used before it has been found inside the piece and inside its range. */
#include "telemetry_parts.h"

#include <assert.h>
#include <string.h>

static bool get_varint(struct mesh_telemetry_reader *in, uint64_t *value, int *err)
{
    uint64_t result = 0;

    for (unsigned i = 0; i < MESH_TELEMETRY_VARINT_BYTES_MAX; i++) {
        if (in->used == in->size) {
            *err = MESH_ETRUNCATED;
            return false;
        }
        const uint64_t byte = in->bytes[in->used++];
        result |= (byte & 127) << (7 * i);
        if (byte & 128)
            continue;
        if ((i > 0 && !byte) || (i == MESH_TELEMETRY_VARINT_BYTES_MAX - 1 && byte > 1))
            break; /* not the shortest form, or more than 64 bits */
        *value = result;
        return true;
    }
    *err = MESH_ERANGE;
    return false;
}

static int get_field(struct mesh_telemetry_reader *in, const struct mesh_metric *field, void *out)
{
    uint64_t value;
    int err = 0;

    if (field->type == MESH_TELEMETRY_b16) {
        if (in->size - in->used < MESH_TELEMETRY_B16_BYTES)
            return MESH_ETRUNCATED;
        memcpy((uint8_t *)out + field->offset, in->bytes + in->used, MESH_TELEMETRY_B16_BYTES);
        in->used += MESH_TELEMETRY_B16_BYTES;
        return 0;
    }
    if (!get_varint(in, &value, &err))
        return err;
    if (field->type == MESH_TELEMETRY_s64)
        value = mesh_telemetry_unzigzag(value);
    else if (value < field->min || value > field->max)
        return MESH_ERANGE;
    mesh_metric_set(field, out, value);
    return 0;
}

static int get_fields(struct mesh_telemetry_reader *in, const struct mesh_telemetry_part *part, void *out)
{
    int err = 0;

    for (unsigned i = 0; i < part->field_count && !err; i++)
        err = get_field(in, &part->fields[i], out);
    return err;
}

int mesh_telemetry_open(struct mesh_telemetry_reader *reader, const uint8_t *bytes, size_t size, struct mesh_telemetry_head *head)
{
    int err;

    *reader = (struct mesh_telemetry_reader){bytes, 0, size};
    memset(head, 0, sizeof *head);
    err = get_fields(reader, &mesh_telemetry_head_part, head);
    if (err)
        return err;
    return head->version == MESH_TELEMETRY_VERSION ? 0 : MESH_EVERSION;
}

/* Pairs of a gap and a count that stay below bucket_end; into histogram, unless that is NULL. */
static int read_buckets(const struct mesh_telemetry_item *item, struct mesh_histogram *histogram)
{
    struct mesh_telemetry_reader in = {item->tail, 0, item->tail_bytes};
    uint64_t next = item->latency.bucket_first, gap, count;
    int err = 0;

    if (item->latency.bucket_end <= next)
        return MESH_ERANGE;
    while (in.used < in.size) {
        if (!get_varint(&in, &gap, &err) || !get_varint(&in, &count, &err))
            return err;
        if (gap >= item->latency.bucket_end - next || !count || count > UINT32_MAX)
            return MESH_ERANGE;
        next += gap;
        if (histogram)
            histogram->buckets[next] = (uint32_t)count;
        if (++next == item->latency.bucket_end)
            return in.used == in.size ? 0 : MESH_ERANGE;
    }
    return 0;
}

/* As many pairs of times as the item says; into out (capacity), unless that is NULL. */
static int read_phases(const struct mesh_telemetry_item *item, struct mesh_telemetry_phase *out, unsigned capacity)
{
    struct mesh_telemetry_reader in = {item->tail, 0, item->tail_bytes};
    uint64_t begin = 0, delta, duration;
    int err = 0;

    if ((unsigned)item->step.phase_first + item->step.phase_count > item->step.phase_total)
        return MESH_ERANGE;
    for (unsigned i = 0; i < item->step.phase_count; i++) {
        if (!get_varint(&in, &delta, &err) || !get_varint(&in, &duration, &err))
            return err;
        begin += mesh_telemetry_unzigzag(delta);
        if (begin > UINT32_MAX || duration > UINT32_MAX)
            return MESH_ERANGE;
        if (out && i < capacity)
            out[i] = (struct mesh_telemetry_phase){(uint32_t)begin, (uint32_t)duration};
    }
    return in.used == in.size ? 0 : MESH_ERANGE;
}

static int check_tail(const struct mesh_telemetry_part *part, const struct mesh_telemetry_item *item)
{
    switch (part->tail) {
    case MESH_TELEMETRY_TAIL_TEXT:
        return item->tail_bytes <= MESH_TELEMETRY_TEXT_BYTES_MAX ? 0 : MESH_ERANGE;
    case MESH_TELEMETRY_TAIL_BUCKETS:
        return read_buckets(item, NULL);
    case MESH_TELEMETRY_TAIL_PHASES:
        return read_phases(item, NULL, 0);
    default:
        return item->tail_bytes ? MESH_ERANGE : 0;
    }
}

int mesh_telemetry_next(struct mesh_telemetry_reader *reader, struct mesh_telemetry_item *item)
{
    const struct mesh_telemetry_part *part = NULL;

    while (!part) {
        struct mesh_telemetry_reader in;
        size_t bytes;
        int err;

        if (reader->used == reader->size)
            return 0;
        if (reader->size - reader->used < MESH_TELEMETRY_ITEM_OVERHEAD_BYTES)
            return MESH_ETRUNCATED;
        memset(item, 0, sizeof *item);
        part = mesh_telemetry_part(reader->bytes[reader->used]);
        item->kind = part ? (enum mesh_telemetry_kind)part->number : MESH_TELEMETRY_KINDS;
        bytes = (size_t)reader->bytes[reader->used + 1] | (size_t)reader->bytes[reader->used + 2] << 8;
        reader->used += MESH_TELEMETRY_ITEM_OVERHEAD_BYTES;
        if (reader->size - reader->used < bytes)
            return MESH_ETRUNCATED;
        in = (struct mesh_telemetry_reader){reader->bytes + reader->used, 0, bytes};
        reader->used += bytes;
        if (!part)
            continue;
        err = get_fields(&in, part, &item->node);
        if (err)
            return err;
        item->tail = in.bytes + in.used;
        item->tail_bytes = in.size - in.used;
        err = check_tail(part, item);
        if (err)
            return err;
    }
    return 1;
}

int mesh_telemetry_check(const uint8_t *bytes, size_t size)
{
    struct mesh_telemetry_reader reader;
    struct mesh_telemetry_head head;
    struct mesh_telemetry_item item;
    int result = mesh_telemetry_open(&reader, bytes, size, &head);

    if (result)
        return result;
    while ((result = mesh_telemetry_next(&reader, &item)) > 0)
        ;
    return result;
}

void mesh_telemetry_get_histogram(const struct mesh_telemetry_item *item, struct mesh_histogram *histogram)
{
    const struct mesh_telemetry_latency *latency = &item->latency;
    int err;

    assert(item->kind == MESH_TELEMETRY_LATENCY && latency->bucket_first < latency->bucket_end);
    histogram->count = latency->count;
    histogram->sum_ns = latency->sum_ns;
    histogram->max_ns = latency->max_ns;
    memset(histogram->buckets + latency->bucket_first, 0,
           (size_t)(latency->bucket_end - latency->bucket_first) * sizeof *histogram->buckets);
    err = read_buckets(item, histogram);
    assert(!err);
}

unsigned mesh_telemetry_get_phases(const struct mesh_telemetry_item *item, struct mesh_telemetry_phase *out, unsigned capacity)
{
    assert(item->kind == MESH_TELEMETRY_STEP);
    if (read_phases(item, out, capacity) != 0)
        return 0;
    return item->step.phase_count < capacity ? item->step.phase_count : capacity;
}
