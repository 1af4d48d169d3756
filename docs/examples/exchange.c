/* Two endpoints of one process exchange gathers over a link that loses datagrams, and check what arrives.
 *
 * The loop is that of any program that drives the protocol core (mesh/mesh.h): receive, take events, open and publish gathers, send, sleep
 * until the next timeout. A queue in memory stands for the network and a number for the clock. With mesh/udp.h instead, mesh_udp_poll
 * receives, ticks and sends, and mesh_udp_wait sleeps. C11 or C++17; `pkg-config --cflags --libs libmesh` prints the flags. */
#include <mesh/mesh.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PHASES = 3, GATHERS = 60, TOKENS = 2, BLOCKS = 8, BLOCK_BYTES = 256, GATHER_BYTES = TOKENS * BLOCKS * BLOCK_BYTES };
enum { BUFFERS = 4, LINK_DATAGRAMS = 256, LINK_DELAY_NS = 50000, LOST_PERCENT = 10, DATAGRAM_BYTES = 1400 };

static const uint16_t first_block[3] = {0, 5, BLOCKS}; /* rank 0 produces blocks 0 to 4 of each token, rank 1 produces 5 to 7 */

static struct node {
    struct mesh *mesh;
    struct mesh_addr addr; /* here any two that differ */
    void *memory;
    uint8_t data[BUFFERS][GATHER_BYTES]; /* gather i is in data[i % BUFFERS] */
    bool is_used[BUFFERS];               /* by the library, from mesh_open_gather to MESH_EVENT_FREED */
    unsigned opened, intact, freed;
} nodes[2];

static struct datagram {
    unsigned to; /* rank */
    size_t bytes;
    uint8_t packet[DATAGRAM_BYTES];
} link_queue[LINK_DATAGRAMS];
static unsigned link_count, lost;

static void check(int err, const char *call)
{
    if (err != MESH_OK) {
        fprintf(stderr, "%s: %s\n", call, mesh_strerror(err));
        exit(1);
    }
}

static void start(unsigned rank, uint64_t now_ns)
{
    struct node *node = &nodes[rank];
    struct mesh_config config;
    size_t bytes;

    memset(&config, 0, sizeof config); /* zeros are the defaults */
    config.rank = (uint16_t)rank;
    config.rank_count = 2;
    config.epoch = 1;
    config.phase_count = PHASES;
    config.tokens_max = TOKENS;
    config.blocks_max = BLOCKS;
    config.incarnation[0] = (uint8_t)(rank + 1); /* outside of examples: 16 bytes of mesh_random */
    config.datagram_bytes_max = DATAGRAM_BYTES;
    config.receive_buffer_bytes = 1 << 20;
    bytes = (mesh_memory_bytes(&config) + 63) / 64 * 64;
    node->memory = aligned_alloc(64, bytes);
    check(node->memory != NULL ? mesh_init(&node->mesh, &config, node->memory, bytes, now_ns) : MESH_ENOMEM, "mesh_init");
    node->addr.port = (uint16_t)(rank + 1);
}

/* Put on the link what the endpoint has to send. output.ranks names the receivers by bits: here always the other rank. */
static void send_datagrams(unsigned rank, uint64_t now_ns)
{
    static struct datagram next;
    struct mesh_output output;

    next.to = !rank;
    while (mesh_next_datagram(nodes[rank].mesh, now_ns, next.packet, sizeof next.packet, &output)) {
        next.bytes = output.bytes;
        if (rand() % 100 < LOST_PERCENT || link_count == LINK_DATAGRAMS)
            lost++; /* the endpoints notice, and ask for what is missing */
        else
            link_queue[link_count++] = next;
    }
}

/* What byte i of a gather has to be. */
static uint8_t value_of(unsigned gather, unsigned i)
{
    return (uint8_t)(gather * 31 + i / BLOCK_BYTES * 7 + i);
}

/* Open the next gather, compute the blocks of this rank, and publish them. False: all are open, or no buffer is free yet. */
static bool open_gather(unsigned rank, uint64_t now_ns)
{
    struct node *node = &nodes[rank];
    const unsigned number = node->opened, first = first_block[rank], end = first_block[rank + 1];
    struct mesh_gather gather;
    int err;

    if (number == GATHERS || node->is_used[number % BUFFERS])
        return false;
    memset(&gather, 0, sizeof gather);
    gather.step = number / PHASES;
    gather.phase = (uint16_t)(number % PHASES);
    gather.token_count = TOKENS;
    gather.block_count = BLOCKS;
    gather.block_bytes = gather.last_block_bytes = BLOCK_BYTES;
    gather.data = node->data[number % BUFFERS];
    gather.token_stride = BLOCKS * BLOCK_BYTES;
    gather.first = first_block;
    gather.readers = 3; /* both ranks */
    if ((err = mesh_open_gather(node->mesh, now_ns, &gather)) == MESH_AGAIN)
        return false; /* too far ahead of the other rank */
    check(err, "mesh_open_gather");
    for (unsigned i = 0; i < GATHER_BYTES; i++)
        if (i / BLOCK_BYTES % BLOCKS >= first && i / BLOCK_BYTES % BLOCKS < end)
            gather.data[i] = value_of(number, i);
    while ((err = mesh_publish(node->mesh, now_ns, gather.step, gather.phase, 0, TOKENS, (uint16_t)first, (uint16_t)(end - first))) ==
           MESH_AGAIN)
        send_datagrams(rank, now_ns);
    check(err, "mesh_publish");
    node->is_used[number % BUFFERS] = true;
    node->opened++;
    return true;
}

static void take_events(struct node *node, uint64_t now_ns)
{
    struct mesh_event event;

    while (mesh_next_event(node->mesh, &event)) {
        const unsigned number = (unsigned)event.step * PHASES + event.phase;
        unsigned same = 0;

        if (event.type == MESH_EVENT_REFUSED) {
            fprintf(stderr, "the ranks do not fit: %s\n", event.reason);
            exit(1);
        } else if (event.type == MESH_EVENT_COMPLETE) {
            while (same < GATHER_BYTES && node->data[number % BUFFERS][same] == value_of(number, same))
                same++;
            node->intact += same == GATHER_BYTES;
            mesh_consume(node->mesh, now_ns, event.step, event.phase); /* it is not read any more */
        } else if (event.type == MESH_EVENT_FREED) {
            node->is_used[number % BUFFERS] = false;
            node->freed++;
        }
    }
}

int main(void)
{
    uint64_t now_ns = 1;
    unsigned done = 0;

    start(0, now_ns);
    start(1, now_ns);
    mesh_set_peer(nodes[0].mesh, 1, nodes[1].addr);
    mesh_set_peer(nodes[1].mesh, 0, nodes[0].addr);
    while (done < 2 && now_ns < UINT64_C(60000000000)) {
        uint64_t next_ns = UINT64_MAX;

        done = 0;
        for (unsigned rank = 0; rank < 2; rank++) {
            struct node *node = &nodes[rank];

            mesh_tick(node->mesh, now_ns);
            do
                take_events(node, now_ns);
            while (open_gather(rank, now_ns));
            send_datagrams(rank, now_ns);
            next_ns = mesh_timeout(node->mesh) < next_ns ? mesh_timeout(node->mesh) : next_ns;
            done += node->freed == GATHERS && mesh_is_quiet(node->mesh);
        }
        /* "Sleep": what is on the link arrives after its delay; without anything there, the next timeout comes. */
        now_ns = link_count > 0 || next_ns <= now_ns ? now_ns + LINK_DELAY_NS : next_ns;
        for (const struct datagram *next = link_queue; next < link_queue + link_count; next++)
            while (mesh_receive(nodes[next->to].mesh, now_ns, nodes[!next->to].addr, next->packet, next->bytes) == MESH_AGAIN)
                take_events(&nodes[next->to], now_ns); /* other errors say why a datagram was dropped, and are no reason to stop */
        link_count = 0;
    }
    printf("%u datagrams lost; %u and %u of %d gathers intact\n", lost, nodes[0].intact, nodes[1].intact, GATHERS);
    free(nodes[0].memory);
    free(nodes[1].memory);
    return done == 2 && nodes[0].intact == GATHERS && nodes[1].intact == GATHERS ? 0 : 1;
}
