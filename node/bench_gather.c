/* An all-gather through the protocol core and its UDP driver, nothing else: every rank has some bytes, and all have everybody's.
 *
 * What MPI_Allgather does, so that the exchange can be set beside another one (tests/tools/bench-mpi). Ranks are threads; each polls, and
 * gives way, as workers do within a token. A round begins when a rank has the round before, as in a loop of MPI. */
#include <assert.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "mesh/udp.h"
#include "pool.h"

enum {
    RANKS_MAX = 4,
    ROUNDS = 3000,
    ROUNDS_QUICK = 100,
    BATCHES = 30, /* of rounds; a figure is the mean of a batch */
    WARM_BATCHES = 3,
    BLOCK_BYTES = 512,
    BYTES_MAX = 2048, /* of a rank */
    BUFFERS = MESH_GATHERS_OPEN_MAX,
    SPINS_MAX = 200 /* polls before a rank gives way, which it does at once where there are more ranks than cores */
};

static const uint64_t patience_ns = 10000000000;

struct gather_rank {
    struct mesh_udp *udp;
    struct mesh *mesh;
    void *memory;
    uint8_t *data; /* (BUFFERS, ranks, bytes) */
    uint64_t completed, last_step;
    uint32_t up; /* peers */
};

struct gather {
    uint16_t ranks, blocks; /* blocks of each rank */
    uint32_t rounds, spins;
    struct gather_rank rank[RANKS_MAX];
    uint16_t first[RANKS_MAX + 1];
    _Atomic uint32_t done;
    _Atomic uint64_t failed;
    struct bench_series round_us, datagrams, system_calls;
};

static size_t row_bytes(const struct gather *g)
{
    return (size_t)g->ranks * g->blocks * BLOCK_BYTES;
}

static int open_rank(struct gather *g, uint16_t rank, struct fail *fail)
{
    struct gather_rank *r = &g->rank[rank];
    struct mesh_addr local;
    char reason[160];
    int err = mesh_addr_parse("127.0.0.1:0", &local, reason, sizeof reason);

    assert(err == MESH_OK);
    if (mesh_udp_open(&r->udp, local, NULL) != MESH_OK)
        return fail_set(fail, EXIT_ENVIRONMENT, "127.0.0.1: cannot open a UDP socket: is the loopback interface up?");
    struct mesh_config config = {
        .rank = rank,
        .rank_count = g->ranks,
        .epoch = 1,
        .phase_count = 1,
        .tokens_max = 1,
        .blocks_max = (uint16_t)(g->ranks * g->blocks),
        .incarnation = {(uint8_t)(rank + 1)},
        .datagram_bytes_max = mesh_udp_datagram_bytes_max(r->udp),
        .receive_buffer_bytes = mesh_udp_receive_buffer_bytes(r->udp),
    };
    const size_t bytes = (mesh_memory_bytes(&config) + 63) / 64 * 64;

    r->memory = aligned_alloc(64, bytes);
    r->data = calloc(BUFFERS, row_bytes(g));
    if (r->memory == NULL || r->data == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    err = mesh_init(&r->mesh, &config, r->memory, bytes, mesh_udp_now_ns());
    assert(err == MESH_OK);
    return 0;
}

static void introduce(struct gather *g)
{
    for (uint16_t from = 0; from < g->ranks; from++) {
        for (uint16_t to = 0; to < g->ranks; to++) {
            if (from == to)
                continue;
            const struct mesh_addr addr = mesh_udp_local(g->rank[to].udp);

            mesh_set_path(g->rank[from].mesh, to, mesh_udp_path_bytes(addr));
            mesh_set_peer(g->rank[from].mesh, to, addr);
            mesh_udp_set_peer(g->rank[from].udp, to, addr);
        }
    }
}

static void close_ranks(struct gather *g)
{
    for (uint16_t rank = 0; rank < g->ranks; rank++) {
        mesh_udp_close(g->rank[rank].udp);
        free(g->rank[rank].memory);
        free(g->rank[rank].data);
    }
}

static void poll_once(struct gather_rank *r)
{
    struct mesh_event event;

    mesh_udp_poll(r->udp, r->mesh);
    while (mesh_next_event(r->mesh, &event)) {
        r->up += event.type == MESH_EVENT_UP;
        if (event.type == MESH_EVENT_COMPLETE)
            r->completed = event.step + 1;
    }
}

/* False when it takes too long. */
static bool poll_until(struct gather *g, struct gather_rank *r, bool (*holds)(const struct gather *g, const struct gather_rank *r))
{
    const uint64_t begin_ns = mesh_udp_now_ns();

    for (uint32_t spins = 1; !holds(g, r); spins++) {
        poll_once(r);
        if (spins % g->spins != 0)
            continue;
        if (atomic_load(&g->failed) != 0 || mesh_udp_now_ns() - begin_ns > patience_ns)
            return false;
        sched_yield();
    }
    return true;
}

static bool all_are_up(const struct gather *g, const struct gather_rank *r)
{
    return r->up + 1 == g->ranks;
}

static bool has_round(const struct gather *g, const struct gather_rank *r)
{
    (void)g;
    return r->completed > r->last_step;
}

static bool all_are_done(const struct gather *g, const struct gather_rank *r)
{
    (void)r;
    return atomic_load(&g->done) == g->ranks;
}

static bool run_round(struct gather *g, uint16_t rank, uint64_t step)
{
    struct gather_rank *r = &g->rank[rank];
    const struct mesh_gather gather = {
        .step = step,
        .token_count = 1,
        .block_count = (uint16_t)(g->ranks * g->blocks),
        .block_bytes = BLOCK_BYTES,
        .last_block_bytes = BLOCK_BYTES,
        .data = r->data + step % BUFFERS * row_bytes(g),
        .token_stride = row_bytes(g),
        .first = g->first,
        .readers = (UINT64_C(1) << g->ranks) - 1,
    };
    const uint64_t begin_ns = mesh_udp_now_ns();

    r->last_step = step;
    while (mesh_open_gather(r->mesh, mesh_udp_now_ns(), &gather) != MESH_OK) {
        poll_once(r);
        if (mesh_udp_now_ns() - begin_ns > patience_ns)
            return false;
    }
    memset(gather.data + (size_t)rank * g->blocks * BLOCK_BYTES, (int)(step & 0x7f), (size_t)g->blocks * BLOCK_BYTES);
    while (mesh_publish(r->mesh, mesh_udp_now_ns(), step, 0, 0, 1, g->first[rank], g->blocks) != MESH_OK)
        poll_once(r);
    mesh_udp_flush(r->udp, r->mesh);
    if (!poll_until(g, r, has_round))
        return false;
    for (size_t i = 0; i < row_bytes(g); i += BLOCK_BYTES)
        assert(gather.data[i] == (step & 0x7f));
    mesh_consume(r->mesh, mesh_udp_now_ns(), step, 0);
    return true;
}

static void note_batch(struct gather *g, const struct mesh_udp_stats *before, uint64_t spent_ns, uint32_t rounds)
{
    struct mesh_udp_stats after;

    mesh_udp_get_stats(g->rank[0].udp, &after);
    bench_add(&g->round_us, (double)spent_ns / 1e3 / rounds);
    bench_add(&g->datagrams, (double)(after.datagrams_sent - before->datagrams_sent) / rounds);
    bench_add(&g->system_calls, (double)(after.system_calls - before->system_calls) / rounds);
}

static void work(void *app, uint16_t rank)
{
    struct gather *g = app;
    struct gather_rank *r = &g->rank[rank];
    const uint32_t rounds = g->rounds / BATCHES;
    uint64_t step = 0;
    bool is_well = poll_until(g, r, all_are_up);

    for (uint32_t batch = 0; batch < WARM_BATCHES + BATCHES && is_well; batch++) {
        struct mesh_udp_stats before;
        uint64_t begin_ns = mesh_udp_now_ns();

        mesh_udp_get_stats(r->udp, &before);
        for (uint32_t i = 0; i < rounds && is_well; i++)
            is_well = run_round(g, rank, step++);
        if (rank == 0 && is_well && batch >= WARM_BATCHES)
            note_batch(g, &before, mesh_udp_now_ns() - begin_ns, rounds);
    }
    atomic_fetch_add(&g->failed, !is_well);
    atomic_fetch_add(&g->done, 1);
    poll_until(g, r, all_are_done); /* others may still need what this one has sent */
}

static int measure(struct bench *bench, uint16_t ranks, uint32_t bytes, struct fail *fail)
{
    static struct gather g;
    char name[64];
    struct bench_row row = {.event = "all_gather", .name = name};
    int err = 0;

    g = (struct gather){.ranks = ranks, .blocks = (uint16_t)(bytes / BLOCK_BYTES), .rounds = bench->quick ? ROUNDS_QUICK : ROUNDS};
    g.spins = ranks > bench->cores ? 1 : SPINS_MAX;
    for (uint16_t r = 0; r <= ranks; r++)
        g.first[r] = (uint16_t)(r * g.blocks);
    for (uint16_t r = 0; r < ranks && err == 0; r++)
        err = open_rank(&g, r, fail);
    if (err == 0) {
        introduce(&g);
        struct pool *pool = pool_start(ranks, work, &g, fail);

        atomic_fetch_add(&g.failed, fail->text[0] != '\0');
        pool_join(pool);
    }
    close_ranks(&g);
    if (err < 0 || fail->text[0] != '\0')
        return -1;
    if (atomic_load(&g.failed) != 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "bench mesh: an all-gather of %u ranks took more than 10 s: close other programs", ranks);
    snprintf(name, sizeof name, "%u ranks, %u bytes each", ranks, bytes);
    bench_label_number(&row, "ranks", ranks);
    bench_label_number(&row, "bytes", bytes);
    bench_value(&row, "round_us", "us", 1, bench_stat_of(&g.round_us));
    bench_value(&row, "datagrams_sent_per_round", "datagrams", 2, bench_stat_of(&g.datagrams));
    bench_value(&row, "system_calls_per_round", "system calls", 1, bench_stat_of(&g.system_calls));
    bench_print(bench, &row);
    return 0;
}

int bench_gather(struct bench *bench, struct fail *fail)
{
    static const uint16_t rank_counts[] = {2, RANKS_MAX};
    static const uint32_t sizes[] = {512, BYTES_MAX};

    bench_heading(bench, "all-gather over loopback: everybody gets everybody's bytes (rank 0 sends and calls so much per round)");
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < 2; j++)
            if (measure(bench, rank_counts[i], sizes[j], fail) < 0)
                return -1;
    return 0;
}
