/* Records of client sessions that ask for telemetry and bring it. */
#include "mesh/telemetry.h"

#include <string.h>

#include "mesh/program/byte_order.h"

void mesh_telemetry_write_watch(const struct mesh_telemetry_watch *watch, uint8_t record[MESH_TELEMETRY_WATCH_BYTES])
{
    record[0] = MESH_TELEMETRY_RECORD_WATCH;
    mesh_little_put(record + 1, watch->interval_ms, 2);
    mesh_little_put(record + 3, watch->lease_ms, 2);
    mesh_little_put(record + 5, watch->kinds, 4);
}

int mesh_telemetry_read_watch(struct mesh_telemetry_watch *watch, const uint8_t *record, size_t bytes)
{
    if (!bytes || record[0] != MESH_TELEMETRY_RECORD_WATCH)
        return MESH_ETYPE;
    if (bytes != MESH_TELEMETRY_WATCH_BYTES)
        return MESH_ETRUNCATED;
    watch->interval_ms = (uint16_t)mesh_little_get(record + 1, 2);
    watch->lease_ms = (uint16_t)mesh_little_get(record + 3, 2);
    watch->kinds = (uint32_t)mesh_little_get(record + 5, 4);
    if (watch->lease_ms > MESH_TELEMETRY_LEASE_MS_MAX)
        return MESH_ERANGE;
    if (watch->interval_ms < MESH_TELEMETRY_INTERVAL_MS_MIN)
        watch->interval_ms = MESH_TELEMETRY_INTERVAL_MS_MIN;
    if (watch->interval_ms > MESH_TELEMETRY_INTERVAL_MS_MAX)
        watch->interval_ms = MESH_TELEMETRY_INTERVAL_MS_MAX;
    return 0;
}

size_t mesh_telemetry_write_report(const struct mesh_telemetry_report *report, uint8_t *record)
{
    record[0] = MESH_TELEMETRY_RECORD_REPORT;
    mesh_little_put(record + 1, report->now_ns, 8);
    mesh_little_put(record + 9, report->unix_ms, 8);
    memcpy(record + MESH_TELEMETRY_REPORT_OVERHEAD_BYTES, report->piece, report->piece_bytes);
    return MESH_TELEMETRY_REPORT_OVERHEAD_BYTES + report->piece_bytes;
}

int mesh_telemetry_read_report(struct mesh_telemetry_report *report, const uint8_t *record, size_t bytes)
{
    if (!bytes || record[0] != MESH_TELEMETRY_RECORD_REPORT)
        return MESH_ETYPE;
    if (bytes <= MESH_TELEMETRY_REPORT_OVERHEAD_BYTES || bytes > MESH_TELEMETRY_REPORT_OVERHEAD_BYTES + MESH_TELEMETRY_PIECE_BYTES_MAX)
        return MESH_ETRUNCATED;
    report->now_ns = mesh_little_get(record + 1, 8);
    report->unix_ms = mesh_little_get(record + 9, 8);
    report->piece = record + MESH_TELEMETRY_REPORT_OVERHEAD_BYTES;
    report->piece_bytes = bytes - MESH_TELEMETRY_REPORT_OVERHEAD_BYTES;
    return 0;
}
