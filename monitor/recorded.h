/* Telemetry that nodes have recorded, to be watched again: from one trace or several, one per node, as records of a client session in the
 * order of time; and when tokens were drawn.
 *
 * Times are nanoseconds since 1970, by the wall clock of the first trace's node when its recording ended: the clocks of all nodes are
 * related to it (mesh/trace_clocks.h). Traces are read as they are needed. One thread. */
#ifndef MONITOR_RECORDED_H
#define MONITOR_RECORDED_H

#include <stddef.h>
#include <stdint.h>

#include "mesh/program/fail.h"
#include "mesh/telemetry.h"

enum { RECORDED_FILES_MAX = 128, RECORDED_TOKENS_MAX = 1 << 20 };

struct recorded;

struct recorded_record {
    int64_t wall_ns;
    const uint8_t *bytes; /* valid until the next call */
    size_t size;
};

struct recorded_token {
    int64_t wall_ns;
    uint64_t request;
    uint64_t position; /* of the request's answer, from 0 */
};

/* paths: traces. With a single one, T.db, those beside it are read, too: T.1.db, T.2.db, ... of the other nodes, and the files that
 * continue each of them, T-2.db, ... -1 with fail set: EXIT_BAD_FILE for a file that is no trace or holds no telemetry,
 * EXIT_ENVIRONMENT. */
int recorded_open(struct recorded **recorded, const char *const *paths, size_t count, struct fail *fail);
void recorded_close(struct recorded *recorded); /* takes NULL */

/* In words: "run.db", "run.db and 2 more". */
const char *recorded_name(const struct recorded *recorded);

/* The first and the last record. */
int64_t recorded_begin_ns(const struct recorded *recorded);
int64_t recorded_end_ns(const struct recorded *recorded);

/* The last of the traces' first records: from then on all nodes report. */
int64_t recorded_whole_ns(const struct recorded *recorded);

/* 1: the next record; 0: there are no more; -1 with fail set. */
int recorded_next(struct recorded *recorded, struct recorded_record *record, struct fail *fail);

/* Start again at the first record. */
int recorded_rewind(struct recorded *recorded, struct fail *fail);

/* Tokens in order of time, (count), each as the first node heard of it. */
const struct recorded_token *recorded_tokens(const struct recorded *recorded, size_t *count);

#endif
