/* The commands of mesh-replay: what main.c knows of each, and what they share. */
#ifndef REPLAY_COMMAND_H
#define REPLAY_COMMAND_H

#include "mesh/program/fail.h"
#include "mesh/program/options.h"
#include "mesh/trace.h"

/* argv[0 .. argc-1] starts after the command's name. run returns EXIT_OK, EXIT_DIFFERENCE or EXIT_SKIPPED, or -1 after fail_set. */
struct command {
    const char *name, *what; /* what: for the list of commands */
    int (*run)(int argc, char *const *argv, struct fail *fail);
};

int info_command(int argc, char *const *argv, struct fail *fail);
int query_command(int argc, char *const *argv, struct fail *fail);
int export_command(int argc, char *const *argv, struct fail *fail);
int diff_command(int argc, char *const *argv, struct fail *fail);
int verify_command(int argc, char *const *argv, struct fail *fail);
int run_command(int argc, char *const *argv, struct fail *fail);

/* A trace named on the command line; NULL after fail_set. To be closed with mesh_trace_close. */
struct mesh_trace *trace_open(const char *path, struct fail *fail);

/* The same for arbitrary queries, which are to stay within memory: no sorting in files. */
struct mesh_trace *trace_open_for_any(const char *path, struct fail *fail);

/* Check that the file of an option, which will be written (NULL: none is), is none of these traces; else -1 after fail_set. */
int trace_check_output(const char *option, const char *path, const char *const *paths, size_t count, struct fail *fail);

/* Check that none of them is named twice; else -1 after fail_set. */
int trace_check_unique(const char *const *paths, size_t count, struct fail *fail);

/* Turn the error of a call on a trace into a failure; always -1. */
int trace_failed(const char *path, const struct mesh_trace *trace, int err, struct fail *fail);

/* The number that a key of the trace's meta has; otherwise: where there is none. */
int64_t trace_meta_number(struct mesh_trace *trace, const char *key, int64_t otherwise);

/* What to add to times of the trace for ns since 1970 (struct mesh_trace_ending). 0: not known. */
int64_t trace_to_unix_ns(struct mesh_trace *trace);

/* When the trace's recording began, by two clocks: the same in all its files and in no others. "": not known. */
enum { TRACE_RECORDING_BYTES = 60 };
void trace_recording(struct mesh_trace *trace, char recording[TRACE_RECORDING_BYTES]);

/* Its recorder was killed after it had made the tables, and before it recorded anything: so may end the last file of a recording. */
bool trace_is_blank(struct mesh_trace *trace);

/* Put files of one recording (--record-size, --record-time) into the order in which they were written, keeping the places that they occupy:
 * patterns of a shell name T-2.db before T.db. Blank files come last. On stderr: which end early, are being written, or continue in a file
 * that is not named. */
int trace_order(const char **paths, size_t count, struct fail *fail);

#endif
