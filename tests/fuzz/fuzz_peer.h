/* For targets that fetch from other nodes (node/fetch/bulk.h): nodes that answer each GET with the bytes that are asked for, or as the
 * input says with others, too few, a refusal, silence, or the end of the session. It defines the client's side of sessions, and the
 * clock. */
#ifndef FUZZ_PEER_H
#define FUZZ_PEER_H

#include <string.h>

#include "mesh/udp.h"
#include "node/fetch/bulk.h"
#include "tests/fuzz/fuzz_input.h"

enum { PEER_PIECE_BYTES = BULK_DATA_BYTES_MAX, PEERS_MAX = 4 };

/* Defined by the target: what an honest node answers, whose address ends in this digit; at most `room` bytes. -1: it refuses. */
static int64_t peer_answer(unsigned peer, const struct bulk_want *want, uint8_t *out, size_t room);

/* One session; several may be open. */
struct mesh_client {
    bool is_open;
    unsigned count; /* GETs that are not over */
    struct bulk_record get[BULK_OPEN_MAX];
    uint64_t next[BULK_OPEN_MAX]; /* offset of what is sent next */
    uint8_t *record;              /* the last one, in memory that is not larger, so that reads beyond the end are detected */
};

static struct input peer_input;
static uint64_t peer_now_ns;
static struct mesh_client peers[PEERS_MAX];

static inline void peer_begin(const uint8_t *data, size_t size)
{
    peer_input = (struct input){data, data + size};
    peer_now_ns = 1000000000;
}

uint64_t mesh_udp_now_ns(void)
{
    return peer_now_ns;
}

struct mesh_client *client_session_open(const struct mesh_client_config *config, struct fail *fail)
{
    const unsigned which = (unsigned)(config->address[strlen(config->address) - 1] - '0');

    require(which < PEERS_MAX && !peers[which].is_open);
    if (take(&peer_input, 1) == 255) {
        peer_now_ns += config->timeout_ns;
        fail_set(fail, EXIT_ENVIRONMENT, "it does not answer: it is not there: start it");
        return NULL;
    }
    peers[which].is_open = true;
    peers[which].count = 0;
    return &peers[which];
}

void client_session_close(struct mesh_client *peer)
{
    if (peer == NULL)
        return;
    require(peer->is_open);
    peer->is_open = false;
    free(peer->record);
    peer->record = NULL;
}

int client_session_send(struct mesh_client *peer, const uint8_t *record, size_t bytes, struct fail *fail)
{
    struct bulk_record *get = &peer->get[peer->count];

    (void)fail;
    require(peer->is_open && peer->count < BULK_OPEN_MAX && bulk_read(get, record, bytes) == 0 && get->kind == BULK_GET);
    peer->next[peer->count++] = get->want.offset;
    return 0;
}

static inline void peer_end(struct mesh_client *peer, unsigned which)
{
    peer->count--;
    peer->get[which] = peer->get[peer->count];
    peer->next[which] = peer->next[peer->count];
}

/* The next record of an honest answer. */
static inline size_t peer_continue(struct mesh_client *peer, uint8_t *record)
{
    static uint8_t data[PEER_PIECE_BYTES];
    const unsigned which = (unsigned)take(&peer_input, 1) % peer->count;
    const struct bulk_record *get = &peer->get[which];
    struct bulk_record reply = {.kind = BULK_DATA, .tag = get->tag, .offset = peer->next[which], .data = data};
    struct bulk_want want = get->want;
    int64_t size;

    want.bytes -= peer->next[which] - want.offset;
    want.offset = peer->next[which];
    size = peer_answer((unsigned)(peer - peers), &want, data, want.bytes < sizeof data ? (size_t)want.bytes : sizeof data);
    if (size <= 0) {
        reply.kind = size < 0 ? BULK_REFUSED : BULK_END;
        reply.data_bytes = size < 0 ? 9 : 0;
        peer_end(peer, which);
    } else {
        reply.data_bytes = (size_t)size;
        peer->next[which] += (uint64_t)size;
    }
    return bulk_write(&reply, record);
}

static inline size_t peer_any(uint8_t *record)
{
    const size_t wanted = take(&peer_input, 2) % 1000, left = (size_t)(peer_input.end - peer_input.at);
    const size_t bytes = wanted < left ? wanted : left;

    memcpy(record, peer_input.at, bytes);
    peer_input.at += bytes;
    return bytes;
}

int client_session_receive(struct mesh_client *peer, const uint8_t **out, size_t *bytes, uint64_t timeout_ns, struct fail *fail)
{
    enum { ANY = 4 /* below: honest */, CHANGED, CUT, REFUSED, SILENT, LATE, OVER, KINDS };
    static uint8_t record[BULK_DATA_BYTES_MAX + 64];
    const unsigned how = (unsigned)take(&peer_input, 1) % KINDS;

    require(peer->is_open);
    if (how == SILENT || how == LATE || peer->count == 0) {
        peer_now_ns += how == LATE ? timeout_ns / 2 : timeout_ns;
        return 0;
    }
    if (how == OVER)
        return fail_set(fail, EXIT_ENVIRONMENT, "the session is over: the node ended it: ask another one");
    if (how == REFUSED) {
        const struct bulk_record no = {.kind = BULK_REFUSED, .tag = peer->get[0].tag, .data = (const uint8_t *)"no\n", .data_bytes = 3};

        *bytes = bulk_write(&no, record);
        peer_end(peer, 0);
    } else {
        *bytes = how == ANY ? peer_any(record) : peer_continue(peer, record);
    }
    for (unsigned changes = how == CHANGED ? 1 + (unsigned)take(&peer_input, 1) % 8 : 0; changes > 0 && *bytes > 0; changes--) {
        const size_t at = take(&peer_input, 2);

        record[at % *bytes] = (uint8_t)take(&peer_input, 1);
    }
    if (how == CUT)
        *bytes -= take(&peer_input, 2) % (*bytes + 1);
    free(peer->record);
    peer->record = malloc(*bytes + (*bytes == 0));
    require(peer->record != NULL);
    memcpy(peer->record, record, *bytes);
    *out = peer->record;
    return 1;
}

#endif
