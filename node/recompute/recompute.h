/* Recomputing the model from a recording: all rows on one rank, step by step by the recorded log.
 *
 * Canonical arithmetic gives every block of every gather the same bits however many ranks have computed it, so what one rank computes is
 * what all ranks of the recorded epoch must have sent. The code is that of a serving node, from the weights to the drawn token.
 * The one header of node/ that mesh-replay includes (docs/adr/0012). One caller; hooks are called one at a time, from its threads. */
#ifndef NODE_RECOMPUTE_H
#define NODE_RECOMPUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mesh/program/fail.h"
#include "node/engine/request.h"

struct recompute;

/* Once, before threads start: a model file that becomes unreadable while it is open ends the program of that name (borrowed until exit)
 * with a message and EXIT_BAD_FILE, in any thread. */
void recompute_guard(const char *program);

/* threads 0: as many as there are cores. NULL with fail set. */
struct recompute *recompute_open(const char *model_path, uint32_t threads, struct fail *fail);
void recompute_close(struct recompute *recompute); /* NULL is fine */
void recompute_fingerprint(const struct recompute *recompute, uint8_t out[32]);

/* Some blocks of a gather of the step that is being computed. The last phase holds the candidates of all ranks of the row map. */
struct recompute_blocks {
    uint16_t phase, token_first, token_count, block_first, block_count;
    uint16_t blocks; /* of a token in the whole gather */
    uint32_t block_bytes, last_block_bytes;
    const uint8_t *data; /* as on the wire, of the first block of the first token; tokens are token_stride apart */
    size_t token_stride;
    uint16_t rows;             /* of the whole gather */
    const uint16_t *row_token; /* (rows) the step's token of each row; NULL: all, in their order */
};

struct recompute_hooks {
    void (*on_blocks)(void *app, const struct recompute_blocks *blocks);
    void (*on_token)(void *app, uint64_t request, uint32_t index, uint32_t id, uint64_t digest);
    void *app;
};

/* The options with which the recorded nodes were started. */
struct recompute_setup {
    uint32_t ctx;
    uint16_t batch, slots;
    const char *kv_type; /* f16, f32, q8_0 */
};

/* Begin a new epoch, without any request. -1: EXIT_BAD_FILE for a setup that no node has, EXIT_ENVIRONMENT. */
int recompute_begin(struct recompute *recompute, const struct recompute_setup *setup, const struct recompute_hooks *hooks,
                    struct fail *fail);

/* The shares by which rows are dealt, for the candidates, whose messages depend on them, and for recompute_first. NULL: not known. */
int recompute_set_shares(struct recompute *recompute, const uint32_t *shares, uint16_t rank_count, struct fail *fail);

/* Where the blocks of each rank begin in a gather by those shares: first, (rank_count + 1). False: the candidate gather, which has no fixed
 * layout. */
bool recompute_first(const struct recompute *recompute, uint16_t phase, uint16_t *first);
uint16_t recompute_phases(const struct recompute *recompute); /* of a step */

/* Is this record of the mesh's channel part of the step log? */
bool recompute_is_log(const uint8_t *record, size_t bytes);

/* Take a record of the recorded log, in order, of any kind. 1: it is a step, whose number is in *step; 0: something else; -1: out of
 * memory. */
int recompute_hear(struct recompute *recompute, const uint8_t *record, size_t bytes, uint64_t *step);

/* Compute that step, taking all records before it first. Keys and values that a request keeps from an earlier epoch are computed before,
 * and their blocks are not passed to the hooks. 1: the log does not have the step, or not all that it needs; -1: out of memory, and not all
 * of its blocks were passed on. */
int recompute_step(struct recompute *recompute, uint64_t step);

/* Without a recorded log: compute this request from its prompt to its end. */
int recompute_request(struct recompute *recompute, const struct request *request, struct fail *fail);

/* The request and position of the token of a row of a gather; after the step. False: no such row. */
bool recompute_whose(const struct recompute *recompute, uint16_t phase, uint16_t row, uint64_t *request, uint32_t *position);

/* What a block of a gather contains; after the step. */
struct recompute_place {
    uint32_t layer;
    uint32_t row_first, row_count; /* of the matrix */
    const char *phase;             /* in words */
    char matrix[200];              /* its name, or their names, in the model file */
};
void recompute_place(const struct recompute *recompute, uint16_t phase, uint16_t block, struct recompute_place *place);

/* The 32 numbers in a block, row by row, of which those of its place's rows count. Returns 32, or 0: it holds candidates. */
unsigned recompute_values(const struct recompute *recompute, uint16_t phase, const uint8_t *block, float values[32]);

/* The sum of squares in a block; it is that of the values before rounding. False: it has none. */
bool recompute_square_sum(const struct recompute *recompute, uint16_t phase, const uint8_t *block, float *sum);

#endif
