#include "recorded.h"

#ifdef MESH_HAVE_TRACE

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mesh/program/progress.h"
#include "mesh/trace_clocks.h"

#define MS_NS       INT64_C(1000000)
#define SPAN_NS_MAX (INT64_C(366) * 86400 * 1000 * MS_NS)

enum { PARTS_MAX = 64, PATH_BYTES = 4096 };

/* One trace, and its next record. */
struct source {
    struct recorded *owner;
    char *path;
    struct mesh_trace *trace;
    struct mesh_trace_cursor *cursor;
    int64_t last_ns;               /* of its last report */
    struct mesh_trace_clock clock; /* to one wall clock for all traces */
    struct mesh_trace_report row;
    bool has_row;
};

struct recorded {
    struct source source[RECORDED_FILES_MAX];
    size_t count;
    char name[200];
    int64_t begin_ns, whole_ns, end_ns;
    struct recorded_token *tokens; /* (token_count) owned */
    size_t token_count;
    struct progress progress;
    const char *reading; /* what is read of each trace before anything can be shown */
    uint8_t record[MESH_TELEMETRY_REPORT_OVERHEAD_BYTES + MESH_TELEMETRY_PIECE_BYTES_MAX];
};

static int failed(const struct source *s, int err, struct fail *fail)
{
    const char *reason = mesh_trace_reason(s->trace);

    return fail_set(fail, err == MESH_ESYSTEM || err == MESH_ENOMEM ? EXIT_ENVIRONMENT : EXIT_BAD_FILE, "%.300s: %s", s->path,
                    reason[0] == 0 && err == MESH_ENOMEM ? "out of memory: close other programs" : reason);
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

/* It goes on: called within long statements of SQL, and between those of small files. */
static void look(void *user)
{
    const struct source *s = user;
    struct recorded *r = s->owner;

    progress_show(&r->progress, "reading %s of %.80s: %zu of %zu", r->reading, name_of(s->path), (size_t)(s - r->source) + 1, r->count);
}

/* ---- files ---- */

static int add(struct recorded *r, const char *path, struct fail *fail)
{
    struct source *s = &r->source[r->count];
    char reason[MESH_TRACE_REASON_BYTES];
    int err;

    if (r->count == RECORDED_FILES_MAX)
        return fail_set(fail, EXIT_USAGE, "--trace: more than %d files: name fewer", RECORDED_FILES_MAX);
    s->owner = r;
    s->path = strdup(path);
    if (s->path == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    r->count++;
    err = mesh_trace_open(&s->trace, path, reason);
    if (err == 0) {
        mesh_trace_watch(s->trace, look, s);
        return 0;
    }
    return fail_set(fail, err == MESH_ESYSTEM || err == MESH_ENOMEM ? EXIT_ENVIRONMENT : EXIT_BAD_FILE, "%.300s: %s", path, reason);
}

/* "T.db" with `between` before its suffix, if there is such a file. */
static bool beside(const char *path, const char *between, char out[PATH_BYTES])
{
    const char *name = name_of(path), *dot = strrchr(name, '.');
    const size_t stem = dot != NULL && dot != name ? (size_t)(dot - path) : strlen(path);

    return snprintf(out, PATH_BYTES, "%.*s%s%s", (int)stem, path, between, path + stem) < PATH_BYTES && access(out, F_OK) == 0;
}

static int add_parts(struct recorded *r, const char *path, struct fail *fail)
{
    char between[16], part[PATH_BYTES];

    if (add(r, path, fail) < 0)
        return -1;
    for (unsigned i = 2; i <= PARTS_MAX; i++) {
        snprintf(between, sizeof between, "-%u", i);
        if (!beside(path, between, part))
            return 0;
        if (add(r, part, fail) < 0)
            return -1;
    }
    return 0;
}

static int add_all(struct recorded *r, const char *const *paths, size_t count, struct fail *fail)
{
    char between[16], path[PATH_BYTES];

    for (size_t i = 0; count > 1 && i < count; i++)
        if (add(r, paths[i], fail) < 0)
            return -1;
    if (count > 1)
        return 0;
    if (add_parts(r, paths[0], fail) < 0)
        return -1;
    for (unsigned rank = 1; rank < MESH_RANKS_MAX; rank++) {
        snprintf(between, sizeof between, ".%u", rank);
        if (!beside(paths[0], between, path))
            return 0;
        if (add_parts(r, path, fail) < 0)
            return -1;
    }
    return 0;
}

/* ---- reports ---- */

static int64_t wall_of(const struct source *s, int64_t t_ns)
{
    return mesh_trace_clock_unix_ns(&s->clock, t_ns);
}

/* Is it a time of a clock or of the calendar, so that sums with it do not overflow? */
static bool is_time(int64_t ns)
{
    return ns >= 0 && ns < INT64_MAX / 4;
}

/* So near to 1970, before or after, that differences do not overflow? */
static bool is_near(int64_t ns)
{
    return ns > INT64_MIN / 4 && ns < INT64_MAX / 4;
}

static bool is_unix_ms(int64_t ms)
{
    return ms >= 0 && ms < INT64_MAX / 4 / MS_NS;
}

static int next_row(struct source *s, struct fail *fail)
{
    const int got = mesh_trace_next(s->cursor, &s->row);

    s->has_row = got > 0;
    if (got > 0 && (!is_time(s->row.t_ns) || (s->row.unix_ms != MESH_TRACE_NULL && !is_unix_ms(s->row.unix_ms))))
        return fail_set(fail, EXIT_BAD_FILE, "%.300s: report %llu: its time is impossible: the file is damaged", s->path,
                        (unsigned long long)s->row.id);
    return got < 0 ? failed(s, got, fail) : 0;
}

static int rewind_source(struct source *s, struct fail *fail)
{
    int err;

    mesh_trace_end(s->cursor);
    s->cursor = NULL;
    s->has_row = false;
    err = mesh_trace_read(s->trace, MESH_TRACE_TABLE_REPORT, 0, &s->cursor);
    return err != 0 ? failed(s, err, fail) : next_row(s, fail);
}

int recorded_rewind(struct recorded *r, struct fail *fail)
{
    for (size_t i = 0; i < r->count; i++)
        if (rewind_source(&r->source[i], fail) < 0)
            return -1;
    return 0;
}

static int find_last(struct source *s, struct fail *fail)
{
    struct mesh_trace_query *query;
    struct mesh_trace_value value;
    int err = mesh_trace_query(s->trace, "SELECT t_ns FROM reports ORDER BY id DESC LIMIT 1", 10, &query);

    s->last_ns = s->row.t_ns;
    if (err != 0)
        return failed(s, err, fail);
    err = mesh_trace_query_next(query, &value);
    if (err > 0 && is_time(value.integer) && value.integer >= s->row.t_ns)
        s->last_ns = value.integer;
    mesh_trace_query_end(query);
    return err < 0 ? failed(s, err, fail) : 0;
}

static int align(struct recorded *r, struct fail *fail)
{
    struct mesh_trace_clock aligned[RECORDED_FILES_MAX];
    struct mesh_trace_clocks *clocks;
    int result = 0;

    if (mesh_trace_clocks_open(&clocks, r->count) != 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    for (size_t i = 0; i < r->count && result == 0; i++) {
        const int err = mesh_trace_clocks_read(clocks, i, r->source[i].trace);

        look(&r->source[i]);
        result = err != 0 ? failed(&r->source[i], err, fail) : 0;
    }
    if (result == 0)
        mesh_trace_clocks_align(clocks, aligned);
    for (size_t i = 0; i < r->count && result == 0; i++)
        r->source[i].clock = aligned[i];
    mesh_trace_clocks_close(clocks);
    return result;
}

static int find_span(struct recorded *r, struct fail *fail)
{
    bool is_any = false;

    if (recorded_rewind(r, fail) < 0 || align(r, fail) < 0)
        return -1;
    for (size_t i = 0; i < r->count; i++)
        if (r->source[i].has_row && find_last(&r->source[i], fail) < 0)
            return -1;
    for (size_t i = 0; i < r->count; i++) {
        const struct source *s = &r->source[i];

        if (!s->has_row)
            continue;
        if (!is_near(wall_of(s, s->row.t_ns)) || !is_near(wall_of(s, s->last_ns)))
            return fail_set(fail, EXIT_BAD_FILE, "%.300s: the times of its reports are impossible: the file is damaged", s->path);
        if (!is_any || wall_of(s, s->row.t_ns) < r->begin_ns)
            r->begin_ns = wall_of(s, s->row.t_ns);
        if (!is_any || wall_of(s, s->row.t_ns) > r->whole_ns)
            r->whole_ns = wall_of(s, s->row.t_ns);
        if (!is_any || wall_of(s, s->last_ns) > r->end_ns)
            r->end_ns = wall_of(s, s->last_ns);
        is_any = true;
    }
    if (is_any && r->end_ns - r->begin_ns > SPAN_NS_MAX)
        return fail_set(fail, EXIT_BAD_FILE, "%.300s: more than a year from its first report to its last: the file is damaged",
                        r->source[0].path);
    if (is_any)
        return 0;
    return fail_set(fail, EXIT_BAD_FILE, "%.300s: no telemetry in it: recordings of mesh-node have it, captures do not", r->source[0].path);
}

int recorded_next(struct recorded *r, struct recorded_record *record, struct fail *fail)
{
    struct mesh_telemetry_report report;
    struct source *first = NULL;

    for (size_t i = 0; i < r->count; i++) {
        struct source *s = &r->source[i];

        if (s->has_row && (first == NULL || wall_of(s, s->row.t_ns) < wall_of(first, first->row.t_ns)))
            first = s;
    }
    if (first == NULL)
        return 0;
    if (first->row.piece.bytes == NULL || first->row.piece.size > MESH_TELEMETRY_PIECE_BYTES_MAX)
        return fail_set(fail, EXIT_BAD_FILE, "%.300s: report %llu: %zu bytes, which are not telemetry: the file is damaged", first->path,
                        (unsigned long long)first->row.id, first->row.piece.size);
    record->wall_ns = wall_of(first, first->row.t_ns);
    report = (struct mesh_telemetry_report){.now_ns = (uint64_t)first->row.t_ns,
                                            .unix_ms = (uint64_t)(record->wall_ns / MS_NS),
                                            .piece = first->row.piece.bytes,
                                            .piece_bytes = first->row.piece.size};
    record->size = mesh_telemetry_write_report(&report, r->record);
    record->bytes = r->record;
    return next_row(first, fail) < 0 ? -1 : 1;
}

/* ---- tokens ---- */

static int compare_times(const void *a, const void *b)
{
    const struct recorded_token *one = a, *other = b;

    return (one->wall_ns > other->wall_ns) - (one->wall_ns < other->wall_ns);
}

/* By what they are; the same token of several traces by time. */
static int compare_tokens(const void *a, const void *b)
{
    const struct recorded_token *one = a, *other = b;

    if (one->request != other->request)
        return one->request > other->request ? 1 : -1;
    if (one->position != other->position)
        return one->position > other->position ? 1 : -1;
    return compare_times(a, b);
}

/* Add a trace's tokens. */
static int read_tokens(struct recorded *r, struct source *s, struct fail *fail)
{
    struct mesh_trace_cursor *cursor;
    struct mesh_trace_token row;
    uint64_t count, room = RECORDED_TOKENS_MAX - r->token_count;
    int err = mesh_trace_count(s->trace, MESH_TRACE_TABLE_TOKEN, &count), got = 0;

    room = err == 0 && count < room ? count : room;
    if (err == 0 && room > 0) {
        struct recorded_token *grown = realloc(r->tokens, (r->token_count + room) * sizeof *r->tokens);

        if (grown == NULL)
            return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
        r->tokens = grown;
        err = mesh_trace_read(s->trace, MESH_TRACE_TABLE_TOKEN, 0, &cursor);
        while (err == 0 && room > 0 && (got = mesh_trace_next(cursor, &row)) > 0)
            if (is_time(row.t_ns)) {
                r->tokens[r->token_count++] = (struct recorded_token){wall_of(s, row.t_ns), row.request, row.position};
                room--;
            }
        if (err == 0)
            mesh_trace_end(cursor);
    }
    return err != 0 || got < 0 ? failed(s, err != 0 ? err : got, fail) : 0;
}

static void drop_repeated(struct recorded *r)
{
    size_t kept = 0;

    qsort(r->tokens, r->token_count, sizeof *r->tokens, compare_tokens);
    for (size_t i = 0; i < r->token_count; i++)
        if (kept == 0 || r->tokens[kept - 1].request != r->tokens[i].request || r->tokens[kept - 1].position != r->tokens[i].position)
            r->tokens[kept++] = r->tokens[i];
    r->token_count = kept;
}

/* Of all traces: each node hears of all tokens, but only while it is there. */
static int find_tokens(struct recorded *r, struct fail *fail)
{
    for (size_t i = 0; i < r->count; i++) {
        const size_t before = r->token_count;

        look(&r->source[i]);
        if (read_tokens(r, &r->source[i], fail) < 0)
            return -1;
        if (r->token_count > before)
            drop_repeated(r);
    }
    if (r->token_count > 0)
        qsort(r->tokens, r->token_count, sizeof *r->tokens, compare_times);
    return 0;
}

const struct recorded_token *recorded_tokens(const struct recorded *r, size_t *count)
{
    *count = r->token_count;
    return r->tokens;
}

/* ---- public ---- */

/* All that has to be known before anything can be shown. */
static int read_all(struct recorded *r, const char *const *paths, size_t count, struct fail *fail)
{
    int result = 0;

    progress_begin(&r->progress);
    r->reading = "reports";
    if (add_all(r, paths, count, fail) < 0 || find_span(r, fail) < 0)
        result = -1;
    r->reading = "tokens";
    if (result == 0)
        result = find_tokens(r, fail);
    progress_end(&r->progress);
    for (size_t i = 0; i < r->count; i++)
        if (r->source[i].trace != NULL)
            mesh_trace_watch(r->source[i].trace, NULL, NULL);
    return result;
}

int recorded_open(struct recorded **recorded, const char *const *paths, size_t count, struct fail *fail)
{
    struct recorded *r = calloc(1, sizeof *r);

    if (r == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    if (read_all(r, paths, count, fail) < 0) {
        recorded_close(r);
        return -1;
    }
    if (r->count > 1)
        snprintf(r->name, sizeof r->name, "%.150s and %zu more", name_of(paths[0]), r->count - 1);
    else
        snprintf(r->name, sizeof r->name, "%.150s", name_of(paths[0]));
    *recorded = r;
    return 0;
}

void recorded_close(struct recorded *r)
{
    for (size_t i = 0; r != NULL && i < r->count; i++) {
        mesh_trace_end(r->source[i].cursor);
        mesh_trace_close(r->source[i].trace);
        free(r->source[i].path);
    }
    if (r != NULL)
        free(r->tokens);
    free(r);
}

const char *recorded_name(const struct recorded *r)
{
    return r->name;
}

int64_t recorded_begin_ns(const struct recorded *r)
{
    return r->begin_ns;
}

int64_t recorded_end_ns(const struct recorded *r)
{
    return r->end_ns;
}

int64_t recorded_whole_ns(const struct recorded *r)
{
    return r->whole_ns;
}

#else /* without sqlite3, zstd and xxhash */

int recorded_open(struct recorded **recorded, const char *const *paths, size_t count, struct fail *fail)
{
    (void)recorded, (void)count;
    return fail_set(fail, EXIT_ENVIRONMENT, "--trace %.300s: this program was built without sqlite3, zstd or xxhash: build it with them",
                    paths[0]);
}

void recorded_close(struct recorded *recorded)
{
    (void)recorded;
}

const char *recorded_name(const struct recorded *recorded)
{
    (void)recorded;
    return "";
}

int64_t recorded_begin_ns(const struct recorded *recorded)
{
    (void)recorded;
    return 0;
}

int64_t recorded_end_ns(const struct recorded *recorded)
{
    (void)recorded;
    return 0;
}

int64_t recorded_whole_ns(const struct recorded *recorded)
{
    (void)recorded;
    return 0;
}

int recorded_next(struct recorded *recorded, struct recorded_record *record, struct fail *fail)
{
    (void)recorded, (void)record, (void)fail;
    return 0;
}

int recorded_rewind(struct recorded *recorded, struct fail *fail)
{
    (void)recorded, (void)fail;
    return 0;
}

const struct recorded_token *recorded_tokens(const struct recorded *recorded, size_t *count)
{
    (void)recorded;
    *count = 0;
    return NULL;
}

#endif
