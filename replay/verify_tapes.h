/* The tapes in traces, run again: each protocol core in a recording becomes a case, which ends with a verdict.
 *
 * Files are read once, chunk by chunk, with all cores of a file at the same time; a core that continues in the next file is one case. */
#ifndef REPLAY_VERIFY_TAPES_H
#define REPLAY_VERIFY_TAPES_H

#include "command.h"
#include "mesh/rerun.h"

enum verify_state {
    VERIFY_RUNNING,
    VERIFY_SAME,
    VERIFY_DIFFERS, /* rerun holds the difference */
    VERIFY_CUT,     /* the same up to a gap in the recording: why */
    VERIFY_SKIPPED  /* cannot be run again here: why */
};

enum { VERIFY_NAME_BYTES = 4200 /* of a path, and what follows it: names of cases differ */ };

struct verify_core {
    char recording[TRACE_RECORDING_BYTES]; /* to which it belongs */
    const char *path;                      /* the file in which it begins */
    char name[VERIFY_NAME_BYTES];          /* "run.db, node 1, epoch 3, rank 0", "run.db, node 1, cluster" */
    uint64_t node, instance, next;         /* next: number of the call that should follow */
    int64_t core;                          /* enum mesh_trace_core */
    enum verify_state state;
    char why[200];
    uint64_t first;           /* number of the call with which its tape begins */
    struct mesh_rerun *rerun; /* NULL: never begun */
    uint64_t took_ns;         /* wall time to run it again */
};

struct verify {
    struct verify_core *cores; /* (count) */
    size_t count, capacity;
    char recording[TRACE_RECORDING_BYTES]; /* of the file that is read */
    uint8_t *records;                      /* of one chunk */
};

/* Run all tapes of the traces again. -1 after fail_set: EXIT_BAD_FILE, EXIT_ENVIRONMENT. Release it either way. */
int verify_run(struct verify *verify, const char *const *paths, size_t path_count, struct fail *fail);
void verify_release(struct verify *verify);

#endif
