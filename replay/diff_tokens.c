/* The generated tokens in two traces. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "diff_requests.h"
#include "rows.h"

#define TOKENS_SQL "SELECT request, position, max(token) FROM tokens GROUP BY request, position ORDER BY request, position"

struct token {
    int64_t request, position, token;
};

/* All tokens of a trace, in that order. */
struct tokens {
    size_t count, capacity;
    struct token *at; /* owned */
    struct fail *fail;
};

static int add_token(void *context, const struct mesh_trace_value *values)
{
    struct tokens *tokens = context;

    if (tokens->count == tokens->capacity) {
        const size_t capacity = tokens->capacity > 0 ? 2 * tokens->capacity : 1024;
        struct token *grown = realloc(tokens->at, capacity * sizeof *grown);

        if (grown == NULL)
            return fail_set(tokens->fail, EXIT_ENVIRONMENT, "memory: out of memory for the tokens: close other programs");
        tokens->at = grown;
        tokens->capacity = capacity;
    }
    tokens->at[tokens->count++] = (struct token){values[0].integer, values[1].integer, values[2].integer};
    return 0;
}

/* The tokens of a request, from the first one on. */
struct answer {
    const struct token *at;
    size_t count;
};

static struct answer answer_of(const struct tokens *tokens, int64_t request)
{
    struct answer answer = {NULL, 0};
    size_t low = 0, high = tokens->count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (tokens->at[middle].request < request)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < tokens->count)
        answer.at = &tokens->at[low];
    while (low + answer.count < tokens->count && tokens->at[low + answer.count].request == request)
        answer.count++;
    return answer;
}

/* ---- comparing ---- */

static void note_first(struct diff_tokens *found, size_t place, const struct token *a, const struct token *b)
{
    assert(a != NULL || b != NULL);
    if (found->has_first)
        return;
    found->has_first = true;
    found->request = (int64_t)place + 1;
    found->position = a != NULL ? a->position : b->position;
    found->first[0] = a != NULL ? a->token : MESH_TRACE_NULL;
    found->first[1] = b != NULL ? b->token : MESH_TRACE_NULL;
}

static void compare_answers(struct diff_tokens *found, size_t place, struct answer a, struct answer b, bool is_one_mesh)
{
    for (size_t i = 0, k = 0; i < a.count || k < b.count;) {
        const bool has_a = i < a.count && (k >= b.count || a.at[i].position <= b.at[k].position);
        const bool has_b = k < b.count && (i >= a.count || b.at[k].position <= a.at[i].position);
        const struct token *in_a = has_a ? &a.at[i++] : NULL, *in_b = has_b ? &b.at[k++] : NULL;

        found->aligned += has_a && has_b;
        found->only[0] += has_a && !has_b;
        found->only[1] += has_b && !has_a;
        if (has_a && has_b && in_a->token != in_b->token)
            found->different++;
        else if ((has_a && has_b) || is_one_mesh)
            continue;
        note_first(found, place, in_a, in_b);
    }
}

static void compare_all(struct diff_tokens *found, const struct tokens tokens[2], const struct diff_requests requests[2], bool is_one_mesh)
{
    const struct answer none = {NULL, 0};

    for (size_t i = 0; i < requests[0].count; i++) {
        const struct diff_request *request = &requests[0].at[i];
        const struct answer other = request->other != DIFF_NONE ? answer_of(&tokens[1], requests[1].at[request->other].id) : none;

        compare_answers(found, i, answer_of(&tokens[0], request->id), other, is_one_mesh);
    }
    for (size_t i = 0; i < requests[1].count; i++)
        if (requests[1].at[i].other == DIFF_NONE)
            compare_answers(found, i, none, answer_of(&tokens[1], requests[1].at[i].id), is_one_mesh);
}

/* In one mesh a node that joined or left lacks some tokens; in two runs an answer that ends earlier is a difference. */
static void judge(struct diff *diff, bool is_one_mesh)
{
    struct diff_tokens *found = &diff->tokens;

    found->verdict = diff_judge(diff, "ids", found->aligned, found->different);
    if (!is_one_mesh && found->only[0] + found->only[1] > 0 && found->verdict != DIFF_UNKNOWN)
        found->verdict = DIFF_DIFFERENT;
}

/* A trace of a capture has no tokens, which is no difference from a trace with tokens. */
static bool has_no_ids(struct mesh_trace *trace)
{
    char word[10];

    return mesh_trace_get_meta(trace, "ids", word, sizeof word) == 0 && strcmp(word, "none") == 0;
}

int diff_tokens(struct diff *diff, struct fail *fail)
{
    struct tokens tokens[2] = {{.fail = fail}, {.fail = fail}};
    struct diff_requests requests[2] = {{0}, {0}};
    bool is_one_mesh = false;
    int result;

    if (has_no_ids(diff->traces[0]) || has_no_ids(diff->traces[1])) {
        diff->tokens.verdict = DIFF_NOTHING;
        return 0;
    }
    result = diff_is_one_mesh(diff, &is_one_mesh, fail);
    for (unsigned side = 0; side < 2 && result == 0; side++)
        result = rows_each(diff->paths[side], diff->traces[side], TOKENS_SQL, add_token, &tokens[side], fail);
    if (result == 0)
        result = diff_requests_open(requests, diff, is_one_mesh, fail);
    if (result == 0) {
        compare_all(&diff->tokens, tokens, requests, is_one_mesh);
        judge(diff, is_one_mesh);
    }
    diff_requests_close(requests);
    for (unsigned side = 0; side < 2; side++)
        free(tokens[side].at);
    return result;
}
