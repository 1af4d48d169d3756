/* A rerun: entries of a tape become calls of a new core, and what its tap tells of them is compared.
 *
 * Invariant: what a tape says is checked before the core is called, so a damaged tape never breaks one of the core's own rules. */
#include "rerun_parts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

/* ---- what the core tells ---- */

static bool same_payload(struct mesh_rerun *rerun, const struct mesh_tape_entry *expected, const struct mesh_tape_entry *actual)
{
    const uint32_t bytes = actual->call.payload_bytes;

    if (expected->call.payload_bytes != bytes)
        return false;
    if (!bytes)
        return true;
    if (expected->call.payload != MESH_TAPE_WHOLE || (rerun->mesh && !mesh_rerun_mesh_knows(rerun, actual)) ||
        (rerun->sessions && !mesh_rerun_sessions_knows(rerun, actual))) {
        rerun->stats.payloads_unknown += mesh_tape_way(actual->call.kind) == MESH_TAPE_OUTPUT;
        return true;
    }
    rerun->stats.payloads_compared += mesh_tape_way(actual->call.kind) == MESH_TAPE_OUTPUT;
    assert(expected->payload_rows == 1);
    for (uint32_t row = 0, row_bytes = bytes / actual->payload_rows; row < actual->payload_rows; row++)
        if (memcmp(expected->payload + (size_t)row * row_bytes, actual->payload + row * actual->payload_stride, row_bytes) != 0)
            return false;
    return true;
}

/* The fields as a record has them, except those that say how the payload is kept. */
static bool same_fields(const struct mesh_tape_entry *expected, const struct mesh_tape_entry *actual)
{
    uint8_t bytes[2][sizeof(struct mesh_tape_cluster_init_bytes)];
    struct mesh_tape_entry plain[2] = {*expected, *actual};
    const size_t size = mesh_tape_part(expected->call.kind)->wire_bytes;

    for (unsigned i = 0; i < 2; i++) {
        plain[i].call.payload = MESH_TAPE_EMPTY;
        plain[i].call.payload_hash = 0;
        plain[i].call.body_bytes = 0;
        mesh_tape_encode(&plain[i], bytes[i], sizeof bytes[i]);
    }
    return memcmp(bytes[0], bytes[1], size) == 0;
}

static bool same(struct mesh_rerun *rerun, const struct mesh_tape_entry *expected, const struct mesh_tape_entry *actual)
{
    return expected->call.kind == actual->call.kind && same_fields(expected, actual) &&
           expected->call.body_bytes == actual->call.body_bytes &&
           (!expected->call.body_bytes || memcmp(expected->body, actual->body, expected->call.body_bytes) == 0) &&
           same_payload(rerun, expected, actual);
}

/* A copy of the entry that lasts, in *bytes. */
static bool keep(const struct mesh_tape_entry *entry, struct mesh_tape_entry *kept, uint8_t **bytes)
{
    const size_t size = mesh_tape_record_bytes(entry);
    size_t used;

    free(*bytes);
    *bytes = malloc(size);
    if (!*bytes)
        return false;
    mesh_tape_encode(entry, *bytes, size);
    return mesh_tape_decode(*bytes, size, kept, &used) == 0;
}

static void differ(struct mesh_rerun *rerun, enum mesh_rerun_outcome outcome, const struct mesh_tape_entry *actual)
{
    struct mesh_rerun_difference *difference = &rerun->difference;
    size_t used;

    if (difference->outcome != MESH_RERUN_SAME)
        return;
    difference->outcome = outcome;
    difference->index = rerun->index;
    difference->input_index = rerun->input_index;
    if (rerun->input_size)
        mesh_tape_decode(rerun->input_bytes, rerun->input_size, &difference->input, &used);
    if (rerun->expected && !keep(rerun->expected, &difference->expected, &rerun->kept[0]))
        rerun->reason = "no memory for the difference";
    if (actual && !keep(actual, &difference->actual, &rerun->kept[1]))
        rerun->reason = "no memory for the difference";
}

static void told(void *user, const struct mesh_tape_entry *actual)
{
    struct mesh_rerun *rerun = user;

    if (rerun->mesh || actual->call.kind == MESH_TAPE_INIT)
        mesh_rerun_mesh_told(rerun, actual);
    if (rerun->is_answered)
        return;
    rerun->is_answered = true;
    if (!rerun->expected && actual->call.kind != MESH_TAPE_SESSIONS_NONE && actual->call.kind != MESH_TAPE_SESSIONS_DRAINED)
        differ(rerun, MESH_RERUN_EXTRA, actual);
    else if (!rerun->expected)
        rerun->is_answered = false; /* an answer that there is no more is no difference */
    else if (!same(rerun, rerun->expected, actual))
        differ(rerun, MESH_RERUN_DIFFERENT, actual);
}

/* ---- memory ---- */

int mesh_rerun_open(struct mesh_rerun **out, void (*hash)(const void *data, size_t bytes, uint8_t out[16]))
{
    struct mesh_rerun *rerun = calloc(1, sizeof *rerun);

    if (!rerun)
        return MESH_ENOMEM;
    rerun->hash = hash;
    rerun->tap = (struct mesh_tap){told, rerun};
    rerun->reason = "";
    *out = rerun;
    return 0;
}

/* The core, and what it used. */
static void drop_core(struct mesh_rerun *rerun)
{
    mesh_rerun_free_gathers(rerun);
    free(rerun->memory);
    rerun->memory = NULL;
    rerun->mesh = NULL;
    rerun->cluster = NULL;
    rerun->sessions = NULL;
    rerun->has_peer = 0;
    rerun->has_group = false;
    rerun->has_opened = false;
    rerun->now_ns = 0;
    rerun->sends_known = rerun->receives_known = true;
}

void *mesh_rerun_take_memory(struct mesh_rerun *rerun, size_t bytes)
{
    const size_t whole = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;

    drop_core(rerun);
    rerun->memory = aligned_alloc(ALIGNMENT, whole);
    return rerun->memory;
}

void mesh_rerun_close(struct mesh_rerun *rerun)
{
    if (!rerun)
        return;
    drop_core(rerun);
    free(rerun->input_bytes);
    free(rerun->kept[0]);
    free(rerun->kept[1]);
    free(rerun);
}

/* ---- feeding ---- */

int mesh_rerun_refuse(struct mesh_rerun *rerun, int err, const char *reason)
{
    rerun->reason = reason;
    return err;
}

int mesh_rerun_check_begin(struct mesh_rerun *rerun, uint16_t format, const uint8_t hash[16])
{
    uint8_t which[16];

    if (format != MESH_TAPE_FORMAT)
        return mesh_rerun_refuse(rerun, MESH_EVERSION, "recorded in another format");
    if (!rerun->hash)
        return mesh_rerun_refuse(rerun, MESH_ESTATE, "there is no hash for such cores here");
    rerun->hash("", 0, which);
    if (memcmp(which, hash, sizeof which) != 0)
        return mesh_rerun_refuse(rerun, MESH_ESTATE, "recorded with another hash: one of the two builds has no libsodium");
    return 0;
}

int mesh_rerun_impossible(struct mesh_rerun *rerun, const char *reason)
{
    rerun->difference.reason = reason;
    return 1;
}

size_t mesh_rerun_packet(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    const size_t body = entry->call.body_bytes, payload = entry->call.payload_bytes;

    if (body + payload > UINT16_MAX)
        return 0;
    if (body)
        memcpy(rerun->packet, entry->body, body);
    if (entry->call.payload == MESH_TAPE_WHOLE)
        memcpy(rerun->packet + body, entry->payload, payload);
    else
        memset(rerun->packet + body, 0, payload);
    return body + payload;
}

int mesh_rerun_record(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    if (!entry->call.payload_bytes || entry->call.payload_bytes > MESH_RECORD_BYTES_MAX)
        return mesh_rerun_refuse(rerun, MESH_EINVAL, "a record longer than any");
    mesh_rerun_packet(rerun, entry);
    rerun->sends_known &= entry->call.payload == MESH_TAPE_WHOLE;
    return 0;
}

struct mesh_addr mesh_rerun_addr(const uint8_t ip[16], uint16_t port, uint32_t scope)
{
    struct mesh_addr addr = {.port = port, .scope = scope};

    memcpy(addr.ip, ip, sizeof addr.ip);
    return addr;
}

static bool keep_input(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    const size_t size = mesh_tape_record_bytes(entry);

    if (size > rerun->input_capacity) {
        free(rerun->input_bytes);
        rerun->input_bytes = malloc(size);
        rerun->input_capacity = rerun->input_bytes ? size : 0;
        rerun->input_size = 0;
        if (!rerun->input_bytes)
            return false;
    }
    rerun->input_size = mesh_tape_encode(entry, rerun->input_bytes, size);
    rerun->input_index = rerun->index;
    return true;
}

static void count(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    struct mesh_rerun_stats *stats = &rerun->stats;
    const unsigned kind = entry->call.kind;

    stats->first_ns = stats->entries ? stats->first_ns : entry->call.at_ns;
    stats->last_ns = entry->call.at_ns;
    stats->entries++;
    stats->inputs += mesh_tape_way(kind) == MESH_TAPE_INPUT;
    stats->events += kind == MESH_TAPE_EVENT || kind == MESH_TAPE_CLUSTER_EVENT || kind == MESH_TAPE_SESSIONS_EVENT;
    stats->datagrams_in += mesh_tape_is_datagram(kind) && mesh_tape_way(kind) == MESH_TAPE_INPUT;
    if (mesh_tape_is_datagram(kind) && mesh_tape_way(kind) == MESH_TAPE_OUTPUT) {
        stats->datagrams_out++;
        stats->bytes_out += entry->call.body_bytes + entry->call.payload_bytes;
    }
}

/* The core that runs, by the calls it has; NULL: none yet. */
static mesh_rerun_call_fn *const *calls_of(const struct mesh_rerun *rerun)
{
    return rerun->mesh       ? mesh_rerun_mesh_calls
           : rerun->cluster  ? mesh_rerun_cluster_calls
           : rerun->sessions ? mesh_rerun_sessions_calls
                             : NULL;
}

static int find_call(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry, mesh_rerun_call_fn **call)
{
    static mesh_rerun_call_fn *const *const all[] = {mesh_rerun_mesh_calls, mesh_rerun_cluster_calls, mesh_rerun_sessions_calls};
    const unsigned kind = entry->call.kind;
    mesh_rerun_call_fn *const *calls = NULL;

    for (unsigned i = 0; kind < MESH_TAPE_KINDS && i < sizeof all / sizeof *all; i++)
        if (all[i][kind])
            calls = all[i];
    if (!calls)
        return mesh_rerun_refuse(rerun, MESH_EINVAL, "no such call");
    *call = calls[kind];
    if (mesh_tape_begins(kind))
        return 0;
    if (!calls_of(rerun))
        return mesh_rerun_refuse(rerun, MESH_EINVAL, "the beginning of the tape is missing");
    if (calls != calls_of(rerun))
        return mesh_rerun_refuse(rerun, MESH_EINVAL, "calls of two cores on one tape");
    return entry->call.at_ns < rerun->now_ns ? mesh_rerun_refuse(rerun, MESH_EINVAL, "time goes back") : 0;
}

/* Let time pass to that of the call, for calls whose function takes none. */
static void pass_time(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    switch (entry->call.kind) {
    case MESH_TAPE_PEER:
    case MESH_TAPE_PATH:
    case MESH_TAPE_GROUP:
    case MESH_TAPE_EVENT:
        mesh_rerun_mesh_time(rerun, entry->call.at_ns);
        break;
    case MESH_TAPE_CLUSTER_EVENT:
    case MESH_TAPE_CLUSTER_SPEED:
    case MESH_TAPE_CLUSTER_FLAGS:
    case MESH_TAPE_CLUSTER_SUMMARY:
    case MESH_TAPE_CLUSTER_NUMBER:
        mesh_rerun_cluster_time(rerun, entry->call.at_ns);
        break;
    default:
        break;
    }
}

int mesh_rerun_feed(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    mesh_rerun_call_fn *call = NULL;
    int err;

    assert(rerun->difference.outcome == MESH_RERUN_SAME);
    err = find_call(rerun, entry, &call);
    if (err)
        return err;
    if (mesh_tape_way(entry->call.kind) == MESH_TAPE_INPUT && !keep_input(rerun, entry))
        return mesh_rerun_refuse(rerun, MESH_ENOMEM, "no memory");
    count(rerun, entry);
    rerun->expected = NULL;
    rerun->is_answered = true;
    pass_time(rerun, entry);
    rerun->expected = entry;
    rerun->is_answered = false;
    err = call(rerun, entry);
    if (err < 0)
        return err;
    /* A datagram has the time at which it was sent, which the core does not know: the next entry may have the core's own, earlier time. */
    if (entry->call.kind != MESH_TAPE_CLUSTER_DATAGRAM)
        rerun->now_ns = entry->call.at_ns;
    if (err == 1)
        differ(rerun, MESH_RERUN_IMPOSSIBLE, NULL);
    else if (!rerun->is_answered)
        differ(rerun, MESH_RERUN_MISSING, NULL);
    rerun->index++;
    return rerun->difference.outcome == MESH_RERUN_SAME ? 0 : 1;
}

int mesh_rerun_finish(struct mesh_rerun *rerun)
{
    struct mesh_output output;
    struct mesh_event event;
    struct mesh_cluster_event cluster_event;

    assert(rerun->difference.outcome == MESH_RERUN_SAME);
    rerun->expected = NULL;
    rerun->is_answered = false;
    while (rerun->sessions && mesh_rerun_sessions_have_more(rerun))
        ;
    if (rerun->mesh && !mesh_next_event(rerun->mesh, &event)) {
        while (mesh_next_datagram(rerun->mesh, rerun->now_ns, rerun->packet, sizeof rerun->packet, &output))
            ;
    } else if (rerun->cluster && !mesh_cluster_next_event(rerun->cluster, &cluster_event)) {
        while (mesh_cluster_next_datagram(rerun->cluster, rerun->now_ns, rerun->packet, sizeof rerun->packet, &output))
            ;
    }
    return rerun->difference.outcome == MESH_RERUN_SAME ? 0 : 1;
}

uint32_t mesh_rerun_state_hash(const struct mesh_rerun *rerun)
{
    return rerun->mesh ? mesh_state_hash(rerun->mesh) : rerun->cluster ? mesh_cluster_state_hash(rerun->cluster) : 0;
}

const char *mesh_rerun_reason(const struct mesh_rerun *rerun)
{
    return rerun->reason;
}

const struct mesh_rerun_difference *mesh_rerun_difference(const struct mesh_rerun *rerun)
{
    return &rerun->difference;
}

void mesh_rerun_get_stats(const struct mesh_rerun *rerun, struct mesh_rerun_stats *stats)
{
    *stats = rerun->stats;
}
