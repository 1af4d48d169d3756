/* What waits to be sent: a bounded queue of small messages, and parts of lists, which are written when they are fetched.
 *
 * The queue is drained after every input, unless the interface has no room; what finds no room in the queue is lost and counted, as on a
 * wire. */
#include "cluster_tap.h"

#include <assert.h>
#include <string.h>

void *mesh_cluster_enqueue(struct mesh_cluster *cluster, struct mesh_addr to, enum mesh_type type)
{
    struct cluster_outgoing *out = &cluster->outgoing_lost;

    if (cluster->outgoing_count == CLUSTER_OUTGOING_MAX) {
        cluster->stats.queue_lost++;
    } else {
        out = &cluster->outgoing[(cluster->outgoing_first + cluster->outgoing_count) % CLUSTER_OUTGOING_MAX];
        cluster->outgoing_count++;
        if (cluster->outgoing_count > cluster->stats.queue_max)
            cluster->stats.queue_max = cluster->outgoing_count;
    }
    memset(out, 0, sizeof *out);
    out->to = to;
    out->type = type;
    memcpy(&out->as, cluster->config.incarnation, sizeof cluster->config.incarnation);
    return &out->as;
}

uint64_t mesh_cluster_spend_number(struct mesh_cluster *cluster)
{
    cluster->number++;
    if (mesh_cluster_is_tapped(cluster))
        mesh_cluster_tap_value(cluster, MESH_TAPE_CLUSTER_NUMBER, 0, cluster->number);
    return cluster->number;
}

static void fill_header(struct mesh_cluster *cluster, struct mesh_header *header, enum mesh_type type)
{
    memset(header, 0, sizeof *header);
    header->magic = MESH_WIRE_MAGIC;
    header->version = (uint8_t)cluster->config.version;
    header->type = (uint8_t)type;
    header->number = ++cluster->number;
    header->have_step = MESH_STEP_NONE;
    header->sent_ns = cluster->sent_ns;
}

static bool take_outgoing(struct mesh_cluster *cluster, struct mesh_message *message, struct mesh_addr *to)
{
    const struct cluster_outgoing *out = &cluster->outgoing[cluster->outgoing_first];

    if (!cluster->outgoing_count)
        return false;
    cluster->outgoing_first = (cluster->outgoing_first + 1) % CLUSTER_OUTGOING_MAX;
    cluster->outgoing_count--;
    fill_header(cluster, &message->header, out->type);
    memcpy(&message->as, &out->as, sizeof out->as);
    if (out->type == MESH_TYPE_ASK)
        mesh_cluster_contact_sent(cluster, out->as.ask.nonce, message->header.number);
    *to = out->to;
    return true;
}

/* ---- parts of lists ---- */

static unsigned take_lowest(uint8_t *due)
{
    unsigned part = (unsigned)__builtin_ctz(*due);

    *due &= (uint8_t)(*due - 1);
    return part;
}

static void write_ballot(struct mesh_cluster *cluster, struct mesh_message *message, const struct cluster_ballot *ballot,
                         const uint8_t id[16], enum mesh_stage stage)
{
    struct mesh_plan *plan = &message->as.plan;

    fill_header(cluster, &message->header, stage == MESH_STAGE_COMMIT ? MESH_TYPE_COMMIT : MESH_TYPE_PLAN);
    memcpy(plan->incarnation, cluster->config.incarnation, sizeof plan->incarnation);
    plan->stage = (uint8_t)stage;
    plan->number = ballot->number;
    plan->round = ballot->round;
    plan->rank = ballot->rank;
    memcpy(plan->proposer, ballot->proposer, sizeof plan->proposer);
    memcpy(plan->id, id, sizeof plan->id);
}

static bool take_plan(struct mesh_cluster *cluster, unsigned index, struct mesh_message *message, struct mesh_addr *to)
{
    struct cluster_plan *plan = &cluster->plan;
    uint8_t *due = NULL;

    if (index < plan->list.count && plan->due[index]) {
        due = &plan->due[index];
        *to = plan->list.members[index].addr;
    } else if (index < cluster->epoch.list.count && plan->leaver_due[index]) {
        due = &plan->leaver_due[index];
        *to = cluster->epoch.list.members[index].addr;
    }
    if (!due)
        return false;
    mesh_cluster_list_write(&plan->list, take_lowest(due), message);
    write_ballot(cluster, message, &plan->ballot, plan->stage == MESH_STAGE_COMMIT ? plan->id : cluster->epoch.id, plan->stage);
    return true;
}

static bool take_commit(struct mesh_cluster *cluster, unsigned rank, struct mesh_message *message, struct mesh_addr *to)
{
    struct cluster_epoch *epoch = &cluster->epoch;
    struct cluster_peer *peer;

    if (rank >= epoch->list.count || rank == epoch->rank || epoch->is_seeking)
        return false;
    peer = mesh_cluster_peer_at(cluster, rank);
    if (!peer->commit_due)
        return false;
    mesh_cluster_list_write(&epoch->list, take_lowest(&peer->commit_due), message);
    write_ballot(cluster, message, &epoch->ballot, epoch->id, MESH_STAGE_COMMIT);
    *to = peer->addr;
    return true;
}

/* All parts to one before the next has any, so that the first ones answer while the others are told. */
static bool take_part(struct mesh_cluster *cluster, struct mesh_message *message, struct mesh_addr *to)
{
    for (unsigned i = 0; i < MESH_RANKS_MAX; i++) {
        unsigned index = (cluster->part_turn + i) % MESH_RANKS_MAX;

        if ((cluster->plan.stage && take_plan(cluster, index, message, to)) || take_commit(cluster, index, message, to)) {
            cluster->part_turn = index;
            return true;
        }
    }
    return false;
}

bool mesh_cluster_next_datagram(struct mesh_cluster *cluster, uint64_t now_ns, uint8_t *packet, size_t capacity, struct mesh_output *output)
{
    struct mesh_message message;

    assert(now_ns >= cluster->now_ns);
    assert(capacity >= MESH_DATAGRAM_BYTES_MIN);
    cluster->sent_ns = now_ns;
    memset(output, 0, sizeof *output);
    if (!take_part(cluster, &message, &output->addr) && !take_outgoing(cluster, &message, &output->addr))
        return false;
    output->bytes = mesh_wire_encode(&message, packet, capacity);
    assert(output->bytes <= MESH_DATAGRAM_BYTES_MIN);
    cluster->stats.sent++;
    if (mesh_cluster_is_tapped(cluster))
        mesh_cluster_tap_datagram(cluster, packet, output);
    return true;
}
