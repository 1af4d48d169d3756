#include "compute_tokens.h"

#include <stdlib.h>
#include <string.h>

/* Room for one more; NULL: no memory. */
static void *grow(void *items, size_t count, size_t *capacity, size_t size)
{
    void *grown;

    if (count < *capacity)
        return items;
    *capacity = *capacity > 0 ? 2 * *capacity : 256;
    grown = realloc(items, *capacity * size);
    if (grown == NULL)
        *capacity = count;
    return grown;
}

/* ---- requests ---- */

/* What follows the key in a JSON object as recorders write it; NULL: the key is absent. */
static const char *value_of(const char *object, const char *key)
{
    const char *at = strstr(object, key);

    return at == NULL ? NULL : at + strlen(key);
}

static float float_of(const char *object, const char *key, float otherwise)
{
    const char *at = value_of(object, key);

    return at == NULL ? otherwise : strtof(at, NULL);
}

static uint64_t uint_of(const char *object, const char *key, uint64_t otherwise)
{
    const char *at = value_of(object, key);

    return at == NULL ? otherwise : strtoull(at, NULL, 10);
}

static struct sampling sampling_of(const char *options)
{
    return (struct sampling){
#define READ_f32(name, off)           float_of(options, "\"" #name "\":", off)
#define READ_u32(name, off)           (uint32_t) uint_of(options, "\"" #name "\":", off)
#define READ_u64(name, off)           uint_of(options, "\"" #name "\":", off)
#define READ(type, name, option, off) .name = READ_##type(name, off),
        SAMPLING_FIELDS(READ)
#undef READ
#undef READ_u64
#undef READ_u32
#undef READ_f32
    };
}

static int add_request(struct compute_tokens *t, const struct mesh_trace_request *row)
{
    const size_t count = row->prompt.size / sizeof(uint32_t);
    const char *options = row->options != NULL ? row->options : "";
    size_t capacity = t->request_capacity;
    struct request *grown = grow(t->requests, t->request_count, &t->request_capacity, sizeof *grown);
    int64_t *times = grow(t->request_ns, t->request_count, &capacity, sizeof *times);
    const uint8_t *from = row->prompt.bytes;
    const char *ignores_end = value_of(options, "\"ignore_eos\":");
    uint32_t *prompt;

    t->requests = grown != NULL ? grown : t->requests;
    t->request_ns = times != NULL ? times : t->request_ns;
    if (grown == NULL || times == NULL)
        return -1;
    t->request_ns[t->request_count] = row->t_ns;
    prompt = malloc(count * sizeof *prompt);
    if (prompt == NULL)
        return -1;
    for (size_t i = 0; i < count; i++)
        prompt[i] = from[4 * i] | (uint32_t)from[4 * i + 1] << 8 | (uint32_t)from[4 * i + 2] << 16 | (uint32_t)from[4 * i + 3] << 24;
    t->requests[t->request_count++] = (struct request){
        .id = row->request,
        .prompt = prompt,
        .prompt_count = (uint32_t)count,
        .predict = row->tokens > 0 && row->tokens <= UINT32_MAX ? (uint32_t)row->tokens : 1,
        .sampling = sampling_of(options),
        .ignore_end = ignores_end != NULL && strncmp(ignores_end, "true", 4) == 0,
        .want_digest = true,
    };
    return 0;
}

/* ---- reading ---- */

static int by_place(const void *a, const void *b)
{
    const struct compute_token *x = a, *y = b;

    if (x->request != y->request)
        return x->request < y->request ? -1 : 1;
    return (x->position > y->position) - (x->position < y->position);
}

static int add_token(struct compute_tokens *t, const struct mesh_trace_token *row)
{
    struct compute_token *grown = grow(t->tokens, t->count, &t->capacity, sizeof *grown);

    if (grown == NULL)
        return -1;
    t->tokens = grown;
    t->tokens[t->count++] =
        (struct compute_token){.request = row->request, .position = row->position, .id = row->token, .digest = row->logits_hash};
    return 0;
}

static int no_memory(struct fail *fail)
{
    return fail_set(fail, EXIT_ENVIRONMENT, "no memory for the tokens of a trace: close other programs");
}

static int read_tokens(struct compute_tokens *t, const char *path, struct mesh_trace *trace, struct fail *fail)
{
    struct mesh_trace_cursor *cursor;
    struct mesh_trace_token row;
    int result = 0, err = mesh_trace_read(trace, MESH_TRACE_TABLE_TOKEN, 0, &cursor);

    if (err != 0)
        return trace_failed(path, trace, err, fail);
    while (result == 0 && (err = mesh_trace_next(cursor, &row)) == 1)
        result = add_token(t, &row) == 0 ? 0 : no_memory(fail);
    mesh_trace_end(cursor);
    return result == 0 && err < 0 ? trace_failed(path, trace, err, fail) : result;
}

static int read_requests(struct compute_tokens *t, const char *path, struct mesh_trace *trace, struct fail *fail)
{
    struct mesh_trace_cursor *cursor;
    struct mesh_trace_request row;
    int result = 0, err = mesh_trace_read(trace, MESH_TRACE_TABLE_REQUEST, 0, &cursor);

    if (err != 0)
        return trace_failed(path, trace, err, fail);
    while (result == 0 && (err = mesh_trace_next(cursor, &row)) == 1)
        if (row.kind != NULL && strcmp(row.kind, "begin") == 0 && row.prompt.size >= sizeof(uint32_t) && row.request != 0)
            result = add_request(t, &row) == 0 ? 0 : no_memory(fail);
    mesh_trace_end(cursor);
    return result == 0 && err < 0 ? trace_failed(path, trace, err, fail) : result;
}

int compute_tokens_read(struct compute_tokens *t, const char *path, struct mesh_trace *trace, struct fail *fail)
{
    if (read_tokens(t, path, trace, fail) != 0 || read_requests(t, path, trace, fail) != 0)
        return -1;
    if (t->count > 0)
        qsort(t->tokens, t->count, sizeof *t->tokens, by_place);
    return 0;
}

void compute_tokens_release(struct compute_tokens *t)
{
    for (size_t i = 0; i < t->request_count; i++)
        free((void *)t->requests[i].prompt);
    free(t->requests);
    free(t->request_ns);
    free(t->tokens);
    *t = (struct compute_tokens){0};
}

/* ---- comparing ---- */

/* The first token at this place or behind it. */
static size_t find(const struct compute_tokens *t, uint64_t request, uint64_t position)
{
    const struct compute_token wanted = {.request = request, .position = position};
    size_t low = 0, high = t->count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (by_place(&t->tokens[middle], &wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct compute_token *compute_tokens_get(const struct compute_tokens *t, uint64_t request, uint64_t position)
{
    const size_t at = find(t, request, position);

    return at < t->count && t->tokens[at].request == request && t->tokens[at].position == position ? &t->tokens[at] : NULL;
}

const struct compute_token *compute_tokens_check(struct compute_tokens *t, uint64_t request, uint64_t position, uint64_t id,
                                                 uint64_t digest)
{
    const struct compute_token *other = NULL;

    for (size_t i = find(t, request, position); i < t->count; i++) {
        struct compute_token *token = &t->tokens[i];

        if (token->request != request || token->position != position)
            break;
        token->is_compared = true;
        if (other == NULL && (token->id != id || (token->digest != MESH_TRACE_NULL && digest != 0 && (uint64_t)token->digest != digest)))
            other = token;
    }
    return other;
}

uint64_t compute_tokens_compared(const struct compute_tokens *t)
{
    uint64_t count = 0;

    for (size_t i = 0; i < t->count; i++)
        count += t->tokens[i].is_compared;
    return count;
}

bool compute_tokens_next_request(const struct compute_tokens *t, size_t *index, struct request *request)
{
    for (; *index < t->request_count; (*index)++) {
        const uint64_t id = t->requests[*index].id;
        uint64_t last = 0;
        bool is_wanted = false;

        for (size_t i = find(t, id, 0); i < t->count && t->tokens[i].request == id; i++) {
            is_wanted = is_wanted || !t->tokens[i].is_compared;
            last = t->tokens[i].position;
        }
        if (!is_wanted || last >= UINT32_MAX)
            continue;
        *request = t->requests[(*index)++];
        if (last + 1 < request->predict)
            request->predict = (uint32_t)last + 1;
        return true;
    }
    return false;
}
