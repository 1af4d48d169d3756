/* Which requests of two traces are matched: in one mesh those of the same id; in two runs, where ids are drawn anew, those with the same
 * options and prompt, then those that begin with the same tokens, and the rest in the order of their first tokens. */
#include "diff_requests.h"

#include <stdlib.h>
#include <string.h>

#include "rows.h"

/* Options and prompt are known where a request entered at this node. */
#define REQUESTS_SQL                                                                                               \
    "SELECT t.request, (SELECT r.options || ' ' || hex(r.prompt) FROM requests r "                                 \
    "WHERE r.request = t.request AND r.kind = 'begin' AND r.prompt IS NOT NULL LIMIT 1), "                         \
    "(SELECT group_concat(token) FROM (SELECT token FROM tokens b WHERE b.request = t.request AND b.position < 8 " \
    "ORDER BY b.position)) FROM (SELECT request, min(id) AS first FROM tokens GROUP BY request) t ORDER BY first"

struct reading {
    struct diff_requests *requests;
    struct fail *fail;
};

static int add_request(void *context, const struct mesh_trace_value *values)
{
    struct reading *reading = context;
    struct diff_requests *r = reading->requests;
    struct diff_request *request;

    if (r->count == r->capacity) {
        const size_t capacity = r->capacity > 0 ? 2 * r->capacity : 64;
        struct diff_request *grown = realloc(r->at, capacity * sizeof *grown);

        if (grown == NULL)
            return fail_set(reading->fail, EXIT_ENVIRONMENT, "memory: out of memory for the requests: close other programs");
        r->at = grown;
        r->capacity = capacity;
    }
    request = &r->at[r->count];
    *request = (struct diff_request){.id = values[0].integer, .place = r->count, .other = DIFF_NONE};
    r->count++;
    for (unsigned i = 0; i < DIFF_WORDS; i++)
        if (values[1 + i].kind == MESH_TRACE_VALUE_TEXT && (request->words[i] = strdup(values[1 + i].bytes)) == NULL)
            return fail_set(reading->fail, EXIT_ENVIRONMENT, "memory: out of memory for the requests: close other programs");
    return 0;
}

/* ---- side by side ---- */

static int compare_numbers(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int by_place(const void *a, const void *b)
{
    const struct diff_request *x = a, *y = b;

    return compare_numbers((int64_t)x->place, (int64_t)y->place);
}

static int compare_keys(const struct diff_request *x, const struct diff_request *y)
{
    return strcmp(x->key, y->key);
}

static int by_key(const void *a, const void *b)
{
    const int order = compare_keys(a, b);

    return order != 0 ? order : by_place(a, b);
}

static int compare_ids(const struct diff_request *x, const struct diff_request *y)
{
    return compare_numbers(x->id, y->id);
}

static int by_id(const void *a, const void *b)
{
    return compare_ids(a, b);
}

static void sort(struct diff_requests requests[2], int (*compare)(const void *, const void *))
{
    for (unsigned side = 0; side < 2; side++)
        if (requests[side].count > 0)
            qsort(requests[side].at, requests[side].count, sizeof *requests[side].at, compare);
}

static void join(struct diff_request *a, struct diff_request *b)
{
    a->other = b->place;
    b->other = a->place;
}

/* Match equal requests of two lists that are sorted by `compare`. */
static void join_equal(struct diff_requests requests[2], int (*compare)(const struct diff_request *, const struct diff_request *))
{
    for (size_t i = 0, k = 0; i < requests[0].count && k < requests[1].count;) {
        const int order = compare(&requests[0].at[i], &requests[1].at[k]);

        if (order == 0)
            join(&requests[0].at[i], &requests[1].at[k]);
        i += order <= 0;
        k += order >= 0;
    }
}

/* Match those without a counterpart by key; all others, and those without words, get keys that are equal to none. */
static void join_words(struct diff_requests requests[2], unsigned which)
{
    static char none[2][2] = {"A", "B"};

    for (unsigned side = 0; side < 2; side++)
        for (size_t i = 0; i < requests[side].count; i++) {
            struct diff_request *request = &requests[side].at[i];
            char *words = request->words[which];

            request->key = request->other == DIFF_NONE && words != NULL ? words : none[side];
        }
    sort(requests, by_key);
    join_equal(requests, compare_keys);
    sort(requests, by_place);
}

static void join_rest(struct diff_requests requests[2])
{
    for (size_t i = 0, k = 0; i < requests[0].count && k < requests[1].count;) {
        if (requests[0].at[i].other != DIFF_NONE)
            i++;
        else if (requests[1].at[k].other != DIFF_NONE)
            k++;
        else
            join(&requests[0].at[i++], &requests[1].at[k++]);
    }
}

int diff_requests_open(struct diff_requests requests[2], struct diff *diff, bool is_one_mesh, struct fail *fail)
{
    for (unsigned side = 0; side < 2; side++) {
        struct reading reading = {&requests[side], fail};

        if (rows_each(diff->paths[side], diff->traces[side], REQUESTS_SQL, add_request, &reading, fail) != 0)
            return -1;
    }
    if (is_one_mesh) {
        sort(requests, by_id);
        join_equal(requests, compare_ids);
        sort(requests, by_place);
        return 0;
    }
    for (unsigned i = 0; i < DIFF_WORDS; i++)
        join_words(requests, i);
    join_rest(requests);
    return 0;
}

void diff_requests_close(struct diff_requests requests[2])
{
    for (unsigned side = 0; side < 2; side++) {
        for (size_t i = 0; i < requests[side].count; i++)
            for (unsigned k = 0; k < DIFF_WORDS; k++)
                free(requests[side].at[i].words[k]);
        free(requests[side].at);
    }
}
