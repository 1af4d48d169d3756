/* Any datagrams into a node's sessions and into a client's call, in any order, with time passing between.
 *
 * The input is a list of operations, each a byte and its arguments. Nothing is protected, so that keys do not stop the fuzzer; the node is
 * new for each input, since it holds little. No assertion may fire, no answer to a call may be longer than the call, and no more sessions
 * may be open than exist. */
#include <stdlib.h>
#include <string.h>

#include "mesh/session.h"
#include "mesh/wire.h"
#include "tests/fuzz/fuzz_input.h"

enum { CAPACITY = 3, PACKET_MAX = 1300, RECENT = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct packet {
    size_t bytes;
    uint8_t at[PACKET_MAX];
};

static void *node_memory, *call_memory;
static struct mesh_sessions *node;
static struct mesh_call *call;
static uint64_t now_ns;
static struct packet to_node[RECENT], to_call[RECENT]; /* the latest datagrams */
static unsigned to_node_count, to_call_count;
static uint32_t session; /* of a session that opened */

static struct mesh_addr addr(unsigned port)
{
    struct mesh_addr at = {.ip = {[10] = 255, [11] = 255, [12] = 127, [15] = 1}};

    at.port = (uint16_t)port;
    return at;
}

static void remember(struct packet *recent, unsigned *count, const uint8_t *packet, size_t bytes)
{
    recent[*count % RECENT].bytes = bytes;
    memcpy(recent[*count % RECENT].at, packet, bytes);
    (*count)++;
}

static void drain(void)
{
    uint8_t packet[PACKET_MAX];
    struct mesh_session_event event;
    struct mesh_sessions_stats stats;
    struct mesh_addr to;
    size_t bytes;

    while (mesh_sessions_next_event(node, now_ns, &event))
        session = event.session;
    while (mesh_call_next_event(call, now_ns, &event))
        require(event.type != MESH_SESSION_NONE);
    while ((bytes = mesh_sessions_next_datagram(node, now_ns, packet, sizeof packet, &to)) > 0)
        remember(to_call, &to_call_count, packet, bytes);
    while ((bytes = mesh_call_next_datagram(call, now_ns, packet, sizeof packet)) > 0)
        remember(to_node, &to_node_count, packet, bytes);
    mesh_sessions_get_stats(node, &stats);
    require(stats.open_now <= CAPACITY);
    require(stats.opened <= stats.closed_by_goodbye + stats.closed_by_silence + stats.closed_here + CAPACITY);
}

/* Delivers one datagram; the node's answer to a call outside sessions must not be longer. */
static void give(struct input *input, const uint8_t *packet, size_t bytes)
{
    const unsigned where = (unsigned)take(input, 1);
    uint8_t *copy = malloc(bytes > 0 ? bytes : 1), answer[PACKET_MAX]; /* not larger, so that reads beyond the end are detected */
    struct mesh_addr to;
    size_t said;

    require(copy != NULL);
    memcpy(copy, packet, bytes);
    if (where & 1) {
        mesh_call_receive(call, now_ns, addr(where & 2 ? 9 : 1), copy, bytes);
    } else if (mesh_session_is_of_one(copy, bytes) || (where & 4) != 0) {
        mesh_sessions_receive(node, now_ns, addr(2 + (where >> 3) % 3), copy, bytes);
        said = mesh_sessions_next_datagram(node, now_ns, answer, sizeof answer, &to);
        require(said == 0 || answer[15] >= 128 || said <= bytes);
        if (said > 0)
            remember(to_call, &to_call_count, answer, said);
    }
    free(copy);
    drain();
}

static void give_raw(struct input *input)
{
    size_t bytes = take(input, 2) % PACKET_MAX, left = (size_t)(input->end - input->at);
    const uint8_t *at = input->at;

    bytes = bytes < left ? bytes : left;
    input->at += bytes;
    give(input, at, bytes);
}

/* Delivers one of the latest datagrams, changed at some places. */
static void give_changed(struct input *input, const struct packet *recent)
{
    struct packet packet = recent[take(input, 1) % RECENT];
    const unsigned changes = (unsigned)take(input, 1) % 4;

    for (unsigned i = 0; i < changes && packet.bytes > 0; i++) {
        const size_t at = take(input, 2) % packet.bytes;

        packet.at[at] ^= (uint8_t)take(input, 1);
    }
    give(input, packet.at, packet.bytes);
}

static void give_to_node(struct input *input)
{
    give_changed(input, to_node);
}

static void give_to_call(struct input *input)
{
    give_changed(input, to_call);
}

static void pass_time(struct input *input)
{
    now_ns += take(input, 2) * 100000;
    mesh_sessions_tick(node, now_ns);
    mesh_call_tick(call, now_ns);
    drain();
}

static void send_record(struct input *input)
{
    static uint8_t record[MESH_RECORD_BYTES_MAX];
    const size_t bytes = take(input, 2) % MESH_RECORD_BYTES_MAX;

    if (take(input, 1) & 1)
        mesh_sessions_send(node, now_ns, session, record, bytes);
    else
        mesh_call_send(call, now_ns, record, bytes);
    drain();
}

static void close_one(struct input *input)
{
    switch (take(input, 1) % 8) {
    case 0:
        mesh_sessions_end(node, now_ns);
        break;
    case 1:
        mesh_call_close(call, now_ns);
        break;
    default:
        mesh_sessions_close(node, now_ns, session);
        break;
    }
    drain();
}

/* Delivers everything that was sent. */
static void exchange(struct input *input)
{
    (void)input;
    for (unsigned i = 0; i < RECENT; i++) {
        mesh_sessions_receive(node, now_ns, addr(2), to_node[i].at, to_node[i].bytes);
        mesh_call_receive(call, now_ns, addr(1), to_call[i].at, to_call[i].bytes);
        drain();
    }
}

static void (*const operations[])(struct input *input) = {give_raw,    give_to_node, give_to_call, pass_time,
                                                          send_record, close_one,    exchange,     exchange};

static void start(void)
{
    const struct mesh_sessions_config config = {.capacity = CAPACITY, .hash = mesh_hash16, .secret = {1}};
    const struct mesh_call_config call_config = {.nonce = 5, .addr = addr(1), .incarnation = {2}, .timeout_ns = 5000000000};
    const size_t bytes = (mesh_sessions_memory_bytes(CAPACITY) + 63) / 64 * 64, call_bytes = (mesh_call_memory_bytes() + 63) / 64 * 64;

    if (node_memory == NULL) {
        node_memory = aligned_alloc(64, bytes);
        call_memory = aligned_alloc(64, call_bytes);
        require(node_memory != NULL && call_memory != NULL);
    }
    now_ns = 1000000000;
    to_node_count = to_call_count = 0;
    memset(to_node, 0, sizeof to_node);
    memset(to_call, 0, sizeof to_call);
    session = 1;
    require(mesh_sessions_init(&node, &config, node_memory, bytes, now_ns) == 0);
    require(mesh_call_init(&call, &call_config, call_memory, call_bytes, now_ns) == 0);
    drain();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, data + size};

    start();
    while (input.at < input.end)
        operations[take(&input, 1) % (sizeof operations / sizeof *operations)](&input);
    return 0;
}
