#include "simattack.h"

#include <stddef.h>
#include <string.h>

#include "libmesh/core/mix.h"

enum { DRAW_EARLY = 5000, DRAW_GAP, DRAW_WHICH, DRAW_TO, DRAW_FROM };

static uint64_t draw(const struct simattack *attack, unsigned which, uint64_t index, uint64_t limit)
{
    return mesh_draw_below(mesh_draw(attack->seed, which, index), limit);
}

/* ---- the filters ---- */

static bool is_older(const struct simattack_filter *filter, uint64_t number)
{
    return number + SIMATTACK_NUMBERS <= filter->highest;
}

/* True when the number has not been received before. */
static bool pass(struct simattack *attack, uint16_t to, const uint8_t incarnation[16], uint64_t number)
{
    struct simattack_filter *filter = attack->filter[to], *oldest = filter;
    uint64_t *word;

    for (; filter < attack->filter[to] + SIMATTACK_SENDERS && memcmp(filter->incarnation, incarnation, 16) != 0; filter++)
        oldest = filter->used < oldest->used ? filter : oldest;
    if (filter == attack->filter[to] + SIMATTACK_SENDERS) {
        filter = oldest;
        memset(filter, 0, sizeof *filter);
        memcpy(filter->incarnation, incarnation, sizeof filter->incarnation);
    }
    filter->used = ++attack->taken;
    word = &filter->numbers[number / 64 % (SIMATTACK_NUMBERS / 64)];
    if (is_older(filter, number) || (number <= filter->highest && *word >> number % 64 & 1))
        return false;
    if (number > filter->highest + SIMATTACK_NUMBERS)
        filter->highest = number - SIMATTACK_NUMBERS;
    for (; filter->highest < number; filter->highest++)
        filter->numbers[(filter->highest + 1) / 64 % (SIMATTACK_NUMBERS / 64)] &= ~(UINT64_C(1) << (filter->highest + 1) % 64);
    *word |= UINT64_C(1) << number % 64;
    return true;
}

/* A restarted process has a filter of its own. */
static void note_start(struct simattack *attack, uint16_t place)
{
    if (attack->processes[place] == attack->members->at[place].processes)
        return;
    attack->processes[place] = attack->members->at[place].processes;
    memset(attack->filter[place], 0, sizeof attack->filter[place]);
}

/* Also applies to regular deliveries: the filter drops duplicated datagrams, too. */
static bool loses(struct simmembers *members, uint16_t from, uint16_t to, const struct mesh_message *message)
{
    struct simattack *attack = members->attack;

    (void)from;
    note_start(attack, to);
    return !message->header.epoch && !pass(attack, to, message->as.ask.incarnation, message->header.number);
}

/* ---- recording and replay ---- */

static void keep(struct simattack_heard *heard, struct mesh_addr from, const uint8_t *packet, size_t bytes)
{
    heard->from = from;
    heard->bytes = bytes;
    memcpy(heard->packet, packet, bytes);
}

static void hear(void *app, uint64_t now_ns, uint16_t from, uint16_t to, const uint8_t *packet, size_t bytes, bool dropped)
{
    struct simattack *attack = app;
    const struct mesh_addr addr = simmembers_addr(attack->members, from);
    uint64_t place = attack->heard;

    (void)now_ns, (void)to, (void)dropped;
    if (bytes > MESH_DATAGRAM_BYTES_MIN)
        return;
    keep(&attack->late[attack->heard % SIMATTACK_LATE], addr, packet, bytes);
    if (place >= SIMATTACK_EARLY)
        place = draw(attack, DRAW_EARLY, attack->heard, attack->heard + 1);
    if (place < SIMATTACK_EARLY)
        keep(&attack->early[place], addr, packet, bytes);
    attack->heard++;
}

void simattack_begin(struct simattack *attack, struct simmembers *members, uint64_t seed, uint64_t gap_ns_max)
{
    memset(attack, 0, sizeof *attack);
    attack->members = members;
    attack->seed = seed;
    attack->gap_ns_max = gap_ns_max;
    attack->next_ns = mesh_sim_now_ns(members->sim) + 1 + draw(attack, DRAW_GAP, attack->tries++, gap_ns_max);
    members->attack = attack;
    members->loses = loses;
    mesh_sim_watch(members->sim, hear, attack);
}

static bool is_for_cluster(const struct mesh_header *header)
{
    return !header->epoch && header->type != MESH_TYPE_LOOK && header->type != MESH_TYPE_REPORT;
}

static bool give(struct simattack *attack, const struct simattack_heard *heard, struct mesh_addr from, uint16_t to)
{
    struct simmember *member = &attack->members->at[to];
    const uint64_t now_ns = simmembers_clock(attack->members, to);
    struct mesh_header header;

    attack->played++;
    if (!member->cluster || mesh_wire_decode_header(heard->packet, heard->bytes, &header) != 0)
        return false;
    note_start(attack, to);
    if (!header.epoch && !pass(attack, to, heard->packet + MESH_HEADER_BYTES, header.number)) {
        attack->dropped++;
        return false;
    }
    if (is_for_cluster(&header))
        (void)mesh_cluster_receive(member->cluster, now_ns, from, heard->packet, heard->bytes);
    else if (attack->members->beside)
        (void)attack->members->beside->receive(member, now_ns, from, heard->packet, heard->bytes);
    mesh_sim_wake(attack->members->sim, to);
    return true;
}

bool simattack_play(struct simattack *attack, unsigned type, uint16_t from, uint16_t to)
{
    for (uint64_t i = 0; i < attack->heard && i < SIMATTACK_LATE; i++) {
        const struct simattack_heard *heard = &attack->late[(attack->heard - 1 - i) % SIMATTACK_LATE];

        if (!type || heard->packet[offsetof(struct mesh_header_bytes, type)] == type)
            return give(attack, heard, from < SIMMEMBERS_MAX ? mesh_sim_addr(from) : heard->from, to);
    }
    return false;
}

static void play_any(struct simattack *attack, uint64_t index, uint64_t paused)
{
    const bool is_late = draw(attack, DRAW_WHICH, 2 * index, 2) == 0;
    const uint64_t room = is_late ? SIMATTACK_LATE : SIMATTACK_EARLY, count = attack->heard < room ? attack->heard : room;
    const uint16_t to = (uint16_t)draw(attack, DRAW_TO, index, attack->members->count);
    const uint64_t other = draw(attack, DRAW_FROM, index, 4u * attack->members->count); /* mostly from its original source */
    const struct simattack_heard *heard;

    if (!count || paused >> to & 1)
        return;
    heard = (is_late ? attack->late : attack->early) + draw(attack, DRAW_WHICH, 2 * index + 1, count);
    give(attack, heard, other < attack->members->count ? mesh_sim_addr((uint16_t)other) : heard->from, to);
}

bool simattack_run(struct simattack *attack, struct mesh_sim *sim, uint64_t deadline_ns, bool (*done)(void *), void *app, uint64_t paused)
{
    while (attack && attack->next_ns < deadline_ns) {
        if (mesh_sim_run(sim, attack->next_ns, done, app))
            return true;
        attack->next_ns = mesh_sim_now_ns(sim) + 1 + draw(attack, DRAW_GAP, attack->tries, attack->gap_ns_max);
        play_any(attack, attack->tries++, paused);
    }
    return mesh_sim_run(sim, deadline_ns, done, app);
}
