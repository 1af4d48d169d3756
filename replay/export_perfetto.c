/* Traces as Chrome's trace events: a JSON object with an array of them. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "clocks.h"
#include "export.h"
#include "mesh/mesh.h"
#include "mesh/program/json.h"
#include "mesh/telemetry.h"
#include "rows.h"

/* Tracks of a node; those of tiles from a rank follow the last one. */
enum track { TRACK_STEPS = 1, TRACK_PHASES, TRACK_STALLS, TRACK_TOKENS, TRACK_EVENTS, TRACK_SENT, TRACK_FROM };
enum { PHASES_MAX = 4096 };
#define TILE_NS 1000 /* width of a tile's slice: arrows need some to end at */

static const char *const track_names[] = {NULL, "steps", "phases", "stalls", "tokens", "events", "tiles sent"};

/* The clock of a rank in an epoch, as a node has measured it. */
struct sender {
    int64_t key[3]; /* node, epoch, rank */
    struct mesh_trace_clock clock;
};

struct perfetto {
    struct json json;
    const char *path;
    struct mesh_trace *trace;
    size_t trace_count;
    struct mesh_trace_clock clocks[EXPORT_TRACES_MAX]; /* by trace */
    const struct mesh_trace_clock *clock;              /* of this trace */
    int64_t base_ns;                                   /* time of the very first row, by the first trace's clock */
    struct sender *senders;                            /* (sender_count) of the only trace, in the order of their keys; owned */
    size_t sender_count;
    struct fail *fail;
    uint64_t named[MESH_RANKS_MAX + 1]; /* by process: bits of tracks that have a name, 63: of the process */
};

/* ---- events ---- */

/* Times come from the file and may be anything: differences wrap instead of overflowing. */
static int64_t less(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a - (uint64_t)b);
}

static double micros(const struct perfetto *p, int64_t t_ns)
{
    return (double)less(mesh_trace_clock_first_ns(p->clock, t_ns), p->base_ns) / 1e3;
}

static void name_of(struct perfetto *p, const char *what, int64_t process, int64_t track, const char *name)
{
    json_object_begin(&p->json, NULL);
    json_text(&p->json, "name", what);
    json_text(&p->json, "ph", "M");
    json_int(&p->json, "pid", process);
    json_int(&p->json, "tid", track);
    json_object_begin(&p->json, "args");
    json_text(&p->json, "name", name);
    json_object_end(&p->json);
    json_object_end(&p->json);
}

/* Processes are ranks + 1; 0 is for nodes without a rank. */
static int64_t process_of(int64_t rank)
{
    return rank >= 0 && rank < MESH_RANKS_MAX ? rank + 1 : 0;
}

static void name_track(struct perfetto *p, int64_t process, int64_t track)
{
    uint64_t *named = &p->named[process];
    const uint64_t bit = UINT64_C(1) << (track < 62 ? track : 62);
    char name[32];

    if ((*named >> 63) == 0) {
        *named |= UINT64_C(1) << 63;
        snprintf(name, sizeof name, process > 0 ? "rank %" PRId64 : "no rank", process - 1);
        name_of(p, "process_name", process, 0, name);
    }
    if ((*named & bit) != 0 && track < 62)
        return;
    *named |= bit;
    snprintf(name, sizeof name, "tiles from %" PRId64, track - TRACK_FROM);
    name_of(p, "thread_name", process, track, track < TRACK_FROM ? track_names[track] : name);
}

/* An event up to its args, which stay open. */
static void begin(struct perfetto *p, const char *phase, const char *name, int64_t rank, int64_t track, int64_t t_ns)
{
    const int64_t process = process_of(rank);

    name_track(p, process, track);
    json_object_begin(&p->json, NULL);
    json_text(&p->json, "name", name);
    json_text(&p->json, "ph", phase);
    json_int(&p->json, "pid", process);
    json_int(&p->json, "tid", track);
    json_double(&p->json, "ts", micros(p, t_ns));
}

static void begin_slice(struct perfetto *p, const char *name, int64_t rank, int64_t track, int64_t t_ns, int64_t duration_ns)
{
    begin(p, "X", name, rank, track, t_ns);
    json_double(&p->json, "dur", (double)duration_ns / 1e3);
    json_object_begin(&p->json, "args");
}

static void end(struct perfetto *p)
{
    json_object_end(&p->json);
    json_object_end(&p->json);
}

static int rank_of(const struct mesh_trace_value *value)
{
    return value->kind == MESH_TRACE_VALUE_INTEGER && value->integer >= 0 && value->integer < MESH_RANKS_MAX ? (int)value->integer : -1;
}

/* The rank of node n in its epoch at that time: in a cluster it may change, and is unknown at first. */
#define RANK_AT(t) \
    "coalesce((SELECT e.rank FROM epochs e WHERE e.node = n.id AND e.t_ns <= " t " ORDER BY e.t_ns DESC, e.id DESC LIMIT 1), n.rank)"

/* ---- tiles ---- */

/* The best estimate of each part of the recording, as mesh_trace_clocks_read takes them. */
#define SENDERS_SQL                                                                                                                     \
    "SELECT p.node, n.epoch_number, l.peer, p.t_ns, l.clock_offset_ns, min(l.clock_error_ns) "                                          \
    "FROM (SELECT min(t_ns) AS first_ns, (max(t_ns) - min(t_ns)) / 32 + 1 AS spacing_ns FROM reports) s JOIN telemetry_node n "         \
    "JOIN reports q ON q.id = n.report JOIN reports p ON p.node = q.node AND p.t_ns = q.t_ns JOIN telemetry_link l ON l.report = p.id " \
    "WHERE l.rtt_ns_min > 0 GROUP BY p.node, n.epoch_number, l.peer, (p.t_ns - s.first_ns) / s.spacing_ns "                             \
    "ORDER BY p.node, n.epoch_number, l.peer, p.t_ns"
#define TILES_SQL                                                                                              \
    "SELECT t.direction, t.t_ns, t.src, t.dst, t.epoch, t.number, t.is_to_all, t.is_resend, t.step, t.phase, " \
    "t.block_first, t.block_count, d.ranks, "                                                                  \
    "coalesce((SELECT e.rank FROM epochs e WHERE e.node = n.id AND e.epoch = t.epoch), n.rank), r.rank, "      \
    "t.sent_ns, t.node FROM tiles t "                                                                          \
    "JOIN datagrams d ON d.id = t.id LEFT JOIN nodes n ON n.id = t.node "                                      \
    "LEFT JOIN nodes r ON r.ip = d.to_ip AND r.port = d.to_port"
enum tile_column {
    TILE_DIRECTION,
    TILE_T_NS,
    TILE_SRC,
    TILE_DST,
    TILE_EPOCH,
    TILE_NUMBER,
    TILE_TO_ALL,
    TILE_RESEND,
    TILE_STEP,
    TILE_PHASE,
    TILE_BLOCK,
    TILE_BLOCKS,
    TILE_RANKS,
    TILE_NODE,
    TILE_RECEIVER,
    TILE_SENT_NS,
    TILE_OF
};

static int compare_senders(const void *a, const void *b)
{
    return memcmp(((const struct sender *)a)->key, ((const struct sender *)b)->key, sizeof((const struct sender *)a)->key);
}

static int take_sender(void *context, const struct mesh_trace_value *v)
{
    struct perfetto *p = context;
    struct sender next = {.key = {v[0].integer, v[1].integer, v[2].integer}}, *last = NULL, *grown;

    if (p->sender_count > 0)
        last = &p->senders[p->sender_count - 1];
    if (last == NULL || compare_senders(last, &next) != 0) {
        grown = realloc(p->senders, (p->sender_count + 1) * sizeof *grown);
        if (grown == NULL)
            return fail_set(p->fail, EXIT_ENVIRONMENT, "no memory for the clocks of %zu nodes: close other programs", p->sender_count);
        p->senders = grown;
        last = &grown[p->sender_count++];
        *last = next;
    }
    if (last->clock.point_count == MESH_TRACE_CLOCK_POINTS)
        return 0;
    last->clock.point[last->clock.point_count++] =
        (struct mesh_trace_clock_point){.at_ns = less(v[3].integer, less(0, v[4].integer)), .ahead_ns = less(0, v[4].integer)};
    return 0;
}

/* When the sender of a received tile sent it, by the receiver's clock, if that is known. */
static int64_t sent_at(const struct perfetto *p, const struct mesh_trace_value *v)
{
    const struct sender key = {.key = {v[TILE_OF].integer, v[TILE_EPOCH].integer, v[TILE_SRC].integer}};
    const struct sender *found = p->sender_count > 0 ? bsearch(&key, p->senders, p->sender_count, sizeof key, compare_senders) : NULL;

    return found != NULL ? mesh_trace_clock_first_ns(&found->clock, v[TILE_SENT_NS].integer) : v[TILE_T_NS].integer;
}

static void put_tile(struct perfetto *p, const struct mesh_trace_value *v, int64_t rank, int64_t track, int64_t t_ns)
{
    char name[64];

    snprintf(name, sizeof name, "%" PRId64 ".%" PRId64 " %" PRId64 "+%" PRId64 "%s", v[TILE_STEP].integer, v[TILE_PHASE].integer,
             v[TILE_BLOCK].integer, v[TILE_BLOCKS].integer, v[TILE_RESEND].integer ? " again" : "");
    begin_slice(p, name, rank, track, t_ns, TILE_NS);
    json_int(&p->json, "step", v[TILE_STEP].integer);
    json_int(&p->json, "phase", v[TILE_PHASE].integer);
    json_int(&p->json, "number", v[TILE_NUMBER].integer);
    end(p);
}

/* One end of an arrow, attached to the slice at that time. */
static void put_arrow(struct perfetto *p, const struct mesh_trace_value *v, bool is_end, int64_t rank, int64_t track, int64_t t_ns,
                      int64_t receiver)
{
    char id[100];

    begin(p, is_end ? "f" : "s", "tile", rank, track, t_ns);
    snprintf(id, sizeof id, "%" PRId64 ".%" PRId64 ".%" PRId64 ".%" PRId64 ".%" PRId64, v[TILE_EPOCH].integer, v[TILE_SRC].integer,
             v[TILE_NUMBER].integer, v[TILE_TO_ALL].integer, receiver);
    json_text(&p->json, "id", id);
    json_text(&p->json, "cat", "tile");
    if (is_end)
        json_text(&p->json, "bp", "e");
    json_object_end(&p->json);
}

static void put_sent(struct perfetto *p, const struct mesh_trace_value *v)
{
    const uint64_t ranks = v[TILE_RANKS].kind == MESH_TRACE_VALUE_INTEGER ? (uint64_t)v[TILE_RANKS].integer : 0;

    put_tile(p, v, v[TILE_SRC].integer, TRACK_SENT, v[TILE_T_NS].integer);
    for (int rank = 0; rank < MESH_RANKS_MAX; rank++)
        if ((ranks >> rank & 1) != 0)
            put_arrow(p, v, false, v[TILE_SRC].integer, TRACK_SENT, v[TILE_T_NS].integer, rank);
}

/* at_ns: when it was sent, drawn only if this is the only trace; the sender's own trace knows better. */
static void put_received(struct perfetto *p, const struct mesh_trace_value *v, int64_t receiver, bool has_sender, int64_t at_ns)
{
    const int64_t src = v[TILE_SRC].integer, track = TRACK_FROM + (src >= 0 && src < MESH_RANKS_MAX ? src : MESH_RANKS_MAX);

    if (has_sender) {
        put_tile(p, v, src, TRACK_SENT, at_ns);
        put_arrow(p, v, false, src, TRACK_SENT, at_ns, receiver);
    }
    put_tile(p, v, receiver, track, v[TILE_T_NS].integer);
    put_arrow(p, v, true, receiver, track, v[TILE_T_NS].integer, receiver);
}

static int take_tile(void *context, const struct mesh_trace_value *v)
{
    struct perfetto *p = context;

    if (v[TILE_DIRECTION].integer == MESH_TRACE_SENT) {
        put_sent(p, v);
        return 0;
    }
    if (v[TILE_DIRECTION].integer == MESH_TRACE_SEEN) {
        const int receiver = v[TILE_DST].integer < MESH_RANKS_MAX ? rank_of(&v[TILE_DST]) : rank_of(&v[TILE_RECEIVER]);

        put_received(p, v, receiver, true, v[TILE_T_NS].integer);
        return 0;
    }
    put_received(p, v, rank_of(&v[TILE_NODE]), p->trace_count == 1, sent_at(p, v));
    return 0;
}

/* ---- steps, stalls, tokens, events, workers ---- */

#define OF_REPORTS " JOIN reports p ON p.id = x.report LEFT JOIN nodes n ON n.id = p.node"
#define STEPS_SQL                                                                                                                       \
    "SELECT " RANK_AT(                                                                                                                  \
        "x.begin_ns") ", x.step, x.begin_ns, x.duration_ns, x.tokens, x.sampled, x.phase_total, x.phase_first, x.phase_count, x.tail, " \
                      "row_number() OVER (PARTITION BY p.node, x.step, x.begin_ns ORDER BY x.id) FROM telemetry_step x" OF_REPORTS
#define STALLS_SQL \
    "SELECT " RANK_AT("s.t_ns") ", s.t_ns, s.duration_ns, s.peer, s.step, s.phase FROM stalls s LEFT JOIN nodes n ON n.id = s.node"
#define TOKENS_SQL "SELECT " RANK_AT("t.t_ns") ", t.t_ns, t.position, t.request FROM tokens t LEFT JOIN nodes n ON n.id = t.node"
#define EVENTS_SQL                                                                                             \
    "SELECT " RANK_AT("x.t_ns") ", x.t_ns, x.kind, x.reason FROM events x LEFT JOIN nodes n ON n.id = x.node " \
                                "WHERE x.kind <> 'stall'"
#define WORKERS_SQL                                                                                                                      \
    "SELECT " RANK_AT("p.t_ns") ", p.t_ns, x.worker, 100.0 * (x.compute_ns - lag(x.compute_ns) OVER w) / (p.t_ns - lag(p.t_ns) OVER w) " \
                                "FROM telemetry_worker x" OF_REPORTS " WINDOW w AS (PARTITION BY p.node, x.worker ORDER BY p.t_ns)"

static void put_phases(struct perfetto *p, const struct mesh_trace_value *v)
{
    static struct mesh_telemetry_phase phases[PHASES_MAX];
    const struct mesh_telemetry_item item = {
        .kind = MESH_TELEMETRY_STEP,
        .step = {.phase_total = (uint16_t)v[6].integer, .phase_first = (uint16_t)v[7].integer, .phase_count = (uint16_t)v[8].integer},
        .tail = v[9].bytes,
        .tail_bytes = v[9].size};
    unsigned count;
    char name[16];

    if (item.step.phase_count > PHASES_MAX || v[9].kind != MESH_TRACE_VALUE_BLOB)
        return;
    count = mesh_telemetry_get_phases(&item, phases, PHASES_MAX);
    for (unsigned i = 0; i < count; i++) {
        if (phases[i].duration == 0)
            continue;
        snprintf(name, sizeof name, "%u", item.step.phase_first + i);
        begin_slice(p, name, rank_of(&v[0]), TRACK_PHASES, less(v[2].integer, -(int64_t)phases[i].begin * MESH_TELEMETRY_PHASE_NS),
                    (int64_t)phases[i].duration * MESH_TELEMETRY_PHASE_NS);
        json_int(&p->json, "step", v[1].integer);
        end(p);
    }
}

static int take_step(void *context, const struct mesh_trace_value *v)
{
    struct perfetto *p = context;
    char name[32];

    if (v[10].integer == 1) { /* a step may be in several items, each with some of its phases */
        snprintf(name, sizeof name, "step %" PRId64, v[1].integer);
        begin_slice(p, name, rank_of(&v[0]), TRACK_STEPS, v[2].integer, v[3].integer);
        json_int(&p->json, "tokens", v[4].integer);
        json_int(&p->json, "sampled", v[5].integer);
        end(p);
    }
    put_phases(p, v);
    return 0;
}

static int take_stall(void *context, const struct mesh_trace_value *v)
{
    struct perfetto *p = context;
    char name[40];

    snprintf(name, sizeof name, "waits for %" PRId64, v[3].integer);
    begin_slice(p, name, rank_of(&v[0]), TRACK_STALLS, v[1].integer, v[2].integer);
    json_int(&p->json, "step", v[4].integer);
    json_int(&p->json, "phase", v[5].integer);
    end(p);
    return 0;
}

static void put_instant(struct perfetto *p, const char *name, int64_t rank, int64_t track, int64_t t_ns)
{
    begin(p, "i", name, rank, track, t_ns);
    json_text(&p->json, "s", "t");
    json_object_begin(&p->json, "args");
}

static int take_token(void *context, const struct mesh_trace_value *v)
{
    struct perfetto *p = context;
    char name[40];

    snprintf(name, sizeof name, "token at %" PRId64, v[2].integer);
    put_instant(p, name, rank_of(&v[0]), TRACK_TOKENS, v[1].integer);
    json_int(&p->json, "request", v[3].integer);
    end(p);
    return 0;
}

static int take_event(void *context, const struct mesh_trace_value *v)
{
    struct perfetto *p = context;

    put_instant(p, v[2].size > 0 ? v[2].bytes : "?", rank_of(&v[0]), TRACK_EVENTS, v[1].integer);
    json_string(&p->json, "reason", v[3].bytes ? v[3].bytes : "", v[3].size);
    end(p);
    return 0;
}

static int take_worker(void *context, const struct mesh_trace_value *v)
{
    struct perfetto *p = context;
    char name[40];

    if (v[3].kind != MESH_TRACE_VALUE_REAL)
        return 0;
    snprintf(name, sizeof name, "worker %" PRId64 " computes, %%", v[2].integer);
    begin(p, "C", name, rank_of(&v[0]), TRACK_STEPS, v[1].integer);
    json_object_begin(&p->json, "args");
    json_double(&p->json, "%", v[3].real);
    end(p);
    return 0;
}

/* ---- all of it ---- */

/* The very first time, by the first trace's clock. A trace may have no rows, if its node was ended as it began. */
static int find_base(struct perfetto *p, const struct export_traces *traces)
{
    bool is_found = false;
    int result = 0;

    for (size_t i = 0; result == 0 && i < traces->count; i++) {
        int64_t first_ns = 0;

        result = rows_number(traces->paths[i], traces->traces[i],
                             "SELECT coalesce(min(t), -1) FROM (SELECT min(t_ns) AS t FROM datagrams "
                             "UNION ALL SELECT min(t_ns) FROM tokens UNION ALL SELECT min(t_ns) FROM events "
                             "UNION ALL SELECT min(begin_ns) FROM telemetry_step)",
                             &first_ns, p->fail);
        if (result != 0 || first_ns < 0)
            continue;
        first_ns = mesh_trace_clock_first_ns(&p->clocks[i], first_ns);
        if (is_found && first_ns >= p->base_ns)
            continue;
        p->base_ns = first_ns;
        is_found = true;
    }
    return result;
}

static int put_trace(struct perfetto *p)
{
    const struct {
        const char *sql;
        int (*take)(void *context, const struct mesh_trace_value *values);
    } parts[] = {{STEPS_SQL, take_step},   {STALLS_SQL, take_stall},   {TOKENS_SQL, take_token},
                 {EVENTS_SQL, take_event}, {WORKERS_SQL, take_worker}, {TILES_SQL, take_tile}};
    int result = 0;

    for (size_t i = 0; result == 0 && i < sizeof parts / sizeof *parts; i++)
        result = rows_each(p->path, p->trace, parts[i].sql, parts[i].take, p, p->fail);
    return result;
}

int export_perfetto(const struct export_traces *traces, FILE *out, struct fail *fail)
{
    struct perfetto p = {.trace_count = traces->count, .fail = fail};
    int result = clocks_align(traces->paths, traces->traces, traces->count, p.clocks, fail);

    result = result != 0 ? result : find_base(&p, traces);
    if (result == 0 && traces->count == 1)
        result = rows_each(traces->paths[0], traces->traces[0], SENDERS_SQL, take_sender, &p, fail);
    if (p.sender_count > 0)
        qsort(p.senders, p.sender_count, sizeof *p.senders, compare_senders);

    json_init(&p.json, out);
    json_object_begin(&p.json, NULL);
    json_text(&p.json, "displayTimeUnit", "ns");
    json_array_begin(&p.json, "traceEvents");
    for (size_t i = 0; result == 0 && i < traces->count; i++) {
        p.path = traces->paths[i];
        p.trace = traces->traces[i];
        p.clock = &p.clocks[i];
        result = put_trace(&p);
    }
    free(p.senders);
    json_array_end(&p.json);
    json_object_end(&p.json);
    fputc('\n', out);
    if (result == 0 && ferror(out))
        return fail_output(fail, "--perfetto");
    return result;
}
