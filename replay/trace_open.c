/* Traces that are named on the command line. */
#include "command.h"

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

struct mesh_trace *trace_open(const char *path, struct fail *fail)
{
    char reason[MESH_TRACE_REASON_BYTES];
    struct mesh_trace *trace;
    const int err = mesh_trace_open(&trace, path, reason);

    if (err == 0)
        return trace;
    fail_fill(fail, code_of(err), "%.300s: %s", path, reason);
    return NULL;
}

int trace_failed(const char *path, const struct mesh_trace *trace, int err, struct fail *fail)
{
    return fail_set(fail, code_of(err), "%.300s: %s", path, mesh_trace_reason(trace));
}
