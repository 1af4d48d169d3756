#include "bench_ranks.h"

#include <assert.h>
#include <stdlib.h>

size_t bench_ranks_row_bytes(const struct bench_ranks *ranks)
{
    return (size_t)ranks->count * ranks->blocks * BENCH_BLOCK_BYTES;
}

static int open_rank(struct bench_ranks *ranks, uint16_t rank, struct fail *fail)
{
    struct bench_rank *r = &ranks->rank[rank];
    struct mesh_addr local;
    char reason[160];
    int err = mesh_addr_parse("127.0.0.1:0", &local, reason, sizeof reason);

    assert(err == MESH_OK);
    if (mesh_udp_open(&r->udp, local, NULL) != MESH_OK)
        return fail_set(fail, EXIT_ENVIRONMENT, "127.0.0.1: cannot open a UDP socket: is the loopback interface up?");
    struct mesh_config config = {
        .rank = rank,
        .rank_count = ranks->count,
        .epoch = 1,
        .phase_count = 1,
        .tokens_max = 1,
        .blocks_max = (uint16_t)(ranks->count * ranks->blocks),
        .incarnation = {(uint8_t)(rank + 1)},
        .datagram_bytes_max = mesh_udp_datagram_bytes_max(r->udp),
        .receive_buffer_bytes = mesh_udp_receive_buffer_bytes(r->udp),
    };
    const size_t bytes = (mesh_memory_bytes(&config) + 63) / 64 * 64;

    r->memory = aligned_alloc(64, bytes);
    r->data = calloc(BENCH_RANK_BUFFERS, bench_ranks_row_bytes(ranks));
    if (r->memory == NULL || r->data == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    err = mesh_init(&r->mesh, &config, r->memory, bytes, mesh_udp_now_ns());
    assert(err == MESH_OK);
    return 0;
}

static void introduce(struct bench_ranks *ranks)
{
    for (uint16_t from = 0; from < ranks->count; from++) {
        for (uint16_t to = 0; to < ranks->count; to++) {
            if (from == to)
                continue;
            const struct mesh_addr addr = mesh_udp_local(ranks->rank[to].udp);

            mesh_set_path(ranks->rank[from].mesh, to, mesh_udp_path_bytes(addr));
            mesh_set_peer(ranks->rank[from].mesh, to, addr);
            mesh_udp_set_peer(ranks->rank[from].udp, to, addr);
        }
    }
}

int bench_ranks_open(struct bench_ranks *ranks, uint16_t count, uint16_t blocks, struct fail *fail)
{
    assert(count <= BENCH_RANKS_MAX);
    *ranks = (struct bench_ranks){.count = count, .blocks = blocks};
    for (uint16_t r = 0; r <= count; r++)
        ranks->first[r] = (uint16_t)(r * blocks);
    for (uint16_t r = 0; r < count; r++)
        if (open_rank(ranks, r, fail) < 0)
            return -1;
    introduce(ranks);
    return 0;
}

void bench_ranks_close(struct bench_ranks *ranks)
{
    for (uint16_t r = 0; r < ranks->count; r++) {
        mesh_udp_close(ranks->rank[r].udp);
        free(ranks->rank[r].memory);
        free(ranks->rank[r].data);
    }
}

struct mesh_gather bench_ranks_gather(const struct bench_ranks *ranks, uint16_t rank, uint64_t step)
{
    const size_t row_bytes = bench_ranks_row_bytes(ranks);

    return (struct mesh_gather){
        .step = step,
        .token_count = 1,
        .block_count = (uint16_t)(ranks->count * ranks->blocks),
        .block_bytes = BENCH_BLOCK_BYTES,
        .last_block_bytes = BENCH_BLOCK_BYTES,
        .data = ranks->rank[rank].data + step % BENCH_RANK_BUFFERS * row_bytes,
        .token_stride = row_bytes,
        .first = ranks->first,
        .readers = (UINT64_C(1) << ranks->count) - 1,
    };
}

void bench_rank_note(struct bench_rank *rank, const struct mesh_event *event)
{
    rank->up += event->type == MESH_EVENT_UP;
    if (event->type == MESH_EVENT_ARRIVED)
        rank->arrived = event->step + 1;
    if (event->type == MESH_EVENT_COMPLETE)
        rank->completed = event->step + 1;
}
