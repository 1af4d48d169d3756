/* Two traces side by side: where content and order diverge, and how timings differ. */
#ifndef REPLAY_DIFF_H
#define REPLAY_DIFF_H

#include "command.h"
#include "mesh/program/json.h"

enum { DIFF_METRICS = 3 };

/* For a row of datagrams, without decoding its message. */
#define DIFF_IS_TILE "form = 3 AND type = 4"

/* Whether two sets of values can be compared: plain ids and data can; hashes with keys of their own cannot. */
enum diff_verdict { DIFF_NOTHING, DIFF_SAME, DIFF_DIFFERENT, DIFF_UNKNOWN };

struct diff_tokens {
    enum diff_verdict verdict;
    uint64_t aligned, different, only[2]; /* only: absent from the other trace */
    bool has_first;
    int64_t request, position, first[2]; /* where they diverge: ordinal of the request from 1; tokens. MESH_TRACE_NULL: none */
};

struct diff_tiles {
    enum diff_verdict verdict;
    uint64_t aligned, different, only[2], moved; /* moved: arrived at another place within its gather */
    uint64_t candidates;                         /* of the same place, but not compared, as the shares differ */
    uint64_t left_out;                           /* likewise, as a recorder had to leave out their data */
    bool has_first, has_move;
    bool are_steps_shared;                            /* by several requests, in two runs: differences mean nothing */
    int64_t epoch[2], step, phase, token, block, src; /* the first difference */
    int64_t move_epoch, move_step, move_phase;
};

struct diff_sample {
    uint64_t count;
    int64_t p50_ns, p90_ns, p99_ns, max_ns;
    double p50_error_ns, p99_error_ns; /* standard errors, from the spread among ten parts of the trace */
};

enum diff_change { DIFF_UNCHANGED, DIFF_FASTER, DIFF_SLOWER, DIFF_TOO_FEW };

struct diff_timing {
    const char *name, *what; /* JSON key and words */
    struct diff_sample samples[2];
    enum diff_change change;
    bool p50_is_slower, p99_is_slower; /* each beyond noise */
    double p50_percent, p99_percent;   /* B against A */
};

struct diff {
    const char *paths[2];
    struct mesh_trace *traces[2];
    struct diff_tokens tokens;
    struct diff_tiles tiles;
    struct diff_timing timings[DIFF_METRICS];
};

/* Fill in the part of that name. 0, or -1 after fail_set. */
int diff_tokens(struct diff *diff, struct fail *fail);
int diff_tiles(struct diff *diff, struct fail *fail);
int diff_timings(struct diff *diff, struct fail *fail);

/* Whether the rows are divided in one way within each trace, and in the same way in both, as far as that is known. */
int diff_shares(struct diff *diff, bool *are_same, struct fail *fail);

/* How epochs with tiles are matched: by their numbers if both traces are of one mesh, as far as that is known; else, in two runs, by their
 * order, since numbers depend on the order in which nodes came. */
int diff_epochs(struct diff *diff, bool *are_counted, struct fail *fail);

/* Whether both are of one mesh: they have an epoch of the same id, or the node of one has heard that of the other. */
int diff_is_one_mesh(struct diff *diff, bool *is_one_mesh, struct fail *fail);

/* Slower than noise explains, and by more than is allowed. */
bool diff_is_too_slow(const struct diff *diff, float percent);

/* The rows of one query on both traces, ordered by their first columns, side by side. */
enum { DIFF_COLUMNS_MAX = 16 };
struct diff_walk {
    struct diff *diff;
    unsigned key_count;
    struct mesh_trace_query *queries[2];
    struct mesh_trace_value values[2][DIFF_COLUMNS_MAX]; /* of integers; NULL counts as 0 */
    bool has[2];
};

int diff_walk_begin(struct diff_walk *walk, struct diff *diff, const char *sql, unsigned key_count, struct fail *fail);

/* 0: the present rows have the same key; below 0: only A has this key, above: only B. False from diff_walk_has: both are at their end. */
bool diff_walk_has(const struct diff_walk *walk);
int diff_walk_compare(const struct diff_walk *walk);

/* Advance past the rows that compare named: A's, B's or both. */
int diff_walk_next(struct diff_walk *walk, int order, struct fail *fail);
void diff_walk_end(struct diff_walk *walk);

/* Whether ids, or data, are plain in both traces: by that key of meta. */
bool diff_is_plain(const struct diff *diff, const char *meta_key);

/* The meaning of differences when keys may differ: if no values are equal, nothing can be said. */
enum diff_verdict diff_judge(struct diff *diff, const char *meta_key, uint64_t aligned, uint64_t different);

void diff_write_text(const struct diff *diff, FILE *out);
void diff_write_json(const struct diff *diff, FILE *out);

#endif
