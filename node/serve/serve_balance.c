/* Shares of a serving node's cluster: this node's speed, and, on the coordinator, whether the rows should be dealt anew. */
#include <string.h>

#include "node/common/memory_text.h"
#include "serve_state.h"

#define LOOK_NS UINT64_C(250000000)
#define TEST_NS UINT64_C(30000000000) /* between two benchmarks of a node without rows, whose speed cannot be measured at work */

/* ---- the speed of this node ---- */

static struct speed_test *start_test(const struct server *server, struct fail *fail)
{
    const struct epoch_run_config *c = &server->config->run;
    const uint64_t all = server->shares.load.bytes;
    uint64_t available, held, most;

    if (server->memory.monitor != NULL)
        memory_monitor_last(server->memory.monitor, &available, &held);
    else
        available = memory_available_bytes(); /* before it is a member */
    most = available / 2;                     /* the kernel kills a process that takes more than there is */
    return speed_test_start(c->kernel, c->model->layer[0].down->type, all < most ? all : most, c->threads, fail);
}

static void end_test(struct server *server)
{
    struct serve_shares *shares = &server->shares;
    const uint64_t pace = server->epoch_run_config.pace_bytes_per_s / 1000;
    const uint32_t speed = speed_test_end(shares->test);

    shares->test = NULL;
    shares->benchmark = pace > 0 && pace < speed ? (uint32_t)pace : speed;
}

int serve_open_shares(struct server *server, struct fail *fail)
{
    struct serve_shares *shares = &server->shares;
    const struct epoch_run_config *c = &server->config->run;

    balance_load_init(&shares->load, c->model);
    balance_load_cache(&shares->load, c->kv_type, c->ctx, c->slots);
    shares->test = start_test(server, fail);
    if (shares->test == NULL)
        return -1;
    end_test(server);
    shares->self = (struct balance_member){.speed = shares->benchmark, .share = server->config->share};
    return 0;
}

void serve_close_shares(struct server *server)
{
    if (server->shares.test != NULL)
        end_test(server);
}

static void tell(struct server *server, uint32_t speed, uint16_t ratio)
{
    struct serve_shares *shares = &server->shares;

    shares->self.speed = speed;
    shares->self.ratio = ratio;
    mesh_cluster_set_speed(server->cluster, speed);
    mesh_cluster_set_flags(server->cluster, serve_flags(server));
}

/* Small differences are not worth reporting: they would move rows whenever members change. */
static bool is_news(const struct balance_member *self, uint32_t speed)
{
    const uint64_t low = self->speed < speed ? self->speed : speed, high = self->speed < speed ? speed : self->speed;

    return self->ratio == 0 || high * 100 > low * 103;
}

static void take_meter(struct server *server, uint64_t now_ns)
{
    struct serve_shares *shares = &server->shares;
    struct engine_figures figures;
    uint32_t speed;

    engine_figures(server->run->engine, &figures);
    if (server->next != NULL || !epoch_run_is_loaded(server->run)) {
        speed_meter_restart(&shares->meter, now_ns, figures.decode_bytes, figures.decode_ns); /* loading disturbs the measurement */
        return;
    }
    speed_meter_feed(&shares->meter, now_ns, figures.decode_bytes, figures.decode_ns, server->config->run.threads);
    speed = speed_meter_median(&shares->meter);
    if (speed > 0 && is_news(&shares->self, speed))
        tell(server, speed, balance_ratio(speed, shares->benchmark));
}

/* Without rows there is nothing to measure, but the node may have become faster. */
static void take_test(struct server *server, uint64_t now_ns)
{
    struct serve_shares *shares = &server->shares;
    const struct epoch_run *run = server->run;
    struct fail fail;

    if (shares->test != NULL && speed_test_is_done(shares->test)) {
        end_test(server);
        shares->meter = (struct speed_meter){0};
        tell(server, shares->benchmark, 0);
    } else if (shares->test == NULL && shares->self.share == BALANCE_SHARE_AUTO && run->map.share[run->rank] == 0 &&
               now_ns >= shares->test_at_ns) {
        shares->test = start_test(server, &fail); /* without memory for it: retried next time */
        shares->test_at_ns = now_ns + TEST_NS;
    }
}

/* ---- shares ---- */

void serve_begin_shares(struct server *server)
{
    struct serve_shares *shares = &server->shares;
    const uint64_t now_ns = mesh_udp_now_ns();
    const struct epoch_run *run = server->run;
    bool has_new_shares = false;

    for (uint16_t r = 0; r < run->count; r++)
        has_new_shares |= run->member[r].share > 0; /* set only for new shares: a change of members deals by speed */
    balance_begin(&shares->balance, now_ns, has_new_shares);
    speed_meter_restart(&shares->meter, now_ns, 0, 0);
    shares->look_at_ns = now_ns + LOOK_NS;
    shares->test_at_ns = now_ns + TEST_NS;
    shares->changes += has_new_shares;
}

bool serve_members_speed(const struct mesh_cluster *cluster, const struct epoch_run *run, const struct balance_member *self,
                         struct balance_member *member)
{
    struct mesh_cluster_peer_stats peer;
    bool is_settled = true;

    for (uint16_t r = 0; r < run->count; r++) {
        if (r == run->rank) {
            member[r] = *self;
        } else if (mesh_cluster_get_peer_stats(cluster, r, &peer) == MESH_OK) {
            member[r] = balance_member_of(peer.speed, peer.flags);
            is_settled &= peer.is_in && !peer.is_leaving && !peer.is_suspected;
        } else {
            member[r] = balance_member_of(run->member[r].speed, run->member[r].flags);
            is_settled = false;
        }
        member[r].memory_bytes = run->member[r].summary;
    }
    return is_settled;
}

/* The cluster may have moved on to an epoch that this node has not begun yet. */
static bool is_present(const struct server *server)
{
    struct mesh_cluster_event now;

    mesh_cluster_get_epoch(server->cluster, &now);
    return now.number == server->run->number && now.member_count == server->run->count;
}

static void propose(struct server *server, uint64_t now_ns)
{
    struct serve_shares *shares = &server->shares;
    struct balance_member member[MESH_RANKS_MAX];
    uint32_t share[MESH_RANKS_MAX];
    const struct epoch_run *run = server->run;

    if (run->count == 1 || server->next != NULL || !epoch_run_is_loaded(server->run) || !is_present(server) ||
        !mesh_cluster_is_coordinator(server->cluster) || !serve_members_speed(server->cluster, run, &shares->self, member))
        return;
    if (balance_is_due(&shares->balance, now_ns, &shares->load, member, &run->map, share) &&
        mesh_cluster_propose_shares(server->cluster, now_ns, share, run->count) == MESH_OK)
        serve_log(server, "epoch %u: speeds have changed: redistributing the rows", run->number);
}

void serve_watch_shares(struct server *server)
{
    const uint64_t now_ns = mesh_udp_now_ns();
    struct epoch_run_config *c = &server->epoch_run_config;

    if (server->run == NULL || server->is_leaving || now_ns < server->shares.look_at_ns)
        return;
    server->shares.look_at_ns = now_ns + LOOK_NS;
    if (c->pace_later_bytes_per_s > 0 && now_ns >= c->pace_later_at_ns && server->next == NULL)
        c->pace_bytes_per_s = c->pace_later_bytes_per_s;
    take_meter(server, now_ns);
    take_test(server, now_ns);
    propose(server, now_ns);
}
