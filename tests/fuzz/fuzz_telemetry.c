/* Any bytes as a piece of telemetry, and as the records that request and carry it: what is read is in range, and is written back as the
 * same bytes. */
#include <stdlib.h>
#include <string.h>

#include "mesh/telemetry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_fields(const struct mesh_telemetry_part *part, const void *decoded)
{
    for (unsigned i = 0; i < part->field_count; i++) {
        const struct mesh_metric *field = &part->fields[i];

        if (field->type == MESH_TELEMETRY_b16)
            continue;
        if (field->type != MESH_TELEMETRY_s64)
            require(mesh_metric_get(field, decoded) >= field->min && mesh_metric_get(field, decoded) <= field->max);
        (void)mesh_metric_value(field, decoded);
    }
}

/* An item that was read is written as the same bytes: there is only one form. */
static void check_form(const struct mesh_telemetry_item *item, const uint8_t *bytes, size_t size)
{
    static const struct mesh_telemetry_head head = {.version = MESH_TELEMETRY_VERSION, .serial = 1};
    static uint8_t back[70000];
    struct mesh_telemetry_writer writer;

    if (item->kind == MESH_TELEMETRY_LATENCY || item->kind == MESH_TELEMETRY_STEP)
        return;
    mesh_telemetry_begin(&writer, back, sizeof back, &head);
    const size_t begun = writer.used;
    require(mesh_telemetry_put(&writer, item));
    require(writer.used - begun == size && memcmp(back + begun, bytes, size) == 0);
}

static void check_piece(const uint8_t *data, size_t size)
{
    static struct mesh_histogram histogram;
    static struct mesh_telemetry_phase phases[100];
    struct mesh_telemetry_reader reader;
    struct mesh_telemetry_head head;
    struct mesh_telemetry_item item;
    size_t before;
    int result;

    if (mesh_telemetry_open(&reader, data, size, &head) != MESH_OK) {
        require(mesh_telemetry_check(data, size) < 0);
        return;
    }
    check_fields(&mesh_telemetry_head_part, &head);
    while (before = reader.used, (result = mesh_telemetry_next(&reader, &item)) > 0) {
        check_fields(mesh_telemetry_part(item.kind), &item.node);
        if (item.kind == MESH_TELEMETRY_LATENCY)
            mesh_telemetry_get_histogram(&item, &histogram);
        if (item.kind == MESH_TELEMETRY_STEP)
            mesh_telemetry_get_phases(&item, phases, sizeof phases / sizeof *phases);
        while (data[before] == 0 || data[before] >= MESH_TELEMETRY_KINDS) /* skipped items */
            before += 3 + (size_t)data[before + 1] + 256 * (size_t)data[before + 2];
        check_form(&item, data + before, reader.used - before);
    }
    require(result <= 0 && mesh_telemetry_check(data, size) == result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t record[MESH_TELEMETRY_REPORT_OVERHEAD_BYTES + MESH_TELEMETRY_PIECE_BYTES_MAX];
    struct mesh_telemetry_watch watch;
    struct mesh_telemetry_report report;

    check_piece(data, size);
    if (mesh_telemetry_read_watch(&watch, data, size) == MESH_OK)
        require(watch.interval_ms >= MESH_TELEMETRY_INTERVAL_MS_MIN && watch.interval_ms <= MESH_TELEMETRY_INTERVAL_MS_MAX);
    if (mesh_telemetry_read_report(&report, data, size) == MESH_OK) {
        require(mesh_telemetry_write_report(&report, record) == size && memcmp(record, data, size) == 0);
        check_piece(report.piece, report.piece_bytes);
    }
    return 0;
}
