/* Endpoints of the protocol core with their UDP drivers, over loopback, for benchmarks of the exchange alone: one phase per step, in which
 * every rank has the same number of blocks. One thread per rank. */
#ifndef NODE_BENCH_RANKS_H
#define NODE_BENCH_RANKS_H

#include "mesh/program/fail.h"
#include "mesh/udp.h"

enum { BENCH_RANKS_MAX = 4, BENCH_BLOCK_BYTES = 512, BENCH_RANK_BUFFERS = MESH_GATHERS_OPEN_MAX };

struct bench_rank {
    struct mesh_udp *udp;
    struct mesh *mesh;
    void *memory;
    uint8_t *data;               /* (BENCH_RANK_BUFFERS, ranks, bytes of a rank) */
    uint64_t step;               /* under way; set by the user */
    uint64_t arrived, completed; /* steps of which something has arrived, and that are complete; set by bench_rank_note */
    uint32_t up;                 /* peers */
};

struct bench_ranks {
    uint16_t count, blocks; /* blocks of each */
    uint16_t first[BENCH_RANKS_MAX + 1];
    struct bench_rank rank[BENCH_RANKS_MAX];
};

/* bench_ranks_close, also after a failure. */
int bench_ranks_open(struct bench_ranks *ranks, uint16_t count, uint16_t blocks, struct fail *fail);
void bench_ranks_close(struct bench_ranks *ranks);

size_t bench_ranks_row_bytes(const struct bench_ranks *ranks);
struct mesh_gather bench_ranks_gather(const struct bench_ranks *ranks, uint16_t rank, uint64_t step);

/* Update arrived, completed and up from an event. */
void bench_rank_note(struct bench_rank *rank, const struct mesh_event *event);

#endif
