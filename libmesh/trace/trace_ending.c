/* How a trace ends: the mark of a proper end, in meta, which a recorder that is killed or has no room cannot write. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trace_parts.h"

#define END_COMPLETE  "complete"
#define END_CONTINUED "continued"
#define CLOCK_SET_NS  UINT64_C(1000000000) /* smaller steps are left: dates would change by less than a second */

int mesh_trace_end_here(struct mesh_trace *trace, int64_t end_ns, const char *next)
{
    char text[24];
    int err = mesh_trace_begin(trace);

    if (err != 0)
        return err;
    snprintf(text, sizeof text, "%lld", (long long)end_ns);
    err = mesh_trace_set_meta(trace, TRACE_END_KEY, next != NULL ? END_CONTINUED : END_COMPLETE);
    err = err != 0 ? err : mesh_trace_set_meta(trace, "end_ns", text);
    if (err == 0 && next != NULL)
        err = mesh_trace_set_meta(trace, "end_next", next);
    err = err != 0 ? err : mesh_trace_commit(trace);
    if (err != 0)
        mesh_trace_rollback(trace);
    return err;
}

/* 0, with *is_there, or an error. */
static int get_text(struct mesh_trace *trace, const char *key, char *out, size_t capacity, bool *is_there)
{
    const int err = mesh_trace_get_meta(trace, key, out, capacity);

    *is_there = err == 0;
    return err == MESH_EABSENT ? 0 : err;
}

static int get_number(struct mesh_trace *trace, const char *key, int64_t *number)
{
    char text[40];
    bool is_there;
    const int err = get_text(trace, key, text, sizeof text, &is_there);

    *number = err == 0 && is_there ? strtoll(text, NULL, 10) : MESH_TRACE_NULL;
    return err;
}

/* The latest time of any row; MESH_TRACE_NULL: there are none. Only the file's own tables are read. */
static int get_last(struct mesh_trace *trace, int64_t *last_ns)
{
    return mesh_trace_number(trace,
                             "SELECT coalesce(max(t), -9223372036854775807 - 1) FROM (SELECT max(end_ns) AS t FROM main.chunks UNION ALL "
                             "SELECT max(t_ns) FROM main.epochs UNION ALL SELECT max(t_ns) FROM main.datagrams UNION ALL "
                             "SELECT max(t_ns) FROM main.requests UNION ALL SELECT max(t_ns) FROM main.tokens UNION ALL "
                             "SELECT max(t_ns) FROM main.events UNION ALL SELECT max(t_ns) FROM main.reports)",
                             last_ns);
}

/* A machine without a battery for its clock is in 1970 until the network tells it the time. The last report shows whether that has happened
 * since (or whether the machine was suspended: the trace's clock stood, and what came after that is dated right); of a clock that was right
 * it says less than the beginning, as it has milliseconds only. */
static int correct_begun(struct mesh_trace *trace, struct mesh_trace_ending *made)
{
    const uint64_t ahead = (uint64_t)made->begun_unix_ns - (uint64_t)made->begun_ns;
    int64_t later;
    int err;

    if (made->begun_ns == MESH_TRACE_NULL || made->begun_unix_ns == MESH_TRACE_NULL)
        return 0;
    err = mesh_trace_number(trace,
                            "SELECT coalesce((SELECT unix_ms * 1000000 - t_ns FROM main.reports WHERE node = 1 AND "
                            "unix_ms BETWEEN 0 AND 9223372036854 ORDER BY id DESC LIMIT 1), -9223372036854775807 - 1)",
                            &later);
    if (err == 0 && later != MESH_TRACE_NULL && (uint64_t)later - ahead + CLOCK_SET_NS > 2 * CLOCK_SET_NS)
        made->begun_unix_ns = (int64_t)((uint64_t)made->begun_ns + (uint64_t)later);
    return err;
}

int mesh_trace_get_ending(struct mesh_trace *trace, struct mesh_trace_ending *ending)
{
    struct mesh_trace_ending made = {.kind = MESH_TRACE_END_UNKNOWN};
    char end[20];
    bool is_marked, is_named;
    int err = get_text(trace, TRACE_END_KEY, end, sizeof end, &is_marked);

    err = err != 0 ? err : get_number(trace, "begun_ns", &made.begun_ns);
    err = err != 0 ? err : get_number(trace, "begun_unix_ns", &made.begun_unix_ns);
    err = err != 0 ? err : correct_begun(trace, &made);
    err = err != 0 ? err : get_text(trace, "end_next", made.next, sizeof made.next, &is_named);
    err = err != 0 ? err : get_number(trace, "end_ns", &made.until_ns);
    if (err != 0)
        return err;
    if (is_marked && strcmp(end, END_COMPLETE) == 0)
        made.kind = MESH_TRACE_END_COMPLETE;
    else if (is_marked && strcmp(end, END_CONTINUED) == 0)
        made.kind = MESH_TRACE_END_CONTINUED;
    else if (is_marked)
        made.kind = MESH_TRACE_END_EARLY;
    if (made.kind <= MESH_TRACE_END_EARLY && trace->is_live)
        made.kind = MESH_TRACE_END_OPEN;
    if (made.kind <= MESH_TRACE_END_EARLY || made.until_ns == MESH_TRACE_NULL)
        err = get_last(trace, &made.until_ns);
    if (err == 0)
        *ending = made;
    return err;
}
