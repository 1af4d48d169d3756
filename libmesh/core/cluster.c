/* The cluster core: configuration, memory, the path of a received datagram, time, and the application's calls.
 *
 * Invariant: what a datagram says is checked before any of it is believed; what follows from an input is begun at once. */
#include "cluster_tap.h"

#include <assert.h>
#include <string.h>

#include "mesh/program/byte_order.h"

enum { ALIGNMENT = 64 };

#define GATHER_NS  (10 * CLUSTER_MS)
#define SETTLE_NS  (500 * CLUSTER_MS)
#define PREPARE_NS (60 * CLUSTER_S)
#define LEAVE_NS   (20 * CLUSTER_MS) /* between repetitions of the wish to leave */

/* ---- memory ---- */

size_t mesh_cluster_memory_bytes(void)
{
    return (sizeof(struct mesh_cluster) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static bool is_valid(const struct mesh_cluster_config *config)
{
    static const uint8_t nobody[16];

    return config->hash && memcmp(config->incarnation, nobody, sizeof nobody) != 0 && config->seed_count <= MESH_CLUSTER_SEEDS_MAX &&
           (config->seeds || !config->seed_count) && config->version <= UINT8_MAX &&
           (config->features & config->features_required) == config->features_required;
}

static void set_defaults(struct mesh_cluster_config *config)
{
    if (!config->version)
        config->version = MESH_WIRE_VERSION;
    if (!config->gather_ns)
        config->gather_ns = GATHER_NS;
    if (!config->settle_ns)
        config->settle_ns = config->seed_count ? SETTLE_NS : 0;
    if (!config->prepare_ns_max)
        config->prepare_ns_max = PREPARE_NS;
}

int mesh_cluster_init(struct mesh_cluster **out, const struct mesh_cluster_config *config, void *memory, size_t memory_bytes,
                      uint64_t now_ns)
{
    struct mesh_cluster *cluster = memory;

    if (!is_valid(config) || !memory || (uintptr_t)memory % ALIGNMENT || memory_bytes < mesh_cluster_memory_bytes())
        return MESH_EINVAL;
    memset(cluster, 0, sizeof *cluster);
    cluster->config = *config;
    cluster->config.tap = NULL; /* until it has been told of the config */
    set_defaults(&cluster->config);
    cluster->addr = config->addr;
    cluster->now_ns = now_ns;
    cluster->due_ns = UINT64_MAX;
    mesh_cluster_seek(cluster);
    mesh_cluster_join(cluster, now_ns, config->seeds, config->seed_count);
    cluster->config.seeds = NULL;
    mesh_cluster_arm(cluster, now_ns);
    cluster->config.tap = config->tap;
    if (mesh_cluster_is_tapped(cluster))
        mesh_cluster_tap_init(cluster, config);
    *out = cluster;
    return 0;
}

/* ---- shared by all mechanisms ---- */

void mesh_cluster_arm(struct mesh_cluster *cluster, uint64_t at_ns)
{
    if (at_ns < cluster->due_ns)
        cluster->due_ns = at_ns;
}

void mesh_cluster_draw(struct mesh_cluster *cluster, uint8_t out[16])
{
    uint8_t input[sizeof cluster->config.secret + sizeof cluster->draws];

    cluster->draws++;
    memcpy(input, cluster->config.secret, sizeof cluster->config.secret);
    memcpy(input + sizeof cluster->config.secret, &cluster->draws, sizeof cluster->draws);
    cluster->config.hash(input, sizeof input, out);
}

uint64_t mesh_cluster_draw64(struct mesh_cluster *cluster)
{
    uint8_t bytes[16];
    uint64_t value;

    mesh_cluster_draw(cluster, bytes);
    value = mesh_big_get64(bytes);
    return value ? value : 1;
}

uint64_t mesh_cluster_draw_below(struct mesh_cluster *cluster, uint64_t limit)
{
    return mesh_cluster_draw64(cluster) % limit;
}

bool mesh_cluster_same_addr(const struct mesh_addr *a, const struct mesh_addr *b)
{
    return mesh_addr_equal(a, b) && a->scope == b->scope;
}

bool mesh_cluster_has_addr(const struct mesh_addr *addr)
{
    return addr->port || !mesh_addr_is_any(addr);
}

/* ---- time ---- */

/* The process was stopped. What it knew of others is out of date, and for them what it had begun is over. */
static void wake(struct mesh_cluster *cluster)
{
    cluster->stats.pauses++;
    cluster->woke_ns = cluster->now_ns;
    mesh_cluster_ballot_stop(cluster);
    cluster->vote.promised_until_ns = 0;
    cluster->report.is_active = false;
    cluster->joining.is_active = false;
    for (unsigned i = 0; i < CLUSTER_PEERS_MAX; i++) {
        struct cluster_peer *peer = &cluster->peers[i];

        peer->heard_ns = peer->join_heard_ns = cluster->now_ns;
        peer->ahead_ns = cluster->now_ns;
        peer->accusers = peer->deaf = 0;
        peer->is_out = false;
        if (peer->liveness != CLUSTER_GONE)
            peer->liveness = CLUSTER_TRUSTED;
    }
    mesh_cluster_alive_ask_all(cluster);
    mesh_cluster_contact_hurry(cluster);
}

static void enter(struct mesh_cluster *cluster, uint64_t now_ns)
{
    bool was_stopped = cluster->due_ns < now_ns && now_ns - cluster->due_ns > CLUSTER_PAUSE_NS;

    assert(now_ns >= cluster->now_ns);
    cluster->now_ns = now_ns;
    if (was_stopped && !cluster->is_left) {
        cluster->due_ns = now_ns;
        wake(cluster);
    }
}

static void settle(struct mesh_cluster *cluster)
{
    if (cluster->is_left)
        return;
    mesh_cluster_suspect_settle(cluster);
    mesh_cluster_plan_settle(cluster);
}

static void leave_tick(struct mesh_cluster *cluster)
{
    struct cluster_peer *coordinator;

    if (!cluster->is_leaving)
        return;
    if (cluster->now_ns >= cluster->leave_at_ns) {
        coordinator = mesh_cluster_peer_at(cluster, mesh_cluster_lowest_trusted(cluster));
        if (coordinator)
            mesh_cluster_alive_send(cluster, coordinator->addr, MESH_ALIVE_ASKS, cluster->now_ns);
        cluster->leave_at_ns = cluster->now_ns + LEAVE_NS;
    }
    mesh_cluster_arm(cluster, cluster->leave_at_ns);
}

void mesh_cluster_tick(struct mesh_cluster *cluster, uint64_t now_ns)
{
    enter(cluster, now_ns);
    if (now_ns < cluster->due_ns || cluster->is_left)
        return;
    mesh_cluster_response_excuse(cluster, now_ns - cluster->due_ns);
    cluster->due_ns = UINT64_MAX;
    mesh_cluster_alive_tick(cluster);
    mesh_cluster_suspect_tick(cluster);
    mesh_cluster_ballot_tick(cluster);
    mesh_cluster_vote_tick(cluster);
    mesh_cluster_admission_tick(cluster);
    mesh_cluster_joining_tick(cluster);
    mesh_cluster_contact_tick(cluster);
    leave_tick(cluster);
    settle(cluster);
    if (mesh_cluster_is_tapped(cluster))
        mesh_cluster_tap_plain(cluster, MESH_TAPE_CLUSTER_TICK, 0);
}

uint64_t mesh_cluster_timeout(const struct mesh_cluster *cluster)
{
    return cluster->is_left ? UINT64_MAX : cluster->due_ns;
}

/* ---- receiving ---- */

typedef int handler_fn(struct mesh_cluster *cluster, const struct cluster_input *in);

static handler_fn *const handlers[MESH_TYPE_COUNT] = {
    [MESH_TYPE_ASK] = mesh_cluster_admission_ask,       [MESH_TYPE_JOIN] = mesh_cluster_admission_join,
    [MESH_TYPE_INVITE] = mesh_cluster_admission_invite, [MESH_TYPE_COOKIE] = mesh_cluster_joining_cookie,
    [MESH_TYPE_DENY] = mesh_cluster_joining_deny,       [MESH_TYPE_MOVE] = mesh_cluster_joining_move,
    [MESH_TYPE_PLAN] = mesh_cluster_vote_plan,          [MESH_TYPE_COMMIT] = mesh_cluster_vote_commit,
    [MESH_TYPE_VOTE] = mesh_cluster_ballot_vote,        [MESH_TYPE_SUSPECT] = mesh_cluster_suspect_report,
    [MESH_TYPE_VERDICT] = mesh_cluster_suspect_verdict, [MESH_TYPE_ALIVE] = mesh_cluster_alive_receive,
};

/* The first field of every body is the sender's incarnation. */
#define LAYOUT(name) \
    _Static_assert(offsetof(struct mesh_##name, incarnation) == 0 && offsetof(struct mesh_##name##_bytes, incarnation) == 0, #name)
LAYOUT(ask);
LAYOUT(cookie);
LAYOUT(deny);
LAYOUT(join);
LAYOUT(invite);
LAYOUT(move);
LAYOUT(plan);
LAYOUT(vote);
LAYOUT(commit);
LAYOUT(suspect);
LAYOUT(verdict);
LAYOUT(alive);

static int receive_own(struct mesh_cluster *cluster, const struct mesh_message *message)
{
    if (message->header.type == MESH_TYPE_ASK && mesh_cluster_contact_self(cluster, message->as.ask.nonce))
        return 0;
    if (message->header.type == MESH_TYPE_JOIN && mesh_cluster_joining_self(cluster, message->as.join.nonce))
        return 0;
    return MESH_ESENDER;
}

static int receive(struct mesh_cluster *cluster, struct mesh_addr from, const uint8_t *packet, size_t bytes)
{
    struct mesh_message message;
    struct cluster_input in = {.from = from, .message = &message, .incarnation = message.as.ask.incarnation};
    int err = mesh_wire_decode_header(packet, bytes, &message.header);

    if (err)
        return err;
    if (!handlers[message.header.type])
        return MESH_ETYPE;
    if (message.header.epoch)
        return MESH_EEPOCH;
    if (message.header.version != cluster->config.version && message.header.type != MESH_TYPE_DENY)
        return mesh_cluster_admission_version(cluster, from, &message.header, bytes);
    err = mesh_wire_decode_body(packet, bytes, &message);
    if (err)
        return err;
    if (!message.header.number)
        return MESH_ERANGE;
    if (memcmp(in.incarnation, cluster->config.incarnation, sizeof cluster->config.incarnation) == 0)
        return receive_own(cluster, &message);
    in.number = message.header.number;
    in.peer = mesh_cluster_peer_find(cluster, in.incarnation);
    if (in.peer && mesh_cluster_peer_has(in.peer, in.number))
        return MESH_EDUPLICATE;
    in.is_newest = in.peer && in.number > in.peer->highest;
    err = handlers[message.header.type](cluster, &in);
    if (err)
        return err;
    in.peer = mesh_cluster_peer_find(cluster, in.incarnation); /* it may have come or gone */
    if (in.peer)
        mesh_cluster_peer_number(in.peer, in.number);
    cluster->stats.received++;
    return 0;
}

int mesh_cluster_receive(struct mesh_cluster *cluster, uint64_t now_ns, struct mesh_addr from, const uint8_t *packet, size_t packet_bytes)
{
    int err;

    enter(cluster, now_ns);
    err = cluster->is_left ? MESH_ESTATE : receive(cluster, from, packet, packet_bytes);
    assert(err <= 0 && err != MESH_AGAIN && err > -MESH_ERRS);
    if (err)
        cluster->stats.dropped[-err]++;
    else
        settle(cluster);
    if (mesh_cluster_is_tapped(cluster))
        mesh_cluster_tap_receive(cluster, err, &from, packet, packet_bytes);
    return err;
}

/* ---- calls ---- */

int mesh_cluster_join(struct mesh_cluster *cluster, uint64_t now_ns, const struct mesh_addr *seeds, unsigned seed_count)
{
    int err = 0;

    assert(seed_count <= MESH_CLUSTER_SEEDS_MAX);
    enter(cluster, now_ns);
    for (unsigned i = 0; i < seed_count; i++)
        mesh_cluster_contact_seed(cluster, &seeds[i], &err);
    if (mesh_cluster_is_tapped(cluster))
        mesh_cluster_tap_join(cluster, err, seeds, seed_count);
    return err;
}

static void leave(struct mesh_cluster *cluster, uint64_t now_ns)
{
    cluster->is_leaving = true;
    cluster->leave_at_ns = now_ns;
    cluster->joining.is_active = false;
    for (unsigned rank = 0; rank < cluster->epoch.list.count; rank++) {
        struct cluster_peer *peer = mesh_cluster_peer_at(cluster, rank);

        if (peer)
            mesh_cluster_alive_send(cluster, peer->addr, 0, 0);
    }
    mesh_cluster_arm(cluster, now_ns);
    settle(cluster);
}

void mesh_cluster_leave(struct mesh_cluster *cluster, uint64_t now_ns)
{
    enter(cluster, now_ns);
    if (!cluster->is_leaving)
        leave(cluster, now_ns);
    if (mesh_cluster_is_tapped(cluster))
        mesh_cluster_tap_plain(cluster, MESH_TAPE_CLUSTER_LEAVE, 0);
}

static int suspect(struct mesh_cluster *cluster, uint16_t rank)
{
    struct cluster_peer *peer;

    if (rank >= cluster->epoch.list.count || rank == cluster->epoch.rank)
        return MESH_EINVAL;
    peer = mesh_cluster_peer_at(cluster, rank);
    if (peer->liveness == CLUSTER_TRUSTED)
        peer->liveness = CLUSTER_SUSPECTED;
    settle(cluster);
    return 0;
}

int mesh_cluster_suspect(struct mesh_cluster *cluster, uint64_t now_ns, uint16_t rank)
{
    int err;

    enter(cluster, now_ns);
    err = suspect(cluster, rank);
    if (mesh_cluster_is_tapped(cluster))
        mesh_cluster_tap_rank(cluster, MESH_TAPE_CLUSTER_SUSPECT, err, rank);
    return err;
}

int mesh_cluster_starved(struct mesh_cluster *cluster, uint64_t now_ns, uint16_t rank)
{
    const bool is_other = rank < cluster->epoch.list.count && rank != cluster->epoch.rank;

    enter(cluster, now_ns);
    if (is_other) {
        mesh_cluster_suspect_report_starved(cluster, rank);
        settle(cluster);
    }
    if (mesh_cluster_is_tapped(cluster))
        mesh_cluster_tap_rank(cluster, MESH_TAPE_CLUSTER_STARVED, is_other ? 0 : MESH_EINVAL, rank);
    return is_other ? 0 : MESH_EINVAL;
}

static void hear(struct mesh_cluster *cluster, uint16_t rank)
{
    struct cluster_peer *peer;

    if (rank >= cluster->epoch.list.count || rank == cluster->epoch.rank)
        return;
    peer = mesh_cluster_peer_at(cluster, rank);
    peer->heard_ns = peer->mesh_heard_ns = cluster->now_ns;
    peer->is_in = peer->is_in || (peer->liveness != CLUSTER_GONE && !peer->is_ahead);
}

void mesh_cluster_heard(struct mesh_cluster *cluster, uint64_t now_ns, uint16_t rank)
{
    enter(cluster, now_ns);
    hear(cluster, rank);
    if (mesh_cluster_is_tapped(cluster))
        mesh_cluster_tap_rank(cluster, MESH_TAPE_CLUSTER_HEARD, 0, rank);
}

int mesh_cluster_ready(struct mesh_cluster *cluster, uint64_t now_ns, uint32_t plan)
{
    int err = MESH_ESTATE;

    enter(cluster, now_ns);
    if (cluster->vote.is_preparing && cluster->vote.token == plan) {
        mesh_cluster_vote_ready(cluster);
        settle(cluster);
        err = 0;
    }
    if (mesh_cluster_is_tapped(cluster))
        mesh_cluster_tap_value(cluster, MESH_TAPE_CLUSTER_READY, err, plan);
    return err;
}

void mesh_cluster_set_speed(struct mesh_cluster *cluster, uint32_t speed)
{
    cluster->config.speed = speed;
    if (mesh_cluster_is_tapped(cluster))
        mesh_cluster_tap_value(cluster, MESH_TAPE_CLUSTER_SPEED, 0, speed);
}

void mesh_cluster_set_flags(struct mesh_cluster *cluster, uint32_t flags)
{
    cluster->config.flags = flags;
    if (mesh_cluster_is_tapped(cluster))
        mesh_cluster_tap_value(cluster, MESH_TAPE_CLUSTER_FLAGS, 0, flags);
}

void mesh_cluster_set_summary(struct mesh_cluster *cluster, uint64_t summary)
{
    cluster->summary = summary;
    if (mesh_cluster_is_tapped(cluster))
        mesh_cluster_tap_value(cluster, MESH_TAPE_CLUSTER_SUMMARY, 0, summary);
}

static int propose_shares(struct mesh_cluster *cluster, const uint32_t *shares, unsigned count)
{
    if (!mesh_cluster_is_coordinator(cluster) || cluster->epoch.is_seeking || count != cluster->epoch.list.count)
        return MESH_ESTATE;
    if (cluster->plan.stage || cluster->plan.has_shares)
        return MESH_AGAIN;
    cluster->plan.has_shares = true;
    memcpy(cluster->plan.shares, shares, count * sizeof *shares);
    settle(cluster);
    return 0;
}

int mesh_cluster_propose_shares(struct mesh_cluster *cluster, uint64_t now_ns, const uint32_t *shares, unsigned count)
{
    int err;

    enter(cluster, now_ns);
    err = propose_shares(cluster, shares, count);
    if (mesh_cluster_is_tapped(cluster))
        mesh_cluster_tap_shares(cluster, err, shares, count);
    return err;
}

/* ---- figures ---- */

void mesh_cluster_get_stats(const struct mesh_cluster *cluster, struct mesh_cluster_stats *stats)
{
    *stats = cluster->stats;
}

int mesh_cluster_get_peer_stats(const struct mesh_cluster *cluster, uint16_t rank, struct mesh_cluster_peer_stats *stats)
{
    const struct cluster_peer *peer;

    if (rank >= cluster->epoch.list.count || rank == cluster->epoch.rank)
        return MESH_EINVAL;
    peer = &cluster->peers[cluster->peer_of[rank]];
    *stats = (struct mesh_cluster_peer_stats){.addr = peer->addr,
                                              .rtt_ns = peer->rtt_ns,
                                              .silent_ns = cluster->now_ns - peer->heard_ns,
                                              .speed = peer->speed,
                                              .flags = peer->flags,
                                              .is_in = peer->is_in,
                                              .is_leaving = peer->is_leaving,
                                              .is_suspected = peer->liveness != CLUSTER_TRUSTED};
    return 0;
}

bool mesh_cluster_is_waiting(const struct mesh_cluster *cluster)
{
    return cluster->report.is_active || cluster->plan.stage || mesh_cluster_ranks_by_liveness(cluster, CLUSTER_ASKING, CLUSTER_ASKING);
}

bool mesh_cluster_is_coordinator(const struct mesh_cluster *cluster)
{
    for (unsigned rank = 0; rank < cluster->epoch.rank; rank++)
        if (cluster->peers[cluster->peer_of[rank]].liveness < CLUSTER_DEAD)
            return false;
    return true;
}
