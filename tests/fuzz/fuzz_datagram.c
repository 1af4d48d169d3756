/* Any datagrams into a live endpoint, between calls of its application, in any order.
 *
 * The input is a list of operations, each a byte and its arguments (see `operations`). The endpoint is rank 0 of three, up, with a gather
 * open; it is restored from a copy of its memory for each input. No assertion may fire, and a dropped datagram may change nothing. */
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz_input.h"
#include "tests/unit/net.h"

enum { RANKS = 3, TOKENS = 3, BLOCKS = 70, GATHERS = 24, PACKET_MAX = 65535 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct net *net;
static void *fresh; /* the endpoint's memory before each input */
static size_t memory_bytes;
static uint64_t now_ns;
static struct net_gather gathers[GATHERS];
static unsigned opened, consumed;
static bool is_complete[GATHERS], is_published[GATHERS];
static uint64_t numbers[RANKS][2]; /* of made-up datagrams, by rank and space */
static uint32_t hash;              /* of the state, if is_hashed */
static bool is_hashed;

static void drain_events(void)
{
    struct mesh_event event;

    while (mesh_next_event(net->mesh[0], &event))
        if (event.type == MESH_EVENT_COMPLETE)
            is_complete[(event.step - 1) * 5 + event.phase] = true;
}

/* After a dropped datagram the hash is the one before it, which need not be computed for the next one: hashes take most of the time. */
static void receive(uint16_t from, const uint8_t *packet, size_t bytes)
{
    const uint32_t before = is_hashed ? hash : mesh_state_hash(net->mesh[0]);
    const int err = mesh_receive(net->mesh[0], now_ns, net_addr(from), packet, bytes);

    is_hashed = err && err != MESH_EREFUSED && err != MESH_EVERSION && err != MESH_EEPOCH;
    hash = is_hashed ? mesh_state_hash(net->mesh[0]) : 0;
    require(!is_hashed || hash == before);
}

/* The input's bytes as a datagram. */
static void receive_raw(struct input *input)
{
    size_t bytes = take(input, 2), left = (size_t)(input->end - input->at);
    uint16_t from = input->at + 6 < input->end ? input->at[6] : 1;

    bytes = bytes < left ? bytes : left;
    receive(from, input->at, bytes);
    input->at += bytes;
}

/* With a valid header, so that the body is examined. */
static void receive_body(struct input *input)
{
    uint8_t packet[PACKET_MAX] = {MESH_WIRE_MAGIC & 255, MESH_WIRE_MAGIC >> 8, MESH_WIRE_VERSION};
    unsigned type = (unsigned)take(input, 1) % MESH_TYPE_COUNT, flags = (unsigned)take(input, 1) & (MESH_FLAG_ALL | MESH_FLAG_RESEND);
    uint16_t from = 1 + take(input, 1) % 2;
    uint64_t *number = &numbers[from][flags & MESH_FLAG_ALL];
    size_t bytes = take(input, 2) % 2000, left;

    *number += 1 + take(input, 1) % 4;
    left = (size_t)(input->end - input->at);
    packet[3] = (uint8_t)type;
    packet[4] = (uint8_t)flags;
    packet[6] = (uint8_t)from;
    packet[12] = 7;
    for (unsigned i = 0; i < 8; i++) {
        packet[16 + i] = (uint8_t)((1000 + *number) >> (8 * i));
        packet[24 + i] = 0xff;
        packet[32 + i] = (uint8_t)(now_ns >> (8 * i));
    }
    memcpy(packet + MESH_HEADER_BYTES, input->at, bytes < left ? bytes : left);
    input->at += bytes < left ? bytes : left;
    receive(from, packet, MESH_HEADER_BYTES + bytes);
}

static void pass_time(struct input *input)
{
    now_ns += take(input, 2) * 1000;
    mesh_tick(net->mesh[0], now_ns);
}

static void send(struct input *input)
{
    static uint8_t packet[PACKET_MAX];
    struct mesh_output output;
    struct mesh_message message;

    (void)input;
    for (unsigned count = 0; mesh_next_datagram(net->mesh[0], now_ns, packet, sizeof packet, &output); count++) {
        require(count < 100000);
        require(output.bytes <= net->config[0].datagram_bytes_max);
        require(mesh_wire_decode(packet, output.bytes, &message) == 0);
    }
}

static void open_next(struct input *input)
{
    if (opened == GATHERS)
        return;
    gathers[opened].gather[0].readers = take(input, 1) % 4 ? 7 : 3;
    if (mesh_open_gather(net->mesh[0], now_ns, &gathers[opened].gather[0]) == 0)
        opened++;
}

static void publish(struct input *input)
{
    unsigned index = opened ? (unsigned)take(input, 1) % opened : 0;
    const struct mesh_gather *gather = &gathers[index].gather[0];

    if (opened && !is_published[index] &&
        mesh_publish(net->mesh[0], now_ns, gather->step, gather->phase, 0, TOKENS, 0, gathers[index].first[1]) == 0)
        is_published[index] = true;
}

static void consume(struct input *input)
{
    const struct mesh_gather *gather = &gathers[consumed].gather[0];

    (void)input;
    drain_events();
    if (consumed < opened && is_complete[consumed]) {
        mesh_consume(net->mesh[0], now_ns, gather->step, gather->phase);
        consumed++;
    }
}

static void send_record(struct input *input)
{
    static uint8_t record[MESH_RECORD_BYTES_MAX];

    mesh_send_record(net->mesh[0], now_ns, (uint16_t)(1 + take(input, 1) % 2), record, take(input, 2));
}

enum { RECEIVING = 2 /* of the operations, the first */ };
static void (*const operations[])(struct input *input) = {receive_raw, receive_body, pass_time, send,
                                                          open_next,   publish,      consume,   send_record};

static void start(void)
{
    net = net_new(RANKS);
    net_up(net);
    memory_bytes = mesh_memory_bytes(&net->config[0]);
    fresh = malloc(memory_bytes);
    require(fresh != NULL);
    memcpy(fresh, net->memory[0], memory_bytes);
    for (unsigned i = 0; i < GATHERS; i++)
        net_gather_init(net, &gathers[i], 1 + i / 5, (uint16_t)(i % 5), TOKENS, BLOCKS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, data + size};

    if (!net)
        start();
    memcpy(net->memory[0], fresh, memory_bytes);
    now_ns = net->now_ns;
    opened = consumed = 0;
    memset(is_complete, 0, sizeof is_complete);
    memset(is_published, 0, sizeof is_published);
    memset(numbers, 0, sizeof numbers);
    open_next(&input);
    is_hashed = false;
    while (input.at < input.end) {
        const unsigned which = (unsigned)take(&input, 1) % (sizeof operations / sizeof *operations);

        is_hashed = is_hashed && which < RECEIVING;
        operations[which](&input);
    }
    drain_events();
    return 0;
}
