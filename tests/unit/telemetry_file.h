/* A recording of what a monitor is told: the records of a client session, and when each came.
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

/* One record of it. */
struct telemetry_entry {
    uint64_t since_ns; /* the beginning */
    size_t bytes;
};

/* Both: 0, or -1: it cannot be written, or is no such file. */
int telemetry_file_create(struct telemetry_file *f, FILE *file, uint64_t wall_ns);
int telemetry_file_open(struct telemetry_file *f, FILE *file);

/* 0, or -1. At most UINT16_MAX bytes (asserted), within an hour of the beginning. */
int telemetry_file_put(struct telemetry_file *f, uint64_t since_ns, const uint8_t *record, size_t bytes);

/* False: that was all. What it is stands in f->record. */
bool telemetry_file_next(struct telemetry_file *f, struct telemetry_entry *entry);

#endif
