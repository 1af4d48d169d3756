#include "rows.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "mesh/program/json.h"
#include "mesh/program/text_decode.h"
#include "progress_line.h"

static void write_hex(FILE *out, const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        fprintf(out, "%02x", ((const uint8_t *)bytes)[i]);
}

static void write_text(FILE *out, const struct mesh_trace_value *value)
{
    char number[JSON_NUMBER_MAX];

    switch (value->kind) {
    case MESH_TRACE_VALUE_INTEGER:
        fprintf(out, "%" PRId64, value->integer);
        break;
    case MESH_TRACE_VALUE_REAL:
        json_double_text(value->real, number);
        fputs(number, out);
        break;
    case MESH_TRACE_VALUE_TEXT:
        text_decode_print(out, value->bytes, value->size);
        break;
    case MESH_TRACE_VALUE_BLOB:
        write_hex(out, value->bytes, value->size);
        break;
    default:
        fputc('-', out);
    }
}

/* RFC 4180: quoted where it has to be; NULL is empty. */
static void write_csv(FILE *out, const struct mesh_trace_value *value)
{
    const char *text = value->bytes;
    size_t plain = 0;

    if (value->kind == MESH_TRACE_VALUE_NULL)
        return;
    if (value->kind != MESH_TRACE_VALUE_TEXT) {
        write_text(out, value);
        return;
    }
    while (plain < value->size && memchr(",\"\r\n", text[plain], 4) == NULL)
        plain++;
    if (plain == value->size && value->size > 0) {
        fwrite(text, 1, value->size, out);
        return;
    }
    fputc('"', out);
    for (size_t i = 0; i < value->size; i++) {
        if (text[i] == '"')
            fputc('"', out);
        fputc(text[i], out);
    }
    fputc('"', out);
}

static void write_json(struct json *json, const char *name, const struct mesh_trace_value *value)
{
    switch (value->kind) {
    case MESH_TRACE_VALUE_INTEGER:
        json_int(json, name, value->integer);
        break;
    case MESH_TRACE_VALUE_REAL:
        json_double(json, name, value->real);
        break;
    case MESH_TRACE_VALUE_TEXT:
        json_string(json, name, value->bytes, value->size);
        break;
    case MESH_TRACE_VALUE_BLOB: /* its first bytes: enough to compare hashes and ids; SQL's hex() gives all */
        json_hex(json, name, value->bytes, value->size < 64 ? value->size : 64);
        break;
    default:
        json_double(json, name, NAN); /* null */
    }
}

struct writing {
    FILE *out;
    enum rows_form form;
    struct json json;
    unsigned count;
    const struct mesh_trace_query *query;
    const char *trace; /* NULL: not a column */
};

static void write_cell(struct writing *writing, bool is_first, const struct mesh_trace_value *value)
{
    if (!is_first)
        fputc(writing->form == ROWS_CSV ? ',' : '\t', writing->out);
    (writing->form == ROWS_CSV ? write_csv : write_text)(writing->out, value);
}

static struct mesh_trace_value value_of(const char *text)
{
    return (struct mesh_trace_value){.kind = MESH_TRACE_VALUE_TEXT, .bytes = text, .size = strlen(text)};
}

static void end_line(struct writing *writing)
{
    fputs(writing->form == ROWS_CSV ? "\r\n" : "\n", writing->out);
}

static void write_head(struct writing *writing)
{
    if (writing->form == ROWS_JSON)
        return;
    struct mesh_trace_value name = value_of("trace");

    if (writing->trace != NULL)
        write_cell(writing, true, &name);
    for (unsigned i = 0; i < writing->count; i++) {
        name = value_of(mesh_trace_query_column(writing->query, i));
        write_cell(writing, i == 0 && writing->trace == NULL, &name);
    }
    end_line(writing);
}

static void write_row(struct writing *writing, const struct mesh_trace_value *values)
{
    if (writing->form == ROWS_JSON) {
        json_event_begin(&writing->json, "row");
        if (writing->trace != NULL)
            json_text(&writing->json, "trace", writing->trace);
        for (unsigned i = 0; i < writing->count; i++)
            write_json(&writing->json, mesh_trace_query_column(writing->query, i), &values[i]);
        json_event_end(&writing->json);
        return;
    }
    if (writing->trace != NULL) {
        const struct mesh_trace_value path = value_of(writing->trace);

        write_cell(writing, true, &path);
    }
    for (unsigned i = 0; i < writing->count; i++)
        write_cell(writing, i == 0 && writing->trace == NULL, &values[i]);
    end_line(writing);
}

static int check_columns(const struct rows_query *q, unsigned count, struct fail *fail)
{
    if (count > ROWS_COLUMNS_MAX)
        return fail_set(fail, EXIT_USAGE, "the query has %u columns: at most %d: name those that are wanted", count, ROWS_COLUMNS_MAX);
    if (q->columns != NULL && *q->columns != 0 && *q->columns != count)
        return fail_set(fail, EXIT_USAGE, "%.300s: the query has %u columns, and %u in the traces before: name those that are wanted",
                        q->path, count, *q->columns);
    return 0;
}

int rows_write(const struct rows_query *q, FILE *out, struct fail *fail)
{
    struct mesh_trace_value values[ROWS_COLUMNS_MAX];
    struct writing writing = {.out = out, .form = q->form, .trace = q->names_trace ? q->path : NULL};
    struct mesh_trace_query *query;
    int result = mesh_trace_query(q->trace, q->sql, q->seconds, &query);

    if (result != 0)
        return trace_failed(q->path, q->trace, result, fail);
    writing.query = query;
    writing.count = mesh_trace_query_columns(query);
    json_init(&writing.json, out);
    if (check_columns(q, writing.count, fail) < 0) {
        mesh_trace_query_end(query);
        return -1;
    }
    if (out == stdout)
        progress_line_clear();
    if (q->columns == NULL || *q->columns == 0)
        write_head(&writing);
    if (q->columns != NULL)
        *q->columns = writing.count;
    while ((result = mesh_trace_query_next(query, values)) == 1 && !ferror(out)) {
        if (out == stdout)
            progress_line_end();
        write_row(&writing, values);
    }
    mesh_trace_query_end(query);
    if (result < 0)
        return trace_failed(q->path, q->trace, result, fail);
    if (ferror(out))
        return fail_output(fail, "output");
    return 0;
}

int rows_each(const char *path, struct mesh_trace *trace, const char *sql,
              int (*each)(void *context, const struct mesh_trace_value *values), void *context, struct fail *fail)
{
    struct mesh_trace_value values[ROWS_COLUMNS_MAX];
    struct mesh_trace_query *query;
    int got = mesh_trace_query(trace, sql, ROWS_OWN_SECONDS, &query), result = 0;

    if (got != 0)
        return trace_failed(path, trace, got, fail);
    while (result == 0 && (got = mesh_trace_query_next(query, values)) == 1)
        result = each(context, values);
    mesh_trace_query_end(query);
    return got < 0 ? trace_failed(path, trace, got, fail) : result;
}

static int take_number(void *context, const struct mesh_trace_value *values)
{
    *(int64_t *)context = values[0].kind == MESH_TRACE_VALUE_REAL ? (int64_t)values[0].real : values[0].integer;
    return 0;
}

int rows_number(const char *path, struct mesh_trace *trace, const char *sql, int64_t *number, struct fail *fail)
{
    *number = 0;
    return rows_each(path, trace, sql, take_number, number, fail);
}
