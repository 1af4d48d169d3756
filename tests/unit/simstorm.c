#include "simstorm.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libmesh/core/mix.h"
#include "simscenario.h"

enum draw {
    DRAW_COUNT = 5200,
    DRAW_MODEL,
    DRAW_BATCH,
    DRAW_SLOTS,
    DRAW_UNIT,
    DRAW_PLAIN,
    DRAW_CALM,
    DRAW_LOSS,
    DRAW_START,
    DRAW_HAPPENINGS,
    DRAW_KINDS,
    DRAW_GAP,
    DRAW_WHAT,
    DRAW_FAULT,
    DRAW_WHO,
    DRAW_WHOM,
    DRAW_HOW,
    DRAW_QUESTION,
    DRAW_WATCH,
    DRAW_ATTACK,
    DRAW_FORM,
    DRAW_GROUP,
    DRAW_MOVE
};

/* How long nodes may still send to watchers after all of these are done: a LOOK's lease, and a late report. */
#define WATCH_ENDS_NS (4 * SIMMEMBERS_S)

enum { PLACES_MAX = 6, HAPPENINGS_MAX = 60 };

static uint64_t pick(const struct simstorm *storm, enum draw which, uint64_t index, uint64_t limit)
{
    return mesh_draw_below(mesh_draw(storm->seed, which, index), limit);
}

/* ---- beginning ---- */

static void draw_links(struct simstorm *storm)
{
    static const uint32_t losses[] = {0, 0, 1000, 10000};

    simscenario_draw_link(&storm->link, storm->seed);
    storm->link.datagram_bytes_max = 0;
    if (storm->link.loss_ppm > 50000)
        storm->link.loss_ppm = 50000;
    storm->calm = storm->link;
    storm->calm.loss_ppm = losses[pick(storm, DRAW_CALM, 0, 4)];
    storm->calm.bit_flip_ppm = 0;
    storm->calm.queue_bytes = 0;
}

/* In a quarter of the seeds each of these differs: how results are exchanged, in what pieces, and by a group, which in half of these seeds
 * some places do not hear. */
static void draw_forms(const struct simstorm *storm, struct simserve_config *config)
{
    config->is_star = pick(storm, DRAW_FORM, 0, 4) == 0;
    config->is_whole = pick(storm, DRAW_FORM, 1, 4) == 0;
    config->has_group = pick(storm, DRAW_GROUP, 0, 4) == 0;
    if (config->has_group && pick(storm, DRAW_GROUP, 1, 2) == 0)
        config->deaf = mesh_draw(storm->seed, DRAW_GROUP, 2);
}

static void begin(struct simstorm *storm)
{
    static const uint32_t datagrams[] = {1200, 1472, 1472, 8972};
    static const uint64_t units_ns[] = {5000, 50000, 200000, 500000};
    struct simserve_config config = {
        .count = (uint16_t)(2 + pick(storm, DRAW_COUNT, 0, 1 + pick(storm, DRAW_COUNT, 1, PLACES_MAX - 1))),
        .seed = storm->seed,
        .model = (unsigned)pick(storm, DRAW_MODEL, 0, SIMQUESTION_MODELS),
        .batch = (uint16_t)(1 + pick(storm, DRAW_BATCH, 0, 32)),
        .slots = (uint16_t)(1 + pick(storm, DRAW_SLOTS, 0, 4)),
        .datagram_bytes = datagrams[pick(storm, DRAW_UNIT, 2, 4)],
        .unit_ns = units_ns[pick(storm, DRAW_UNIT, 0, 4)],
        .load_ns = 1 + pick(storm, DRAW_UNIT, 1, 2 * SIMMEMBERS_MS),
        .is_plain = pick(storm, DRAW_PLAIN, 0, 4) == 0,
        .link = storm->link,
    };

    draw_forms(storm, &config);
    simserve_open(&storm->serve, &config);
    if (!config.is_plain && pick(storm, DRAW_ATTACK, 0, 4) == 0)
        simattack_begin(&storm->attack, &storm->serve.members, storm->seed, 10 * SIMMEMBERS_MS);
    storm->events = (uint32_t)pick(storm, DRAW_HAPPENINGS, 0, HAPPENINGS_MAX);
    storm->kinds = pick(storm, DRAW_KINDS, 0, 3) == 0 ? UINT32_MAX : (uint32_t)mesh_draw(storm->seed, DRAW_KINDS, 1);
    for (uint16_t place = 0; place < config.count; place++) {
        if (place > 0 && pick(storm, DRAW_START, place, 4) == 0)
            continue; /* it starts later, or never */
        simserve_start(&storm->serve, place);
        simserve_run(&storm->serve, pick(storm, DRAW_START, 100u + place, 50 * SIMMEMBERS_MS));
    }
}

/* ---- faults ---- */

static void cut(struct simstorm *storm, uint64_t index, bool is_one_way)
{
    uint64_t side = mesh_draw(storm->seed, DRAW_HOW, 2 * index);

    if (pick(storm, DRAW_WHOM, index, 2) == 0)
        side = UINT64_C(1) << pick(storm, DRAW_WHO, index, storm->serve.config.count);
    simserve_cut(&storm->serve, side, true, !is_one_way);
}

static void make_lossy(struct simstorm *storm, uint64_t index)
{
    struct mesh_sim_link link = storm->link;

    link.loss_ppm = (uint32_t)pick(storm, DRAW_LOSS, 2 * index, 200000);
    link.duplicate_ppm = (uint32_t)pick(storm, DRAW_LOSS, 2 * index + 1, 100000);
    simserve_set_links(&storm->serve, &link);
}

static void suspect(struct simstorm *storm, uint16_t who, uint16_t whom)
{
    if (storm->serve.members.at[who].has_epoch && who != whom && !storm->serve.node[who].is_paused)
        simmembers_suspect(&storm->serve.members, who, whom);
}

static void propose_shares(struct simstorm *storm, uint16_t who, uint64_t index)
{
    const struct simmember *member = &storm->serve.members.at[who];
    uint32_t shares[MESH_RANKS_MAX];

    if (!member->has_epoch || storm->serve.node[who].is_paused)
        return;
    for (unsigned i = 0; i < member->count; i++)
        shares[i] = (uint32_t)(i == 0) + (uint32_t)pick(storm, DRAW_HOW, 64 * index + i, 4);
    mesh_cluster_propose_shares(member->cluster, simmembers_clock(&storm->serve.members, who), shares, member->count);
    mesh_sim_wake(storm->serve.members.sim, who);
}

static void start(struct simstorm *storm, uint16_t place)
{
    /* A leaving node is given time. */
    if (storm->serve.node[place].member->cluster == NULL)
        simserve_start(&storm->serve, place);
}

/* Up to a thousand seconds, as after a suspend; mostly less. */
static uint64_t jump_ns(const struct simstorm *storm, uint64_t index)
{
    static const uint64_t limits_ms[] = {20, 500, 20000, 1000000};

    return SIMMEMBERS_MS * pick(storm, DRAW_HOW, 2 * index, limits_ms[pick(storm, DRAW_HOW, 2 * index + 1, 4)]);
}

static void strike(struct simstorm *storm, enum simstorm_fault fault, uint16_t who, uint64_t index)
{
    struct simserve *serve = &storm->serve;

    switch (fault) {
    case STORM_CRASH:
        simserve_crash(serve, who);
        break;
    case STORM_START:
        start(storm, who);
        break;
    case STORM_PAUSE:
        simserve_pause(serve, who, true);
        break;
    case STORM_CUT:
    case STORM_CUT_ONE_WAY:
        cut(storm, index, fault == STORM_CUT_ONE_WAY);
        break;
    case STORM_LOSSY:
        make_lossy(storm, index);
        break;
    case STORM_JUMP:
        simserve_jump(serve, who, jump_ns(storm, index));
        break;
    case STORM_SLOW:
        simserve_slow(serve, who, 2 + (uint32_t)pick(storm, DRAW_HOW, index, 20));
        break;
    case STORM_LEAVE:
        simserve_leave(serve, who);
        break;
    case STORM_SUSPECT:
        suspect(storm, who, (uint16_t)pick(storm, DRAW_WHOM, 1000 + index, serve->config.count));
        break;
    default:
        propose_shares(storm, who, index);
    }
}

/* Repairs: it resumes, starts, or works at full speed again; or the network heals. */
static void mend(struct simstorm *storm, uint16_t who, uint64_t index)
{
    struct simserve *serve = &storm->serve;

    switch (pick(storm, DRAW_HOW, index, 4)) {
    case 0:
        simserve_heal(serve);
        break;
    case 1:
        simserve_set_links(serve, &storm->link);
        simserve_slow(serve, who, 1);
        break;
    default:
        simserve_pause(serve, who, false);
        start(storm, who);
    }
}

/* A client begins or continues to watch. */
static void watch(struct simstorm *storm, uint64_t index)
{
    static const uint16_t intervals_ms[] = {50, 100, 300, 1000}, leases_ms[] = {0, 30, 200, 1000, 6000, 60000};
    struct simserve *serve = &storm->serve;
    const unsigned who = (unsigned)pick(storm, DRAW_WATCH, 4 * index, SIMSERVE_WATCHERS_MAX);
    const struct mesh_telemetry_watch wish = {
        .interval_ms = intervals_ms[pick(storm, DRAW_WATCH, 4 * index + 1, 4)],
        .lease_ms = leases_ms[pick(storm, DRAW_WATCH, 4 * index + 2, 6)],
        .kinds = pick(storm, DRAW_WATCH, 4 * index + 3, 3) > 0 ? MESH_TELEMETRY_ALL : (uint32_t)mesh_draw(storm->seed, DRAW_WATCH, index),
    };

    simserve_watch(serve, serve->watcher[who].is_on ? serve->watcher[who].place : (uint16_t)(index % serve->config.count), who, &wish);
}

/* In a quarter of the seeds: datagrams of a place come from another address from now on, as behind a router that forgets, while what is
 * sent to the one before still arrives. */
static void move(struct simstorm *storm, uint64_t index)
{
    struct simmember *member = &storm->serve.members.at[pick(storm, DRAW_MOVE, 2 * index, storm->serve.config.count)];

    if (!storm->has_moves || pick(storm, DRAW_MOVE, 2 * index + 1, 8) != 0)
        return;
    member->is_elsewhere = !member->is_elsewhere;
    storm->moves++;
    storm->faults++;
}

static void happen(struct simstorm *storm, uint64_t index)
{
    struct simserve *serve = &storm->serve;
    const uint16_t who = (uint16_t)pick(storm, DRAW_WHO, 1000 + index, serve->config.count);
    const enum simstorm_fault fault = (enum simstorm_fault)pick(storm, DRAW_FAULT, index, STORM_FAULTS);

    move(storm, index);
    switch (pick(storm, DRAW_WHAT, index, 9)) {
    case 0:
    case 1:
    case 2:
        if (serve->ask_count + PLACES_MAX < SIMSERVE_ASKS_MAX)
            simserve_ask(serve, who, (unsigned)pick(storm, DRAW_QUESTION, index, SIMQUESTIONS));
        break;
    case 3:
        if (serve->ask_count > 0 && pick(storm, DRAW_HOW, index, 2) == 0)
            simserve_end_ask(serve, (unsigned)pick(storm, DRAW_QUESTION, index, serve->ask_count));
        break;
    case 4:
    case 5:
        mend(storm, who, index);
        break;
    default:
        if ((storm->kinds >> fault & 1) == 0)
            return;
        storm->happened[fault]++;
        storm->faults++;
        strike(storm, fault, who, index);
    }
}

static uint64_t gap_ns(const struct simstorm *storm, uint64_t index)
{
    static const uint64_t limits_ms[] = {1, 5, 30, 30, 200, 1000};
    const uint64_t gap = SIMMEMBERS_MS / 8 * pick(storm, DRAW_GAP, 2 * index, 8 * limits_ms[pick(storm, DRAW_GAP, 2 * index + 1, 6)]);

    return pick(storm, DRAW_GAP, 1000 + index, 60) == 0 ? gap + 11 * SIMMEMBERS_S : gap;
}

/* ---- ending ---- */

static bool agree(const struct simserve *serve)
{
    return simmembers_agree(&serve->members, simserve_alive(serve));
}

static void end_faults(struct simstorm *storm)
{
    struct simserve *serve = &storm->serve;

    simserve_heal(serve);
    simserve_set_links(serve, &storm->calm);
    for (uint16_t place = 0; place < serve->config.count; place++) {
        simserve_pause(serve, place, false);
        simserve_slow(serve, place, 1);
        if (pick(storm, DRAW_START, 200u + place, 2) == 0)
            start(storm, place);
    }
    if (simserve_alive(serve) == 0)
        for (uint16_t place = 0; place < serve->config.count; place++) {
            simserve_crash(serve, place);
            start(storm, place);
        }
}

static void fail_unsettled(struct simstorm *storm, const char *what)
{
    struct simserve *serve = &storm->serve;
    char *out = serve->members.error;
    size_t room = sizeof serve->members.error;
    int used;

    if (out[0] != '\0')
        return;
    used = snprintf(out, room, "%s:", what);
    for (uint16_t place = 0; place < serve->config.count; place++) {
        const struct simmember *m = &serve->members.at[place];

        if (m->cluster != NULL && used > 0 && (size_t)used < room)
            used += snprintf(out + used, room - (size_t)used, " %u%s(%u.%02x of %u)", place, serve->node[place].is_leaving ? "leaving" : "",
                             m->number, m->id[0], m->has_epoch ? m->count : 0u);
    }
    for (uint32_t i = 0; i < serve->ask_count; i++) {
        const struct simserve_ask *ask = &serve->ask[i];

        if (!ask->is_done && !ask->is_lost && !ask->is_ended && used > 0 && (size_t)used < room)
            used += snprintf(out + used, room - (size_t)used, "; ask %u of %u: %u of %u", i, ask->place, ask->told,
                             ask->question->alone.token_count);
    }
}

/* Of all open questions, one after the other: prompts in batches, then one token a step. */
static uint64_t steps_left(const struct simserve *serve)
{
    uint64_t steps = 0;

    for (uint32_t i = 0; i < serve->ask_count; i++) {
        const struct simserve_ask *ask = &serve->ask[i];

        if (!ask->is_done && !ask->is_lost && !ask->is_ended)
            steps += ask->question->alone.token_count + ask->question->prompt_count / serve->config.batch;
    }
    return steps;
}

static void end(struct simstorm *storm)
{
    struct simserve *serve = &storm->serve;
    uint64_t from_ns, alive, told;
    uint32_t number;

    end_faults(storm);
    from_ns = mesh_sim_now_ns(serve->members.sim);
    alive = simserve_alive(serve);
    for (uint16_t place = 0; place < serve->config.count; place++)
        if (alive >> place & 1)
            simserve_ask(serve, place, (unsigned)pick(storm, DRAW_QUESTION, 1000u + place, SIMQUESTIONS));
    if (!simserve_run_until(serve, agree, SIMSTORM_HEAL_NS))
        fail_unsettled(storm, "no single epoch after the last fault");
    storm->heal_ns = mesh_sim_now_ns(serve->members.sim) - from_ns;
    if (!simserve_run_until(serve, simserve_is_settled, SIMSTORM_HEAL_NS + SIMSTORM_STEP_NS * steps_left(serve)))
        fail_unsettled(storm, "not all is answered after the last fault");
    storm->settle_ns = mesh_sim_now_ns(serve->members.sim) - from_ns;
    simserve_end_watches(serve);
    simserve_run(serve, storm->is_watched ? WATCH_ENDS_NS : SIMMEMBERS_S); /* proposed shares may still be agreed upon */
    told = serve->looks + serve->reports;
    number = serve->members.at[__builtin_ctzll(alive)].number;
    if (simserve_run(serve, 2 * SIMMEMBERS_S) && (!agree(serve) || serve->members.at[__builtin_ctzll(alive)].number != number))
        fail_unsettled(storm, "the epoch does not last, though nothing happens");
    if (serve->looks + serve->reports != told && !storm->attack.members) /* a restarted process accepts an old LOOK */
        fail_unsettled(storm, "telemetry is sent, though nobody watches any more");
}

/* ---- public ---- */

void simstorm_run(struct simstorm *storm, uint64_t seed)
{
    memset(storm, 0, sizeof *storm);
    storm->seed = seed;
    storm->is_watched = pick(storm, DRAW_WATCH, 0, 2) == 0;
    storm->has_moves = pick(storm, DRAW_MOVE, UINT64_MAX, 4) == 0;
    draw_links(storm);
    begin(storm);
    for (uint32_t i = 0; i < storm->events && storm->serve.members.error[0] == '\0'; i++) {
        simserve_run(&storm->serve, gap_ns(storm, i));
        if (storm->is_watched && pick(storm, DRAW_WATCH, UINT32_MAX - i, 2) == 0)
            watch(storm, i);
        happen(storm, i);
    }
    if (storm->serve.members.error[0] == '\0')
        end(storm);
}

void simstorm_describe(const struct simstorm *storm, char *out, size_t bytes)
{
    static const char *const names[STORM_FAULTS] = {"crash", "start", "pause", "cut",     "cut one way", "lossy",
                                                    "jump",  "slow",  "leave", "suspect", "shares"};
    const struct simserve_config *c = &storm->serve.config;
    const struct mesh_sim_link *l = &storm->link;
    int used = snprintf(out, bytes,
                        "%u places, model %u, batch %u, slots %u, unit %" PRIu64 " us%s%s%s; link %" PRIu64 " Mb/s %" PRIu64
                        " us queue %u loss %u dup %u reorder %u by %" PRIu64 " us, later loss %u;",
                        c->count, c->model, c->batch, c->slots, c->unit_ns / 1000, c->is_star ? ", star" : "", c->is_whole ? ", whole" : "",
                        c->has_group ? c->deaf ? ", group, some deaf" : ", group" : "", l->rate_bits_per_s / 1000000, l->delay_ns / 1000,
                        l->queue_bytes, l->loss_ppm, l->duplicate_ppm, l->reorder_ppm, l->reorder_ns / 1000, storm->calm.loss_ppm);

    for (unsigned i = 0; i < STORM_FAULTS && used > 0 && (size_t)used < bytes; i++)
        if (storm->happened[i] > 0)
            used += snprintf(out + used, bytes - (size_t)used, " %s %" PRIu64, names[i], storm->happened[i]);
    if (used > 0 && (size_t)used < bytes)
        snprintf(out + used, bytes - (size_t)used,
                 " moved %" PRIu64 "; %" PRIu64 " played back; %u asks, %" PRIu64 " answered, %" PRIu64 " tokens, %" PRIu64
                 " reused, %" PRIu64 " reports, %" PRIu64 " epochs, healed in %" PRIu64 " ms, settled in %" PRIu64 " ms; ",
                 storm->moves, storm->attack.played, storm->serve.ask_count, storm->serve.answered, storm->serve.tokens,
                 storm->serve.reused, storm->serve.reports, storm->serve.members.epochs, storm->heal_ns / SIMMEMBERS_MS,
                 storm->settle_ns / SIMMEMBERS_MS);
}

void simstorm_close(struct simstorm *storm)
{
    simserve_close(&storm->serve);
}
