#include "serve_status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

/* What a member is doing, as far as this node knows. *rtt_ns: 0 when not measured. */
static const char *state_of(const struct serve_status *status, uint16_t rank, uint64_t *rtt_ns)
{
    struct mesh_cluster_peer_stats peer;

    *rtt_ns = 0;
    if (rank == status->shift->rank)
        return shift_is_loaded(status->shift) ? "up" : "loading";
    if (mesh_cluster_get_peer_stats(status->cluster, rank, &peer) != MESH_OK || !peer.is_in)
        return "joining";
    *rtt_ns = peer.rtt_ns;
    return peer.is_leaving ? "leaving" : peer.is_suspected ? "suspected" : "up";
}

static uint32_t share_of(const struct mesh_cluster_member *member)
{
    return member->share > 0 ? member->share : member->speed;
}

static void write_member(const struct serve_status *status, struct json *json, uint16_t rank)
{
    const struct mesh_cluster_member *member = &status->shift->member[rank];
    char address[MESH_ADDR_TEXT_BYTES];
    uint64_t rtt_ns;

    mesh_addr_format(member->addr, address);
    json_object_begin(json, NULL);
    json_uint(json, "rank", rank);
    json_text(json, "address", address);
    json_text(json, "state", state_of(status, rank, &rtt_ns));
    json_uint(json, "share", share_of(member));
    json_bool(json, "is_self", rank == status->shift->rank);
    json_double(json, "rtt_us", (double)rtt_ns / 1e3);
    json_object_end(json);
}

/* Of the cluster layer, and of the present epoch. */
static void take_refused(const struct serve_status *status, uint64_t refused[MESH_SEAL_REFUSALS])
{
    memset(refused, 0, MESH_SEAL_REFUSALS * sizeof *refused);
    if (status->shift != NULL)
        shift_refused(status->shift, refused);
    for (int i = 0; i < MESH_SEAL_REFUSALS; i++)
        refused[i] += status->cluster_refused[i];
}

static void write_refused(const struct serve_status *status, struct json *json)
{
    uint64_t refused[MESH_SEAL_REFUSALS];

    take_refused(status, refused);
    json_object_begin(json, "refused");
    for (int i = 0; i < MESH_SEAL_REFUSALS; i++)
        json_uint(json, mesh_seal_refusal_name((enum mesh_seal_refusal)i), refused[i]);
    json_object_begin(json, "clients");
    for (int i = 0; i < MESH_SESSION_REFUSALS; i++)
        json_uint(json, mesh_session_refusal_name((enum mesh_session_refusal)i), status->sessions->refused[i]);
    json_object_end(json);
    json_array_begin(json, "joins");
    for (int i = 0; i < MESH_CLUSTER_REASONS; i++)
        json_uint(json, NULL, status->cluster_stats->denied[i]);
    json_array_end(json);
    json_object_end(json);
}

size_t serve_status_write(const struct serve_status *status, char *out, size_t room)
{
    FILE *stream = fmemopen(out, room, "w");
    struct engine_memory memory = {0};
    struct json json;
    long size;

    if (stream == NULL)
        return 0;
    json_init(&json, stream);
    json_object_begin(&json, NULL);
    json_uint(&json, "schema_version", 1);
    json_uint(&json, "nodes", status->shift != NULL ? status->shift->count : 0);
    json_uint(&json, "epoch", status->shift != NULL ? status->shift->number : 0);
    json_text(&json, "model", gguf_path(status->config->model->gguf));
    json_text(&json, "cluster", status->config->cluster);
    json_array_begin(&json, "members");
    for (uint16_t rank = 0; status->shift != NULL && rank < status->shift->count; rank++)
        write_member(status, &json, rank);
    json_array_end(&json);
    json_uint(&json, "requests", status->requests);
    json_uint(&json, "slots", status->config->slots);
    json_uint(&json, "ctx", status->config->ctx);
    if (status->shift != NULL)
        memory = status->shift->memory;
    json_uint(&json, "weight_bytes", memory.weight_bytes);
    json_uint(&json, "kv_bytes", memory.kv_bytes);
    json_uint(&json, "buffer_bytes", memory.buffer_bytes);
    json_uint(&json, "recomputed_tokens", status->recomputed);
    json_uint(&json, "epochs_prepared", status->prepared_epochs);
    json_uint(&json, "epochs_seen", status->cluster_stats->epochs);
    json_uint(&json, "evictions", status->cluster_stats->evictions);
    write_refused(status, &json);
    json_object_end(&json);
    fflush(stream);
    size = ftell(stream);
    fclose(stream);
    return size > 0 ? (size_t)size : 0;
}

static uint64_t count_refused(const struct serve_status *status)
{
    uint64_t refused[MESH_SEAL_REFUSALS], count = 0;

    take_refused(status, refused);
    for (int i = 0; i < MESH_SEAL_REFUSALS; i++)
        count += refused[i];
    for (int i = 0; i < MESH_SESSION_REFUSALS; i++)
        count += status->sessions->refused[i];
    return count;
}

size_t serve_status_print(const struct serve_status *status, char *out, size_t room)
{
    FILE *stream = fmemopen(out, room, "w");
    char address[MESH_ADDR_TEXT_BYTES];
    uint64_t rtt_ns;
    long size;

    if (stream == NULL)
        return 0;
    if (status->shift == NULL)
        fprintf(stream, "cluster %s: this node is in no epoch; it looks for the others", status->config->cluster);
    else
        fprintf(stream, "cluster %s, epoch %u: %u node%s; %u of this node's requests run or wait; %llu datagrams refused",
                status->config->cluster, status->shift->number, status->shift->count, status->shift->count == 1 ? "" : "s",
                status->requests, (unsigned long long)count_refused(status));
    for (uint16_t rank = 0; status->shift != NULL && rank < status->shift->count; rank++) {
        const char *state = state_of(status, rank, &rtt_ns);

        mesh_addr_format(status->shift->member[rank].addr, address);
        fprintf(stream, "\n%4u  %-24s %-10s share %-6u", rank, address, state, share_of(&status->shift->member[rank]));
        if (rank == status->shift->rank)
            fputs(" this node", stream);
        else if (rtt_ns > 0)
            fprintf(stream, " %.0f us away and back", (double)rtt_ns / 1e3);
    }
    fflush(stream);
    size = ftell(stream);
    fclose(stream);
    return size > 0 ? (size_t)size : 0;
}
