#include "clocks.h"

#include <stdio.h>

static int read_one(struct mesh_trace_clocks *clocks, size_t index, const char *path, struct mesh_trace *open, struct fail *fail)
{
    struct mesh_trace *trace = open != NULL ? open : trace_open(path, fail);
    int err;

    if (trace == NULL)
        return -1;
    err = mesh_trace_clocks_read(clocks, index, trace);
    if (err != 0)
        trace_failed(path, trace, err, fail);
    if (open == NULL)
        mesh_trace_close(trace);
    return err != 0 ? -1 : 0;
}

int clocks_align(const char *const *paths, struct mesh_trace *const *traces, size_t count, struct mesh_trace_clock *aligned,
                 struct fail *fail)
{
    struct mesh_trace_clocks *clocks;
    int result = 0;

    if (mesh_trace_clocks_open(&clocks, count) != 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "no memory for the clocks of %zu traces: close other programs", count);
    for (size_t i = 0; i < count && result == 0; i++)
        result = read_one(clocks, i, paths[i], traces != NULL ? traces[i] : NULL, fail);
    if (result == 0)
        mesh_trace_clocks_align(clocks, aligned);
    for (size_t i = 0; i < count && result == 0; i++)
        if (aligned[i].basis == MESH_TRACE_CLOCK_WALL)
            fprintf(stderr,
                    "mesh-replay: %.300s: related to %.300s by their wall clocks, which may differ: no node measured the difference: name "
                    "the traces of all nodes\n",
                    paths[i], paths[0]);
    mesh_trace_clocks_close(clocks);
    return result;
}
