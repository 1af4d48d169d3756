/* The gathers of a played rank: what it publishes, as recorded, what arrives from the real node, and what should arrive by its tape.
 *
 * A gather stays until it is freed both in the endpoint and in the tape, in either order; its blocks are compared as soon as both have
 * them. One thread at a time. */
#ifndef REPLAY_PLAYED_GATHER_H
#define REPLAY_PLAYED_GATHER_H

#include "compute_tiles.h"

struct played_gather {
    struct played_gather *next;
    uint64_t step;
    uint16_t phase, token_count, block_count;
    uint16_t first[MESH_RANKS_MAX + 1];
    uint32_t block_bytes, last_block_bytes;
    size_t stride; /* bytes of a token's blocks */
    bool is_read, is_complete, is_consumed;
    bool is_freed, is_over; /* freed in the endpoint; in the tape */
    uint8_t *data;          /* (token_count, stride) the endpoint's */
    uint8_t *recorded;      /* (token_count, stride) what the real rank sent in the recording */
    uint8_t *marks;         /* (token_count, block_count) what is known of each block */
};

struct played_gathers {
    uint16_t rank, node, rank_count; /* own; the real one's */
    struct played_gather *gathers;   /* the latest first */
    struct compute_tile *early;      /* recorded tiles of gathers that are not open yet */
    bool has_opened;
    uint64_t opened_step; /* the latest */
    uint16_t opened_phase;
    uint64_t compared, different; /* blocks of tokens from the real node */
    uint64_t missing;             /* recorded, but not arrived */
    uint64_t unknown;             /* arrived, but the recording has no data of them */
    struct compute_difference first_difference, first_missing;
};

/* Take a recorded call that opens a gather. NULL with *reason why it cannot be one, or with *reason NULL: no memory. */
struct played_gather *played_gather_open(struct played_gathers *gathers, const struct mesh_tape_entry *entry, const char **reason);
struct played_gather *played_gather_find(const struct played_gathers *gathers, uint64_t step, uint16_t phase);

/* The endpoint has opened it. */
void played_gather_opened(struct played_gathers *gathers, struct played_gather *gather);

/* May these blocks be published? NULL: yes, and their recorded data is in place; or why not. */
const char *played_gather_fill(const struct played_gathers *gathers, struct played_gather *gather, const struct mesh_tape_entry *entry);

/* They have been published, which cannot happen twice. */
void played_gather_published(struct played_gather *gather, const struct mesh_tape_publish *range);

/* Blocks of the real node have arrived in a gather's data. */
void played_gather_arrived(struct played_gathers *gathers, struct played_gather *gather, const struct mesh_event *event);

/* A recorded datagram: if it is a tile of the real node, remember it. */
void played_gather_recorded(struct played_gathers *gathers, const struct mesh_tape_entry *entry);

/* Free the gathers that are freed and over; all: the others, too. What is missing then is counted. */
void played_gather_release(struct played_gathers *gathers, bool all);

/* Is the place of a before that of b? */
bool played_is_before(const struct compute_difference *a, const struct compute_difference *b);

#endif
