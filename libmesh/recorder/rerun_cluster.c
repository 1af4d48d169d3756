/* The calls of a cluster core, given again. */
#include "rerun_parts.h"

#include <string.h>

#include "libmesh/core/wire_field.h"

/* A tick before it is due lets time pass and does nothing else. One that was due is on the tape. */
void mesh_rerun_cluster_time(struct mesh_rerun *rerun, uint64_t at_ns)
{
    if (at_ns < mesh_cluster_timeout(rerun->cluster))
        mesh_cluster_tick(rerun->cluster, at_ns);
}

/* Addresses of a body into seeds; MESH_EINVAL: no such list. */
static int read_addrs(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry, struct mesh_addr seeds[], unsigned *count)
{
    const struct mesh_tape_addr_bytes *at = (const struct mesh_tape_addr_bytes *)(const void *)entry->body;

    *count = entry->call.body_bytes / (unsigned)sizeof *at;
    if (entry->call.body_bytes % sizeof *at || *count > MESH_CLUSTER_SEEDS_MAX)
        return mesh_rerun_refuse(rerun, MESH_EINVAL, "no list of addresses");
    for (unsigned i = 0; i < *count; i++) {
        memset(&seeds[i], 0, sizeof seeds[i]);
        memcpy(seeds[i].ip, at[i].ip, sizeof seeds[i].ip);
        get_u16(at[i].port, &seeds[i].port, 0, UINT16_MAX);
        get_u32(at[i].scope, &seeds[i].scope, 0, UINT32_MAX);
    }
    return 0;
}

static void fill_config(const struct mesh_tape_cluster_init *init, struct mesh_cluster_config *config)
{
    *config = (struct mesh_cluster_config){.features = init->features,
                                           .features_required = init->features_required,
                                           .version = init->version,
                                           .addr = mesh_rerun_addr(init->ip, init->port, init->scope),
                                           .speed = init->speed,
                                           .flags = init->flags,
                                           .prepares_joins = init->prepares_joins,
                                           .gather_ns = init->gather_ns,
                                           .settle_ns = init->settle_ns,
                                           .prepare_ns_max = init->prepare_ns_max};
    memcpy(config->incarnation, init->incarnation, sizeof config->incarnation);
    memcpy(config->secret, init->secret, sizeof config->secret);
    memcpy(config->cluster, init->cluster, sizeof config->cluster);
    memcpy(config->fingerprint, init->fingerprint, sizeof config->fingerprint);
}

static int call_init(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    const struct mesh_tape_cluster_init *init = &entry->cluster_init;
    const size_t bytes = mesh_cluster_memory_bytes();
    struct mesh_addr seeds[MESH_CLUSTER_SEEDS_MAX];
    struct mesh_cluster_config config;
    int err = mesh_rerun_check_begin(rerun, init->format, init->hash);

    if (err)
        return err;
    fill_config(init, &config);
    err = read_addrs(rerun, entry, seeds, &config.seed_count);
    if (err)
        return err;
    if (!mesh_rerun_take_memory(rerun, bytes))
        return mesh_rerun_refuse(rerun, MESH_ENOMEM, "no memory for a cluster core");
    config.seeds = seeds;
    config.hash = rerun->hash;
    config.tap = &rerun->tap;
    if (mesh_cluster_init(&rerun->cluster, &config, rerun->memory, bytes, init->at_ns) != 0)
        return mesh_rerun_refuse(rerun, MESH_EINVAL, "no cluster core has such a config");
    return 0;
}

static int call_receive(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    const struct mesh_tape_cluster_receive *in = &entry->cluster_receive;
    const size_t bytes = mesh_rerun_packet(rerun, entry);

    mesh_cluster_receive(rerun->cluster, in->at_ns, mesh_rerun_addr(in->ip, in->port, in->scope), rerun->packet, bytes);
    return 0;
}

static int call_tick(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    mesh_cluster_tick(rerun->cluster, entry->call.at_ns);
    return 0;
}

static int call_join(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    struct mesh_addr seeds[MESH_CLUSTER_SEEDS_MAX];
    unsigned count;
    const int err = read_addrs(rerun, entry, seeds, &count);

    if (!err)
        mesh_cluster_join(rerun->cluster, entry->call.at_ns, seeds, count);
    return err;
}

static int call_leave(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    mesh_cluster_leave(rerun->cluster, entry->call.at_ns);
    return 0;
}

static int call_suspect(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    mesh_cluster_suspect(rerun->cluster, entry->call.at_ns, entry->cluster_suspect.rank);
    return 0;
}

static int call_starved(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    mesh_cluster_starved(rerun->cluster, entry->call.at_ns, entry->cluster_starved.rank);
    return 0;
}

static int call_heard(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    mesh_cluster_heard(rerun->cluster, entry->call.at_ns, entry->cluster_heard.rank);
    return 0;
}

static int call_ready(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    mesh_cluster_ready(rerun->cluster, entry->call.at_ns, (uint32_t)entry->cluster_ready.value);
    return 0;
}

static int call_speed(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    mesh_cluster_set_speed(rerun->cluster, (uint32_t)entry->cluster_speed.value);
    return 0;
}

static int call_flags(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    mesh_cluster_set_flags(rerun->cluster, (uint32_t)entry->cluster_flags.value);
    return 0;
}

static int call_summary(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    mesh_cluster_set_summary(rerun->cluster, entry->cluster_summary.value);
    return 0;
}

static int call_shares(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    uint32_t shares[MESH_RANKS_MAX];
    const unsigned count = entry->call.body_bytes / (unsigned)sizeof *shares;

    if (entry->call.body_bytes % sizeof *shares || count > MESH_RANKS_MAX)
        return mesh_rerun_refuse(rerun, MESH_EINVAL, "no list of shares");
    for (unsigned i = 0; i < count; i++)
        get_u32(entry->body + i * sizeof *shares, &shares[i], 0, UINT32_MAX);
    mesh_cluster_propose_shares(rerun->cluster, entry->call.at_ns, shares, count);
    return 0;
}

static int call_event(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    struct mesh_cluster_event event;

    (void)entry;
    mesh_cluster_next_event(rerun->cluster, &event);
    return 0;
}

static int call_datagram(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    struct mesh_output output;

    mesh_cluster_next_datagram(rerun->cluster, entry->call.at_ns, rerun->packet, sizeof rerun->packet, &output);
    return 0;
}

static int call_number(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    (void)entry;
    mesh_cluster_spend_number(rerun->cluster);
    return 0;
}

mesh_rerun_call_fn *const mesh_rerun_cluster_calls[MESH_TAPE_KINDS] = {
    [MESH_TAPE_CLUSTER_INIT] = call_init,       [MESH_TAPE_CLUSTER_RECEIVE] = call_receive,   [MESH_TAPE_CLUSTER_TICK] = call_tick,
    [MESH_TAPE_CLUSTER_JOIN] = call_join,       [MESH_TAPE_CLUSTER_LEAVE] = call_leave,       [MESH_TAPE_CLUSTER_SUSPECT] = call_suspect,
    [MESH_TAPE_CLUSTER_HEARD] = call_heard,     [MESH_TAPE_CLUSTER_READY] = call_ready,       [MESH_TAPE_CLUSTER_SPEED] = call_speed,
    [MESH_TAPE_CLUSTER_FLAGS] = call_flags,     [MESH_TAPE_CLUSTER_SUMMARY] = call_summary,   [MESH_TAPE_CLUSTER_SHARES] = call_shares,
    [MESH_TAPE_CLUSTER_EVENT] = call_event,     [MESH_TAPE_CLUSTER_DATAGRAM] = call_datagram, [MESH_TAPE_CLUSTER_NUMBER] = call_number,
    [MESH_TAPE_CLUSTER_STARVED] = call_starved,
};
