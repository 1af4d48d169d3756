/* A recording of what a monitor receives: the records of a client session, and the arrival time of each.
 *
 * The file begins with the line "mesh telemetry 1", then u64 wall clock of the beginning in ns; then for each record u32 microseconds since
 * the beginning, u16 bytes, and the record. Little-endian. */
#ifndef TESTS_TELEMETRY_FILE_H
#define TESTS_TELEMETRY_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct telemetry_file {
    FILE *file; /* borrowed */
    uint64_t begin_wall_ns;
    uint8_t record[UINT16_MAX];
};

/* One record of the file. */
struct telemetry_entry {
    uint64_t since_ns; /* the beginning */
    size_t bytes;
};

/* Both return 0, or -1 when the file cannot be written or has another format. */
int telemetry_file_create(struct telemetry_file *f, FILE *file, uint64_t wall_ns);
int telemetry_file_open(struct telemetry_file *f, FILE *file);

/* 0, or -1. At most UINT16_MAX bytes (asserted), within an hour of the beginning. */
int telemetry_file_put(struct telemetry_file *f, uint64_t since_ns, const uint8_t *record, size_t bytes);

/* False at the end of the file. The record's bytes are in f->record. */
bool telemetry_file_next(struct telemetry_file *f, struct telemetry_entry *entry);

#endif
