/* What takes time between two epochs, on threads of their own: an engine's memory, which can be gigabytes, is freed, what it has computed
 * is kept, and the next engine is opened. This node goes on answering other members meanwhile.
 *
 * Freeing comes first: the thread that opens the next engine waits for it, and then has the memory. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "serve_state.h"

/* ---- the end of one ---- */

/* End its threads; its clients then know all that it has computed. */
static void halt_run(struct server *server)
{
    struct engine_figures figures;

    server->cached = NULL;
    if (server->run == NULL)
        return;
    epoch_run_stop_workers(server->run);
    serve_watch_end_epoch(server);
    epoch_run_refused(server->run, server->refused, &server->replayed); /* the last report counts those of the run by itself */
    epoch_run_halt(server->run);
    serve_take_results(server);
    jobs_begin_epoch(&server->jobs);
    if (server->run->engine == NULL) /* it could not be opened */
        return;
    engine_figures(server->run->engine, &figures);
    server->recomputed += figures.recomputed;
    server->reused += figures.reused;
}

static void free_run(struct epoch_run *run)
{
    if (run == NULL)
        return;
    epoch_run_stop(run);
    epoch_run_release(run);
    free(run);
}

/* A run to be freed, after those before it. */
struct reclaimer {
    struct saved_kv *saved_kv;
    struct epoch_run *run;
    struct pool *before;
};

static void reclaim(const struct reclaimer *reclaimer)
{
    pool_join(reclaimer->before);
    epoch_run_save_kv(reclaimer->run, reclaimer->saved_kv);
    free_run(reclaimer->run);
}

static void run_reclaimer(void *app, uint16_t index)
{
    struct reclaimer *reclaimer = app;

    (void)index;
    reclaim(reclaimer);
    free(reclaimer);
}

void serve_reclaim(struct server *server, struct epoch_run **run)
{
    const struct reclaimer reclaimer = {&server->saved_kv, *run, server->reclaimer};
    struct reclaimer *handed;
    struct fail fail;

    if (*run == NULL)
        return;
    atomic_store(&(*run)->workers.is_stopping, true); /* so that loading stops at once */
    *run = NULL;
    handed = malloc(sizeof *handed);
    server->reclaimer = NULL;
    if (handed != NULL) {
        *handed = reclaimer;
        server->reclaimer = pool_start(1, run_reclaimer, handed, &fail);
    }
    if (server->reclaimer == NULL) { /* no thread can be started */
        reclaim(&reclaimer);
        free(handed);
    }
}

struct pool *serve_take_reclaimer(struct server *server)
{
    struct pool *reclaimer = server->reclaimer;

    server->reclaimer = NULL;
    return reclaimer;
}

void serve_end_run(struct server *server)
{
    halt_run(server);
    serve_reclaim(server, &server->run);
}

void serve_end_epoch(struct server *server)
{
    halt_run(server);
    serve_reclaim(server, &server->next);
    serve_reclaim(server, &server->run);
}

/* ---- the beginning of the next one ---- */

struct transition {
    struct server *server;
    struct mesh_cluster_event epoch;
    struct mesh_cluster_member member[MESH_RANKS_MAX]; /* epoch.members: the cluster may move on to another epoch */
    struct epoch_run *run, *last, *unused;             /* to be opened; the previous one; to be freed */
    bool reclaims_last;
    struct pool *reclaimer;
    struct rows *rows;
    struct fail *fail;
    int result;
    _Atomic bool is_done;
};

static void run_transition(void *app, uint16_t index)
{
    struct transition *t = app;

    (void)index;
    pool_join(t->reclaimer);
    free_run(t->unused); /* joins what it waits for: from here on no other thread keeps anything */
    if (t->last != NULL)
        epoch_run_save_kv(t->last, &t->server->saved_kv);
    if (t->reclaims_last)
        free_run(t->last);
    if (t->run != NULL)
        t->result = epoch_run_open(t->run, &t->server->epoch_run_config, &t->epoch, t->server->wakeup, t->rows, t->fail);
    atomic_store(&t->is_done, true);
    mesh_udp_wake(t->server->config->run.udp);
}

static void do_transition(struct transition *t)
{
    struct fail fail;
    struct pool *pool = pool_start(1, run_transition, t, &fail);

    if (pool == NULL)
        run_transition(t, 0); /* no thread can be started */
    while (!atomic_load(&t->is_done))
        serve_poll_cluster(t->server);
    pool_join(pool);
}

/* The old epoch's memory is freed before the new epoch is opened, except for rows that are kept; if the new epoch has been prepared,
 * afterwards. */
int serve_open_run(struct server *server, const struct mesh_cluster_event *epoch, struct epoch_run **old, struct fail *fail)
{
    const bool is_prepared = server->next != NULL && epoch_run_fits(server->next, epoch);
    struct transition t = {.server = server, .epoch = *epoch, .fail = fail};
    struct epoch_run *last = server->run;

    memcpy(t.member, epoch->members, epoch->member_count * sizeof *t.member);
    t.epoch.members = t.member;
    packet_filter_set_members(&server->filter, t.member, epoch->member_count);
    t.rows = is_prepared ? NULL : last != NULL ? epoch_run_rows(last) : serve_take_rows(server);
    halt_run(server);
    server->run = NULL;
    t.run = is_prepared ? server->next : calloc(1, sizeof *t.run);
    if (t.run == NULL) {
        rows_drop(t.rows);
        server->run = last;
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    }
    t.last = last;
    t.reclaims_last = !is_prepared;
    t.unused = is_prepared ? NULL : server->next;
    t.reclaimer = serve_take_reclaimer(server);
    server->next = NULL;
    do_transition(&t);
    server->run = t.run;
    if (t.result == 0)
        t.result = epoch_run_start(t.run, t.epoch.id, &server->saved_kv, fail);
    server->prepared_epochs += is_prepared;
    *old = is_prepared ? last : NULL;
    return t.result;
}
