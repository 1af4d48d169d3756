/* Rows of two traces side by side, by their keys. */
#include <string.h>

#include "diff.h"
#include "rows.h"

static int step(struct diff_walk *walk, unsigned side, struct fail *fail)
{
    const int got = mesh_trace_query_next(walk->queries[side], walk->values[side]);

    walk->has[side] = got == 1;
    return got < 0 ? trace_failed(walk->diff->paths[side], walk->diff->traces[side], got, fail) : 0;
}

int diff_walk_begin(struct diff_walk *walk, struct diff *diff, const char *sql, unsigned key_count, struct fail *fail)
{
    int result = 0;

    *walk = (struct diff_walk){.diff = diff, .key_count = key_count};
    for (unsigned side = 0; side < 2 && result == 0; side++) {
        result = mesh_trace_query(diff->traces[side], sql, ROWS_OWN_SECONDS, &walk->queries[side]);
        result = result != 0 ? trace_failed(diff->paths[side], diff->traces[side], result, fail) : step(walk, side, fail);
    }
    if (result != 0)
        diff_walk_end(walk);
    return result;
}

bool diff_walk_has(const struct diff_walk *walk)
{
    return walk->has[0] || walk->has[1];
}

int diff_walk_compare(const struct diff_walk *walk)
{
    if (!walk->has[0] || !walk->has[1])
        return walk->has[0] ? -1 : 1;
    for (unsigned i = 0; i < walk->key_count; i++) {
        const int64_t a = walk->values[0][i].integer, b = walk->values[1][i].integer;

        if (a != b)
            return a < b ? -1 : 1;
    }
    return 0;
}

int diff_walk_next(struct diff_walk *walk, int order, struct fail *fail)
{
    int result = order <= 0 ? step(walk, 0, fail) : 0;

    if (result == 0 && order >= 0)
        result = step(walk, 1, fail);
    return result;
}

void diff_walk_end(struct diff_walk *walk)
{
    for (unsigned side = 0; side < 2; side++)
        mesh_trace_query_end(walk->queries[side]);
}

bool diff_is_plain(const struct diff *diff, const char *meta_key)
{
    bool is_plain = true;

    for (unsigned side = 0; side < 2; side++) {
        char value[16];

        is_plain &= mesh_trace_get_meta(diff->traces[side], meta_key, value, sizeof value) == 0 && strcmp(value, "all") == 0;
    }
    return is_plain;
}

enum diff_verdict diff_judge(struct diff *diff, const char *meta_key, uint64_t aligned, uint64_t different)
{
    if (aligned == 0)
        return DIFF_NOTHING;
    if (different == 0)
        return DIFF_SAME;
    return different < aligned || diff_is_plain(diff, meta_key) ? DIFF_DIFFERENT : DIFF_UNKNOWN;
}
