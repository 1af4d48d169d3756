/* Which epochs of two traces are matched, and whether both are of one mesh. */
#include <string.h>

#include "diff.h"
#include "rows.h"

/* Epochs that have tiles. A capture has no ids. */
#define EPOCHS_SQL                                                                           \
    "SELECT epoch, (SELECT e.epoch_id FROM epochs e WHERE e.epoch = t.epoch ORDER BY e.id) " \
    "FROM (SELECT DISTINCT epoch FROM datagrams WHERE " DIFF_IS_TILE ") t ORDER BY epoch"

enum { EPOCHS_MAX = 4096, PROCESSES_MAX = 1024, ID_BYTES = 16 };

struct epochs {
    size_t count;
    struct {
        int64_t number;
        uint8_t id[ID_BYTES]; /* the first bytes of it */
        bool has_id;
    } at[EPOCHS_MAX];
};

static int add_epoch(void *context, const struct mesh_trace_value *values)
{
    struct epochs *epochs = context;

    if (epochs->count == EPOCHS_MAX)
        return 0;
    epochs->at[epochs->count].number = values[0].integer;
    epochs->at[epochs->count].has_id = values[1].size >= ID_BYTES;
    if (values[1].size >= ID_BYTES)
        memcpy(epochs->at[epochs->count].id, values[1].bytes, ID_BYTES);
    epochs->count++;
    return 0;
}

/* The same epoch, as far as is known. */
static bool is_shared(const struct epochs *a, size_t i, const struct epochs *b, size_t k)
{
    if (a->at[i].number != b->at[k].number)
        return false;
    return !a->at[i].has_id || !b->at[k].has_id || memcmp(a->at[i].id, b->at[k].id, ID_BYTES) == 0;
}

/* sql: epochs in the order of their numbers. */
static int find_shared(struct diff *diff, const char *sql, bool *has_shared, struct fail *fail)
{
    static struct epochs epochs[2];

    for (unsigned side = 0; side < 2; side++) {
        epochs[side].count = 0;
        if (rows_each(diff->paths[side], diff->traces[side], sql, add_epoch, &epochs[side], fail) != 0)
            return -1;
    }
    *has_shared = false;
    for (size_t i = 0, k = 0; i < epochs[0].count && k < epochs[1].count && !*has_shared;) {
        *has_shared = is_shared(&epochs[0], i, &epochs[1], k);
        if (epochs[0].at[i].number < epochs[1].at[k].number)
            i++;
        else
            k++;
    }
    return 0;
}

int diff_epochs(struct diff *diff, bool *are_counted, struct fail *fail)
{
    bool has_shared = false;

    if (find_shared(diff, EPOCHS_SQL, &has_shared, fail) != 0)
        return -1;
    *are_counted = !has_shared;
    return 0;
}

/* ---- one mesh ---- */

/* Processes that HELLOs were of: those that this node sent, or received. */
#define PROCESSES_SQL(direction)                                                                                                  \
    "SELECT DISTINCT incarnation FROM message_hello JOIN datagrams ON id = datagram WHERE incarnation IS NOT NULL AND direction " \
    "= " direction

struct processes {
    size_t count;
    uint8_t at[PROCESSES_MAX][ID_BYTES];
};

static int add_process(void *context, const struct mesh_trace_value *values)
{
    struct processes *processes = context;

    if (processes->count < PROCESSES_MAX && values[0].size == ID_BYTES)
        memcpy(processes->at[processes->count++], values[0].bytes, ID_BYTES);
    return 0;
}

/* Whether the node of one trace has heard the node of the other. */
static int find_heard(struct diff *diff, unsigned speaker, bool *has_heard, struct fail *fail)
{
    static struct processes spoke, heard;
    const unsigned hearer = 1 - speaker;

    spoke.count = heard.count = 0;
    if (rows_each(diff->paths[speaker], diff->traces[speaker], PROCESSES_SQL("1"), add_process, &spoke, fail) != 0 ||
        rows_each(diff->paths[hearer], diff->traces[hearer], PROCESSES_SQL("2"), add_process, &heard, fail) != 0)
        return -1;
    for (size_t i = 0; i < spoke.count; i++)
        for (size_t k = 0; k < heard.count; k++)
            *has_heard |= memcmp(spoke.at[i], heard.at[k], ID_BYTES) == 0;
    return 0;
}

/* Epochs of runs, whose members are given, have no ids. */
int diff_is_one_mesh(struct diff *diff, bool *is_one_mesh, struct fail *fail)
{
    int result = find_shared(diff, "SELECT epoch, epoch_id FROM epochs WHERE epoch_id IS NOT NULL ORDER BY epoch", is_one_mesh, fail);

    for (unsigned side = 0; side < 2 && result == 0 && !*is_one_mesh; side++)
        result = find_heard(diff, side, is_one_mesh, fail);
    return result;
}
