#include "simmembers.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libmesh/core/mix.h"
#include "simattack.h"

enum simmembers_draw { DRAW_INCARNATION = 3000, DRAW_SECRET };

void simmembers_hash(const void *data, size_t bytes, uint8_t out[16])
{
    const uint8_t *at = data;
    uint64_t a = bytes, b = ~(uint64_t)bytes;

    for (size_t i = 0; i < bytes; i++) {
        a = (a ^ at[i]) * UINT64_C(0x100000001b3);
        a ^= a >> 29;
        b = (b + at[i]) * UINT64_C(0x9e3779b97f4a7c15);
        b ^= b >> 31;
    }
    a = mesh_mix64(a);
    b = mesh_mix64(b + a);
    memcpy(out, &a, sizeof a);
    memcpy(out + 8, &b, sizeof b);
}

/* ---- clocks ---- */

static uint64_t rate_of(const struct simmember *member)
{
    return member->clock_ppm ? member->clock_ppm : 1000000;
}

static uint64_t to_own(const struct simmember *member, uint64_t sim_ns)
{
    return member->clock_offset_ns + sim_ns / 1000000 * rate_of(member) + sim_ns % 1000000 * rate_of(member) / 1000000;
}

/* The first moment at which the own clock shows at least own_ns. */
static uint64_t to_sim(const struct simmember *member, uint64_t own_ns)
{
    uint64_t span_ns = own_ns > member->clock_offset_ns ? own_ns - member->clock_offset_ns : 0;
    uint64_t sim_ns = span_ns / rate_of(member) * 1000000 + span_ns % rate_of(member) * 1000000 / rate_of(member);

    while (to_own(member, sim_ns) < own_ns)
        sim_ns++;
    return sim_ns;
}

uint64_t simmembers_clock(const struct simmembers *members, uint16_t place)
{
    return to_own(&members->at[place], mesh_sim_now_ns(members->sim));
}

/* ---- values seen so far ---- */

static struct simmembers_seen *find_seen(const struct simmembers *members, const uint64_t key[4])
{
    size_t at = (size_t)mesh_mix64(key[0] ^ mesh_mix64(key[1] ^ mesh_mix64(key[2] ^ mesh_mix64(key[3]))));

    for (at %= members->seen_capacity; members->seen[at].value; at = (at + 1) % members->seen_capacity)
        if (memcmp(members->seen[at].key, key, sizeof members->seen[at].key) == 0)
            break;
    return &members->seen[at];
}

static void grow_seen(struct simmembers *members)
{
    struct simmembers_seen *old = members->seen;
    size_t capacity = members->seen_capacity;

    members->seen_capacity = capacity ? 2 * capacity : 4096;
    members->seen = calloc(members->seen_capacity, sizeof *members->seen);
    if (!members->seen)
        abort();
    for (size_t i = 0; i < capacity; i++)
        if (old[i].value)
            *find_seen(members, old[i].key) = old[i];
    free(old);
}

/* The value stored for the key: the one stored earlier, or this one. */
static uint64_t see(struct simmembers *members, const uint64_t key[4], uint64_t value)
{
    struct simmembers_seen *seen;

    if (2 * members->seen_count >= members->seen_capacity)
        grow_seen(members);
    seen = find_seen(members, key);
    if (!seen->value) {
        memcpy(seen->key, key, sizeof seen->key);
        seen->value = value;
        members->seen_count++;
    }
    return seen->value;
}

void simmembers_fail(struct simmembers *members, const struct simmember *member, const char *what)
{
    if (!members->error[0])
        snprintf(members->error, sizeof members->error, "place %u at %.6f s: %s (epoch %u)", member->place,
                 (double)mesh_sim_now_ns(members->sim) / 1e9, what, member->number);
}

static uint64_t word(const uint8_t *bytes)
{
    uint64_t value;

    memcpy(&value, bytes, sizeof value);
    return value;
}

static uint64_t hash_list(const struct mesh_cluster_event *event)
{
    uint64_t hash = mesh_mix64(event->number);

    for (unsigned i = 0; i < event->member_count; i++) {
        const struct mesh_cluster_member *m = &event->members[i];
        const uint64_t words[] = {word(m->incarnation),
                                  word(m->incarnation + 8),
                                  word(m->nonce),
                                  word(m->nonce + 8),
                                  word(m->addr.ip),
                                  word(m->addr.ip + 8),
                                  m->addr.port,
                                  m->speed,
                                  m->share,
                                  m->flags,
                                  m->summary};

        for (unsigned k = 0; k < sizeof words / sizeof *words; k++)
            hash = mesh_mix64(hash ^ words[k]);
    }
    return hash ? hash : 1;
}

/* ---- epochs ---- */

static void check_epoch(struct simmembers *members, struct simmember *member, const struct mesh_cluster_event *event)
{
    const uint64_t id[4] = {word(event->id), word(event->id + 8), 0, 1}, list = hash_list(event);
    bool is_new = find_seen(members, id)->value == 0;

    if (event->number <= member->number_before)
        simmembers_fail(members, member, "an epoch's number has not grown");
    if (event->own_rank < 0 || event->own_rank >= event->member_count ||
        memcmp(event->members[event->own_rank].incarnation, member->config.incarnation, 16) != 0)
        simmembers_fail(members, member, "the own rank is another's");
    if (see(members, id, list) != list)
        simmembers_fail(members, member, "two lists have one id");
    for (unsigned i = 0; i < event->member_count; i++) {
        const struct mesh_cluster_member *m = &event->members[i];
        const uint64_t nonce[4] = {word(m->nonce), word(m->nonce + 8), word(m->incarnation), word(m->incarnation + 8)};

        if (see(members, nonce, id[0] ^ id[1]) != (id[0] ^ id[1]))
            simmembers_fail(members, member, "a nonce is in two epochs");
        if (m->addr.port >= members->count && event->member_count > 1)
            simmembers_fail(members, member, "a member's address is nobody's");
    }
    members->epochs += is_new;
    members->installs++;
}

static void on_epoch(struct simmembers *members, struct simmember *member, const struct mesh_cluster_event *event)
{
    check_epoch(members, member, event);
    member->has_epoch = true;
    member->number = member->number_before = event->number;
    member->count = event->member_count;
    member->rank = (uint16_t)event->own_rank;
    memcpy(member->id, event->id, sizeof member->id);
    memcpy(member->list, event->members, event->member_count * sizeof *event->members);
    member->epoch_ns = mesh_sim_now_ns(members->sim);
}

static void on_event(struct simmembers *members, struct simmember *member, const struct mesh_cluster_event *event)
{
    member->events[event->type]++;
    member->left += event->has_left;
    switch (event->type) {
    case MESH_CLUSTER_EPOCH:
        on_epoch(members, member, event);
        break;
    case MESH_CLUSTER_PREPARE:
        member->ready_plan = event->plan;
        member->ready_at_ns = simmembers_clock(members, member->place) + member->prepare_ns;
        member->prepare_number = event->number;
        member->prepare_count = event->member_count;
        for (uint16_t rank = 0; rank < event->member_count; rank++)
            member->prepare_summary[event->members[rank].addr.port] = event->members[rank].summary;
        break;
    case MESH_CLUSTER_EVICTED:
        if (!member->has_epoch)
            simmembers_fail(members, member, "evicted from no epoch");
        member->has_epoch = false;
        break;
    case MESH_CLUSTER_LEFT:
        member->has_left = true;
        member->has_epoch = false;
        break;
    case MESH_CLUSTER_PEER_LOST:
        member->lost = *event;
        break;
    case MESH_CLUSTER_REFUSED:
        member->refused = *event;
        snprintf(member->reason, sizeof member->reason, "%s", event->reason);
        break;
    default:
        break;
    }
    if (members->beside)
        members->beside->on_event(member, event);
}

static uint64_t drain(void *app, uint64_t now_ns)
{
    struct simmember *member = app;
    struct mesh_cluster_event event;
    struct mesh_cluster_stats stats;

    while (mesh_cluster_next_event(member->cluster, &event))
        on_event(member->members, member, &event);
    mesh_cluster_get_stats(member->cluster, &stats);
    if (stats.queue_lost && !stats.pauses) /* a stopped process finds all datagrams that have arrived meanwhile at once */
        simmembers_fail(member->members, member, "the queue of messages overflowed");
    if (stats.queue_max > member->members->queue_max)
        member->members->queue_max = stats.queue_max;
    return member->members->beside ? member->members->beside->work(member, to_own(member, now_ns)) : 0;
}

/* ---- a process as the simulator sees it ---- */

struct mesh_addr simmembers_addr(const struct simmembers *members, uint16_t place)
{
    struct mesh_addr addr = mesh_sim_addr(place);

    addr.ip[14] = members->at[place].is_elsewhere;
    return addr;
}

static int receive(void *core, uint64_t now_ns, struct mesh_addr from, const uint8_t *packet, size_t packet_bytes)
{
    struct simmember *member = core;
    struct simmembers *members = member->members;
    struct mesh_message message;

    from = simmembers_addr(members, from.port);
    if (mesh_wire_decode(packet, packet_bytes, &message) == 0) {
        if (members->loses && members->loses(members, from.port, member->place, &message))
            return MESH_ESYSTEM;
        members->received[message.header.type]++;
        if (members->beside && (message.header.epoch || message.header.type == MESH_TYPE_LOOK || message.header.type == MESH_TYPE_REPORT))
            return members->beside->receive(member, to_own(member, now_ns), from, packet, packet_bytes);
    }
    return mesh_cluster_receive(member->cluster, to_own(member, now_ns), from, packet, packet_bytes);
}

static void tick(void *core, uint64_t now_ns)
{
    struct simmember *member = core;
    uint64_t own_ns = to_own(member, now_ns);

    if (member->ready_at_ns && own_ns >= member->ready_at_ns) {
        member->ready_at_ns = 0;
        mesh_cluster_ready(member->cluster, own_ns, member->ready_plan);
    }
    mesh_cluster_tick(member->cluster, own_ns);
    if (member->members->beside)
        member->members->beside->tick(member, own_ns);
}

static uint64_t timeout(const void *core)
{
    const struct simmember *member = core;
    uint64_t own_ns = mesh_cluster_timeout(member->cluster);

    if (member->ready_at_ns && member->ready_at_ns < own_ns)
        own_ns = member->ready_at_ns;
    if (member->members->beside) {
        uint64_t beside_ns = member->members->beside->timeout(member);

        own_ns = beside_ns < own_ns ? beside_ns : own_ns;
    }
    return own_ns == UINT64_MAX ? UINT64_MAX : to_sim(member, own_ns);
}

static const struct mesh_addr group = {.ip = {[10] = 0xff, [11] = 0xff, [12] = 239, [13] = 255, [14] = 77, [15] = 11}, .port = 7412};

/* A process receives what it sends to its own address at once. */
static bool next_datagram(void *core, uint64_t now_ns, uint8_t *packet, size_t capacity, struct mesh_output *output)
{
    struct simmember *member = core;
    uint64_t own_ns = to_own(member, now_ns);

    while (mesh_cluster_next_datagram(member->cluster, own_ns, packet, capacity, output)) {
        struct mesh_addr place = mesh_sim_addr(output->addr.port);

        place.ip[14] = output->addr.ip[14] & 1;
        if (memcmp(&output->addr, &group, sizeof group) == 0) {
            mesh_cluster_receive(member->cluster, own_ns, simmembers_addr(member->members, member->place), packet, output->bytes);
            output->ranks = simmembers_all(member->members) & ~(UINT64_C(1) << member->place);
            return true;
        }
        if (place.port >= member->members->count || memcmp(&place, &output->addr, sizeof place) != 0)
            simmembers_fail(member->members, member, "a datagram goes to nobody's address");
        if (place.port != member->place)
            return true;
        mesh_cluster_receive(member->cluster, own_ns, simmembers_addr(member->members, member->place), packet, output->bytes);
    }
    return member->members->beside && member->members->beside->next_datagram(member, own_ns, packet, capacity, output);
}

/* ---- public ---- */

struct mesh_sim_link simmembers_link(void)
{
    return (struct mesh_sim_link){.delay_ns = 100000};
}

void simmembers_open(struct simmembers *members, uint16_t count, uint64_t seed, const struct mesh_sim_link *link)
{
    memset(members, 0, sizeof *members);
    members->count = count;
    members->seed = seed;
    if (mesh_sim_open(&members->sim, count, seed, link) != 0)
        abort();
    for (uint16_t place = 0; place < count; place++) {
        struct simmember *member = &members->at[place];

        member->members = members;
        member->place = place;
        member->config.hash = simmembers_hash;
        member->config.speed = 100u + place;
        member->config.seeds = member->seeds;
        memset(member->config.cluster, 7, sizeof member->config.cluster);
        memset(member->config.fingerprint, 9, sizeof member->config.fingerprint);
    }
    grow_seen(members);
}

void simmembers_close(struct simmembers *members)
{
    mesh_sim_close(members->sim);
    for (uint16_t place = 0; place < members->count; place++)
        free(members->at[place].memory);
    free(members->seen);
}

void simmembers_add_seed(struct simmembers *members, uint16_t place, uint16_t seed)
{
    struct simmember *member = &members->at[place];

    assert(member->config.seed_count < MESH_CLUSTER_SEEDS_MAX);
    member->seeds[member->config.seed_count++] = mesh_sim_addr(seed);
}

void simmembers_add_group(struct simmembers *members, uint16_t place)
{
    struct simmember *member = &members->at[place];

    assert(member->config.seed_count < MESH_CLUSTER_SEEDS_MAX);
    member->seeds[member->config.seed_count++] = group;
}

void simmembers_start(struct simmembers *members, uint16_t place)
{
    const struct mesh_sim_endpoint endpoint = {&members->at[place], receive, tick, timeout, next_datagram};
    struct simmember *member = &members->at[place];
    uint64_t which = (uint64_t)place << 32 | ++member->processes;

    assert(!member->cluster);
    for (unsigned i = 0; i < 2; i++) {
        uint64_t value = mesh_draw(members->seed, DRAW_INCARNATION + i * 10, which);

        memcpy(member->config.incarnation + 8 * i, &value, sizeof value);
    }
    for (unsigned i = 0; i < 4; i++) {
        uint64_t value = mesh_draw(members->seed, DRAW_SECRET + i * 10, which);

        memcpy(member->config.secret + 8 * i, &value, sizeof value);
    }
    member->number_before = 0;
    member->has_epoch = member->has_left = false;
    member->ready_at_ns = 0;
    if (!member->memory)
        member->memory = aligned_alloc(64, mesh_cluster_memory_bytes());
    if (!member->memory || mesh_cluster_init(&member->cluster, &member->config, member->memory, mesh_cluster_memory_bytes(),
                                             simmembers_clock(members, place)) != 0)
        abort();
    if (member->summary)
        mesh_cluster_set_summary(member->cluster, member->summary);
    mesh_sim_attach_endpoint(members->sim, place, &endpoint, drain, member);
}

void simmembers_crash(struct simmembers *members, uint16_t place)
{
    mesh_sim_crash(members->sim, place);
    members->at[place].cluster = NULL;
    members->at[place].has_epoch = false;
}

uint64_t simmembers_all(const struct simmembers *members)
{
    return members->count == 64 ? UINT64_MAX : (UINT64_C(1) << members->count) - 1;
}

void simmembers_form(struct simmembers *members)
{
    for (uint16_t place = 0; place < members->count; place++) {
        if (place)
            simmembers_add_seed(members, place, 0);
        simmembers_start(members, place);
    }
    if (simmembers_run_agree(members, simmembers_all(members), 5 * SIMMEMBERS_S) == UINT64_MAX || !simmembers_run(members, SIMMEMBERS_S))
        abort();
}

uint16_t simmembers_place(const struct simmembers *members, uint16_t rank)
{
    for (uint16_t place = 0; place < members->count; place++)
        if (members->at[place].has_epoch)
            return members->at[place].list[rank].addr.port;
    abort();
}

bool simmembers_agree(const struct simmembers *members, uint64_t places)
{
    const struct simmember *first = &members->at[__builtin_ctzll(places)];
    uint64_t seen = 0;

    for (uint64_t left = places; left; left &= left - 1) {
        const struct simmember *member = &members->at[__builtin_ctzll(left)];

        if (!member->cluster || !member->has_epoch || member->number != first->number || memcmp(member->id, first->id, 16) != 0)
            return false;
        seen |= UINT64_C(1) << member->list[member->rank].addr.port;
    }
    if (first->count == 1)
        return places == UINT64_C(1) << first->place;
    return seen == places && first->count == __builtin_popcountll(places);
}

struct goal {
    const struct simmembers *members;
    uint64_t places;
};

static bool is_reached(void *void_goal)
{
    const struct goal *goal = void_goal;

    return goal->members->error[0] || (goal->places && simmembers_agree(goal->members, goal->places));
}

bool simmembers_run(struct simmembers *members, uint64_t span_ns)
{
    struct goal goal = {members, 0};

    simattack_run(members->attack, members->sim, mesh_sim_now_ns(members->sim) + span_ns, is_reached, &goal, members->paused);
    return !members->error[0];
}

uint64_t simmembers_run_agree(struct simmembers *members, uint64_t places, uint64_t span_ns)
{
    struct goal goal = {members, places};
    uint64_t from_ns = mesh_sim_now_ns(members->sim);

    if (!simmembers_agree(members, places))
        simattack_run(members->attack, members->sim, from_ns + span_ns, is_reached, &goal, members->paused);
    return !members->error[0] && simmembers_agree(members, places) ? mesh_sim_now_ns(members->sim) - from_ns : UINT64_MAX;
}

static void tell_of(struct simmembers *members, uint16_t by, uint16_t of, int (*tell)(struct mesh_cluster *, uint64_t, uint16_t))
{
    struct simmember *member = &members->at[by];

    for (uint16_t rank = 0; rank < member->count; rank++)
        if (member->list[rank].addr.port == of)
            tell(member->cluster, simmembers_clock(members, by), rank);
    mesh_sim_wake(members->sim, by);
}

void simmembers_suspect(struct simmembers *members, uint16_t by, uint16_t of)
{
    tell_of(members, by, of, mesh_cluster_suspect);
}

void simmembers_starved(struct simmembers *members, uint16_t who, uint16_t by)
{
    tell_of(members, who, by, mesh_cluster_starved);
}
