#include "epoch_run_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "node/common/log.h"
#include "node/engine/model_needs.h"

enum { PAUSE_NS = 10000000, PAUSES = 100 /* before all peers are asked again */ };

#define WAIT_NS ((uint64_t)2000000000) /* for present peers to get it: they may be fetching as well */

static void add_peer(struct epoch_run *run, struct mesh_addr addr)
{
    for (unsigned i = 0; i < run->peer_count; i++)
        if (memcmp(&run->peer[i], &addr, sizeof addr) == 0)
            return;
    if (run->peer_count < EPOCH_RUN_PEERS_MAX)
        run->peer[run->peer_count++] = addr;
}

/* Peers that have everything come first, and each node begins with a different one. */
void epoch_run_rows_add_peers(struct epoch_run *run, const struct mesh_cluster_member *member, uint16_t count)
{
    const uint8_t *own = run->member[run->rank].incarnation;

    for (int whole = 1; whole >= 0; whole--)
        for (uint16_t i = 0; i < count; i++) {
            const struct mesh_cluster_member *m = &member[(run->rank + 1 + i) % count];

            if (((m->flags & EPOCH_RUN_HAS_FILE) != 0) == whole && memcmp(m->incarnation, own, MESH_INCARNATION_BYTES) != 0)
                add_peer(run, m->addr);
        }
}

static uint8_t *list_wanted(const struct epoch_run *run)
{
    uint8_t *wanted = calloc(run->config->part->count, 1);

    if (wanted != NULL)
        model_needs_rows(run->config->model, &run->map, run->rank, wanted);
    return wanted;
}

static bool is_there(const struct epoch_run *run)
{
    uint8_t *wanted = run->config->part != NULL ? list_wanted(run) : NULL;
    const bool is_there = run->config->part == NULL || (wanted != NULL && model_part_has(run->config->part, wanted));

    free(wanted);
    return is_there;
}

/* *wanted: NULL at first; to be freed by the caller. As model_fetch_more. */
static int fetch_wanted(const struct epoch_run *run, const struct model_fetch_config *config, uint8_t **wanted, struct fail *fail)
{
    if (*wanted == NULL)
        *wanted = list_wanted(run);
    if (*wanted != NULL)
        return model_fetch_more(config, run->config->part, *wanted, fail);
    fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    return MODEL_FETCH_NO_ROOM;
}

bool epoch_run_rows_fetch(struct epoch_run *run, const atomic_bool *stops)
{
    const struct epoch_run_config *c = run->config;
    struct model_fetch_config config = {
        .peer = run->peer,
        .peer_count = run->peer_count,
        .security = c->security,
        .key = c->key,
        .cluster = c->cluster,
        .wait_ns = WAIT_NS,
        .stops = stops,
    };
    char said[sizeof(struct fail)] = "";
    uint8_t *wanted = NULL;
    bool is_done = c->part == NULL;
    struct fail fail = {0};

    while (!is_done && !atomic_load(stops)) {
        const int result = fetch_wanted(run, &config, &wanted, &fail);

        is_done = result == 0;
        if (result == MODEL_FETCH_NO_ROOM && run->is_joining) {
            run->why = fail;
            break;
        }
        if (!is_done && !atomic_load(stops) && strcmp(said, fail.text) != 0)
            log_line("rows of this node are missing, and it waits for them: %s", fail.text);
        snprintf(said, sizeof said, "%s", fail.text);
        config.is_quiet = !is_done;
        for (int i = 0; i < PAUSES && !is_done && !atomic_load(stops); i++)
            nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    }
    free(wanted);
    return is_done;
}

static void fetch(void *app, uint16_t index)
{
    struct epoch_run *run = app;

    (void)index;
    if (epoch_run_rows_fetch(run, &run->stops_fetching))
        atomic_store(&run->workers.waits, false);
}

int epoch_run_rows_start(struct epoch_run *run, struct fail *fail)
{
    if (is_there(run))
        return 0;
    atomic_store(&run->workers.waits, true);
    run->fetcher = pool_start(1, fetch, run, fail);
    return run->fetcher == NULL ? -1 : 0;
}

void epoch_run_rows_stop(struct epoch_run *run)
{
    atomic_store(&run->stops_fetching, true);
    pool_join(run->fetcher);
    run->fetcher = NULL;
}
