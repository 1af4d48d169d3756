#include "checks.h"

#include <stdio.h>

#include "mesh/program/text_decode.h"

enum { TOLD_MAX = 10 /* of a trace */ };

struct telling {
    const char *path; /* NULL: nothing is told */
    uint64_t count;
};

static void tell(void *user, const struct mesh_trace_finding *finding)
{
    static const char *const faults[] = {"was removed", "was added", "was changed"};
    struct telling *telling = user;

    if (telling->path != NULL && telling->count < TOLD_MAX) {
        char line[500];

        snprintf(line, sizeof line, "%.300s: %s%s%.100s: it %s after it was recorded", telling->path, finding->table,
                 finding->row[0] != '\0' ? ", row " : "", finding->row, faults[finding->fault]);
        text_decode_disarm(line); /* keys of meta are the file's */
        fprintf(stderr, "mesh-replay: %s\n", line);
    }
    telling->count++;
}

static int check(const char *path, struct mesh_trace *trace, struct telling *telling, struct fail *fail)
{
    const int err = mesh_trace_check(trace, tell, telling);

    return err != 0 ? trace_failed(path, trace, err, fail) : 0;
}

int checks_count(const char *path, struct mesh_trace *trace, uint64_t *faults, struct fail *fail)
{
    struct telling telling = {0};
    const int result = check(path, trace, &telling, fail);

    *faults = telling.count;
    return result;
}

int checks_tell(const char *const *paths, size_t count, uint64_t *faults, struct fail *fail)
{
    int result = 0;

    *faults = 0;
    for (size_t i = 0; i < count && result == 0; i++) {
        struct telling telling = {.path = paths[i]};
        struct mesh_trace *trace = trace_open(paths[i], fail);

        result = trace == NULL ? -1 : check(paths[i], trace, &telling, fail);
        mesh_trace_close(trace);
        if (telling.count > TOLD_MAX)
            fprintf(stderr, "mesh-replay: %.300s: and %" PRIu64 " more rows\n", paths[i], telling.count - TOLD_MAX);
        *faults += telling.count;
    }
    return result;
}
