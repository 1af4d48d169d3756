/* For tests of damaged traces: a folder for a trace, a small trace with rows in every table, changes of it, and a reader of everything it
 * holds. No test library is used here. */
#ifndef TRACE_CASE_H
#define TRACE_CASE_H

#include <stddef.h>
#include <stdint.h>

#include "mesh/trace.h"

struct sqlite3;

enum { TRACE_PLACE_PATH_BYTES = 96 };

struct trace_place {
    char folder[64], path[TRACE_PLACE_PATH_BYTES]; /* a new folder; a file in it that does not exist yet */
    char reason[MESH_TRACE_REASON_BYTES];
    struct mesh_trace *trace; /* the test's; closed with the place */
};

/* As *state of a test, for its setup and its teardown. Returns 0, or -1 when the folder cannot be made, or is not empty in the end. */
int trace_place_open(void **state);
int trace_place_close(void **state);

/* The same with a small trace, whose path is also written to path. */
int trace_place_make(void **state, char path[TRACE_PLACE_PATH_BYTES]);

/* A new trace at path; aborts when it cannot be made. */
void trace_case_make(const char *path);

/* Load a whole file into memory (free it), and write one; both abort on failure. */
uint8_t *trace_case_load(const char *path, size_t *size);
void trace_case_store(const char *path, const uint8_t *bytes, size_t size);

/* Change a trace's rows with one UPDATE; any other statement, or one that fails, changes nothing. */
void trace_case_change(const char *path, const char *sql);

/* Add a row to a table of an open trace, as INSERT does; columns that must have a value and are not named get 0. Aborts on failure. */
void trace_case_add(struct sqlite3 *db, const char *table, const char *columns, const char *values);

/* Run any SQL on a trace, for at most some 100 000 steps of SQLite, and read the result: 0, or the error. */
int trace_case_ask(const char *path, const char *sql);

/* Open a trace and read every table, datagram, chunk and view as far as possible: 0, or the first error. Terminates whatever the file
 * holds. */
int trace_case_read(const char *path);

#endif
