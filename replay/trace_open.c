/* Traces named on the command line. */
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "rows.h"

#include "mesh/program/replace_file.h"

static enum exit_code code_of(int err)
{
    switch (err) {
    case MESH_ESYSTEM:
    case MESH_ENOMEM:
        return EXIT_ENVIRONMENT;
    case MESH_EINVAL:
        return EXIT_USAGE;
    default:
        return EXIT_BAD_FILE;
    }
}

struct mesh_trace *trace_open_for_any(const char *path, struct fail *fail)
{
    char reason[MESH_TRACE_REASON_BYTES];
    struct mesh_trace *trace;
    const int err = mesh_trace_open(&trace, path, reason);

    if (err == 0)
        return trace;
    fail_fill(fail, code_of(err), "%.300s: %s", path, reason);
    return NULL;
}

struct mesh_trace *trace_open(const char *path, struct fail *fail)
{
    struct mesh_trace *trace = trace_open_for_any(path, fail);

    if (trace != NULL)
        mesh_trace_sort_in_files(trace);
    return trace;
}

int trace_failed(const char *path, const struct mesh_trace *trace, int err, struct fail *fail)
{
    return fail_set(fail, code_of(err), "%.300s: %s", path, mesh_trace_reason(trace));
}

/* ---- the files of one recording ---- */

struct file {
    const char *path;
    char recording[60]; /* when the recording began, by two clocks: the same in all its files and no others. "": not known */
    int64_t first_ns;   /* of its first call */
};

static int describe(struct file *file, const char *path, struct fail *fail)
{
    struct mesh_trace *trace = trace_open(path, fail);
    char begun[25] = "", unix_ns[25] = "";
    int result;

    if (trace == NULL)
        return -1;
    file->path = path;
    if (mesh_trace_get_meta(trace, "begun_ns", begun, sizeof begun) == 0 &&
        mesh_trace_get_meta(trace, "begun_unix_ns", unix_ns, sizeof unix_ns) == 0)
        snprintf(file->recording, sizeof file->recording, "%s %s", begun, unix_ns);
    result = rows_number(path, trace, "SELECT coalesce(min(t_ns), 0) FROM chunks", &file->first_ns, fail);
    mesh_trace_close(trace);
    return result;
}

static void swap(struct file *a, struct file *b)
{
    const struct file was = *a;

    *a = *b;
    *b = was;
}

int trace_order(const char **paths, size_t count, struct fail *fail)
{
    struct file *files = calloc(count > 0 ? count : 1, sizeof *files);
    int result = 0;

    if (files == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "no memory for %zu names: close other programs", count);
    for (size_t i = 0; i < count && result == 0; i++)
        result = describe(&files[i], paths[i], fail);
    for (size_t i = 0; i < count && result == 0; i++)
        for (size_t k = i + 1; k < count; k++)
            if (files[i].recording[0] != '\0' && strcmp(files[i].recording, files[k].recording) == 0 &&
                files[k].first_ns < files[i].first_ns)
                swap(&files[i], &files[k]);
    for (size_t i = 0; i < count && result == 0; i++)
        paths[i] = files[i].path;
    free(files);
    return result;
}

int trace_check_unique(const char *const *paths, size_t count, struct fail *fail)
{
    for (size_t i = 1; i < count; i++)
        for (size_t k = 0; k < i; k++)
            if (replace_file_is_same(paths[k], paths[i]))
                return fail_set(fail, EXIT_USAGE, "%.300s: the same file as %.300s: name each trace once", paths[i], paths[k]);
    return 0;
}

int trace_check_output(const char *option, const char *path, const char *const *paths, size_t count, struct fail *fail)
{
    for (size_t i = 0; path != NULL && i < count; i++)
        if (replace_file_is_same(path, paths[i]))
            return fail_set(fail, EXIT_USAGE, "%s %.300s: is an input trace: give another name", option, path);
    return 0;
}
