#include "serve_memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "node/common/notify.h"
#include "serve_state.h"

#define LOOK_NS  UINT64_C(250000000)
#define AGAIN_NS UINT64_C(30000000000) /* members report their memory only with an agreement, so a new one is made */
#define ALONE_NS UINT64_C(10000000000) /* between two tries of a node for which no other waits */

/* ---- what this node can have ---- */

/* What it holds for the present epoch is freed when the next one begins. */
static uint64_t find_bytes(const struct serve_memory *m)
{
    uint64_t available, held, bytes;

    memory_monitor_last(m->monitor, &available, &held);
    bytes = available;
    if (available == UINT64_MAX)
        return 0;
    bytes += held > m->base_bytes ? held - m->base_bytes : 0;
    return bytes > m->buffer_bytes ? bytes - m->buffer_bytes : 1;
}

bool serve_memory_is_news(const struct serve_memory *m, uint64_t bytes)
{
    const uint64_t told = m->reported_bytes, low = told < bytes ? told : bytes, high = told < bytes ? bytes : told;

    return high - low > high / 32 || (m->missing_bytes > 0 && bytes > told);
}

bool serve_memory_suffices(const struct serve_memory *m, uint64_t bytes)
{
    const uint64_t reported_bytes = m->missing_bytes > 0 ? m->member[m->rank].summary : 0;

    return m->missing_bytes > 0 && bytes > reported_bytes && bytes - reported_bytes >= m->missing_bytes;
}

static void look(struct server *server, uint64_t now_ns)
{
    struct serve_memory *m = &server->memory;
    const uint64_t bytes = find_bytes(m);

    if (!serve_memory_is_news(m, bytes))
        return;
    if (serve_memory_suffices(m, bytes))
        m->again_at_ns = now_ns;
    m->reported_bytes = bytes;
    mesh_cluster_set_summary(server->cluster, bytes);
}

int serve_open_memory(struct server *server, struct fail *fail)
{
    struct serve_memory *m = &server->memory;

    uint64_t available;

    if (epoch_run_buffer_bytes(&server->config->run, &m->buffer_bytes, fail) < 0)
        return -1;
    m->monitor = memory_monitor_open(fail);
    if (m->monitor == NULL)
        return -1;
    memory_monitor_last(m->monitor, &available, &m->base_bytes);
    look(server, mesh_udp_now_ns());
    return 0;
}

void serve_close_memory(struct server *server)
{
    rows_drop(serve_take_rows(server));
    memory_monitor_close(server->memory.monitor);
}

/* ---- too little ---- */

struct rows *serve_take_rows(struct server *server)
{
    struct rows *rows = server->memory.rows;

    server->memory.rows = NULL;
    return rows;
}

/* An only node without seeds says why it cannot load, and ends. */
static bool expects_others(const struct server *server, const struct mesh_cluster_event *event)
{
    return event->member_count > 1 || server->config->seed_count > 0 || server->has_company;
}

bool serve_lacks_memory(const struct server *server, const struct mesh_cluster_event *event, uint64_t *missing_bytes)
{
    struct rowmap map;
    struct fail fail;

    return epoch_run_divide(&map, &server->epoch_run_config, event->members, event->member_count, missing_bytes, &fail) == 0 &&
           *missing_bytes > 0 && expects_others(server, event);
}

/* Once, until it changes: every retry is another epoch. */
static void log_lack(struct server *server, bool is_other)
{
    struct serve_memory *m = &server->memory;
    char missing[MEMORY_TEXT_BYTES], status[80];

    memory_text(m->missing_bytes, missing);
    if (!is_other && strcmp(missing, m->said) == 0)
        return;
    memcpy(m->said, missing, sizeof m->said);
    serve_note(server, MESH_NODE_EVENT_SHORT, MESH_TELEMETRY_NOBODY, NULL, "epoch %" PRIu32 " with %u member%s: %s are missing", m->number,
               m->count, m->count == 1 ? "" : "s", missing);
    serve_log(server,
              "epoch %" PRIu32
              ": the model needs %s more memory than %s: nothing is loaded, and the cluster waits for others: add a node, or "
              "memory, or give all a smaller --ctx or --slots",
              m->number, missing, m->count == 1 ? "this member can have" : "its members can have together");
    snprintf(status, sizeof status, "STATUS=waits for others: %s of memory are missing", missing);
    notify_manager(status);
}

static void keep_rows(struct server *server)
{
    struct rows *rows = server->run != NULL ? epoch_run_rows(server->run) : NULL;

    if (rows == NULL)
        return;
    rows_drop(server->memory.rows);
    server->memory.rows = rows;
}

static void take_epoch(struct serve_memory *m, const struct mesh_cluster_event *epoch)
{
    memcpy(m->member, epoch->members, epoch->member_count * sizeof *m->member);
    m->count = epoch->member_count;
    m->rank = (uint16_t)epoch->own_rank;
    m->number = epoch->number;
}

bool serve_waits_for_memory(struct server *server, const struct mesh_cluster_event *epoch)
{
    struct serve_memory *m = &server->memory;
    const bool is_other = m->missing_bytes == 0 || m->count != epoch->member_count;
    uint64_t missing_bytes;

    if (!serve_lacks_memory(server, epoch, &missing_bytes)) {
        serve_forget_lack(server);
        return false;
    }
    keep_rows(server);
    serve_end_epoch(server);
    take_epoch(m, epoch);
    m->missing_bytes = missing_bytes;
    m->is_refused = false;
    m->again_at_ns = mesh_udp_now_ns() + AGAIN_NS;
    serve_watch_epoch(server);
    server->has_company |= epoch->member_count > 1;
    log_lack(server, is_other);
    return true;
}

void serve_forget_lack(struct server *server)
{
    server->memory.missing_bytes = 0;
    server->memory.is_refused = false;
}

/* A model may be too large for one machine, and some machine must be started first. */
bool serve_waits_alone(struct server *server, const struct mesh_cluster_event *epoch, struct fail *fail)
{
    struct serve_memory *m = &server->memory;

    if (epoch->member_count > 1 || server->config->seed_count == 0 || fail->exit_code != EXIT_ENVIRONMENT)
        return false;
    if (!m->has_reported_refusal)
        serve_log(server, "alone this node cannot hold the model, so it waits for others: %s", fail->text);
    m->has_reported_refusal = true;
    *fail = (struct fail){0};
    serve_end_epoch(server);
    take_epoch(m, epoch);
    m->is_refused = true;
    m->again_at_ns = mesh_udp_now_ns() + ALONE_NS;
    serve_watch_epoch(server);
    return true;
}

/* Another epoch of the same members, for which each reports its present memory. */
static void try_again(struct server *server, uint64_t now_ns)
{
    struct serve_memory *m = &server->memory;
    struct balance_member by_speed[MESH_RANKS_MAX];
    uint32_t share[MESH_RANKS_MAX];

    m->again_at_ns = now_ns + (m->is_refused ? ALONE_NS : AGAIN_NS);
    if (!mesh_cluster_is_coordinator(server->cluster))
        return;
    for (uint16_t r = 0; r < m->count; r++)
        by_speed[r] = balance_member_of(m->member[r].speed, m->member[r].flags);
    balance_shares(&server->shares.load, by_speed, m->count, share);
    mesh_cluster_propose_shares(server->cluster, now_ns, share, m->count); /* if members change meanwhile, there is a new epoch anyway */
}

void serve_watch_memory(struct server *server)
{
    struct serve_memory *m = &server->memory;
    const uint64_t now_ns = mesh_udp_now_ns();

    if (now_ns >= m->look_at_ns) {
        m->look_at_ns = now_ns + LOOK_NS;
        look(server, now_ns);
    }
    if ((m->missing_bytes > 0 || m->is_refused) && now_ns >= m->again_at_ns && !server->is_leaving)
        try_again(server, now_ns);
}
