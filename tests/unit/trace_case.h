/* A place for a trace, a small one with rows in every table, changes of it, and a reading of all that it holds: for tests of damaged ones.
 * No test library is used here. */
#ifndef TRACE_CASE_H
#define TRACE_CASE_H

#include <stddef.h>
#include <stdint.h>

#include "mesh/trace.h"

struct trace_place {
    char folder[64], path[96]; /* of a new folder, and a file in it that is not there yet */
    char reason[MESH_TRACE_REASON_BYTES];
    struct mesh_trace *trace; /* the test's; closed with the place */
};

/* As *state of a test, from its setup and for its teardown. 0, or -1: no such folder can be made, or something is left in it. */
int trace_place_open(void **state);
int trace_place_close(void **state);

/* A new trace at path; aborts when it cannot be made. */
void trace_case_make(const char *path);

/* A whole file into memory, and back; abort when they cannot. free. */
uint8_t *trace_case_load(const char *path, size_t *size);
void trace_case_store(const char *path, const uint8_t *bytes, size_t size);

/* Change a trace's rows with one UPDATE; what is none, or fails, changes nothing. */
void trace_case_change(const char *path, const char *sql);

/* Ask a trace in SQL of any kind, for some 100 000 steps of SQLite at most, and read the answer: 0, or the error. */
int trace_case_ask(const char *path, const char *sql);

/* Open a trace and read every table, datagram, chunk and view as far as it goes: 0, or the first error. Ends whatever the file holds. */
int trace_case_read(const char *path);

#endif
