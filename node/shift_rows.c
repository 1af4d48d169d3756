#include "shift_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model_needs.h"
#include "say.h"
#include "serve.h"

enum { PAUSE_NS = 10000000, PAUSES = 100 /* before all peers are asked again */ };

#define WAIT_NS ((uint64_t)2000000000) /* for present peers to get it: they may be fetching as well */

static void add_peer(struct shift *shift, struct mesh_addr addr)
{
    for (unsigned i = 0; i < shift->peer_count; i++)
        if (memcmp(&shift->peer[i], &addr, sizeof addr) == 0)
            return;
    if (shift->peer_count < SHIFT_PEERS_MAX)
        shift->peer[shift->peer_count++] = addr;
}

/* Peers that have everything come first, and each node begins with a different one. */
void shift_rows_add_peers(struct shift *shift, const struct mesh_cluster_member *member, uint16_t count)
{
    const uint8_t *own = shift->member[shift->rank].incarnation;

    for (int whole = 1; whole >= 0; whole--)
        for (uint16_t i = 0; i < count; i++) {
            const struct mesh_cluster_member *m = &member[(shift->rank + 1 + i) % count];

            if (((m->flags & SERVE_HAS_FILE) != 0) == whole && memcmp(m->incarnation, own, MESH_INCARNATION_BYTES) != 0)
                add_peer(shift, m->addr);
        }
}

static uint8_t *list_wanted(const struct shift *shift)
{
    uint8_t *wanted = calloc(shift->config->part->count, 1);

    if (wanted != NULL)
        model_needs_rows(shift->config->model, &shift->map, shift->rank, wanted);
    return wanted;
}

static bool is_there(const struct shift *shift)
{
    uint8_t *wanted = shift->config->part != NULL ? list_wanted(shift) : NULL;
    const bool is_there = shift->config->part == NULL || (wanted != NULL && model_part_has(shift->config->part, wanted));

    free(wanted);
    return is_there;
}

bool shift_rows_fetch(struct shift *shift, const atomic_bool *stops)
{
    const struct shift_config *c = shift->config;
    struct model_fetch_config config = {
        .peer = shift->peer,
        .peer_count = shift->peer_count,
        .security = c->security,
        .key = c->key,
        .cluster = c->cluster,
        .wait_ns = WAIT_NS,
        .stops = stops,
    };
    char said[sizeof(struct fail)] = "";
    uint8_t *wanted = c->part != NULL ? list_wanted(shift) : NULL;
    bool is_done = c->part == NULL;
    struct fail fail = {0};

    while (!is_done && wanted != NULL && !atomic_load(stops)) {
        const int result = model_fetch_more(&config, c->part, wanted, &fail);

        is_done = result == 0;
        if (result == MODEL_FETCH_NO_ROOM && shift->is_joining) {
            shift->why = fail;
            break;
        }
        if (!is_done && !atomic_load(stops) && strcmp(said, fail.text) != 0)
            say("rows of this node are missing, and it waits for them: %s", fail.text);
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
    struct shift *shift = app;

    (void)index;
    if (shift_rows_fetch(shift, &shift->stops_fetching))
        atomic_store(&shift->crew.waits, false);
}

int shift_rows_start(struct shift *shift, struct fail *fail)
{
    if (is_there(shift))
        return 0;
    atomic_store(&shift->crew.waits, true);
    shift->fetcher = pool_start(1, fetch, shift, fail);
    return shift->fetcher == NULL ? -1 : 0;
}

void shift_rows_stop(struct shift *shift)
{
    atomic_store(&shift->stops_fetching, true);
    pool_join(shift->fetcher);
    shift->fetcher = NULL;
}
