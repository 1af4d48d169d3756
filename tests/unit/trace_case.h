/* A small trace with rows in every table, and a reading of all that a trace holds: for tests of damaged ones. */
#ifndef TRACE_CASE_H
#define TRACE_CASE_H

#include <stddef.h>
#include <stdint.h>

/* A new trace at path; aborts when it cannot be made. */
void trace_case_make(const char *path);

/* A whole file into memory, and back; abort when they cannot. free. */
uint8_t *trace_case_load(const char *path, size_t *size);
void trace_case_store(const char *path, const uint8_t *bytes, size_t size);

/* Open a trace and read every table, datagram, chunk and view as far as it goes: 0, or the first error. Ends whatever the file holds. */
int trace_case_read(const char *path);

#endif
