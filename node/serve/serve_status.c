#include "serve_status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/program/json.h"
#include "node/engine/model_needs.h"
#include "serve.h"

#define RTT_NS_MAX UINT64_C(199000000) /* a longer one counts as 200 ms in the cluster core */

/* rtt_ns: what the cluster core has. The endpoint of the epoch measures round trips of any length; 0: it has not yet. */
static uint64_t round_trip_ns(const struct serve_status *status, uint16_t rank, uint64_t rtt_ns)
{
    struct mesh_peer_stats stats = {.rtt_ns_smoothed = 0};

    if (rtt_ns < RTT_NS_MAX)
        return rtt_ns;
    if (status->run->mesh != NULL && status->run->is_started)
        engine_peer_stats(status->run->engine, rank, &stats);
    return stats.rtt_ns_smoothed;
}

/* What a member is doing, as far as this node knows. *rtt_ns: 0 when not measured. */
static const char *state_of(const struct serve_status *status, uint16_t rank, uint64_t *rtt_ns)
{
    struct mesh_cluster_peer_stats peer;

    *rtt_ns = 0;
    if (rank == status->run->rank)
        return status->is_draining ? "draining" : epoch_run_is_loaded(status->run) ? "up" : "loading";
    if (mesh_cluster_get_peer_stats(status->cluster, rank, &peer) != MESH_OK || !peer.is_in)
        return "joining";
    *rtt_ns = round_trip_ns(status, rank, peer.rtt_ns);
    return peer.is_leaving ? "leaving" : peer.is_suspected ? "suspected" : "up";
}

/* The least number of members' disks that hold a row, over all rows. Members without the whole file have what they need in this epoch, once
 * it is loaded. */
static uint32_t count_disks(const struct serve_status *status)
{
    uint64_t whole = 0;

    for (uint16_t rank = 0; status->run != NULL && rank < status->run->count; rank++)
        whole |= (uint64_t)((status->run->member[rank].flags & EPOCH_RUN_HAS_FILE) != 0) << rank;
    return status->run == NULL ? 0 : model_needs_disks(status->config->model, &status->run->map, whole);
}

static uint32_t count_chunks_here(const struct model_part *part)
{
    uint32_t count = 0;

    for (uint32_t chunk = 0; chunk < part->count; chunk++)
        count += atomic_load(&part->have[chunk]);
    return count;
}

static void write_disks(const struct serve_status *status, struct json *json)
{
    const struct model_part *part = status->config->part;
    const uint32_t disks = count_disks(status), chunks = model_chunk_count(gguf_file_bytes(status->config->model->gguf));

    json_uint(json, "disks_with_every_row", disks);
    json_bool(json, "rows_on_two_disks", disks >= 2);
    json_uint(json, "model_chunks", chunks);
    json_uint(json, "model_chunks_here", part != NULL ? count_chunks_here(part) : chunks);
}

/* Fraction of all rows, 0..1. */
static double part_of(const struct rowmap *map, uint16_t rank)
{
    double total = 0;

    for (uint16_t r = 0; r < map->rank_count; r++)
        total += map->share[r];
    return map->share[rank] / total;
}

/* The address by which other members reach it. A node that has met no other knows only where it listens. */
static void address_of(const struct serve_status *status, uint16_t rank, char text[MESH_ADDR_TEXT_BYTES])
{
    const struct mesh_addr addr = status->run->member[rank].addr;

    mesh_addr_format(rank == status->run->rank && addr.port == 0 ? mesh_udp_local(status->config->udp) : addr, text);
}

static void write_member(const struct serve_status *status, struct json *json, uint16_t rank)
{
    const struct mesh_cluster_member *member = &status->run->member[rank];
    char address[MESH_ADDR_TEXT_BYTES];
    uint64_t rtt_ns;

    address_of(status, rank, address);
    json_object_begin(json, NULL);
    json_uint(json, "rank", rank);
    json_text(json, "address", address);
    json_text(json, "state", state_of(status, rank, &rtt_ns));
    json_uint(json, "share", status->run->map.share[rank]);
    json_double(json, "share_of_rows", part_of(&status->run->map, rank));
    json_bool(json, "share_is_fixed", status->member[rank].share != BALANCE_SHARE_AUTO);
    json_double(json, "speed_mb_per_s", status->member[rank].speed / 1e3);
    json_bool(json, "speed_is_measured", status->member[rank].ratio > 0);
    json_uint(json, "memory_bytes", member->summary);
    json_bool(json, "has_model_file", (member->flags & EPOCH_RUN_HAS_FILE) != 0);
    json_bool(json, "is_self", rank == status->run->rank);
    json_double(json, "rtt_us", (double)rtt_ns / 1e3);
    json_object_end(json);
}

/* All refusals, in epochs and outside of them. */
struct refusals {
    uint64_t seal[MESH_SEAL_REFUSALS], clients[MESH_SESSION_REFUSALS], replay;
};

static void take_refused(const struct serve_status *status, struct refusals *refused)
{
    memcpy(refused->seal, status->refused, sizeof refused->seal);
    refused->replay = status->replayed;
    if (status->run != NULL)
        epoch_run_refused(status->run, refused->seal, &refused->replay);
    for (int i = 0; i < MESH_SEAL_REFUSALS; i++)
        refused->seal[i] += status->filter->cluster[i];
    for (int i = 0; i < MESH_SESSION_REFUSALS; i++)
        refused->clients[i] = status->filter->clients[i] + status->sessions->refused[i];
    refused->clients[MESH_SESSION_BY_FULL] += status->turned_away;
    refused->replay += status->filter->replay + status->cluster_stats->dropped[-MESH_EDUPLICATE];
}

static void write_count(struct json *json, const char *group, const char *reason, uint64_t count)
{
    char key[40];

    snprintf(key, sizeof key, "%s_%s", group, reason);
    json_uint(json, key, count);
}

/* Every value is a count, so that they can be added up and compared without knowing the reasons. */
static void write_refused(const struct serve_status *status, struct json *json)
{
    struct refusals refused;

    take_refused(status, &refused);
    json_object_begin(json, "refused");
    for (int i = 0; i < MESH_SEAL_REFUSALS; i++)
        json_uint(json, mesh_seal_refusal_name((enum mesh_seal_refusal)i), refused.seal[i]);
    json_uint(json, "replay", refused.replay);
    json_uint(json, "rate", status->filter->rate);
    json_uint(json, "full", status->filter->full);
    for (int i = 0; i < MESH_SESSION_REFUSALS; i++)
        write_count(json, "client", mesh_session_refusal_name((enum mesh_session_refusal)i), refused.clients[i]);
    for (unsigned i = 1; i < MESH_CLUSTER_REASONS; i++)
        write_count(json, "join", mesh_cluster_reason_name(i), status->cluster_stats->denied[i]);
    json_object_end(json);
}

static void write_exchange(const struct serve_status *status, struct json *json)
{
    struct epoch_run_traffic traffic = {0};

    if (status->run != NULL)
        epoch_run_traffic(status->run, &traffic);
    json_object_begin(json, "exchange");
    if (traffic.cipher != NULL)
        json_text(json, "cipher", traffic.cipher);
    json_uint(json, "datagrams_sent", traffic.datagrams_sent);
    json_uint(json, "lost", traffic.lost);
    json_uint(json, "probes_lost", traffic.probes_lost);
    json_uint(json, "naks", traffic.naks);
    json_uint(json, "resent", traffic.resent);
    json_uint(json, "duplicates_sent", traffic.duplicates_sent);
    json_uint(json, "sent_to_group", traffic.sent_to_group);
    json_uint(json, "peers_by_group", traffic.peers_by_group);
    json_uint(json, "dropped_by_kernel", traffic.kernel_drops);
    json_bool(json, "segmentation_refused", traffic.segments_refused);
    json_object_end(json);
}

/* Times are of this machine's monotonic clock; 0 for what has not happened, or not on this node. */
static void write_change(const struct epoch_change *change, struct json *json)
{
    json_object_begin(json, "last_change");
    json_uint(json, "change_epoch", change->number);
    json_uint(json, "suspected_ns", change->suspected_ns);
    json_uint(json, "agreed_ns", change->agreed_ns);
    json_uint(json, "loaded_ns", change->loaded_ns);
    json_uint(json, "token_ns", change->token_ns);
    json_double(json, "agree_ms", epoch_change_ms(change->suspected_ns, change->agreed_ns));
    json_double(json, "load_ms", epoch_change_ms(change->agreed_ns, change->loaded_ns));
    json_uint(json, "change_recomputed_tokens", change->recomputed);
    json_double(json, "recompute_ms", epoch_change_recompute_ms(change));
    json_object_end(json);
}

static void write_recorded(const struct serve_status *status, struct json *json)
{
    const struct recording_figures *recorded = &status->recorded;

    json_object_begin(json, "recording");
    json_uint(json, "entries", recorded->entries);
    json_uint(json, "calls", recorded->calls);
    json_uint(json, "datagrams", recorded->datagrams);
    json_uint(json, "bytes", recorded->bytes);
    json_uint(json, "entries_lost", recorded->entries_lost);
    json_uint(json, "payloads_left_out", recorded->payloads_left_out);
    json_uint(json, "gaps", recorded->gaps);
    json_uint(json, "files", recorded->files);
    json_uint(json, "waiting_bytes_max", recorded->waiting_bytes_max);
    json_bool(json, "is_failing", recorded->is_failing != 0);
    json_object_end(json);
}

/* Written while memory is missing. */
static void write_waiting(const struct serve_memory *m, struct json *json, uint16_t rank)
{
    char address[MESH_ADDR_TEXT_BYTES];

    mesh_addr_format(m->member[rank].addr, address);
    json_object_begin(json, NULL);
    json_uint(json, "rank", rank);
    json_text(json, "address", address);
    json_text(json, "state", "waiting");
    json_uint(json, "memory_bytes", m->member[rank].summary);
    json_bool(json, "is_self", rank == m->rank);
    json_object_end(json);
}

static void write_members(const struct serve_status *status, struct json *json)
{
    const struct serve_memory *m = status->memory;

    json_array_begin(json, "members");
    for (uint16_t rank = 0; status->run != NULL && rank < status->run->count; rank++)
        write_member(status, json, rank);
    for (uint16_t rank = 0; m->missing_bytes > 0 && rank < m->count; rank++)
        write_waiting(m, json, rank);
    json_array_end(json);
    json_uint(json, "memory_missing_bytes", m->missing_bytes);
}

static void write_troubles(const struct serve_status *status, struct json *json)
{
    char address[MESH_ADDR_TEXT_BYTES];

    json_array_begin(json, "troubles");
    for (unsigned i = 0; i < status->troubles->count; i++) {
        const struct trouble *trouble = &status->troubles->trouble[i];

        mesh_addr_format(trouble->about, address);
        json_object_begin(json, NULL);
        json_text(json, "trouble", trouble_name(trouble->kind));
        json_text(json, "about", trouble->about.port != 0 ? address : "");
        json_double(json, "since_s", (double)(status->now_ns - trouble->since_ns) / 1e9);
        json_text(json, "text", trouble->text);
        json_object_end(json);
    }
    json_array_end(json);
    json_uint(json, "troubles_unlisted", status->troubles->unlisted_count);
}

size_t serve_status_write(const struct serve_status *status, char *out, size_t room)
{
    FILE *stream = fmemopen(out, room, "w");
    const struct serve_memory *m = status->memory;
    struct engine_memory memory = {0};
    struct json json;
    long size;

    if (stream == NULL)
        return 0;
    json_init(&json, stream);
    json_object_begin(&json, NULL);
    json_uint(&json, "schema_version", 1);
    json_uint(&json, "nodes", status->run != NULL ? status->run->count : m->missing_bytes > 0 ? m->count : 0);
    json_uint(&json, "epoch", status->run != NULL ? status->run->number : m->missing_bytes > 0 ? m->number : 0);
    json_text(&json, "model", gguf_path(status->config->model->gguf));
    json_text(&json, "cluster", status->config->cluster);
    if (status->refusal != NULL)
        json_text(&json, "refusal", status->refusal);
    write_members(status, &json);
    write_troubles(status, &json);
    write_disks(status, &json);
    json_uint(&json, "requests", status->requests);
    json_uint(&json, "slots", status->config->slots);
    json_uint(&json, "ctx", status->config->ctx);
    if (status->run != NULL)
        memory = status->run->memory;
    json_uint(&json, "weight_bytes", memory.weight_bytes);
    json_uint(&json, "kv_bytes", memory.kv_bytes);
    json_uint(&json, "buffer_bytes", memory.buffer_bytes);
    json_uint(&json, "recomputed_tokens", status->recomputed);
    json_uint(&json, "reused_tokens", status->reused);
    json_uint(&json, "epochs_prepared", status->prepared_epochs);
    json_uint(&json, "share_changes", status->share_changes);
    json_uint(&json, "epochs_seen", status->cluster_stats->epochs);
    json_uint(&json, "evictions", status->cluster_stats->evictions);
    json_uint(&json, "members_wrongly_lost", status->cluster_stats->mistakes);
    write_exchange(status, &json);
    if (status->is_recording)
        write_recorded(status, &json);
    write_change(status->change, &json);
    write_refused(status, &json);
    json_object_end(&json);
    fflush(stream);
    size = ftell(stream);
    fclose(stream);
    return size > 0 ? (size_t)size : 0;
}

/* Without refusals of finished sessions: an end is sent several times. */
static uint64_t count_refused(const struct serve_status *status)
{
    uint64_t count = status->filter->rate + status->filter->full;
    struct refusals refused;

    take_refused(status, &refused);
    count += refused.replay;
    for (int i = 0; i < MESH_SEAL_REFUSALS; i++)
        count += refused.seal[i];
    for (int i = 0; i < MESH_SESSION_REFUSALS; i++)
        count += i != MESH_SESSION_BY_UNKNOWN ? refused.clients[i] : 0;
    for (unsigned i = 1; i < MESH_CLUSTER_REASONS; i++)
        count += status->cluster_stats->denied[i];
    return count;
}

static void print_exchange(const struct serve_status *status, FILE *stream)
{
    struct epoch_run_traffic traffic = {0};

    epoch_run_traffic(status->run, &traffic);
    fprintf(stream, " %llu datagrams sent, lost %llu, NAKs sent %llu, resent %llu, copies sent %llu, dropped by the kernel %llu",
            (unsigned long long)traffic.datagrams_sent, (unsigned long long)traffic.lost, (unsigned long long)traffic.naks,
            (unsigned long long)traffic.resent, (unsigned long long)traffic.duplicates_sent, (unsigned long long)traffic.kernel_drops);
    if (traffic.probes_lost > 0)
        fprintf(stream, ", probes of its own that paths do not carry %llu", (unsigned long long)traffic.probes_lost);
}

static void print_waiting(const struct serve_status *status, FILE *stream)
{
    const struct serve_memory *m = status->memory;
    char text[MEMORY_TEXT_BYTES], address[MESH_ADDR_TEXT_BYTES];

    memory_text(m->missing_bytes, text);
    fprintf(stream,
            "cluster %s, epoch %u: %u node%s with too little memory for the model: %s are missing; nothing is loaded until a node "
            "joins that has as much, or memory is freed; %u of this node's requests wait",
            status->config->cluster, m->number, m->count, m->count == 1 ? "" : "s", text, status->requests);
    for (uint16_t rank = 0; rank < m->count; rank++) {
        mesh_addr_format(m->member[rank].addr, address);
        memory_text(m->member[rank].summary, text);
        fprintf(stream, "\n%4u  %-24s %-10s can have %s%s", rank, address, "waiting", text, rank == m->rank ? " this node" : "");
    }
}

static void print_recording(const struct recording_figures *recorded, FILE *stream)
{
    if (recorded->entries_lost > 0)
        fprintf(stream, "\nrecording: %llu entries are missing", (unsigned long long)recorded->entries_lost);
}

size_t serve_status_print(const struct serve_status *status, char *out, size_t room)
{
    FILE *stream = fmemopen(out, room, "w");
    char address[MESH_ADDR_TEXT_BYTES];
    uint64_t rtt_ns;
    long size;

    if (stream == NULL)
        return 0;
    if (status->run == NULL && status->memory->missing_bytes > 0)
        print_waiting(status, stream);
    else if (status->run == NULL)
        fprintf(stream, "cluster %s: this node is in no epoch; it looks for the others", status->config->cluster);
    else
        fprintf(stream, "cluster %s, epoch %u: %u node%s; %u of this node's requests run or wait; %llu datagrams refused",
                status->config->cluster, status->run->number, status->run->count, status->run->count == 1 ? "" : "s", status->requests,
                (unsigned long long)count_refused(status));
    for (uint16_t rank = 0; status->run != NULL && rank < status->run->count; rank++) {
        const char *state = state_of(status, rank, &rtt_ns);

        address_of(status, rank, address);
        fprintf(stream, "\n%4u  %-24s %-10s share %-6u %3.0f %% %8.2f GB/s", rank, address, state, status->run->map.share[rank],
                100 * part_of(&status->run->map, rank), status->member[rank].speed / 1e6);
        if (rank == status->run->rank) {
            fputs(" this node:", stream);
            print_exchange(status, stream);
        } else if (rtt_ns > 0) {
            fprintf(stream, " round trip %.0f us", (double)rtt_ns / 1e3);
        }
    }
    if (status->refusal != NULL)
        fprintf(stream, "\nrefused %s; it answers alone, with its own model", status->refusal);
    if (status->run != NULL && count_disks(status) < 2)
        fputs("\nsome rows are on one disk only: start another node with --fetch all, or copy the file there", stream);
    for (unsigned i = 0; i < status->troubles->count; i++)
        fprintf(stream, "\ntrouble: %s", status->troubles->trouble[i].text);
    if (status->troubles->unlisted_count > 0)
        fprintf(stream, "\ntrouble: and %u more, for which there is no room here: see the log", status->troubles->unlisted_count);
    print_recording(&status->recorded, stream);
    fflush(stream);
    size = ftell(stream);
    fclose(stream);
    return size > 0 ? (size_t)size : 0;
}
