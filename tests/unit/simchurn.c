#include "simchurn.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libmesh/core/mix.h"
#include "simscenario.h"

enum simchurn_draw {
    DRAW_COUNT = 4000,
    DRAW_CALM,
    DRAW_FAULTS,
    DRAW_KINDS,
    DRAW_GAPS,
    DRAW_GAP,
    DRAW_FAULT,
    DRAW_WHO,
    DRAW_WHOM,
    DRAW_CUT,
    DRAW_LINK,
    DRAW_SEED,
    DRAW_TREE,
    DRAW_START,
    DRAW_CLOCK,
    DRAW_PREPARE,
    DRAW_OPTION,
    DRAW_BUFFER,
    DRAW_DEAD,
    DRAW_ATTACK
};

enum fault { CRASH, START, PAUSE, GO_ON, CUT, CUT_ONE_WAY, HEAL, LINK, SUSPECT, SHARES, LEAVE, SPEED, FAULTS };

static uint64_t pick(const struct simchurn *churn, enum simchurn_draw which, uint64_t index, uint64_t limit)
{
    return mesh_draw_below(mesh_draw(churn->seed, which, index), limit);
}

static void fail(struct simchurn *churn, const char *what)
{
    if (!churn->members.error[0])
        snprintf(churn->members.error, sizeof churn->members.error, "%s", what);
}

/* ---- beginning ---- */

static void draw_links(struct simchurn *churn)
{
    static const uint32_t losses[] = {0, 0, 1000, 10000};

    simscenario_draw_link(&churn->link, churn->seed);
    churn->link.datagram_bytes_max = 0;
    churn->link.loss_ppm = (uint32_t)pick(churn, DRAW_LINK, 0, 3) == 0 ? (uint32_t)pick(churn, DRAW_LINK, 1, 300000) : churn->link.loss_ppm;
    churn->calm = churn->link;
    churn->calm.loss_ppm = losses[pick(churn, DRAW_CALM, 0, 4)];
    churn->calm.bit_flip_ppm = 0;
    churn->calm.queue_bytes = 0;
}

/* Each place knows an earlier or a later one; some know more. So all are connected. */
static void draw_seeds(struct simchurn *churn)
{
    unsigned form = (unsigned)pick(churn, DRAW_TREE, 1000, 4);

    for (uint16_t place = 1; place < churn->members.count; place++) {
        uint16_t other = form == 0 ? 0 : form == 1 ? (uint16_t)(place - 1) : (uint16_t)pick(churn, DRAW_TREE, place, place);

        if (pick(churn, DRAW_SEED, place, 2) == 0)
            simmembers_add_seed(&churn->members, place, other);
        else
            simmembers_add_seed(&churn->members, other, place);
        if (form == 3)
            simmembers_add_seed(&churn->members, place, (uint16_t)pick(churn, DRAW_SEED, 100u + place, churn->members.count));
    }
}

static void draw_members(struct simchurn *churn)
{
    static const uint64_t buffers[] = {0, 0, 212992, 8388608};
    bool prepares = pick(churn, DRAW_PREPARE, 1000, 2) == 1, know_addr = pick(churn, DRAW_OPTION, 0, 2) == 1;
    bool clocks = pick(churn, DRAW_CLOCK, 1000, 2) == 1;

    for (uint16_t place = 0; place < churn->members.count; place++) {
        struct simmember *member = &churn->members.at[place];

        member->prepare_ns = pick(churn, DRAW_PREPARE, place, 3) == 0 ? pick(churn, DRAW_PREPARE, 100u + place, 200 * SIMMEMBERS_MS) : 0;
        member->config.prepares_joins = prepares;
        member->config.prepare_ns_max = SIMMEMBERS_S;
        member->config.gather_ns = pick(churn, DRAW_OPTION, 1, 2) == 0 ? 0 : 1 + pick(churn, DRAW_OPTION, 2, 30 * SIMMEMBERS_MS);
        member->config.settle_ns = pick(churn, DRAW_OPTION, 3, 2) == 0 ? 0 : 1 + pick(churn, DRAW_OPTION, 4, 300 * SIMMEMBERS_MS);
        if (know_addr)
            member->config.addr = mesh_sim_addr(place);
        if (clocks) {
            member->clock_ppm = 900000 + (uint32_t)pick(churn, DRAW_CLOCK, place, 200001);
            member->clock_offset_ns = mesh_draw(churn->seed, DRAW_CLOCK, 100u + place) >> 16;
        }
        mesh_sim_set_receive_buffer(churn->members.sim, place, buffers[pick(churn, DRAW_BUFFER, 0, 4)]);
    }
}

static void begin(struct simchurn *churn, uint64_t seed, uint16_t count_max)
{
    static const uint64_t gaps_ns[] = {2 * SIMMEMBERS_MS, 10 * SIMMEMBERS_MS, 50 * SIMMEMBERS_MS};
    uint64_t many = pick(churn, DRAW_COUNT, 1, 8) == 0 ? count_max : 7;

    many = many < count_max ? many : count_max;
    draw_links(churn);
    simmembers_open(&churn->members, (uint16_t)(2 + pick(churn, DRAW_COUNT, 0, many - 1)), seed, &churn->link);
    draw_seeds(churn);
    draw_members(churn);
    if (pick(churn, DRAW_ATTACK, 0, 4) == 0)
        simattack_begin(&churn->attack, &churn->members, seed, gaps_ns[pick(churn, DRAW_ATTACK, 1, 3)]);
    churn->fault_count = (uint32_t)pick(churn, DRAW_FAULTS, 0, 30);
    churn->kinds = pick(churn, DRAW_KINDS, 0, 3) == 0 ? UINT32_MAX : (uint32_t)mesh_draw(churn->seed, DRAW_KINDS, 1);
    churn->gap_ns_max = pick(churn, DRAW_GAPS, 0, 3) == 0 ? 20 * SIMMEMBERS_MS : 2 * SIMMEMBERS_S;
}

static void start_all(struct simchurn *churn)
{
    uint64_t apart_ns = pick(churn, DRAW_START, 1000, 2) == 0 ? 1 : 200 * SIMMEMBERS_MS;

    for (uint16_t i = 0; i < churn->members.count; i++) {
        uint16_t place = (uint16_t)((i * 7u + churn->seed) % churn->members.count);

        while (churn->members.at[place].cluster)
            place = (uint16_t)((place + 1) % churn->members.count);
        simmembers_start(&churn->members, place);
        simmembers_run(&churn->members, pick(churn, DRAW_START, i, apart_ns));
    }
}

/* ---- faults ---- */

static void pause_place(struct simchurn *churn, uint16_t place, bool paused)
{
    if (!churn->members.at[place].cluster)
        return;
    mesh_sim_pause(churn->members.sim, place, paused);
    churn->members.paused = (churn->members.paused & ~(UINT64_C(1) << place)) | (uint64_t)paused << place;
}

static void crash(struct simchurn *churn, uint16_t place)
{
    if (!churn->members.at[place].cluster)
        return;
    simmembers_crash(&churn->members, place);
    churn->members.paused &= ~(UINT64_C(1) << place);
    churn->leaving &= ~(UINT64_C(1) << place);
}

static void start(struct simchurn *churn, uint16_t place)
{
    if (churn->members.at[place].cluster && churn->members.at[place].has_left)
        crash(churn, place);
    if (!churn->members.at[place].cluster)
        simmembers_start(&churn->members, place);
}

static void cut(struct simchurn *churn, uint64_t index, bool is_one_way)
{
    uint64_t side = mesh_draw(churn->seed, DRAW_CUT, index);

    if (pick(churn, DRAW_WHOM, index, 2) == 0)
        side = UINT64_C(1) << pick(churn, DRAW_WHO, index, churn->members.count);
    for (uint16_t from = 0; from < churn->members.count; from++)
        for (uint16_t to = 0; to < churn->members.count; to++)
            if (from != to && (side >> from & 1) != (side >> to & 1) && (!is_one_way || side >> from & 1))
                mesh_sim_block(churn->members.sim, from, to, true);
}

/* Cuts one direction between two places. */
static void cut_pair(struct simchurn *churn, uint16_t from, uint16_t to)
{
    if (from != to)
        mesh_sim_block(churn->members.sim, from, to, true);
}

static void set_links(struct simchurn *churn, const struct mesh_sim_link *link, bool heals)
{
    for (uint16_t from = 0; from < churn->members.count; from++)
        for (uint16_t to = 0; to < churn->members.count; to++) {
            if (from == to)
                continue;
            if (heals)
                mesh_sim_block(churn->members.sim, from, to, false);
            if (link)
                mesh_sim_set_link(churn->members.sim, from, to, link);
        }
}

static void make_lossy(struct simchurn *churn, uint64_t index)
{
    struct mesh_sim_link link = churn->link;

    link.loss_ppm = (uint32_t)pick(churn, DRAW_LINK, 100 + 2 * index, 300000);
    link.duplicate_ppm = (uint32_t)pick(churn, DRAW_LINK, 101 + 2 * index, 100000);
    set_links(churn, &link, false);
}

static bool is_awake(const struct simchurn *churn, uint16_t place)
{
    return churn->members.at[place].cluster && !(churn->members.paused >> place & 1) && !churn->members.at[place].has_left;
}

static void propose_shares(struct simchurn *churn, uint16_t place)
{
    struct simmember *member = &churn->members.at[place];
    uint32_t shares[MESH_RANKS_MAX];

    for (unsigned i = 0; i < MESH_RANKS_MAX; i++)
        shares[i] = 1 + i;
    if (member->has_epoch)
        mesh_cluster_propose_shares(member->cluster, simmembers_clock(&churn->members, place), shares, member->count);
    mesh_sim_wake(churn->members.sim, place);
}

static void leave(struct simchurn *churn, uint16_t place)
{
    churn->leaving |= UINT64_C(1) << place;
    mesh_cluster_leave(churn->members.at[place].cluster, simmembers_clock(&churn->members, place));
    mesh_sim_wake(churn->members.sim, place);
}

/* A stopped process receives no calls. */
static void call(struct simchurn *churn, enum fault fault, uint16_t who, uint16_t whom)
{
    if (!is_awake(churn, who))
        return;
    if (fault == SUSPECT && churn->members.at[who].has_epoch && who != whom)
        simmembers_suspect(&churn->members, who, whom);
    else if (fault == SHARES)
        propose_shares(churn, who);
    else if (fault == LEAVE)
        leave(churn, who);
    else if (fault == SPEED)
        mesh_cluster_set_speed(churn->members.at[who].cluster, (uint32_t)mesh_sim_now_ns(churn->members.sim));
}

static void happen(struct simchurn *churn, uint64_t index)
{
    uint16_t who = (uint16_t)pick(churn, DRAW_WHO, index, churn->members.count);
    uint16_t whom = (uint16_t)pick(churn, DRAW_WHOM, 1000 + index, churn->members.count);
    enum fault fault = (enum fault)pick(churn, DRAW_FAULT, index, FAULTS);

    if (!(churn->kinds >> fault & 1))
        return;
    churn->faults++;
    switch (fault) {
    case CRASH:
        crash(churn, who);
        break;
    case START:
        start(churn, who);
        break;
    case PAUSE:
    case GO_ON:
        pause_place(churn, who, fault == PAUSE);
        break;
    case CUT:
        cut(churn, index, false);
        break;
    case CUT_ONE_WAY:
        if (pick(churn, DRAW_CUT, 1000 + index, 2) == 0)
            cut(churn, index, true);
        else
            cut_pair(churn, who, whom);
        break;
    case HEAL:
        set_links(churn, NULL, true);
        break;
    case LINK:
        make_lossy(churn, index);
        break;
    default:
        call(churn, fault, who, whom);
    }
}

/* ---- ending ---- */

/* Each dead process is started again, or stays dead if the others know one another without it. */
static bool is_connected(const struct simchurn *churn, uint64_t places)
{
    uint64_t reached = places & -places, before = 0;

    while (reached != before) {
        before = reached;
        for (uint16_t from = 0; from < churn->members.count; from++)
            for (unsigned i = 0; i < churn->members.at[from].config.seed_count; i++) {
                uint64_t pair = UINT64_C(1) << from | UINT64_C(1) << churn->members.at[from].seeds[i].port;

                if ((pair & places) == pair && pair & reached)
                    reached |= pair;
            }
    }
    return reached == places;
}

static uint64_t find_alive(const struct simchurn *churn)
{
    uint64_t places = 0;

    for (uint16_t place = 0; place < churn->members.count; place++)
        if (churn->members.at[place].cluster && !churn->members.at[place].has_left)
            places |= UINT64_C(1) << place;
    return places & ~churn->leaving;
}

static void end_faults(struct simchurn *churn)
{
    set_links(churn, &churn->calm, true);
    for (uint16_t place = 0; place < churn->members.count; place++)
        pause_place(churn, place, false);
    for (uint16_t place = 0; place < churn->members.count; place++)
        if (!is_connected(churn, find_alive(churn)) || !find_alive(churn) || pick(churn, DRAW_DEAD, place, 2) == 0)
            start(churn, place);
    for (uint16_t place = 0; place < churn->members.count && !is_connected(churn, find_alive(churn)); place++)
        if (churn->leaving >> place & 1 || !churn->members.at[place].cluster) {
            crash(churn, place);
            start(churn, place);
        }
}

static bool have_left(const struct simchurn *churn)
{
    for (uint16_t place = 0; place < churn->members.count; place++)
        if (churn->leaving >> place & 1 && !churn->members.at[place].has_left)
            return false;
    return true;
}

static void describe_state(struct simchurn *churn, uint64_t alive)
{
    char *out = churn->members.error;
    size_t bytes = sizeof churn->members.error;
    int used = snprintf(out, bytes, "no single epoch %.1f s after the last fault, of places %" PRIx64 ":", SIMCHURN_BOUND_NS / 1e9, alive);

    for (uint16_t place = 0; place < churn->members.count && used > 0 && (size_t)used < bytes; place++) {
        const struct simmember *member = &churn->members.at[place];

        if (member->cluster)
            used += snprintf(out + used, bytes - (size_t)used, " %u%s(%u.%02x of %u)", place,
                             churn->leaving >> place & 1 ? member->has_left ? "left" : "leaving" : "", member->number, member->id[0],
                             member->has_epoch ? member->count : 0);
    }
}

static void end(struct simchurn *churn)
{
    uint64_t from_ns, alive;
    uint32_t number;

    end_faults(churn);
    from_ns = mesh_sim_now_ns(churn->members.sim);
    alive = find_alive(churn);
    while (!churn->members.error[0] && !(have_left(churn) && (!alive || simmembers_agree(&churn->members, alive))) &&
           mesh_sim_now_ns(churn->members.sim) - from_ns < SIMCHURN_BOUND_NS)
        simmembers_run(&churn->members, SIMMEMBERS_MS);
    churn->heal_ns = mesh_sim_now_ns(churn->members.sim) - from_ns;
    if (churn->members.error[0] || !alive)
        return;
    if (!have_left(churn) || !simmembers_agree(&churn->members, alive)) {
        describe_state(churn, alive);
        return;
    }
    simmembers_run(&churn->members, SIMCHURN_SETTLE_NS);
    number = churn->members.at[__builtin_ctzll(alive)].number;
    simmembers_run(&churn->members, 3 * SIMMEMBERS_S);
    if (!simmembers_agree(&churn->members, alive) || churn->members.at[__builtin_ctzll(alive)].number != number)
        fail(churn, "the epoch does not last, though nothing happens");
}

/* ---- public ---- */

void simchurn_run(struct simchurn *churn, uint64_t seed, uint16_t count_max)
{
    memset(churn, 0, sizeof *churn);
    churn->seed = seed;
    begin(churn, seed, count_max);
    start_all(churn);
    for (uint64_t i = 0; i < churn->fault_count && !churn->members.error[0]; i++) {
        simmembers_run(&churn->members, pick(churn, DRAW_GAP, i, churn->gap_ns_max));
        happen(churn, i);
    }
    if (!churn->members.error[0])
        end(churn);
}

void simchurn_describe(const struct simchurn *churn, char *out, size_t bytes)
{
    const struct mesh_sim_link *link = &churn->link;

    snprintf(out, bytes,
             "%u places, %" PRIu64 " faults up to %" PRIu64 " ms apart; link %" PRIu64 " Mb/s %" PRIu64
             " us queue %u loss %u dup %u reorder %u by %" PRIu64 " us, later loss %u; prepares %d, %" PRIu64 " played back, %" PRIu64
             " epochs, healed in %" PRIu64 " ms; ",
             churn->members.count, churn->faults, churn->gap_ns_max / SIMMEMBERS_MS, link->rate_bits_per_s / 1000000, link->delay_ns / 1000,
             link->queue_bytes, link->loss_ppm, link->duplicate_ppm, link->reorder_ppm, link->reorder_ns / 1000, churn->calm.loss_ppm,
             churn->members.at[0].config.prepares_joins, churn->attack.played, churn->members.epochs, churn->heal_ns / SIMMEMBERS_MS);
}

void simchurn_close(struct simchurn *churn)
{
    simmembers_close(&churn->members);
}
