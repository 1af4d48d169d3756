/* An all-gather through the protocol core and its UDP driver, nothing else: every rank has some bytes, and every rank gets all of them.
 *
 * It does what MPI_Allgather does, so that the two can be compared (tests/tools/bench-mpi). Ranks are threads; each polls and yields, as
 * workers do within a token. A rank begins a round when it has completed the one before, as in an MPI loop. */
#include <assert.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "bench_ranks.h"
#include "node/common/pool.h"

enum {
    ROUNDS = 3000,
    ROUNDS_QUICK = 100,
    BATCHES = 30, /* of rounds; a figure is the mean of a batch */
    WARM_BATCHES = 3,
    BYTES_MAX = 2048, /* of a rank */
    SPINS_MAX = 200   /* polls before a rank yields, which it does at once when there are more ranks than cores */
};

static const uint64_t timeout_ns = 10000000000;

struct gather {
    struct bench_ranks ranks;
    bool has_cores; /* one for each rank */
    uint32_t rounds, spins;
    _Atomic uint32_t done;
    _Atomic uint64_t failed;
    struct bench_series round_us, datagrams, system_calls;
};

static void poll_once(struct bench_rank *r)
{
    struct mesh_event event;

    mesh_udp_poll(r->udp, r->mesh);
    while (mesh_next_event(r->mesh, &event))
        bench_rank_note(r, &event);
}

/* False when it takes too long. */
static bool poll_until(struct gather *g, struct bench_rank *r, bool (*holds)(const struct gather *g, const struct bench_rank *r))
{
    const uint64_t begin_ns = mesh_udp_now_ns();

    for (uint32_t spins = 1; !holds(g, r); spins++) {
        poll_once(r);
        if (spins % g->spins != 0)
            continue;
        if (atomic_load(&g->failed) != 0 || mesh_udp_now_ns() - begin_ns > timeout_ns)
            return false;
        sched_yield();
    }
    return true;
}

static bool all_are_up(const struct gather *g, const struct bench_rank *r)
{
    return r->up + 1 == g->ranks.count;
}

static bool has_round(const struct gather *g, const struct bench_rank *r)
{
    (void)g;
    return r->completed > r->step;
}

static bool all_are_done(const struct gather *g, const struct bench_rank *r)
{
    (void)r;
    return atomic_load(&g->done) == g->ranks.count;
}

static bool run_round(struct gather *g, uint16_t rank, uint64_t step)
{
    struct bench_rank *r = &g->ranks.rank[rank];
    const struct mesh_gather gather = bench_ranks_gather(&g->ranks, rank, step);
    const size_t own_bytes = (size_t)g->ranks.blocks * BENCH_BLOCK_BYTES, row_bytes = bench_ranks_row_bytes(&g->ranks);
    const uint64_t begin_ns = mesh_udp_now_ns();

    r->step = step;
    while (mesh_open_gather(r->mesh, mesh_udp_now_ns(), &gather) != MESH_OK) {
        poll_once(r);
        if (mesh_udp_now_ns() - begin_ns > timeout_ns)
            return false;
    }
    memset(gather.data + rank * own_bytes, (int)(step & 0x7f), own_bytes);
    while (mesh_publish(r->mesh, mesh_udp_now_ns(), step, 0, 0, 1, gather.first[rank], g->ranks.blocks) != MESH_OK)
        poll_once(r);
    mesh_udp_flush(r->udp, r->mesh);
    if (!poll_until(g, r, has_round))
        return false;
    for (size_t i = 0; i < row_bytes; i += BENCH_BLOCK_BYTES)
        assert(gather.data[i] == (step & 0x7f));
    mesh_consume(r->mesh, mesh_udp_now_ns(), step, 0);
    return true;
}

static void note_batch(struct gather *g, const struct mesh_udp_stats *before, uint64_t spent_ns, uint32_t rounds)
{
    struct mesh_udp_stats after;

    mesh_udp_get_stats(g->ranks.rank[0].udp, &after);
    bench_add(&g->round_us, (double)spent_ns / 1e3 / rounds);
    bench_add(&g->datagrams, (double)(after.datagrams_sent - before->datagrams_sent) / rounds);
    bench_add(&g->system_calls, (double)(after.system_calls - before->system_calls) / rounds);
}

static void work(void *app, uint16_t rank)
{
    struct gather *g = app;
    struct bench_rank *r = &g->ranks.rank[rank];
    const uint32_t rounds = g->rounds / BATCHES;
    uint64_t step = 0;
    bool is_well;

    if (g->has_cores)
        pool_pin(rank);
    is_well = poll_until(g, r, all_are_up);

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
    poll_until(g, r, all_are_done); /* other ranks may still need what this one has sent */
}

static int measure(struct bench *bench, uint16_t ranks, uint32_t bytes, struct fail *fail)
{
    static struct gather g;
    char name[64];
    struct bench_row row = {.event = "all_gather", .name = name};
    int err;

    g = (struct gather){.has_cores = ranks <= bench->cores, .rounds = bench->quick ? ROUNDS_QUICK : ROUNDS};
    g.spins = g.has_cores ? SPINS_MAX : 1;
    err = bench_ranks_open(&g.ranks, ranks, (uint16_t)(bytes / BENCH_BLOCK_BYTES), fail);
    if (err == 0) {
        struct pool *pool = pool_start(ranks, work, &g, fail);

        atomic_fetch_add(&g.failed, fail->text[0] != '\0');
        pool_join(pool);
    }
    bench_ranks_close(&g.ranks);
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
    static const uint16_t rank_counts[] = {2, BENCH_RANKS_MAX};
    static const uint32_t sizes[] = {512, BYTES_MAX};

    bench_heading(bench, "all-gather over loopback: everybody gets everybody's bytes (rank 0 sends and calls so much per round)");
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < 2; j++)
            if (measure(bench, rank_counts[i], sizes[j], fail) < 0)
                return -1;
    return 0;
}
