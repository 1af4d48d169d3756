/* How the rows were divided in two traces: candidates of the last gather are of a rank's own rows, so they differ if the shares do. */
#include <stdlib.h>
#include <string.h>

#include "diff.h"
#include "mesh/mesh.h"
#include "rows.h"

/* Of epochs that have tiles. */
#define SHARES_SQL "SELECT DISTINCT rows FROM epochs WHERE epoch IN (SELECT epoch FROM datagrams WHERE " DIFF_IS_TILE ")"

struct shares {
    uint32_t share[MESH_RANKS_MAX];
    unsigned count; /* 0: not known */
    uint64_t sum;
};

struct dealt {
    struct shares shares; /* of the first epoch */
    unsigned epochs;
    bool is_mixed;
};

/* {"shares":[3,2,1]} */
static void read_shares(struct shares *shares, const char *text)
{
    static const char key[] = "\"shares\":[";
    const char *at = strstr(text, key);

    for (at = at != NULL ? at + sizeof key - 1 : NULL; at != NULL && shares->count < MESH_RANKS_MAX; at = at != NULL ? at + 1 : NULL) {
        shares->share[shares->count] = (uint32_t)strtoul(at, NULL, 10);
        shares->sum += shares->share[shares->count++];
        at = strchr(at, ',');
    }
}

/* 1,1 divides the rows as 1000,1000 does. */
static bool are_alike(const struct shares *a, const struct shares *b)
{
    for (unsigned i = 0; i < a->count && i < b->count; i++)
        if (a->share[i] * b->sum != b->share[i] * a->sum)
            return false;
    return a->count == b->count;
}

static int add_epoch(void *context, const struct mesh_trace_value *values)
{
    struct dealt *dealt = context;
    struct shares shares = {.count = 0};

    if (values[0].kind == MESH_TRACE_VALUE_TEXT)
        read_shares(&shares, values[0].bytes);
    if (dealt->epochs++ == 0)
        dealt->shares = shares;
    dealt->is_mixed |= !are_alike(&dealt->shares, &shares);
    return 0;
}

int diff_shares(struct diff *diff, bool *are_same, struct fail *fail)
{
    struct dealt dealt[2] = {{.epochs = 0}};

    for (unsigned side = 0; side < 2; side++)
        if (rows_each(diff->paths[side], diff->traces[side], SHARES_SQL, add_epoch, &dealt[side], fail) != 0)
            return -1;
    *are_same = !dealt[0].is_mixed && !dealt[1].is_mixed && are_alike(&dealt[0].shares, &dealt[1].shares);
    return 0;
}
