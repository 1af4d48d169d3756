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
static void halt_shift(struct server *server)
{
    struct engine_figures figures;

    server->cached = NULL;
    if (server->shift == NULL)
        return;
    shift_refused(server->shift, server->refused, &server->replayed);
    shift_rest(server->shift);
    serve_watch_end_epoch(server);
    shift_halt(server->shift);
    serve_take_news(server);
    jobs_begin_epoch(&server->jobs);
    if (server->shift->engine == NULL) /* it could not be opened */
        return;
    engine_figures(server->shift->engine, &figures);
    server->recomputed += figures.recomputed;
}

static void free_shift(struct shift *shift)
{
    if (shift == NULL)
        return;
    shift_stop(shift);
    shift_release(shift);
    free(shift);
}

/* A shift to be freed, after those before it. */
struct giving {
    struct kept *kept;
    struct shift *shift;
    struct pool *before;
};

static void give(const struct giving *giving)
{
    pool_join(giving->before);
    shift_keep(giving->shift, giving->kept);
    free_shift(giving->shift);
}

static void run_giving(void *app, uint16_t index)
{
    struct giving *giving = app;

    (void)index;
    give(giving);
    free(giving);
}

void serve_give_back(struct server *server, struct shift **shift)
{
    const struct giving giving = {&server->kept, *shift, server->giving};
    struct giving *handed;
    struct fail fail;

    if (*shift == NULL)
        return;
    atomic_store(&(*shift)->crew.is_stopping, true); /* so that loading stops at once */
    *shift = NULL;
    handed = malloc(sizeof *handed);
    server->giving = NULL;
    if (handed != NULL) {
        *handed = giving;
        server->giving = pool_start(1, run_giving, handed, &fail);
    }
    if (server->giving == NULL) { /* no thread can be started */
        give(&giving);
        free(handed);
    }
}

struct pool *serve_take_giving(struct server *server)
{
    struct pool *giving = server->giving;

    server->giving = NULL;
    return giving;
}

void serve_end_epoch(struct server *server)
{
    halt_shift(server);
    serve_give_back(server, &server->next);
    serve_give_back(server, &server->shift);
}

/* ---- the beginning of the next one ---- */

struct between {
    struct server *server;
    struct mesh_cluster_event epoch;
    struct mesh_cluster_member member[MESH_RANKS_MAX]; /* epoch.members: the cluster may move on to another epoch */
    struct shift *shift, *last, *unused;               /* to be opened; the previous one; to be freed */
    bool gives_last;
    struct pool *giving;
    struct rows *rows;
    struct fail *fail;
    int result;
    _Atomic bool is_done;
};

static void run_between(void *app, uint16_t index)
{
    struct between *b = app;

    (void)index;
    pool_join(b->giving);
    free_shift(b->unused); /* joins what it waits for: from here on no other thread keeps anything */
    if (b->last != NULL)
        shift_keep(b->last, &b->server->kept);
    if (b->gives_last)
        free_shift(b->last);
    if (b->shift != NULL)
        b->result = shift_open(b->shift, &b->server->shift_config, &b->epoch, b->server->bell, b->rows, b->fail);
    atomic_store(&b->is_done, true);
    mesh_udp_wake(b->server->config->shift.udp);
}

static void do_between(struct between *b)
{
    struct fail fail;
    struct pool *pool = pool_start(1, run_between, b, &fail);

    if (pool == NULL)
        run_between(b, 0); /* no thread can be started */
    while (!atomic_load(&b->is_done))
        serve_attend(b->server);
    pool_join(pool);
}

/* The old epoch's memory is freed before the new epoch is opened, except for rows that are kept; if the new epoch has been prepared,
 * afterwards. */
int serve_open_shift(struct server *server, const struct mesh_cluster_event *epoch, struct shift **old, struct fail *fail)
{
    const bool is_prepared = server->next != NULL && shift_fits(server->next, epoch);
    struct between b = {.server = server, .epoch = *epoch, .fail = fail};
    struct shift *last = server->shift;

    memcpy(b.member, epoch->members, epoch->member_count * sizeof *b.member);
    b.epoch.members = b.member;
    gate_set_members(&server->gate, b.member, epoch->member_count);
    b.rows = is_prepared ? NULL : last != NULL ? shift_rows(last) : serve_take_rows(server);
    halt_shift(server);
    server->shift = NULL;
    b.shift = is_prepared ? server->next : calloc(1, sizeof *b.shift);
    if (b.shift == NULL) {
        rows_drop(b.rows);
        server->shift = last;
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    }
    b.last = last;
    b.gives_last = !is_prepared;
    b.unused = is_prepared ? NULL : server->next;
    b.giving = serve_take_giving(server);
    server->next = NULL;
    do_between(&b);
    server->shift = b.shift;
    if (b.result == 0)
        b.result = shift_start(b.shift, b.epoch.id, &server->kept, fail);
    server->prepared_epochs += is_prepared;
    *old = is_prepared ? last : NULL;
    return b.result;
}
