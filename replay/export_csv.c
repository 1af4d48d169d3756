/* Tables and views as CSV files. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "export.h"
#include "rows.h"

struct csv {
    const struct export_traces *traces;
    const char *folder;
    struct fail *fail;
    size_t count;
    char names[ROWS_COLUMNS_MAX][64];
};

/* Names come from the file: a name that could lead out of the folder is none of ours. */
static int note_name(void *context, const struct mesh_trace_value *values)
{
    struct csv *csv = context;
    const char *name = values[0].bytes;

    if (values[0].size == 0 || values[0].size >= sizeof csv->names[0] || csv->count == ROWS_COLUMNS_MAX ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != values[0].size)
        return 0;
    memcpy(csv->names[csv->count++], name, values[0].size + 1);
    return 0;
}

struct table {
    struct csv *csv;
    const char *path, *name;
};

static int write_rows(void *context, FILE *out, struct fail *fail)
{
    const struct table *table = context;
    const struct export_traces *traces = table->csv->traces;
    char sql[120];
    const struct rows_query query = {
        .path = traces->paths[0], .trace = traces->traces[0], .sql = sql, .seconds = ROWS_OWN_SECONDS, .form = ROWS_CSV};
    int result;

    snprintf(sql, sizeof sql, "SELECT * FROM %s", table->name);
    result = rows_write(&query, out, fail);
    if (ferror(out)) /* the message of rows_write names no file */
        return fail_set(fail, EXIT_ENVIRONMENT, "%.300s: cannot write: %s: free some space", table->path, strerror(errno));
    return result;
}

/* A file left by an earlier trace for a table without rows here would be taken as a part of this one. */
static int remove_old(const char *path, struct fail *fail)
{
    if (unlink(path) == 0 || errno == ENOENT)
        return 0;
    return fail_set(fail, EXIT_ENVIRONMENT, "%.300s: of another trace, and cannot be removed: %s: %s", path, strerror(errno),
                    fail_advice(errno, "choose another folder"));
}

static int write_table(struct csv *csv, const char *name)
{
    char path[4200], sql[120];
    struct table table = {csv, path, name};
    int64_t count;
    int result;

    snprintf(path, sizeof path, "%.4000s/%s.csv", csv->folder, name);
    snprintf(sql, sizeof sql, "SELECT count(*) FROM (SELECT 1 FROM %s LIMIT 1)", name);
    result = rows_number(csv->traces->paths[0], csv->traces->traces[0], sql, &count, csv->fail);
    if (result == 0)
        result = count == 0 ? remove_old(path, csv->fail) : export_to_file(path, write_rows, &table, csv->fail);
    return result;
}

int export_csv(const struct export_traces *traces, const char *folder, struct fail *fail)
{
    struct csv csv = {.traces = traces, .folder = folder, .fail = fail};
    int result;

    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return fail_set(fail, EXIT_ENVIRONMENT, "--csv %.300s: cannot be made: %s: choose another folder", folder, strerror(errno));
    result = rows_each(traces->paths[0], traces->traces[0], "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') ORDER BY name",
                       note_name, &csv, fail);
    for (size_t i = 0; result == 0 && i < csv.count; i++)
        result = write_table(&csv, csv.names[i]);
    return result;
}
