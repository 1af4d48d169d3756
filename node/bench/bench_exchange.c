/* What an exchange costs: from handing the last tile of a gather to the port at one rank until the gather is complete at the other, and
 * usable by a worker there. Measured in turns with half a round trip of bare datagrams of the same size between two threads that poll.
 *
 * Two threads each have a port, an endpoint and a driver, as a node with one worker has; on one machine they share a clock. Both have been
 * polling without result for a while when the last tile is handed over. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "bench_ranks.h"
#include "bench_udp.h"
#include "mesh/wire.h"
#include "node/common/pool.h"
#include "node/engine/security.h"
#include "node/engine/udp_driver.h"

enum { RANKS = 2, BATCHES = 40, BATCHES_QUICK = 3, STEPS = 100 /* of a batch */, WARM_STEPS = 20, PAUSE_NS = 20000 };

static const uint64_t timeout_ns = 10000000000;

struct exchange {
    struct bench_ranks ranks;
    struct port port[RANKS];
    enum mesh_security mode;
    struct security security[RANKS];
    uint64_t step; /* first of the batch */
    _Atomic uint64_t said_ns;
    _Atomic uint32_t up, ready, failed;
    struct bench_series us[RANKS]; /* of a batch, at the rank that received */
};

static int on_owned(void *app)
{
    (void)app;
    return 0;
}

static void on_event(void *app, const struct mesh_event *event)
{
    bench_rank_note(app, event);
}

static bool on_consume(void *app, const struct port_word *word)
{
    (void)app, (void)word;
    return true;
}

static int poll_udp(void *driver, struct mesh *mesh)
{
    return mesh_udp_poll(driver, mesh);
}

static int flush_udp(void *driver, struct mesh *mesh)
{
    return mesh_udp_flush(driver, mesh);
}

static void open_port(struct exchange *x, uint16_t rank)
{
    struct bench_rank *r = &x->ranks.rank[rank];

    x->port[rank] = (struct port){.mesh = r->mesh,
                                  .driver = {.poll = poll_udp, .flush = flush_udp, .driver = r->udp},
                                  .now_ns = udp_driver_now_ns,
                                  .on_owned = on_owned,
                                  .on_event = on_event,
                                  .on_consume = on_consume,
                                  .app = r};
    port_init(&x->port[rank]);
    if (x->mode != MESH_SECURITY_NONE)
        mesh_udp_set_sealer(r->udp, &x->security[rank].sealer);
}

/* ---- one rank, a thread ---- */

/* Poll until *value is at least `least`; false when something takes too long. */
static bool poll_until(struct exchange *x, uint16_t rank, const uint64_t *value, uint64_t least)
{
    const uint64_t begin_ns = mesh_udp_now_ns();

    for (uint32_t tries = 1; *value < least; tries++) {
        port_poll(&x->port[rank]);
        if (tries % 1000 == 0 && (atomic_load(&x->failed) != 0 || mesh_udp_now_ns() - begin_ns > timeout_ns))
            return false;
    }
    return true;
}

static void poll_for(struct exchange *x, uint16_t rank, uint64_t ns)
{
    const uint64_t begin_ns = mesh_udp_now_ns();

    while (mesh_udp_now_ns() - begin_ns < ns)
        port_poll(&x->port[rank]);
}

static void post(struct exchange *x, uint16_t rank, enum port_word_type type, uint64_t step)
{
    const struct port_word word = {
        .type = type, .step = step, .token_count = 1, .block_first = x->ranks.first[rank], .block_count = x->ranks.blocks};

    port_post(&x->port[rank], &word);
}

static bool open_gather(struct exchange *x, uint16_t rank, uint64_t step)
{
    const struct mesh_gather gather = bench_ranks_gather(&x->ranks, rank, step);
    const uint64_t begin_ns = mesh_udp_now_ns();

    while (mesh_open_gather(x->ranks.rank[rank].mesh, mesh_udp_now_ns(), &gather) != MESH_OK) {
        port_poll(&x->port[rank]);
        if (mesh_udp_now_ns() - begin_ns > timeout_ns)
            return false;
    }
    return true;
}

/* The ranks take turns in being the one whose tile comes last. */
static bool run_step(struct exchange *x, uint16_t rank, uint64_t step)
{
    struct bench_rank *r = &x->ranks.rank[rank];
    const bool is_last = step % RANKS == rank;
    uint64_t now_ns;

    if (!open_gather(x, rank, step))
        return false;
    if (is_last) {
        if (!poll_until(x, rank, &r->arrived, step + 1))
            return false;
        poll_for(x, rank, PAUSE_NS);
        atomic_store(&x->said_ns, mesh_udp_now_ns());
    }
    post(x, rank, PORT_PUBLISH, step);
    if (!poll_until(x, rank, &r->completed, step + 1))
        return false;
    now_ns = mesh_udp_now_ns();
    if (!is_last && step - x->step >= WARM_STEPS)
        bench_add(&x->us[rank], (double)(now_ns - atomic_load(&x->said_ns)) / 1e3);
    post(x, rank, PORT_CONSUME, step);
    return true;
}

static void work(void *app, uint16_t rank)
{
    struct exchange *x = app;
    bool is_well;

    pool_pin(rank);
    for (uint64_t up = 0; up == 0; up = x->ranks.rank[rank].up)
        port_poll(&x->port[rank]);
    is_well = true;
    for (uint64_t i = 0; i < WARM_STEPS + STEPS && is_well; i++)
        is_well = run_step(x, rank, x->step + i);
    atomic_fetch_add(&x->failed, !is_well);
    atomic_fetch_add(&x->ready, 1);
    while (atomic_load(&x->ready) < RANKS) /* the other rank may still need what this one has sent */
        port_poll(&x->port[rank]);
}

/* ---- all of it ---- */

static int open_all(struct exchange *x, uint16_t blocks, struct fail *fail)
{
    int err = x->mode == MESH_SECURITY_NONE ? 0 : security_draw(&x->security[0], fail);

    x->security[1] = x->security[0];
    for (uint16_t r = 0; r < RANKS && err == 0 && x->mode != MESH_SECURITY_NONE; r++)
        err = security_start(&x->security[r], x->mode, 1, r, RANKS, fail);
    if (err == 0)
        err = bench_ranks_open(&x->ranks, RANKS, blocks, fail);
    for (uint16_t r = 0; r < RANKS && err == 0; r++)
        open_port(x, r);
    return err;
}

static int run_batch(struct exchange *x, double *us, struct fail *fail)
{
    struct bench_series both = {.count = 0};

    for (uint16_t r = 0; r < RANKS; r++)
        x->us[r].count = 0;
    atomic_store(&x->ready, 0);
    fail->text[0] = '\0';
    struct pool *pool = pool_start(RANKS, work, x, fail);
    atomic_fetch_add(&x->failed, fail->text[0] != '\0');
    pool_join(pool);
    if (fail->text[0] != '\0')
        return -1;
    if (atomic_load(&x->failed) != 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "bench mesh: an exchange of two ranks took more than 10 s: close other programs");
    x->step += WARM_STEPS + STEPS;
    for (uint16_t r = 0; r < RANKS; r++)
        for (size_t i = 0; i < x->us[r].count; i++)
            bench_add(&both, x->us[r].value[i]);
    *us = bench_stat_of(&both).median;
    return 0;
}

static void print(struct bench *bench, const struct exchange *x, size_t bytes, const struct bench_series *exchange,
                  const struct bench_series *one_way)
{
    char name[64];
    struct bench_row row = {.event = "exchange", .name = name};

    snprintf(name, sizeof name, "tile of %u bytes, %s", x->ranks.blocks * (unsigned)BENCH_BLOCK_BYTES, security_words[x->mode]);
    bench_label_number(&row, "bytes", (uint64_t)x->ranks.blocks * BENCH_BLOCK_BYTES);
    bench_label_number(&row, "datagram_bytes", bytes);
    bench_label_text(&row, "security", security_words[x->mode]);
    bench_value(&row, "exchange_us", "us to its use", 2, bench_stat_of(exchange));
    bench_value(&row, "one_way_us", "us one way", 2, bench_stat_of(one_way));
    bench_value(&row, "one_way_ratio", "of that", 2, bench_ratio_of(exchange, one_way));
    bench_print(bench, &row);
}

static int measure(struct bench *bench, uint16_t blocks, enum mesh_security mode, struct fail *fail)
{
    static struct exchange x;
    const size_t bytes = MESH_TILE_OVERHEAD_BYTES + (size_t)blocks * BENCH_BLOCK_BYTES;
    struct bench_series exchange = {.count = 0}, one_way = {.count = 0};
    int err;

    memset(&x, 0, sizeof x);
    x.mode = mode;
    err = open_all(&x, blocks, fail);
    for (int batch = 0; batch < (bench->quick ? BATCHES_QUICK : BATCHES) && err == 0; batch++) {
        struct bench_series round_trip_us = {.count = 0};
        double us = 0;

        err = bench_udp_round_trips(bytes, true, STEPS, &round_trip_us, fail);
        if (err == 0)
            err = run_batch(&x, &us, fail);
        bench_add(&one_way, bench_stat_of(&round_trip_us).median / 2);
        bench_add(&exchange, us);
    }
    bench_ranks_close(&x.ranks);
    for (uint16_t r = 0; r < RANKS; r++)
        security_release(&x.security[r]);
    if (err == 0)
        print(bench, &x, bytes, &exchange, &one_way);
    return err;
}

int bench_exchange(struct bench *bench, struct fail *fail)
{
    static const uint16_t sizes[] = {1, 4};

    if (bench->cores < RANKS) {
        bench_skip(bench, "exchange", "needs two processors");
        return 0;
    }
    bench_heading(bench,
                  "from a rank's last tile, handed over, to its use at the other, beside a bare datagram's way to a thread that polls");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (measure(bench, sizes[i], MESH_SECURITY_NONE, fail) < 0 ||
            (mesh_seal_is_available() && measure(bench, sizes[i], MESH_SECURITY_SEAL, fail) < 0))
            return -1;
    return 0;
}
