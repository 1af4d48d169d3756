/* How finely a phase's output is sent: by a model at first, then by what is measured as the node works. */
#include <math.h>

#include "engine_layout.h"

enum {
    DATAGRAM_COST_NS = 4000, /* sent and received */
    LATENCY_NS = 60000,      /* until a round trip is measured: a gigabit switch, and some scheduling */
    SCHEDULING_NS = 20000,   /* added to half a round trip */
    LATENCY_NS_MAX = 10000000,
    BYTES_PER_US = 20000, /* until speed is measured: one thread's read speed */
    BYTES_PER_US_MIN = 10,
    BYTES_PER_US_MAX = 200000,
    SEND_RUNS_MAX = 8,
    STEPS_BETWEEN = 64,
    SHARED_PART = 4
};

uint32_t engine_send_runs(uint64_t compute_ns, uint64_t latency_ns, uint16_t rank_count)
{
    double c = (double)compute_ns, n = rank_count, least = INFINITY;
    uint32_t best = 1;

    for (uint32_t k = 1; k <= SEND_RUNS_MAX; k++) {
        double wait = (double)latency_ns - c * (1 / n + (1 - 1 / n) * (1 - 1.0 / k));
        double cost = k * DATAGRAM_COST_NS * (n - 1) + (wait > 0 ? wait : 0);

        if (cost < least) {
            least = cost;
            best = k;
        }
    }
    return best;
}

/* Blocks of a phase's output on this node. */
static uint32_t blocks_of(const struct engine *e, uint16_t phase)
{
    const uint16_t *first = e->phase[phase].form.first;

    return (uint32_t)(first[e->config.rank + 1] - first[e->config.rank]);
}

static void set_runs(struct engine *e, uint64_t latency_ns, uint64_t bytes_per_us)
{
    const uint32_t workers = e->config.worker_count;

    for (uint16_t p = 0; p + 1 < e->phase_count; p++) {
        const uint64_t compute_ns = e->phase[p + 1].matrix->bytes * 1000 / bytes_per_us / workers;
        const uint32_t wanted = engine_send_runs(compute_ns, latency_ns, e->config.map->rank_count);
        const uint32_t runs = workers * (e->config.send_runs > 0 ? e->config.send_runs : wanted);
        const uint32_t blocks = (blocks_of(e, p) + runs - 1) / runs;

        atomic_store_explicit(&e->phase[p].send_blocks, (uint16_t)(blocks > 0 ? blocks : 1), memory_order_relaxed);
    }
    atomic_store_explicit(&e->phase[e->phase_count - 1].send_blocks, 1, memory_order_relaxed);
}

static uint64_t clamp(uint64_t value, uint64_t least, uint64_t greatest)
{
    return value < least ? least : value > greatest ? greatest : value;
}

/* Bytes of weights that a worker reads in a microsecond. */
static uint64_t speed_of(const struct engine *e)
{
    struct engine_figures figures;

    engine_figures(e, &figures);
    if (figures.decode_ns == 0)
        return BYTES_PER_US;
    return clamp((uint64_t)((double)figures.decode_bytes * 1000 / (double)figures.decode_ns), BYTES_PER_US_MIN, BYTES_PER_US_MAX);
}

/* Of the farthest peer, on an idle path: delays from queues and busy processors would only grow with more datagrams. */
static uint64_t latency_of(const struct engine *e)
{
    uint64_t longest = 0;

    for (uint16_t r = 0; r < e->config.map->rank_count; r++) {
        struct mesh_peer_stats stats;

        if (r == e->config.rank)
            continue;
        mesh_get_peer_stats(e->port.mesh, r, &stats);
        if (stats.rtt_ns_min > longest)
            longest = stats.rtt_ns_min;
    }
    return longest == 0 ? LATENCY_NS : clamp(longest / 2 + SCHEDULING_NS, 0, LATENCY_NS_MAX);
}

/* Have other programs used the processors while this node waited, for much of the time since the last call? Then nodes outnumber
 * processors: a wait costs no processor time, only the work that ends it, and round trips are as long as others compute. A paced node
 * stands for one that has processors of its own. */
static bool is_shared(struct engine *e)
{
    const struct runs_seen now = {atomic_load_explicit(&e->given_ns, memory_order_relaxed),
                                  atomic_load_explicit(&e->time.stepping_ns, memory_order_relaxed)};
    const uint64_t given_ns = now.given_ns - e->runs_seen.given_ns, all_ns = now.stepping_ns - e->runs_seen.stepping_ns;

    e->runs_seen = now;
    return e->config.pace_bytes_per_s == 0 && given_ns > all_ns * e->config.worker_count / SHARED_PART;
}

void engine_set_runs(struct engine *e)
{
    set_runs(e, LATENCY_NS, BYTES_PER_US);
}

void engine_refine_runs(struct engine *e, uint64_t serial)
{
    /* Also soon after the first steps: by then peers have been pinged, and something has been computed. */
    if (e->port.mesh != NULL && (serial % STEPS_BETWEEN == 0 || serial == 4))
        set_runs(e, is_shared(e) ? 0 : latency_of(e), speed_of(e));
}
