/* Traces named on the command line. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "ending.h"
#include "progress_line.h"
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

    if (err == 0) {
        mesh_trace_watch(trace, progress_line_read, NULL);
        return trace;
    }
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
    const char *reason = mesh_trace_reason(trace);

    return fail_set(fail, code_of(err), "%.300s: %s", path,
                    reason[0] == 0 && err == MESH_ENOMEM ? "out of memory: close other programs" : reason);
}

/* ---- meta ---- */

int64_t trace_meta_number(struct mesh_trace *trace, const char *key, int64_t otherwise)
{
    char text[40];

    return mesh_trace_get_meta(trace, key, text, sizeof text) == 0 ? strtoll(text, NULL, 10) : otherwise;
}

int64_t trace_to_unix_ns(struct mesh_trace *trace)
{
    struct mesh_trace_ending ending;

    if (mesh_trace_get_ending(trace, &ending) != 0 || ending.begun_ns == MESH_TRACE_NULL || ending.begun_unix_ns == MESH_TRACE_NULL)
        return 0;
    return (int64_t)((uint64_t)ending.begun_unix_ns - (uint64_t)ending.begun_ns); /* a damaged trace may have any numbers */
}

/* ---- the files of one recording ---- */

struct file {
    const char *path;
    char recording[TRACE_RECORDING_BYTES];
    int64_t first_ns;              /* of its first call */
    int64_t core, instance, first; /* of that call: its core, and its number there */
    bool has_gaps;
    bool is_blank;
    struct mesh_trace_ending ending;
};

static int take_first(void *context, const struct mesh_trace_value *values)
{
    struct file *file = context;

    file->first_ns = values[0].integer;
    file->core = values[1].integer;
    file->instance = values[2].integer;
    file->first = values[3].integer;
    file->has_gaps = values[4].integer > 0;
    return 0;
}

void trace_recording(struct mesh_trace *trace, char recording[TRACE_RECORDING_BYTES])
{
    char begun[25], unix_ns[25];

    recording[0] = '\0';
    if (mesh_trace_get_meta(trace, "begun_ns", begun, sizeof begun) == 0 &&
        mesh_trace_get_meta(trace, "begun_unix_ns", unix_ns, sizeof unix_ns) == 0)
        snprintf(recording, TRACE_RECORDING_BYTES, "%s %s", begun, unix_ns);
}

bool trace_is_blank(struct mesh_trace *trace)
{
    uint64_t nodes = 0;
    char word[8];

    return mesh_trace_get_meta(trace, "payloads", word, sizeof word) == MESH_EABSENT &&
           mesh_trace_count(trace, MESH_TRACE_TABLE_NODE, &nodes) == 0 && nodes == 0;
}

static int describe(struct file *file, const char *path, struct fail *fail)
{
    struct mesh_trace *trace = trace_open(path, fail);
    int result;

    if (trace == NULL)
        return -1;
    file->path = path;
    file->is_blank = trace_is_blank(trace);
    trace_recording(trace, file->recording);
    result = rows_each(path, trace, "SELECT t_ns, core, instance, first, (SELECT count(*) FROM gaps) FROM chunks ORDER BY t_ns, id LIMIT 1",
                       take_first, file, fail);
    if (result == 0 && (result = mesh_trace_get_ending(trace, &file->ending)) != 0)
        result = trace_failed(path, trace, result, fail);
    mesh_trace_close(trace);
    return result;
}

static void swap(struct file *a, struct file *b)
{
    const struct file was = *a;

    *a = *b;
    *b = was;
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

/* Does the later file begin with the call after the last one of the earlier? Where calls were lost, that is not known. */
static bool is_next(const struct file *earlier, const struct file *later)
{
    struct fail fail;
    struct mesh_trace *trace = later->has_gaps ? NULL : trace_open(earlier->path, &fail);
    char sql[120];
    int64_t end;
    int result;

    if (trace == NULL)
        return true;
    snprintf(sql, sizeof sql, "SELECT coalesce(max(first + count), 1) FROM chunks WHERE core = %" PRId64 " AND instance = %" PRId64,
             later->core, later->instance);
    result = rows_number(earlier->path, trace, sql, &end, &fail);
    mesh_trace_close(trace);
    return result != 0 || later->first == end;
}

/* The file may have another name now, or no calls, which give it a place. */
static bool is_continued(const struct file *files, size_t count, size_t at)
{
    const struct file *later = NULL;

    for (size_t i = 0; i < count; i++) {
        const bool has_name = strcmp(name_of(files[i].path), files[at].ending.next) == 0;

        if (i == at)
            continue;
        if (has_name && files[i].recording[0] == '\0') /* its recorder was killed before it wrote of which recording it is */
            return true;
        if (strcmp(files[i].recording, files[at].recording) != 0)
            continue;
        if (has_name)
            return true;
        if (files[i].first_ns > files[at].first_ns && (later == NULL || files[i].first_ns < later->first_ns))
            later = &files[i];
    }
    return later != NULL && is_next(&files[at], later);
}

/* On stderr, where it disturbs no form of output. */
static void tell_endings(const struct file *files, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char text[ENDING_TEXT_BYTES];
        const enum mesh_trace_ending_kind kind = files[i].ending.kind;

        if (kind == MESH_TRACE_END_UNKNOWN || kind == MESH_TRACE_END_COMPLETE ||
            (kind == MESH_TRACE_END_CONTINUED && is_continued(files, count, i)))
            continue;
        ending_text(&files[i].ending, text);
        fprintf(stderr, "mesh-replay: %.300s: %s%s\n", files[i].path, text, kind == MESH_TRACE_END_CONTINUED ? ", which is not named" : "");
    }
}

/* What its recorder has not begun tells nothing of the run, as the first file does. The others stay in their order. */
static void put_blank_last(struct file *files, size_t count)
{
    for (size_t end = count; end > 1; end--)
        for (size_t i = 0; i + 1 < end; i++)
            if (files[i].is_blank && !files[i + 1].is_blank)
                swap(&files[i], &files[i + 1]);
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
    put_blank_last(files, count);
    for (size_t i = 0; i < count && result == 0; i++)
        paths[i] = files[i].path;
    if (result == 0)
        tell_endings(files, count);
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
