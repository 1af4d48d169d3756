/* The calls of an endpoint, given again. */
#include "rerun_parts.h"

#include <stdlib.h>
#include <string.h>

/* More than any node has; a tape that wants more is damaged. */
#define MEMORY_BYTES_MAX (UINT64_C(1) << 32)

/* Calls that are not told have let time pass. The core takes the time from any call that has one, even from this one, which it refuses. */
void mesh_rerun_mesh_time(struct mesh_rerun *rerun, uint64_t at_ns)
{
    mesh_send_record(rerun->mesh, at_ns, rerun->rank, NULL, 0);
}

/* ---- gathers ---- */

static struct mesh_rerun_gather *find(const struct mesh_rerun *rerun, uint64_t step, uint16_t phase)
{
    struct mesh_rerun_gather *gather = rerun->gathers;

    while (gather && (gather->step != step || gather->phase != phase))
        gather = gather->next;
    return gather;
}

static void free_gather(struct mesh_rerun *rerun, uint64_t step, uint16_t phase)
{
    for (struct mesh_rerun_gather **at = &rerun->gathers; *at; at = &(*at)->next) {
        struct mesh_rerun_gather *gather = *at;

        if (gather->step != step || gather->phase != phase)
            continue;
        *at = gather->next;
        free(gather->data);
        free(gather);
        return;
    }
}

void mesh_rerun_free_gathers(struct mesh_rerun *rerun)
{
    while (rerun->gathers)
        free_gather(rerun, rerun->gathers->step, rerun->gathers->phase);
}

void mesh_rerun_mesh_told(struct mesh_rerun *rerun, const struct mesh_tape_entry *actual)
{
    struct mesh_rerun_gather *gather;

    if (actual->call.kind != MESH_TAPE_EVENT)
        return;
    gather = find(rerun, actual->event.step, actual->event.phase);
    if (gather && actual->event.type == MESH_EVENT_COMPLETE)
        gather->is_complete = true;
    if (actual->event.type == MESH_EVENT_FREED)
        free_gather(rerun, actual->event.step, actual->event.phase);
}

bool mesh_rerun_mesh_knows(const struct mesh_rerun *rerun, const struct mesh_tape_entry *actual)
{
    const struct mesh_rerun_gather *gather;
    struct mesh_message message;

    if (actual->call.kind == MESH_TAPE_EVENT)
        return rerun->receives_known;
    if (actual->call.kind != MESH_TAPE_DATAGRAM ||
        mesh_wire_decode(actual->body, actual->call.body_bytes + actual->call.payload_bytes, &message) != 0) /* one after the other */
        return true;
    if (message.header.type != MESH_TYPE_TILE)
        return rerun->sends_known;
    gather = find(rerun, message.as.tile.step, message.as.tile.phase);
    return gather && gather->is_known;
}

/* ---- calls ---- */

static int call_init(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    const struct mesh_tape_init *init = &entry->init;
    struct mesh_config config = {.rank = init->rank,
                                 .rank_count = init->rank_count,
                                 .epoch = init->epoch,
                                 .phase_count = init->phase_count,
                                 .tokens_max = init->tokens_max,
                                 .blocks_max = init->blocks_max,
                                 .datagram_bytes_max = init->datagram_bytes_max,
                                 .receive_buffer_bytes = init->receive_buffer_bytes,
                                 .reorder_delay_ns = init->reorder_delay_ns,
                                 .copy_loss_ppm = init->copy_loss_ppm,
                                 .version = init->version,
                                 .tap = &rerun->tap};
    const size_t bytes = mesh_memory_bytes(&config);

    if (init->format != MESH_TAPE_FORMAT)
        return mesh_rerun_refuse(rerun, MESH_EVERSION, "recorded in another format");
    if (!bytes || bytes > MEMORY_BYTES_MAX)
        return mesh_rerun_refuse(rerun, MESH_EINVAL, "no endpoint has such a config");
    if (!mesh_rerun_take_memory(rerun, bytes))
        return mesh_rerun_refuse(rerun, MESH_ENOMEM, "no memory for an endpoint like the recorded one");
    memcpy(config.fingerprint, init->fingerprint, sizeof config.fingerprint);
    memcpy(config.configuration, init->configuration, sizeof config.configuration);
    memcpy(config.incarnation, init->incarnation, sizeof config.incarnation);
    rerun->rank = init->rank;
    rerun->rank_count = init->rank_count;
    rerun->phase_count = init->phase_count;
    if (mesh_init(&rerun->mesh, &config, rerun->memory, bytes, init->at_ns) != 0)
        return mesh_rerun_refuse(rerun, MESH_EINVAL, "no endpoint has such a config");
    return 0;
}

static int call_peer(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    if (entry->peer.rank >= rerun->rank_count)
        return mesh_rerun_refuse(rerun, MESH_EINVAL, "a rank that does not exist");
    mesh_set_peer(rerun->mesh, entry->peer.rank, mesh_rerun_addr(entry->peer.ip, entry->peer.port, entry->peer.scope));
    rerun->has_peer |= UINT64_C(1) << entry->peer.rank;
    return 0;
}

static int call_path(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    if (entry->path.rank >= rerun->rank_count || rerun->has_peer >> entry->path.rank & 1)
        return mesh_rerun_refuse(rerun, MESH_EINVAL, "a path to a rank that does not exist, or after its address");
    mesh_set_path(rerun->mesh, entry->path.rank, entry->path.datagram_bytes);
    return 0;
}

static int call_group(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    if (entry->group.datagram_bytes < MESH_DATAGRAM_BYTES_MIN || rerun->has_group)
        return mesh_rerun_refuse(rerun, MESH_EINVAL, "a second group, or one that carries nothing");
    rerun->has_group = true;
    mesh_set_group(rerun->mesh, entry->group.datagram_bytes);
    return 0;
}

static int call_receive(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    const struct mesh_tape_receive *in = &entry->receive;
    const size_t bytes = mesh_rerun_packet(rerun, entry);
    struct mesh_header header;

    if (!bytes && entry->call.payload_bytes)
        return mesh_rerun_refuse(rerun, MESH_EINVAL, "a datagram longer than any");
    if (entry->call.payload == MESH_TAPE_HASHED && mesh_wire_decode_header(rerun->packet, bytes, &header) == 0 &&
        header.type == MESH_TYPE_RECORD)
        rerun->receives_known = false;
    mesh_receive(rerun->mesh, in->at_ns, mesh_rerun_addr(in->ip, in->port, in->scope), rerun->packet, bytes);
    return 0;
}

static int call_tick(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    mesh_tick(rerun->mesh, entry->tick.at_ns);
    return 0;
}

static struct mesh_rerun_gather *new_gather(const struct mesh_tape_open *open)
{
    const size_t places = (size_t)open->token_count * open->block_count;
    struct mesh_rerun_gather *gather = calloc(1, sizeof *gather + places);

    if (!gather)
        return NULL;
    gather->data = calloc(places, open->block_bytes);
    if (!gather->data) {
        free(gather);
        return NULL;
    }
    gather->step = open->step;
    gather->phase = open->phase;
    gather->token_count = open->token_count;
    gather->block_count = open->block_count;
    gather->block_bytes = open->block_bytes;
    gather->last_block_bytes = open->last_block_bytes;
    gather->is_known = true;
    return gather;
}

static int call_open(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    const struct mesh_tape_open *open = &entry->open;
    struct mesh_rerun_gather *own;
    uint16_t first[MESH_RANKS_MAX + 1];
    struct mesh_gather gather = {open->step,
                                 open->phase,
                                 open->token_count,
                                 open->block_count,
                                 open->block_bytes,
                                 open->last_block_bytes,
                                 NULL,
                                 (size_t)open->block_count * open->block_bytes,
                                 first,
                                 open->readers};
    int err;

    if (entry->call.body_bytes != 2 * (rerun->rank_count + 1u) || !open->token_count || !open->block_count || !open->block_bytes ||
        open->block_bytes > MESH_BLOCK_BYTES_MAX || (uint64_t)open->token_count * gather.token_stride > MEMORY_BYTES_MAX)
        return mesh_rerun_refuse(rerun, MESH_EINVAL, "no gather is like that");
    for (unsigned rank = 0; rank <= rerun->rank_count; rank++)
        first[rank] = (uint16_t)(entry->body[2 * rank] | entry->body[2 * rank + 1] << 8);
    own = new_gather(open);
    if (!own)
        return mesh_rerun_refuse(rerun, MESH_ENOMEM, "no memory for a gather");
    gather.data = own->data;
    own->own_first = first[rerun->rank];
    own->own_end = first[rerun->rank + 1];
    own->is_read = open->readers >> rerun->rank & 1;
    own->next = rerun->gathers;
    rerun->gathers = own;
    err = mesh_open_gather(rerun->mesh, open->at_ns, &gather);
    if (err == 0) {
        rerun->has_opened = true;
        rerun->opened_step = open->step;
        rerun->opened_phase = open->phase;
        return 0;
    }
    free_gather(rerun, open->step, open->phase);
    return mesh_rerun_impossible(rerun, err == MESH_AGAIN ? "this core still has as many gathers as it may, or no room for an event"
                                                          : "this core does not take such a gather, or not in this order");
}

/* The rows of a range's blocks, from the tape into the gather. */
static void fill(struct mesh_rerun_gather *gather, const struct mesh_tape_entry *entry, size_t row_bytes)
{
    const struct mesh_tape_publish *range = &entry->publish;
    const size_t stride = (size_t)gather->block_count * gather->block_bytes;

    for (unsigned i = 0; i < range->token_count; i++) {
        const unsigned token = range->token_first + i;

        memset(&gather->published[(size_t)token * gather->block_count + range->block_first], 1, range->block_count);
        if (entry->call.payload == MESH_TAPE_WHOLE)
            memcpy(gather->data + token * stride + (size_t)range->block_first * gather->block_bytes, entry->payload + i * row_bytes,
                   row_bytes);
    }
    gather->is_known &= entry->call.payload == MESH_TAPE_WHOLE;
}

static bool is_published(const struct mesh_rerun_gather *gather, const struct mesh_tape_publish *range)
{
    for (unsigned token = range->token_first; token < (unsigned)range->token_first + range->token_count; token++)
        if (memchr(&gather->published[(size_t)token * gather->block_count + range->block_first], 1, range->block_count))
            return true;
    return false;
}

static int call_publish(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    const struct mesh_tape_publish *range = &entry->publish;
    struct mesh_rerun_gather *gather = find(rerun, range->step, range->phase);
    const unsigned token_end = range->token_first + range->token_count, block_end = range->block_first + range->block_count;
    size_t row_bytes;
    int err;

    if (!gather)
        return mesh_rerun_impossible(rerun, "this core has no such gather, or has freed it");
    if (!range->token_count || !range->block_count || token_end > gather->token_count || range->block_first < gather->own_first ||
        block_end > gather->own_end)
        return mesh_rerun_impossible(rerun, "the blocks are not this rank's");
    if (is_published(gather, range))
        return mesh_rerun_impossible(rerun, "the blocks have been published");
    row_bytes = (size_t)range->block_count * gather->block_bytes;
    if (block_end == gather->block_count)
        row_bytes -= gather->block_bytes - gather->last_block_bytes;
    if (entry->call.payload_bytes != range->token_count * row_bytes)
        return mesh_rerun_impossible(rerun, "the blocks have another length in this gather");
    fill(gather, entry, row_bytes);
    err = mesh_publish(rerun->mesh, range->at_ns, range->step, range->phase, range->token_first, range->token_count, range->block_first,
                       range->block_count);
    return err == 0 ? 0 : mesh_rerun_impossible(rerun, "this core's queue of published blocks is full");
}

static bool is_opened(const struct mesh_rerun *rerun, const struct mesh_tape_consume *gather)
{
    return rerun->has_opened && gather->phase < rerun->phase_count &&
           (gather->step < rerun->opened_step || (gather->step == rerun->opened_step && gather->phase <= rerun->opened_phase));
}

static int call_consume(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    const struct mesh_rerun_gather *gather = find(rerun, entry->consume.step, entry->consume.phase);

    if (!gather && !is_opened(rerun, &entry->consume))
        return mesh_rerun_impossible(rerun, "this core has no such gather");
    if (gather && gather->is_read && !gather->is_complete)
        return mesh_rerun_impossible(rerun, "this core has not got all of the gather yet");
    mesh_consume(rerun->mesh, entry->consume.at_ns, entry->consume.step, entry->consume.phase);
    return 0;
}

static int call_send(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    int err = mesh_rerun_record(rerun, entry);

    if (err)
        return err;
    err = mesh_send_record(rerun->mesh, entry->send.at_ns, entry->send.to, rerun->packet, entry->call.payload_bytes);
    return err == 0 ? 0 : mesh_rerun_impossible(rerun, "this core's queue of records to that rank is full");
}

static int call_goodbye(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    mesh_goodbye(rerun->mesh, entry->goodbye.at_ns);
    return 0;
}

static int call_event(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    struct mesh_event event;

    (void)entry;
    mesh_next_event(rerun->mesh, &event);
    return 0;
}

static int call_datagram(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    struct mesh_output output;

    mesh_next_datagram(rerun->mesh, entry->call.at_ns, rerun->packet, sizeof rerun->packet, &output);
    return 0;
}

mesh_rerun_call_fn *const mesh_rerun_mesh_calls[MESH_TAPE_KINDS] = {
    [MESH_TAPE_INIT] = call_init,        [MESH_TAPE_PEER] = call_peer,       [MESH_TAPE_PATH] = call_path,
    [MESH_TAPE_RECEIVE] = call_receive,  [MESH_TAPE_TICK] = call_tick,       [MESH_TAPE_OPEN] = call_open,
    [MESH_TAPE_PUBLISH] = call_publish,  [MESH_TAPE_CONSUME] = call_consume, [MESH_TAPE_SEND] = call_send,
    [MESH_TAPE_GOODBYE] = call_goodbye,  [MESH_TAPE_EVENT] = call_event,     [MESH_TAPE_DATAGRAM] = call_datagram,
    [MESH_TAPE_DRAINED] = call_datagram, [MESH_TAPE_GROUP] = call_group,
};
