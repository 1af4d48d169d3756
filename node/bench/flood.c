#include "flood.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "mesh/udp.h"
#include "mesh/wire.h"
#include "node/common/bytes.h"
#include "node/common/hash.h"

enum { TICKS = 1000, BATCH_MAX = 256, SECOND_NS = 1000000000 };

const char *flood_kind_name(enum flood_kind kind)
{
    static const char *const names[] = {"random", "magic", "cluster", "call", "epoch", "mixed"};

    assert(kind <= FLOOD_MIXED);
    return names[kind];
}

/* ---- datagrams ---- */

static void fill(uint8_t *at, size_t bytes, uint64_t seed)
{
    for (size_t i = 0; i < bytes; i += 8) {
        const uint64_t word = hash_mix64(seed + i);

        memcpy(at + i, &word, bytes - i < 8 ? bytes - i : 8);
    }
}

#define AT(field) offsetof(struct mesh_header_bytes, field)

/* A header that passes every check of its form, in front of random bytes. */
static void put_header(uint8_t *packet, unsigned type, uint32_t epoch, uint64_t number)
{
    bytes_store(packet + AT(magic), MESH_WIRE_MAGIC, 2);
    packet[AT(version)] = MESH_WIRE_VERSION;
    packet[AT(type)] = (uint8_t)type;
    bytes_store(packet + AT(flags), MESH_FLAG_AUTHENTICATED | MESH_FLAG_SEALED | (epoch != 0 ? MESH_FLAG_ALL : 0),
                sizeof(((struct mesh_header_bytes *)0)->flags));
    bytes_store(packet + AT(src), epoch != 0 ? number % 3 : 0, 2);
    bytes_store(packet + AT(dst), epoch != 0 ? MESH_DST_ALL : 0, 2);
    bytes_store(packet + AT(epoch), epoch, 4);
    bytes_store(packet + AT(number), number, 8);
}

size_t flood_write(const struct flood *flood, uint64_t index, uint8_t *packet)
{
    const uint64_t random = hash_words3(flood->seed, index, 1);
    const enum flood_kind kind = flood->kind == FLOOD_MIXED ? (enum flood_kind)(index % FLOOD_KINDS) : flood->kind;
    size_t bytes = 40 + random % 260;

    fill(packet, sizeof(uint8_t[FLOOD_BYTES_MAX]) < bytes + 8 ? bytes : bytes + 8, random);
    switch (kind) {
    case FLOOD_MAGIC:
        bytes_store(packet + AT(magic), MESH_WIRE_MAGIC, 2);
        packet[AT(version)] = MESH_WIRE_VERSION;
        break;
    case FLOOD_CLUSTER:
        put_header(packet, MESH_TYPE_ASK + (unsigned)(random >> 32) % 12, 0, index + 1);
        bytes = MESH_HEADER_BYTES + 96;
        break;
    case FLOOD_CALL:
        put_header(packet, MESH_TYPE_CALL, 0, (UINT64_C(1) << 63) + index + 1);
        bytes = MESH_HEADER_BYTES + sizeof(struct mesh_calling_bytes);
        break;
    case FLOOD_EPOCH:
        put_header(packet, MESH_TYPE_TILE, flood->epoch, index + 1);
        break;
    default:
        break;
    }
    return bytes;
}

/* ---- sending ---- */

struct batch {
    struct mmsghdr message[BATCH_MAX];
    struct iovec way[BATCH_MAX];
    struct sockaddr_in to[BATCH_MAX];
    uint8_t packet[BATCH_MAX][FLOOD_BYTES_MAX];
};

static void write_batch(struct flood *flood, struct batch *batch, uint32_t count, uint64_t index)
{
    const unsigned list = atomic_load(&flood->aim);

    for (uint32_t i = 0; i < count; i++) {
        const struct mesh_addr *to = &flood->target[list][(index + i) % flood->target_count[list]];

        batch->to[i] = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(to->port)};
        memcpy(&batch->to[i].sin_addr, to->ip + 12, 4);
        batch->way[i] = (struct iovec){batch->packet[i], flood_write(flood, index + i, batch->packet[i])};
        batch->message[i] = (struct mmsghdr){
            .msg_hdr = {.msg_name = &batch->to[i], .msg_namelen = sizeof batch->to[i], .msg_iov = &batch->way[i], .msg_iovlen = 1}};
    }
}

static void send_batch(struct flood *flood, struct batch *batch, uint32_t count)
{
    uint32_t next = 0;

    while (next < count) {
        const int sent = sendmmsg(flood->socket, batch->message + next, count - next, 0);

        if (sent < 0 && errno != EINTR)
            next++; /* nobody is there any more: lost, as on a network */
        next += sent > 0 ? (uint32_t)sent : 0;
    }
    atomic_fetch_add(&flood->sent, count);
}

static void run(void *app, uint16_t thread)
{
    static struct batch batch;
    struct flood *flood = app;
    uint64_t begin_ns = mesh_udp_now_ns(), index = 0;

    (void)thread;
    while (!atomic_load(&flood->stops)) {
        const struct timespec tick = {.tv_nsec = SECOND_NS / TICKS};
        const uint64_t due = (mesh_udp_now_ns() - begin_ns) / 1000 * flood->per_second / 1000000;

        while (index < due && !atomic_load(&flood->stops)) {
            const uint32_t count = due - index < BATCH_MAX ? (uint32_t)(due - index) : BATCH_MAX;

            write_batch(flood, &batch, count, index);
            send_batch(flood, &batch, count);
            index += count;
        }
        nanosleep(&tick, NULL);
    }
}

int flood_start(struct flood *flood, struct fail *fail)
{
    flood->socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (flood->socket < 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "bench: no socket: %s: close other programs", strerror(errno));
    atomic_store(&flood->stops, false);
    flood->pool = pool_start(1, run, flood, fail);
    return flood->pool == NULL ? -1 : 0;
}

void flood_aim(struct flood *flood, unsigned list)
{
    assert(list < 2 && flood->target_count[list] > 0);
    atomic_store(&flood->aim, list);
}

void flood_stop(struct flood *flood)
{
    if (flood->pool == NULL)
        return;
    atomic_store(&flood->stops, true);
    pool_join(flood->pool);
    flood->pool = NULL;
    close(flood->socket);
}
