/* The model computed once more, for whoever has a recording: all rows on one rank, step by step as a recorded log says.
 *
 * Canonical arithmetic gives every block of every gather the same bits however many ranks have computed it, so what one rank computes
 * is what all ranks of the recorded epoch must have sent. The code is that of a serving node, from the weights to the drawn token.
 * The one header of node/ that mesh-replay includes (docs/adr/0012). One caller; hooks are called one at a time, from its threads. */
#ifndef NODE_RECOMPUTE_H
#define NODE_RECOMPUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mesh/program/fail.h"
#include "request.h"

struct recompute;

/* Once, before threads start: a model file that cannot be read any more while it is open ends the program of that name, borrowed for good,
 * with words and EXIT_BAD_FILE, in whatever thread. */
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
    const uint16_t *row_token; /* (rows) the step's tokens that these are of; NULL: all, in their order */
};

struct recompute_hooks {
    void (*on_blocks)(void *app, const struct recompute_blocks *blocks);
    void (*on_token)(void *app, uint64_t request, uint32_t index, uint32_t id, uint64_t digest);
    void *app;
};

/* What the recorded nodes were started with. */
struct recompute_setup {
    uint32_t ctx;
    uint16_t batch, slots;
    const char *kv_type; /* f16, f32, q8_0 */
};

/* A new epoch: without any request. -1: EXIT_BAD_FILE for a setup that no node has, EXIT_ENVIRONMENT. */
int recompute_begin(struct recompute *recompute, const struct recompute_setup *setup, const struct recompute_hooks *hooks,
                    struct fail *fail);

/* Who has which rows by these shares, for the candidates, whose messages depend on it, and for recompute_first. NULL: it is not known. */
int recompute_set_shares(struct recompute *recompute, const uint32_t *shares, uint16_t rank_count, struct fail *fail);

/* Where the blocks of each rank begin in a gather by those shares: first, (rank_count + 1). False: of candidates, which is not fixed. */
bool recompute_first(const struct recompute *recompute, uint16_t phase, uint16_t *first);
uint16_t recompute_phases(const struct recompute *recompute); /* of a step */

/* Is this record of the mesh's channel one of the step log? */
bool recompute_is_log(const uint8_t *record, size_t bytes);

/* A record of the recorded log, in order, whatever it is about. 1: it is a step, whose number is in *step; 0: something else;
 * -1: out of memory. */
int recompute_hear(struct recompute *recompute, const uint8_t *record, size_t bytes, uint64_t *step);

/* Compute that step, all records before it first. A request that goes on with keys and values of an earlier epoch has them computed
 * before, without a word of their blocks to the hooks. 1: the log does not have it, or not all that it needs; -1: out of
 * memory, and not all of its blocks were told. */
int recompute_step(struct recompute *recompute, uint64_t step);

/* Without a recorded log: compute this request from its prompt to its end. */
int recompute_request(struct recompute *recompute, const struct request *request, struct fail *fail);

/* Whose token a row of a gather was, and at which position of that request; after the step. False: there is no such row. */
bool recompute_whose(const struct recompute *recompute, uint16_t phase, uint16_t row, uint64_t *request, uint32_t *position);

/* What a block of a gather is the result of; after the step. */
struct recompute_place {
    uint32_t layer;
    uint32_t row_first, row_count; /* of the matrix */
    const char *phase;             /* in words */
    char matrix[200];              /* its name, or their names, in the model file */
};
void recompute_place(const struct recompute *recompute, uint16_t phase, uint16_t block, struct recompute_place *place);

/* The numbers in a block, row by row, of as many rows as its place has; 32 of them. 0: it holds candidates. */
unsigned recompute_values(const struct recompute *recompute, uint16_t phase, const uint8_t *block, float values[32]);

/* The sum of squares that goes with them; it is of the values before they were rounded. False: there is none. */
bool recompute_square_sum(const struct recompute *recompute, uint16_t phase, const uint8_t *block, float *sum);

#endif
