/* The endpoints in traces, grouped by epoch of one cluster: those with the same configuration and the same step log. */
#ifndef REPLAY_COMPUTE_TAPES_H
#define REPLAY_COMPUTE_TAPES_H

#include "tape_reader.h"

enum { COMPUTE_RANKS_MAX = 64 };

/* One endpoint: the log that it published or received. */
struct compute_tape {
    size_t path;                   /* among the paths */
    struct mesh_trace_chunk chunk; /* with which it begins; without its records */
    struct mesh_tape_init init;
    uint64_t log_at_ns; /* when it began */
    uint8_t *log;       /* records, each after its length of 4 bytes */
    size_t log_bytes, log_capacity;
    uint64_t missing, log_lost; /* calls after its end; records of the log that are stored only as hashes */
    uint32_t share[COMPUTE_RANKS_MAX];
    bool has_shares, is_taken; /* taken: it is in a group */
    bool has_goodbye;          /* it was recorded to its end */
};

struct compute_tapes {
    const char *const *paths;
    size_t path_count;
    struct compute_tape *tapes; /* (count) in the order of the files */
    size_t count, capacity;
};

/* Find the endpoints in all traces. -1 after fail_set. Release it either way. */
int compute_tapes_find(struct compute_tapes *tapes, const char *const *paths, size_t path_count, struct fail *fail);
void compute_tapes_release(struct compute_tapes *tapes);

/* The next group: up to COMPUTE_RANKS_MAX indices of its tapes, the one with the longest log first; 0: all are taken. */
size_t compute_tapes_next_group(struct compute_tapes *tapes, size_t group[COMPUTE_RANKS_MAX]);

#endif
