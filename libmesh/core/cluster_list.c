/* Lists of members: which ballot is higher, parts on the wire, and the id that is a hash of it all.
 *
 * Invariant: a complete assembly names each incarnation once. */
#include "cluster_parts.h"
#include "mesh/program/byte_order.h"

#include <assert.h>
#include <string.h>

#define STALE_NS (50 * CLUSTER_MS) /* an assembly that gets no parts for so long gives way */

int mesh_cluster_ballot_compare(const struct cluster_ballot *a, const struct cluster_ballot *b)
{
    int proposer = memcmp(b->proposer, a->proposer, sizeof a->proposer);

    if (a->number != b->number)
        return a->number > b->number ? 1 : -1;
    if (a->rank != b->rank)
        return a->rank < b->rank ? 1 : -1;
    if (proposer)
        return proposer;
    return a->round > b->round ? 1 : a->round == b->round ? 0 : -1;
}

bool mesh_cluster_ballot_same(const struct cluster_ballot *a, const struct cluster_ballot *b)
{
    return mesh_cluster_ballot_compare(a, b) == 0;
}

int mesh_cluster_list_find(const struct cluster_list *list, const uint8_t incarnation[16])
{
    for (unsigned i = 0; i < list->count; i++)
        if (memcmp(list->members[i].incarnation, incarnation, 16) == 0)
            return (int)i;
    return -1;
}

uint64_t mesh_cluster_mask(unsigned count)
{
    assert(count <= 64);
    return count == 64 ? UINT64_MAX : (UINT64_C(1) << count) - 1;
}

unsigned mesh_cluster_count(uint64_t mask)
{
    unsigned count = 0;

    for (; mask; mask &= mask - 1)
        count++;
    return count;
}

/* ---- the wire's form ---- */

void mesh_cluster_member_to_wire(const struct mesh_cluster_member *member, struct mesh_member *wire)
{
    memcpy(wire->incarnation, member->incarnation, sizeof wire->incarnation);
    memcpy(wire->ip, member->addr.ip, sizeof wire->ip);
    wire->port = member->addr.port;
    wire->speed = member->speed;
    wire->share = member->share;
    wire->app_flags = member->flags;
    wire->summary = member->summary;
    memcpy(wire->nonce, member->nonce, sizeof wire->nonce);
}

static void from_wire(struct mesh_cluster_member *member, const struct mesh_member *wire, const struct mesh_addr *from)
{
    memcpy(member->incarnation, wire->incarnation, sizeof member->incarnation);
    member->addr = mesh_cluster_addr(wire->ip, wire->port, from);
    member->speed = wire->speed;
    member->share = wire->share;
    member->flags = wire->app_flags;
    member->summary = wire->summary;
    memcpy(member->nonce, wire->nonce, sizeof member->nonce);
}

void mesh_cluster_join_nonce(uint64_t nonce, uint8_t out[16])
{
    mesh_little_put(mesh_little_put(out, nonce, 8), 0, 8);
}

void mesh_cluster_list_id(struct mesh_cluster *cluster, const struct cluster_list *list, uint32_t number, uint8_t id[16])
{
    uint8_t *at = cluster->scratch;

    memcpy(at, "mesh epoch", 10);
    at = mesh_little_put(mesh_little_put(at + 10, number, 4), list->count, 2);
    for (unsigned i = 0; i < list->count; i++) {
        struct mesh_member wire;

        mesh_cluster_member_to_wire(&list->members[i], &wire);
        mesh_wire_encode_member(&wire, at);
        at += MESH_MEMBER_BYTES;
    }
    assert(at <= cluster->scratch + sizeof cluster->scratch);
    cluster->config.hash(cluster->scratch, (size_t)(at - cluster->scratch), id);
}

unsigned mesh_cluster_list_parts(const struct cluster_list *list)
{
    return (list->count + MESH_PART_MEMBERS_MAX - 1) / MESH_PART_MEMBERS_MAX;
}

void mesh_cluster_list_write(const struct cluster_list *list, unsigned part, struct mesh_message *message)
{
    struct mesh_plan *plan = &message->as.plan;
    unsigned first = part * MESH_PART_MEMBERS_MAX, count = list->count - first;

    assert(first < list->count);
    count = count < MESH_PART_MEMBERS_MAX ? count : MESH_PART_MEMBERS_MAX;
    plan->total = (uint16_t)list->count;
    plan->first = (uint16_t)first;
    plan->member_count = (uint16_t)count;
    for (unsigned i = 0; i < count; i++)
        mesh_cluster_member_to_wire(&list->members[first + i], &message->members[i]);
}

/* ---- assembling ---- */

static bool is_same_list(const struct cluster_assembly *assembly, const struct cluster_ballot *ballot, const struct mesh_plan *part)
{
    return assembly->stage == (enum mesh_stage)part->stage && mesh_cluster_ballot_same(&assembly->ballot, ballot) &&
           memcmp(assembly->id, part->id, sizeof part->id) == 0;
}

/* A proposer's rounds only grow: this one is over, and its part was late. */
static bool is_older(const struct cluster_assembly *assembly, const struct cluster_ballot *ballot)
{
    return assembly->stage && ballot->round < assembly->ballot.round &&
           memcmp(ballot->proposer, assembly->ballot.proposer, sizeof ballot->proposer) == 0;
}

static bool is_whole(const struct cluster_assembly *assembly)
{
    return assembly->have == mesh_cluster_mask(assembly->list.count);
}

static bool names_each_once(const struct cluster_list *list)
{
    for (unsigned i = 0; i < list->count; i++)
        if (mesh_cluster_list_find(list, list->members[i].incarnation) != (int)i)
            return false;
    return true;
}

int mesh_cluster_assemble(struct mesh_cluster *cluster, struct cluster_assembly *assembly, const struct cluster_input *in)
{
    const struct mesh_plan *part = &in->message->as.plan;
    struct cluster_ballot ballot = {part->number, part->round, part->rank, {0}};

    memcpy(ballot.proposer, part->proposer, sizeof ballot.proposer);
    if (part->first + part->member_count > part->total)
        return MESH_ERANGE;
    if (!is_same_list(assembly, &ballot, part)) {
        bool is_busy = assembly->stage && !is_whole(assembly) && cluster->now_ns - assembly->at_ns < STALE_NS;

        if (is_busy && mesh_cluster_ballot_compare(&ballot, &assembly->ballot) < 0)
            return MESH_ESTATE;
        if (is_older(assembly, &ballot))
            return MESH_ESTATE;
        assembly->stage = (enum mesh_stage)part->stage;
        assembly->ballot = ballot;
        memcpy(assembly->id, part->id, sizeof assembly->id);
        assembly->have = 0;
        assembly->list.count = part->total;
    }
    if (assembly->list.count != part->total)
        return MESH_ERANGE;
    assembly->at_ns = cluster->now_ns;
    for (unsigned i = 0; i < part->member_count; i++) {
        from_wire(&assembly->list.members[part->first + i], &in->message->members[i], &in->from);
        assembly->have |= UINT64_C(1) << (part->first + i);
    }
    if (!is_whole(assembly))
        return MESH_AGAIN;
    if (names_each_once(&assembly->list))
        return 0;
    assembly->stage = 0;
    return MESH_ERANGE;
}
