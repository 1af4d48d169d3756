/* Any tape of a core, run again: what a damaged or made-up recording says is given to the core or refused in words, and never breaks a rule
 * of the core.
 *
 * The input is a list of calls (see take_call), whose fields are what a core was told, unless the input says otherwise; or records as they
 * are. A rerun ends with the first answer that is not the recorded one, which is soon, as nothing here knows the answers. Each is taken as
 * the recorded one, as if the tape had it, and the rerun goes on, until it refuses a call. */
#include <stdlib.h>
#include <string.h>

#include "libmesh/recorder/rerun_parts.h"
#include "mesh/seal.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/unit/capture_case.h"

enum {
    CALLS_MAX = 300,
    PACKET_BYTES = 4000,
    RECORD_BYTES = 140000,
    FIELDS_OF_ALL = 8,
    RANKS = 3,
    PHASES = 5,
    TOKENS = 2,
    BLOCKS = 12,
    BLOCK_BYTES = 36
};
enum { HAS_CHANGES = 1, IS_HASHED = 2, IS_LONG = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t now_ns, step;
static uint16_t phase;
static uint8_t body[PACKET_BYTES];
static uint64_t nonces[RANKS], number; /* of the core's latest greetings to each rank; of the latest datagram */

/* ---- calls ---- */

/* What another rank would say now. */
static void fit(struct mesh_message *message, uint16_t src)
{
    static const uint8_t data[TOKENS * (BLOCKS / RANKS) * BLOCK_BYTES];

    switch (message->header.type) {
    case MESH_TYPE_HELLO:
    case MESH_TYPE_HELLO_ACK:
        message->as.hello = (struct mesh_hello){.rank_count = RANKS,
                                                .phase_count = PHASES,
                                                .datagram_bytes = 1400,
                                                .window_bytes = 212992,
                                                .nonce = 77,
                                                .echo = nonces[src],
                                                .incarnation = {(uint8_t)src}};
        break;
    case MESH_TYPE_TILE:
        message->as.tile = (struct mesh_tile){
            .step = step, .phase = phase, .token_count = TOKENS, .block_first = src * (BLOCKS / RANKS), .block_count = BLOCKS / RANKS};
        message->data = data;
        message->data_bytes = sizeof data;
        break;
    case MESH_TYPE_NAK:
        message->as.nak = (struct mesh_nak){.step = step, .phase = phase, .range_count = 1};
        message->ranges[0] = (struct mesh_range){.token_count = TOKENS, .block_count = BLOCKS / RANKS};
        break;
    case MESH_TYPE_NOT_YET:
        message->as.not_yet.step = step;
        message->as.not_yet.phase = phase;
        break;
    case MESH_TYPE_STATUS:
        message->header.have_step = step;
        message->header.have_phase = phase;
        break;
    default:
        break;
    }
}

/* A message to this rank, with changes where the input says, as body and payload. */
static void take_datagram(struct input *input, struct mesh_tape_entry *entry)
{
    static uint8_t packet[PACKET_BYTES];
    static struct mesh_message message;
    const unsigned type = (unsigned)take(input, 1) % MESH_TYPE_COUNT, how = (unsigned)take(input, 1);
    const uint16_t src = (uint16_t)(1 + how / 16 % (RANKS - 1));
    unsigned changes = how % 16;
    size_t bytes;

    if (mesh_wire_message(type) == NULL)
        return;
    number += take(input, 1) % 16;
    bytes = message_case(type, number, packet, sizeof packet);
    require(mesh_wire_decode(packet, bytes, &message) == 0);
    message.header.src = src;
    message.header.dst = 0;
    if (entry->call.kind == MESH_TAPE_SESSIONS_RECEIVE && type < MESH_TYPE_ASK)
        message.header.epoch = MESH_SESSION_EPOCH;
    if (entry->call.kind == MESH_TAPE_RECEIVE)
        fit(&message, src);
    bytes = mesh_wire_encode(&message, body, sizeof body);
    for (; changes > 0; changes--) {
        const size_t at = take(input, 1);

        body[at % bytes] = (uint8_t)take(input, 1);
    }
    entry->call.body_bytes = (uint32_t)mesh_tape_body_bytes(body, bytes);
    entry->call.payload_bytes = (uint32_t)bytes - entry->call.body_bytes;
    entry->receive.port = 7411;
    entry->receive.ip[15] = (uint8_t)src;
}

static void begin(struct mesh_tape_entry *entry)
{
    static const struct mesh_tape_init init = {.format = MESH_TAPE_FORMAT,
                                               .rank_count = RANKS,
                                               .epoch = 1,
                                               .phase_count = PHASES,
                                               .tokens_max = TOKENS,
                                               .blocks_max = BLOCKS,
                                               .datagram_bytes_max = 1400,
                                               .receive_buffer_bytes = 212992,
                                               .reorder_delay_ns = 30000,
                                               .copy_loss_ppm = 10000,
                                               .version = MESH_WIRE_VERSION};
    const struct mesh_tape_call call = entry->call;

    if (call.kind == MESH_TAPE_INIT) {
        entry->init = init;
        entry->call = call;
        step = 0, phase = 0;
    } else if (call.kind == MESH_TAPE_CLUSTER_INIT) {
        entry->cluster_init.format = MESH_TAPE_FORMAT;
        entry->cluster_init.version = MESH_WIRE_VERSION;
        entry->cluster_init.incarnation[0] = 9;
        entry->cluster_init.ip[15] = 1;
        entry->cluster_init.port = 7410;
        mesh_hash16("", 0, entry->cluster_init.hash);
    } else {
        entry->sessions_init.format = MESH_TAPE_FORMAT;
        entry->sessions_init.version = MESH_WIRE_VERSION;
        entry->sessions_init.incarnation[0] = 9;
        entry->sessions_init.capacity = 3;
        mesh_hash16("", 0, entry->sessions_init.hash);
    }
}

static void open_gather(struct mesh_tape_entry *entry)
{
    struct mesh_tape_open *open = &entry->open;

    phase = (uint16_t)((phase + 1) % PHASES);
    step += phase == 0;
    open->step = step;
    open->phase = phase;
    open->token_count = TOKENS;
    open->block_count = BLOCKS;
    open->block_bytes = open->last_block_bytes = BLOCK_BYTES;
    open->readers = (1 << RANKS) - 1;
    entry->call.body_bytes = 2 * (RANKS + 1);
    for (unsigned rank = 0; rank <= RANKS; rank++) {
        body[2 * rank] = (uint8_t)(rank * BLOCKS / RANKS);
        body[2 * rank + 1] = 0;
    }
}

/* What a core would be told by such a call. */
static void fill(struct input *input, struct mesh_tape_entry *entry, unsigned flags)
{
    switch (entry->call.kind) {
    case MESH_TAPE_INIT:
    case MESH_TAPE_CLUSTER_INIT:
    case MESH_TAPE_SESSIONS_INIT:
        begin(entry);
        break;
    case MESH_TAPE_PEER:
        entry->peer.rank = (uint16_t)(1 + take(input, 1) % (RANKS - 1));
        entry->peer.port = 7411;
        entry->peer.ip[15] = (uint8_t)entry->peer.rank;
        break;
    case MESH_TAPE_PATH:
        entry->path.rank = 2;
        entry->path.datagram_bytes = 1400;
        break;
    case MESH_TAPE_GROUP:
        entry->group.datagram_bytes = 1400;
        break;
    case MESH_TAPE_RECEIVE:
    case MESH_TAPE_CLUSTER_RECEIVE:
    case MESH_TAPE_SESSIONS_RECEIVE:
        take_datagram(input, entry);
        break;
    case MESH_TAPE_OPEN:
        open_gather(entry);
        break;
    case MESH_TAPE_PUBLISH:
        entry->publish.step = step;
        entry->publish.phase = phase;
        entry->publish.token_count = TOKENS;
        entry->publish.block_count = BLOCKS / RANKS;
        entry->call.payload_bytes = TOKENS * (BLOCKS / RANKS) * BLOCK_BYTES;
        break;
    case MESH_TAPE_CONSUME:
        entry->consume.step = step;
        entry->consume.phase = phase;
        break;
    case MESH_TAPE_SEND:
    case MESH_TAPE_SESSIONS_SEND:
        entry->send.to = 1;
        entry->call.payload_bytes = flags & IS_LONG ? (uint32_t)take(input, 2) : 1 + (uint32_t)take(input, 1);
        break;
    case MESH_TAPE_CLUSTER_JOIN:
    case MESH_TAPE_CLUSTER_SHARES:
        memset(body, 0, sizeof body);
        entry->call.body_bytes = (uint32_t)take(input, 1);
        if ((flags & IS_LONG) != 0 && input->at < input->end)
            body[take(input, 1)] = (uint8_t)take(input, 1);
        break;
    default:
        break;
    }
}

/* Fields that differ from those, but not the lengths, which are those of body and payload. */
static void change(struct input *input, struct mesh_tape_entry *entry)
{
    const struct mesh_wire_part *part = mesh_tape_part(entry->call.kind);

    for (unsigned changes = (unsigned)take(input, 1) % 4; changes > 0; changes--) {
        const unsigned which = (unsigned)take(input, 1), bytes = (unsigned)take(input, 1) % 8 + 1;
        uint64_t value = take(input, bytes);

        if (part->field_count <= FIELDS_OF_ALL || which == 0) {
            entry->call.at_ns = value;
        } else {
            const struct mesh_wire_field *field = &part->fields[FIELDS_OF_ALL + which % (part->field_count - FIELDS_OF_ALL)];

            if (field->size <= sizeof value) /* no entry with other values is written */
                value = value < field->min ? field->min : value > field->max ? field->max : value;
            memcpy((uint8_t *)entry + field->struct_offset, &value, field->size < sizeof value ? field->size : sizeof value);
        }
    }
}

/* Larger ones would only take longer. */
static bool is_small(const struct mesh_tape_entry *entry)
{
    if (entry->call.kind == MESH_TAPE_INIT)
        return entry->init.tokens_max <= 64 && entry->init.blocks_max <= 512;
    return entry->call.kind != MESH_TAPE_OPEN ||
           (entry->open.token_count <= 64 && entry->open.block_count <= 512 && entry->open.block_bytes <= 512);
}

/* A greeting of the core is answered with its nonce. */
static void note_nonce(const struct mesh_tape_entry *said)
{
    static struct mesh_message message;
    const size_t bytes = said->call.body_bytes;

    if (said->call.kind == MESH_TAPE_DATAGRAM && said->call.payload_bytes == 0 && mesh_wire_decode(said->body, bytes, &message) == 0 &&
        (message.header.type == MESH_TYPE_HELLO || message.header.type == MESH_TYPE_HELLO_ACK) && message.header.dst < RANKS)
        nonces[message.header.dst] = message.as.hello.nonce;
}

/* False: nothing more may be fed. */
static bool feed(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    static char text[2000];
    const struct mesh_rerun_difference *difference = mesh_rerun_difference(rerun);
    int err;

    if (!is_small(entry))
        return true;
    err = mesh_rerun_feed(rerun, entry);
    require(err >= 0 || mesh_rerun_reason(rerun)[0] != '\0');
    require((err == 1) == (difference->outcome != MESH_RERUN_SAME));
    if (err != 1)
        return err == 0;
    require(difference->outcome != MESH_RERUN_IMPOSSIBLE || difference->reason != NULL);
    mesh_tape_text(&difference->expected, text, sizeof text);
    if (difference->outcome == MESH_RERUN_DIFFERENT) {
        mesh_tape_text(&difference->actual, text, sizeof text);
        note_nonce(&difference->actual);
    }
    rerun->difference.outcome = MESH_RERUN_SAME;
    return true;
}

static bool feed_record(struct mesh_rerun *rerun, const uint8_t *record, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1); /* not larger, so that reads beyond the end are detected */
    struct mesh_tape_entry entry;
    size_t used;
    bool goes_on = true;

    require(copy != NULL);
    if (size > 0)
        memcpy(copy, record, size);
    if (mesh_tape_decode(copy, size, &entry, &used) == 0) {
        require(used <= size && mesh_tape_record_bytes(&entry) == used);
        goes_on = feed(rerun, &entry);
    }
    free(copy);
    return goes_on;
}

/* One call: its kind, the time since the last one, flags, then arguments. Kind 0: a record as it is. False: it was refused. */
static bool take_call(struct input *input, struct mesh_rerun *rerun)
{
    static uint8_t record[RECORD_BYTES];
    static const uint8_t payload[UINT16_MAX];
    const unsigned kind = (unsigned)take(input, 1) % MESH_TAPE_KINDS;
    struct mesh_tape_entry entry = {0};
    unsigned flags;

    if (kind == 0) {
        const size_t wanted = take(input, 2), left = (size_t)(input->end - input->at), bytes = wanted < left ? wanted : left;

        input->at += bytes;
        return feed_record(rerun, input->at - bytes, bytes);
    }
    if (mesh_tape_part(kind) == NULL)
        return true;
    now_ns += take(input, 1) * 100000;
    flags = (unsigned)take(input, 1);
    entry.call.kind = (uint8_t)kind;
    entry.call.at_ns = now_ns;
    fill(input, &entry, flags);
    if (flags & HAS_CHANGES)
        change(input, &entry);
    entry.body = body;
    entry.payload_rows = entry.call.payload_bytes > 0;
    entry.payload_stride = entry.call.payload_bytes;
    if (entry.call.payload_bytes > 0) {
        entry.call.payload = MESH_TAPE_WHOLE;
        entry.payload = mesh_tape_is_datagram(kind) ? body + entry.call.body_bytes : payload;
        if (flags & IS_HASHED)
            mesh_tape_put_hash(&entry, 1);
    }
    return feed_record(rerun, record, mesh_tape_encode(&entry, record, sizeof record));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, data + size};
    struct mesh_rerun *rerun;
    bool goes_on = true;

    now_ns = 1000000000;
    step = 0, phase = 0;
    number = 0;
    memset(nonces, 0, sizeof nonces);
    memset(body, 0, sizeof body);
    require(mesh_rerun_open(&rerun, mesh_hash16) == 0);
    for (unsigned i = 0; i < CALLS_MAX && goes_on && input.at < input.end; i++)
        goes_on = take_call(&input, rerun);
    mesh_rerun_state_hash(rerun);
    if (goes_on)
        mesh_rerun_finish(rerun);
    mesh_rerun_close(rerun);
    return 0;
}
