/* Telling the tap of a cluster core about its calls. Nothing here changes protocol state. */
#include "cluster_tap.h"

#include <assert.h>
#include <string.h>

#include "mesh/program/byte_order.h"
#include "tap.h"

static void put(struct mesh_cluster *cluster, struct mesh_tape_entry *entry, enum mesh_tape_kind kind, int err)
{
    const struct mesh_tap *tap = cluster->config.tap;
    const bool is_sending = kind == MESH_TAPE_CLUSTER_DATAGRAM;

    assert(err <= 0);
    entry->call.kind = (uint8_t)kind;
    entry->call.error = (uint8_t)-err;
    entry->call.at_ns = is_sending ? cluster->sent_ns : cluster->now_ns;
    entry->call.due_ns = mesh_cluster_timeout(cluster);
    tap->put(tap->user, entry);
}

/* struct mesh_tape_addr_bytes, one after another. */
static size_t write_addrs(const struct mesh_addr *addrs, unsigned count, uint8_t out[])
{
    uint8_t *at = out;

    for (unsigned i = 0; i < count; i++) {
        memcpy(at, addrs[i].ip, sizeof addrs[i].ip);
        at = mesh_little_put(mesh_little_put(at + sizeof addrs[i].ip, addrs[i].port, 2), addrs[i].scope, 4);
    }
    return (size_t)(at - out);
}

void mesh_cluster_tap_init(struct mesh_cluster *cluster, const struct mesh_cluster_config *config)
{
    uint8_t seeds[MESH_CLUSTER_SEEDS_MAX * sizeof(struct mesh_tape_addr_bytes)];
    struct mesh_tape_entry entry = {.cluster_init = {.format = MESH_TAPE_FORMAT,
                                                     .features = config->features,
                                                     .features_required = config->features_required,
                                                     .version = config->version,
                                                     .speed = config->speed,
                                                     .flags = config->flags,
                                                     .prepares_joins = config->prepares_joins,
                                                     .gather_ns = config->gather_ns,
                                                     .settle_ns = config->settle_ns,
                                                     .prepare_ns_max = config->prepare_ns_max}};

    memcpy(entry.cluster_init.incarnation, config->incarnation, sizeof config->incarnation);
    memcpy(entry.cluster_init.secret, config->secret, sizeof config->secret);
    memcpy(entry.cluster_init.cluster, config->cluster, sizeof config->cluster);
    memcpy(entry.cluster_init.fingerprint, config->fingerprint, sizeof config->fingerprint);
    config->hash("", 0, entry.cluster_init.hash);
    MESH_TAP_SET_ADDR(entry.cluster_init, &config->addr);
    mesh_tap_set_body(&entry, seeds, write_addrs(config->seeds, config->seed_count, seeds));
    put(cluster, &entry, MESH_TAPE_CLUSTER_INIT, 0);
}

void mesh_cluster_tap_receive(struct mesh_cluster *cluster, int err, const struct mesh_addr *from, const uint8_t *packet, size_t bytes)
{
    struct mesh_tape_entry entry = {.cluster_receive = {.error = 0}};

    MESH_TAP_SET_ADDR(entry.cluster_receive, from);
    mesh_tap_set_datagram(&entry, packet, bytes);
    put(cluster, &entry, MESH_TAPE_CLUSTER_RECEIVE, err);
}

void mesh_cluster_tap_plain(struct mesh_cluster *cluster, enum mesh_tape_kind kind, int err)
{
    struct mesh_tape_entry entry = {.call = {.error = 0}};

    put(cluster, &entry, kind, err);
}

void mesh_cluster_tap_join(struct mesh_cluster *cluster, int err, const struct mesh_addr *seeds, unsigned seed_count)
{
    uint8_t body[MESH_CLUSTER_SEEDS_MAX * sizeof(struct mesh_tape_addr_bytes)];
    struct mesh_tape_entry entry = {.call = {.error = 0}};

    mesh_tap_set_body(&entry, body, write_addrs(seeds, seed_count, body));
    put(cluster, &entry, MESH_TAPE_CLUSTER_JOIN, err);
}

void mesh_cluster_tap_rank(struct mesh_cluster *cluster, enum mesh_tape_kind kind, int err, uint16_t rank)
{
    struct mesh_tape_entry entry = {.cluster_heard = {.rank = rank}};

    put(cluster, &entry, kind, err);
}

void mesh_cluster_tap_value(struct mesh_cluster *cluster, enum mesh_tape_kind kind, int err, uint64_t value)
{
    struct mesh_tape_entry entry = {.cluster_number = {.value = value}};

    put(cluster, &entry, kind, err);
}

void mesh_cluster_tap_shares(struct mesh_cluster *cluster, int err, const uint32_t *shares, unsigned count)
{
    uint8_t body[MESH_RANKS_MAX * sizeof *shares], *at = body;
    struct mesh_tape_entry entry = {.call = {.error = 0}};

    for (unsigned i = 0; i < count && i < MESH_RANKS_MAX; i++)
        at = mesh_little_put(at, shares[i], sizeof *shares);
    mesh_tap_set_body(&entry, body, (size_t)(at - body));
    put(cluster, &entry, MESH_TAPE_CLUSTER_SHARES, err);
}

void mesh_cluster_tap_event(struct mesh_cluster *cluster, const struct mesh_cluster_event *event)
{
    uint8_t members[MESH_RANKS_MAX * MESH_MEMBER_BYTES];
    struct mesh_tape_entry entry = {.cluster_event = {.type = (uint8_t)event->type,
                                                      .plan = event->plan,
                                                      .number = event->number,
                                                      .member_count = event->member_count,
                                                      .own_rank = (uint16_t)event->own_rank,
                                                      .rank = event->rank,
                                                      .reason_code = event->reason_code,
                                                      .found = event->found,
                                                      .expected = event->expected}};

    memcpy(entry.cluster_event.id, event->id, sizeof event->id);
    memcpy(entry.cluster_event.incarnation, event->incarnation, sizeof event->incarnation);
    MESH_TAP_SET_ADDR(entry.cluster_event, &event->addr);
    for (unsigned i = 0; i < event->member_count; i++) {
        struct mesh_member member;

        mesh_cluster_member_to_wire(&event->members[i], &member);
        mesh_wire_encode_member(&member, members + (size_t)i * MESH_MEMBER_BYTES);
    }
    mesh_tap_set_body(&entry, members, (size_t)event->member_count * MESH_MEMBER_BYTES);
    put(cluster, &entry, MESH_TAPE_CLUSTER_EVENT, 0);
}

void mesh_cluster_tap_datagram(struct mesh_cluster *cluster, const uint8_t *packet, const struct mesh_output *output)
{
    struct mesh_tape_entry entry = {.cluster_datagram = {.ranks = output->ranks}};

    MESH_TAP_SET_ADDR(entry.cluster_datagram, &output->addr);
    mesh_tap_set_datagram(&entry, packet, output->bytes);
    put(cluster, &entry, MESH_TAPE_CLUSTER_DATAGRAM, 0);
}
