/* Clocks of traces: what each trace says of its own clock and of those of others, and the paths by which all come to the first one. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/trace_clocks.h"
#include "trace_clock_points.h"

enum { SECONDS = 3600, PLACES_MAX = 4096, ESTIMATES_MAX = 16384 /* a longer recording has enough of them */ };

/* Trace `trace` was this rank of that epoch; or it has estimated the clock of that rank. */
struct place {
    uint64_t epoch; /* hash of what identifies it to all of its members */
    int64_t rank, number;
    size_t trace;
};

struct estimate {
    struct place of;
    int64_t at_ns;    /* by the trace's clock */
    int64_t ahead_ns; /* their clock minus that of the trace */
    uint64_t error_ns;
};

struct source {
    char recording[60]; /* when the recording began, by two clocks: the same in all its files and no others. "": not known */
    size_t clock;       /* index of the first trace with this clock */
    int64_t wall_ns;    /* the wall clock minus its own */
    int64_t wall_at_ns; /* when that was so, by its own clock: later is better */
    bool has_wall;
    int64_t first_ns, last_ns; /* of its clock's estimates, if there are any: first_ns <= last_ns */
    struct mesh_trace_clock found;
    bool is_found;
};

struct link {
    int64_t ahead_ns; /* the estimate with the least error */
    uint64_t error_ns;
    bool is_known;
    struct trace_clock_points points; /* by the first clock's times */
};

struct mesh_trace_clocks {
    size_t count, place_count, estimate_count;
    struct source *source;     /* (count) */
    struct place *place;       /* (place_count), of all traces */
    struct estimate *estimate; /* (estimate_count), likewise */
    struct link *link;         /* (count, count): by how much the second clock is ahead of the first */
};

static int64_t plus(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

static int64_t minus(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a - (uint64_t)b);
}

int mesh_trace_clocks_open(struct mesh_trace_clocks **clocks, size_t count)
{
    struct mesh_trace_clocks *c = calloc(1, sizeof *c);

    assert(count > 0);
    if (c != NULL) {
        c->count = count;
        c->source = calloc(count, sizeof *c->source);
        c->link = calloc(count * count, sizeof *c->link);
    }
    if (c == NULL || c->source == NULL || c->link == NULL) {
        mesh_trace_clocks_close(c);
        return MESH_ENOMEM;
    }
    *clocks = c;
    return 0;
}

void mesh_trace_clocks_close(struct mesh_trace_clocks *c)
{
    if (c == NULL)
        return;
    free(c->source);
    free(c->place);
    free(c->estimate);
    free(c->link);
    free(c);
}

/* ---- what a trace says ---- */

typedef int taker(struct mesh_trace_clocks *c, size_t index, const struct mesh_trace_value *values);

static int each(struct mesh_trace_clocks *c, size_t index, struct mesh_trace *trace, const char *sql, taker *take)
{
    struct mesh_trace_value values[8];
    struct mesh_trace_query *query;
    int err = mesh_trace_query(trace, sql, SECONDS, &query);

    if (err != 0)
        return err;
    while ((err = mesh_trace_query_next(query, values)) == 1)
        if ((err = take(c, index, values)) != 0)
            break;
    mesh_trace_query_end(query);
    return err;
}

/* The list with room for one more, of that size; it grows in powers of two. NULL: no memory, and the list is as it was. */
static void *grow(void *list, size_t count, size_t size)
{
    const bool is_full = (count & (count - 1)) == 0;

    return is_full ? realloc(list, (count > 0 ? 2 * count : 1) * size) : list;
}

/* Members of an epoch agree on its id, and on the list of its members where it was given on the command line. */
static int take_place(struct mesh_trace_clocks *c, size_t index, const struct mesh_trace_value *values)
{
    const struct mesh_trace_value *id = values[2].size > 0 ? &values[2] : &values[3];
    uint64_t parts[2] = {(uint64_t)values[0].integer, 0};
    struct place *place;

    if (id->size == 0)
        return 0;
    place = grow(c->place, c->place_count, sizeof *place);
    if (place == NULL)
        return MESH_ENOMEM;
    c->place = place;
    parts[1] = mesh_trace_hash(id->bytes, id->size);
    c->place[c->place_count++] = (struct place){
        .epoch = mesh_trace_hash(parts, sizeof parts), .rank = values[1].integer, .number = values[0].integer, .trace = index};
    return 0;
}

static int take_estimate(struct mesh_trace_clocks *c, size_t index, const struct mesh_trace_value *values)
{
    const struct place *own = NULL;
    struct estimate *estimate;

    for (size_t i = c->place_count; i > 0 && own == NULL && c->place[i - 1].trace == index; i--)
        if (c->place[i - 1].number == values[0].integer)
            own = &c->place[i - 1];
    if (own == NULL || own->rank == values[1].integer)
        return 0;
    estimate = grow(c->estimate, c->estimate_count, sizeof *estimate);
    if (estimate == NULL)
        return MESH_ENOMEM;
    c->estimate = estimate;
    c->estimate[c->estimate_count++] = (struct estimate){.of = {.epoch = own->epoch, .rank = values[1].integer, .trace = index},
                                                         .at_ns = values[4].integer,
                                                         .ahead_ns = values[2].integer,
                                                         .error_ns = (uint64_t)values[3].integer};
    return 0;
}

static int take_wall(struct mesh_trace_clocks *c, size_t index, const struct mesh_trace_value *values)
{
    struct source *s = &c->source[index];

    if (values[1].integer < 0 || values[1].integer > INT64_MAX / 1000000)
        return 0;
    s->wall_at_ns = values[0].integer;
    s->wall_ns = minus(values[1].integer * 1000000, s->wall_at_ns);
    s->has_wall = true;
    return 0;
}

static int read_meta(struct source *s, struct mesh_trace *trace)
{
    char begun[25], unix_ns[25];
    int err = mesh_trace_get_meta(trace, "begun_ns", begun, sizeof begun);

    if (err == 0)
        err = mesh_trace_get_meta(trace, "begun_unix_ns", unix_ns, sizeof unix_ns);
    if (err == 0) {
        snprintf(s->recording, sizeof s->recording, "%s %s", begun, unix_ns);
        s->wall_at_ns = strtoll(begun, NULL, 10);
        s->wall_ns = minus(strtoll(unix_ns, NULL, 10), s->wall_at_ns);
        s->has_wall = true;
    } else if (err == MESH_EABSENT) {
        err = mesh_trace_get_meta(trace, "capture", begun, sizeof begun);
        s->has_wall = err == 0; /* times of a capture are those of a wall clock */
    }
    return err == MESH_EABSENT ? 0 : err;
}

/* A report may be in several pieces of one time; one of them has the number of the epoch. rtt_ns_min is 0 where nothing was measured yet.
 * Of each part of the recording the best estimate counts.
 * The last report says what the wall clock was in the end: one that is wrong at first is set right soon, by the network. */
int mesh_trace_clocks_read(struct mesh_trace_clocks *c, size_t index, struct mesh_trace *trace)
{
    char places[200], estimates[800];
    int err;

    assert(index < c->count);
    snprintf(places, sizeof places, "SELECT epoch, rank, epoch_id, members FROM epochs WHERE node = 1 AND rank >= 0 ORDER BY id LIMIT %d",
             PLACES_MAX);
    snprintf(estimates, sizeof estimates,
             "SELECT n.epoch_number, l.peer, l.clock_offset_ns, min(l.clock_error_ns), p.t_ns "
             "FROM (SELECT min(t_ns) AS first_ns, (max(t_ns) - min(t_ns)) / %d + 1 AS spacing_ns FROM reports WHERE node = 1) s "
             "JOIN telemetry_node n JOIN reports q ON q.id = n.report JOIN reports p ON p.t_ns = q.t_ns AND p.node = q.node "
             "JOIN telemetry_link l ON l.report = p.id WHERE q.node = 1 AND l.rtt_ns_min > 0 AND l.clock_error_ns >= 0 "
             "GROUP BY n.epoch_number, l.peer, (p.t_ns - s.first_ns) / s.spacing_ns LIMIT %d",
             MESH_TRACE_CLOCK_POINTS, ESTIMATES_MAX);
    err = read_meta(&c->source[index], trace);
    err = err != 0 ? err : each(c, index, trace, places, take_place);
    err = err != 0 ? err : each(c, index, trace, estimates, take_estimate);
    if (err == 0)
        err = each(c, index, trace, "SELECT t_ns, unix_ms FROM reports WHERE node = 1 AND unix_ms IS NOT NULL ORDER BY id DESC LIMIT 1",
                   take_wall);
    return err;
}

/* ---- all of them ---- */

static void find_same(struct mesh_trace_clocks *c)
{
    for (size_t i = 0; i < c->count; i++) {
        struct source *s = &c->source[i], *first = s;

        for (size_t k = 0; k < i && s->recording[0] != '\0' && first == s; k++)
            if (strcmp(c->source[k].recording, s->recording) == 0)
                first = &c->source[k];
        s->clock = (size_t)(first - c->source);
        if (first == s || !s->has_wall || s->wall_at_ns < first->wall_at_ns)
            continue;
        first->wall_at_ns = s->wall_at_ns;
        first->wall_ns = s->wall_ns;
    }
}

static int compare_errors(const void *a, const void *b)
{
    const struct estimate *one = a, *other = b;

    if (one->error_ns != other->error_ns)
        return one->error_ns < other->error_ns ? -1 : 1;
    return (one->at_ns > other->at_ns) - (one->at_ns < other->at_ns);
}

/* Estimates come with the best ones first. The clock of one machine does not drift from itself. */
static void note(struct mesh_trace_clocks *c, size_t from, size_t to, const struct estimate *e)
{
    const struct source *s = &c->source[c->source[e->of.trace].clock];
    const uint64_t spacing_ns = ((uint64_t)s->last_ns - (uint64_t)s->first_ns) / MESH_TRACE_CLOCK_POINTS;
    struct link *link = &c->link[from * c->count + to];

    if (link->is_known && link->error_ns == 0)
        return;
    if (!link->is_known) {
        link->ahead_ns = e->ahead_ns;
        link->error_ns = e->error_ns;
        link->is_known = true;
    }
    if (e->error_ns > 0)
        mesh_trace_clock_points_add(&link->points, e->at_ns, e->ahead_ns, e->error_ns, spacing_ns);
}

/* The same as the other clock has it. */
static struct estimate reverse(const struct estimate *e)
{
    return (struct estimate){.of = e->of, .at_ns = plus(e->at_ns, e->ahead_ns), .ahead_ns = minus(0, e->ahead_ns), .error_ns = e->error_ns};
}

static int compare_places(const void *a, const void *b)
{
    const struct place *one = a, *other = b;

    if (one->epoch != other->epoch)
        return one->epoch < other->epoch ? -1 : 1;
    return (one->rank > other->rank) - (one->rank < other->rank);
}

/* Two clocks whose difference is less than it can be measured are one: hosts do not boot within microseconds of one another. So that these
 * come first, their error is none before estimates are sorted. */
static void prepare(struct mesh_trace_clocks *c)
{
    for (size_t i = 0; i < c->count; i++)
        c->source[i].first_ns = INT64_MAX, c->source[i].last_ns = INT64_MIN;
    for (size_t i = 0; i < c->estimate_count; i++) {
        struct estimate *e = &c->estimate[i];
        struct source *s = &c->source[c->source[e->of.trace].clock];

        if (e->ahead_ns <= (int64_t)e->error_ns && e->ahead_ns >= -(int64_t)e->error_ns)
            e->ahead_ns = 0, e->error_ns = 0;
        s->first_ns = e->at_ns < s->first_ns ? e->at_ns : s->first_ns;
        s->last_ns = e->at_ns > s->last_ns ? e->at_ns : s->last_ns;
    }
    if (c->place_count > 0)
        qsort(c->place, c->place_count, sizeof *c->place, compare_places);
    if (c->estimate_count > 0)
        qsort(c->estimate, c->estimate_count, sizeof *c->estimate, compare_errors);
}

static void relate(struct mesh_trace_clocks *c)
{
    prepare(c);
    for (size_t i = 0; i < c->estimate_count; i++) {
        const struct estimate e = c->estimate[i], back = reverse(&e);
        const struct place *at = c->place_count > 0 ? bsearch(&e.of, c->place, c->place_count, sizeof *c->place, compare_places) : NULL;
        const size_t from = c->source[e.of.trace].clock;

        if (at == NULL)
            continue;
        while (at > c->place && compare_places(at - 1, at) == 0)
            at--;
        for (const struct place *end = c->place + c->place_count; at < end && compare_places(at, &e.of) == 0; at++) {
            const size_t to = c->source[at->trace].clock;

            if (to == from)
                continue;
            note(c, from, to, &e);
            note(c, to, from, &back);
        }
    }
}

int64_t mesh_trace_clock_first_ns(const struct mesh_trace_clock *clock, int64_t t_ns)
{
    return plus(t_ns, clock->point_count > 0 ? mesh_trace_clock_points_at(clock->point, clock->point_count, t_ns) : clock->to_first_ns);
}

int64_t mesh_trace_clock_unix_ns(const struct mesh_trace_clock *clock, int64_t t_ns)
{
    return plus(mesh_trace_clock_first_ns(clock, t_ns), minus(clock->to_unix_ns, clock->to_first_ns));
}

/* Points of a clock that `link` relates to one that is found; there are none if both are of one machine. */
static void relate_points(struct source *to, const struct mesh_trace_clock *from, const struct link *link)
{
    const bool is_same = link->points.count == 0;
    const struct mesh_trace_clock_point *points = is_same ? from->point : link->points.point;

    to->found.point_count = is_same ? from->point_count : link->points.count;
    for (size_t i = 0; i < to->found.point_count; i++) {
        const int64_t at_ns = is_same ? points[i].at_ns : plus(points[i].at_ns, points[i].ahead_ns);

        to->found.point[i].at_ns = at_ns;
        to->found.point[i].ahead_ns = is_same ? points[i].ahead_ns : minus(mesh_trace_clock_first_ns(from, points[i].at_ns), at_ns);
    }
}

/* The clock that is known best by those that are found already. */
static bool find_next(struct mesh_trace_clocks *c)
{
    const struct link *best = NULL;
    uint64_t least_ns = UINT64_MAX;

    for (size_t i = 0; i < c->count * c->count; i++) {
        const struct source *from = &c->source[i / c->count], *to = &c->source[i % c->count];
        uint64_t error_ns;

        if (!c->link[i].is_known || !from->is_found || to->is_found)
            continue;
        error_ns = from->found.error_ns + c->link[i].error_ns;
        if (best != NULL && error_ns >= least_ns)
            continue;
        best = &c->link[i];
        least_ns = error_ns;
    }
    if (best == NULL)
        return false;
    const struct mesh_trace_clock *from = &c->source[(size_t)(best - c->link) / c->count].found;
    struct source *to = &c->source[(size_t)(best - c->link) % c->count];

    to->found =
        (struct mesh_trace_clock){.basis = from->basis, .to_first_ns = minus(from->to_first_ns, best->ahead_ns), .error_ns = least_ns};
    if (from->basis == MESH_TRACE_CLOCK_SAME && least_ns > 0)
        to->found.basis = MESH_TRACE_CLOCK_MEASURED;
    relate_points(to, from, best);
    to->is_found = true;
    return true;
}

/* Wall clocks, for the first one that nobody knows. */
static bool find_by_wall(struct mesh_trace_clocks *c)
{
    const struct source *first = &c->source[0];

    for (size_t i = 0; i < c->count; i++) {
        struct source *s = &c->source[i];

        if (s->is_found || s->clock != i)
            continue;
        s->is_found = true;
        s->found.basis = MESH_TRACE_CLOCK_WALL;
        if (s->has_wall && first->has_wall)
            s->found.to_first_ns = minus(s->wall_ns, first->wall_ns);
        return true;
    }
    return false;
}

void mesh_trace_clocks_align(struct mesh_trace_clocks *c, struct mesh_trace_clock *aligned)
{
    int64_t to_unix_ns = 0;
    bool has_wall = false;

    find_same(c);
    relate(c);
    c->source[0].is_found = true;
    while (find_next(c) || find_by_wall(c))
        continue;
    for (size_t i = 0; i < c->count; i++) {
        const struct source *s = &c->source[c->source[i].clock];

        aligned[i] = s->found;
        if (!has_wall && s->has_wall)
            to_unix_ns = minus(plus(s->wall_ns, s->wall_at_ns), mesh_trace_clock_first_ns(&s->found, s->wall_at_ns));
        has_wall |= s->has_wall;
    }
    for (size_t i = 0; i < c->count; i++)
        aligned[i].to_unix_ns = plus(to_unix_ns, aligned[i].to_first_ns);
}
