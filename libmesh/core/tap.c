/* Telling the tap of an endpoint about its calls. Nothing here changes protocol state. */
#include "tap.h"

#include <string.h>

void mesh_tap_set_body(struct mesh_tape_entry *entry, const void *body, size_t bytes)
{
    entry->body = body;
    entry->call.body_bytes = (uint32_t)bytes;
}

void mesh_tap_set_payload(struct mesh_tape_entry *entry, const uint8_t *payload, size_t bytes)
{
    if (!bytes)
        return;
    entry->payload = payload;
    entry->call.payload = MESH_TAPE_WHOLE;
    entry->call.payload_bytes = (uint32_t)bytes;
    entry->payload_rows = 1;
    entry->payload_stride = bytes;
}

void mesh_tap_set_datagram(struct mesh_tape_entry *entry, const uint8_t *packet, size_t bytes)
{
    const size_t told = bytes < UINT16_MAX ? bytes : UINT16_MAX; /* longer ones are no datagrams, and were refused for that */
    const size_t body = mesh_tape_body_bytes(packet, told);

    mesh_tap_set_body(entry, packet, body);
    mesh_tap_set_payload(entry, packet + body, told - body);
}

/* An entry without body and payload. Of the union only the member that counts is written, by the function that tells of the call: all of it
 * would be 256 bytes for each entry. */
static void begin(struct mesh_tape_entry *entry)
{
    entry->body = entry->payload = NULL;
    entry->payload_rows = 0;
    entry->payload_stride = 0;
}

static void put(struct mesh *mesh, struct mesh_tape_entry *entry, enum mesh_tape_kind kind)
{
    const struct mesh_tap *tap = mesh->config.tap;

    /* Calls without a time of their own may follow vain requests for a datagram, whose times were not told. */
    if (kind != MESH_TAPE_EVENT && kind != MESH_TAPE_PEER && kind != MESH_TAPE_PATH && kind != MESH_TAPE_GROUP)
        mesh->taped_ns = mesh->now_ns;
    entry->call.kind = (uint8_t)kind;
    entry->call.at_ns = mesh->taped_ns;
    entry->call.due_ns = mesh_timeout(mesh);
    mesh->taped_drained = kind == MESH_TAPE_DRAINED;
    tap->put(tap->user, entry);
}

void mesh_tap_init(struct mesh *mesh)
{
    const struct mesh_config *config = &mesh->config;
    struct mesh_tape_entry entry;

    begin(&entry);
    entry.init = (struct mesh_tape_init){.format = MESH_TAPE_FORMAT,
                                         .rank = config->rank,
                                         .rank_count = config->rank_count,
                                         .epoch = config->epoch,
                                         .phase_count = config->phase_count,
                                         .tokens_max = config->tokens_max,
                                         .blocks_max = config->blocks_max,
                                         .datagram_bytes_max = config->datagram_bytes_max,
                                         .receive_buffer_bytes = config->receive_buffer_bytes,
                                         .reorder_delay_ns = config->reorder_delay_ns,
                                         .copy_loss_ppm = config->copy_loss_ppm,
                                         .version = config->version};

    memcpy(entry.init.fingerprint, config->fingerprint, sizeof config->fingerprint);
    memcpy(entry.init.configuration, config->configuration, sizeof config->configuration);
    memcpy(entry.init.incarnation, config->incarnation, sizeof config->incarnation);
    put(mesh, &entry, MESH_TAPE_INIT);
}

void mesh_tap_peer(struct mesh *mesh, uint16_t rank, const struct mesh_addr *addr)
{
    struct mesh_tape_entry entry;

    begin(&entry);
    entry.peer = (struct mesh_tape_peer){.rank = rank};

    MESH_TAP_SET_ADDR(entry.peer, addr);
    put(mesh, &entry, MESH_TAPE_PEER);
}

void mesh_tap_path(struct mesh *mesh, uint16_t rank, uint32_t datagram_bytes)
{
    struct mesh_tape_entry entry;

    begin(&entry);
    entry.path = (struct mesh_tape_path){.rank = rank, .datagram_bytes = datagram_bytes};

    put(mesh, &entry, MESH_TAPE_PATH);
}

void mesh_tap_group(struct mesh *mesh, uint32_t datagram_bytes)
{
    struct mesh_tape_entry entry = {.group = {.datagram_bytes = datagram_bytes}};

    put(mesh, &entry, MESH_TAPE_GROUP);
}

void mesh_tap_receive(struct mesh *mesh, int err, const struct mesh_addr *from, const uint8_t *packet, size_t bytes)
{
    struct mesh_tape_entry entry;

    begin(&entry);
    entry.receive = (struct mesh_tape_receive){.error = (uint8_t)-err};

    MESH_TAP_SET_ADDR(entry.receive, from);
    mesh_tap_set_datagram(&entry, packet, bytes);
    put(mesh, &entry, MESH_TAPE_RECEIVE);
}

void mesh_tap_tick(struct mesh *mesh)
{
    struct mesh_tape_entry entry;

    begin(&entry);
    entry.tick = (struct mesh_tape_tick){.error = 0};

    put(mesh, &entry, MESH_TAPE_TICK);
}

void mesh_tap_open(struct mesh *mesh, const struct mesh_gather *gather)
{
    struct mesh_tape_entry entry;

    begin(&entry);
    entry.open = (struct mesh_tape_open){.step = gather->step,
                                         .phase = gather->phase,
                                         .token_count = gather->token_count,
                                         .block_count = gather->block_count,
                                         .block_bytes = gather->block_bytes,
                                         .last_block_bytes = gather->last_block_bytes,
                                         .readers = gather->readers};
    uint8_t first[2 * (MESH_RANKS_MAX + 1)];

    for (unsigned rank = 0; rank <= mesh->config.rank_count; rank++) {
        first[2 * rank] = (uint8_t)gather->first[rank];
        first[2 * rank + 1] = (uint8_t)(gather->first[rank] >> 8);
    }
    mesh_tap_set_body(&entry, first, 2 * (mesh->config.rank_count + 1u));
    put(mesh, &entry, MESH_TAPE_OPEN);
}

void mesh_tap_publish(struct mesh *mesh, uint64_t step, uint16_t phase, const struct mesh_range *range, const struct mesh_slot *slot)
{
    struct mesh_tape_entry entry;

    begin(&entry);
    entry.publish = (struct mesh_tape_publish){.step = step,
                                               .phase = phase,
                                               .token_first = range->token_first,
                                               .token_count = range->token_count,
                                               .block_first = range->block_first,
                                               .block_count = range->block_count};
    const size_t stride = slot->gather.token_stride;

    mesh_tap_set_payload(&entry, slot->gather.data + range->token_first * stride + (size_t)range->block_first * slot->gather.block_bytes,
                         range->token_count * mesh_slot_row_bytes(slot, range->block_first, range->block_count));
    entry.payload_rows = range->token_count;
    entry.payload_stride = stride;
    put(mesh, &entry, MESH_TAPE_PUBLISH);
}

void mesh_tap_consume(struct mesh *mesh, uint64_t step, uint16_t phase)
{
    struct mesh_tape_entry entry;

    begin(&entry);
    entry.consume = (struct mesh_tape_consume){.step = step, .phase = phase};

    put(mesh, &entry, MESH_TAPE_CONSUME);
}

void mesh_tap_send(struct mesh *mesh, uint16_t to, const uint8_t *record, size_t bytes)
{
    struct mesh_tape_entry entry;

    begin(&entry);
    entry.send = (struct mesh_tape_send){.to = to};

    mesh_tap_set_payload(&entry, record, bytes);
    put(mesh, &entry, MESH_TAPE_SEND);
}

void mesh_tap_goodbye(struct mesh *mesh)
{
    struct mesh_tape_entry entry;

    begin(&entry);
    entry.goodbye = (struct mesh_tape_goodbye){.error = 0};

    put(mesh, &entry, MESH_TAPE_GOODBYE);
}

void mesh_tap_event(struct mesh *mesh, const struct mesh_event *event)
{
    struct mesh_tape_entry entry;

    begin(&entry);
    entry.event = (struct mesh_tape_event){.type = (uint8_t)event->type,
                                           .rank = event->rank,
                                           .step = event->step,
                                           .phase = event->phase,
                                           .token_first = event->token_first,
                                           .token_count = event->token_count,
                                           .block_first = event->block_first,
                                           .block_count = event->block_count,
                                           .sent_ns = event->sent_ns};

    if (event->type == MESH_EVENT_REFUSED)
        mesh_tap_set_body(&entry, event->reason, strlen(event->reason));
    mesh_tap_set_payload(&entry, event->record, event->record_bytes);
    put(mesh, &entry, MESH_TAPE_EVENT);
}

void mesh_tap_datagram(struct mesh *mesh, const uint8_t *packet, const struct mesh_output *output)
{
    struct mesh_tape_entry entry;

    begin(&entry);
    entry.datagram = (struct mesh_tape_datagram){.ranks = output->ranks};

    MESH_TAP_SET_ADDR(entry.datagram, &output->addr);
    mesh_tap_set_datagram(&entry, packet, output->bytes);
    put(mesh, &entry, MESH_TAPE_DATAGRAM);
}

void mesh_tap_drained(struct mesh *mesh)
{
    struct mesh_tape_entry entry;

    begin(&entry);
    entry.drained = (struct mesh_tape_drained){.error = 0};

    if (!mesh->taped_drained)
        put(mesh, &entry, MESH_TAPE_DRAINED);
}
