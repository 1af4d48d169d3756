/* The handshake. Each rank sends every other rank HELLO until a HELLO_ACK echoes its nonce; then that peer is up.
 *
 * What a hello says must fit: ranks, phases, model, configuration, and the process must be the one it was. What does not fit is answered
 * with REFUSE, so both sides can tell their users. A refused peer is asked again now and then, since its process may be started anew. */
#include "core.h"

#include <string.h>

#include "mesh/program/byte_order.h"
#include "mix.h"

enum { DELAY_NS = 5000000, DELAY_NS_MAX = 200000000, REFUSED_DELAY_NS = 1000000000 };

/* As unpredictable as the incarnation. */
static uint64_t make_nonce(const struct mesh *mesh, const struct mesh_peer *peer)
{
    const uint64_t first = mesh_big_get64(mesh->config.incarnation), second = mesh_big_get64(mesh->config.incarnation + 8);
    const uint64_t nonce = mesh_finalise64(first + mesh_finalise64(second + mesh_finalise64(mesh->now_ns) + peer->rank));

    return nonce ? nonce : 1;
}

void mesh_hello_start(struct mesh *mesh, struct mesh_peer *peer)
{
    peer->state = MESH_PEER_ASKED;
    peer->nonce = make_nonce(mesh, peer);
    peer->hello_at_ns = mesh->now_ns;
    peer->hello_delay_ns = DELAY_NS;
    mesh_arm(mesh, peer->hello_at_ns);
}

void mesh_hello_tick(struct mesh *mesh, struct mesh_peer *peer)
{
    if (!peer->has_addr || peer->state == MESH_PEER_UP || peer->state == MESH_PEER_GONE)
        return;
    if (mesh->now_ns >= peer->hello_at_ns) {
        mesh_pend(mesh, peer, MESH_PENDING_HELLO);
        peer->hello_at_ns = mesh->now_ns + peer->hello_delay_ns;
        if (peer->state == MESH_PEER_REFUSED)
            peer->hello_delay_ns = REFUSED_DELAY_NS;
        else
            peer->hello_delay_ns = peer->hello_delay_ns * 2 < DELAY_NS_MAX ? peer->hello_delay_ns * 2 : DELAY_NS_MAX;
    }
    mesh_arm(mesh, peer->hello_at_ns);
}

static void fill(const struct mesh *mesh, const struct mesh_peer *peer, struct mesh_hello *hello)
{
    const struct mesh_config *config = &mesh->config;

    hello->features = 0;
    hello->rank_count = config->rank_count;
    hello->phase_count = config->phase_count;
    hello->datagram_bytes = config->datagram_bytes_max;
    hello->window_bytes = mesh->grant_bytes;
    hello->nonce = peer->nonce;
    hello->echo = peer->echo;
    memcpy(hello->incarnation, config->incarnation, sizeof hello->incarnation);
    memcpy(hello->fingerprint, config->fingerprint, sizeof hello->fingerprint);
    memcpy(hello->configuration, config->configuration, sizeof hello->configuration);
}

_Static_assert(sizeof(struct mesh_hello) == sizeof(struct mesh_hello_ack), "one list of fields for both");

bool mesh_hello_write(struct mesh *mesh, struct mesh_peer *peer, struct mesh_packet *packet)
{
    packet->message.header.type = MESH_TYPE_HELLO;
    fill(mesh, peer, &packet->message.as.hello);
    mesh_write_peer(mesh, peer, packet, true);
    return true;
}

bool mesh_hello_ack_write(struct mesh *mesh, struct mesh_peer *peer, struct mesh_packet *packet)
{
    packet->message.header.type = MESH_TYPE_HELLO_ACK;
    fill(mesh, peer, &packet->message.as.hello);
    mesh_write_peer(mesh, peer, packet, true);
    return true;
}

bool mesh_refuse_write(struct mesh *mesh, struct mesh_peer *peer, struct mesh_packet *packet)
{
    packet->message.header.type = MESH_TYPE_REFUSE;
    packet->message.as.refuse = peer->refuse;
    mesh_write_peer(mesh, peer, packet, true);
    return true;
}

/* ---- refusing ---- */

/* Tell the application once per reason. The reserve of the event queue is not for this: a peer may find reasons without end, and the next
 * hello is refused again. */
static void report(struct mesh *mesh, struct mesh_peer *peer, const struct mesh_refuse *refuse, bool is_theirs)
{
    struct mesh_event event = {.type = MESH_EVENT_REFUSED, .rank = peer->rank};

    if (peer->refused_reason == refuse->reason || !mesh_event_room(mesh))
        return;
    peer->refused_reason = refuse->reason;
    mesh->refusals[peer->rank].is_theirs = is_theirs;
    mesh->refusals[peer->rank].refuse = *refuse;
    mesh_event_push(mesh, &event);
}

void mesh_hello_refuse(struct mesh *mesh, struct mesh_peer *peer, const struct mesh_refuse *refuse)
{
    peer->refuse = *refuse;
    mesh_pend(mesh, peer, MESH_PENDING_REFUSE);
    report(mesh, peer, refuse, false);
    if (peer->state == MESH_PEER_ASKED)
        peer->state = MESH_PEER_REFUSED;
}

static uint16_t compare(const struct mesh *mesh, const struct mesh_peer *peer, const struct mesh_hello *hello, uint64_t *found,
                        uint64_t *expected)
{
    const struct mesh_config *config = &mesh->config;

    *found = hello->rank_count;
    *expected = config->rank_count;
    if (*found != *expected)
        return MESH_REFUSE_RANK_COUNT;
    *found = hello->phase_count;
    *expected = config->phase_count;
    if (*found != *expected)
        return MESH_REFUSE_PHASE_COUNT;
    *found = mesh_big_get64(hello->fingerprint);
    *expected = mesh_big_get64(config->fingerprint);
    if (memcmp(hello->fingerprint, config->fingerprint, sizeof hello->fingerprint) != 0)
        return MESH_REFUSE_FINGERPRINT;
    *found = mesh_big_get64(hello->configuration);
    *expected = mesh_big_get64(config->configuration);
    if (memcmp(hello->configuration, config->configuration, sizeof hello->configuration) != 0)
        return MESH_REFUSE_CONFIGURATION;
    *found = mesh_big_get64(hello->incarnation);
    *expected = mesh_big_get64(peer->incarnation);
    if (peer->state == MESH_PEER_UP && memcmp(hello->incarnation, peer->incarnation, sizeof hello->incarnation) != 0)
        return MESH_REFUSE_INCARNATION;
    return 0;
}

/* ---- receiving ---- */

static void come_up(struct mesh *mesh, struct mesh_peer *peer, const struct mesh_hello *hello)
{
    struct mesh_event event = {.type = MESH_EVENT_UP, .rank = peer->rank};

    peer->state = MESH_PEER_UP;
    peer->refused_reason = 0;
    peer->window_bytes = hello->window_bytes;
    peer->datagram_bytes_max = hello->datagram_bytes;
    mesh_event_push(mesh, &event);
    mesh_peer_up(mesh, peer);
}

/* A replayed hello must be no sign of life. A process that has just been started has numbers of its own. */
static bool is_seen(const struct mesh_peer *peer, const struct mesh_message *message)
{
    return memcmp(peer->incarnation, message->as.hello.incarnation, sizeof peer->incarnation) == 0 &&
           mesh_window_has(&peer->seen[0], message->header.number);
}

/* A hello that fits. */
static void accept(struct mesh *mesh, struct mesh_peer *peer, const struct mesh_message *message)
{
    const struct mesh_hello *hello = &message->as.hello;

    if (memcmp(peer->incarnation, hello->incarnation, sizeof peer->incarnation) != 0) {
        memcpy(peer->incarnation, hello->incarnation, sizeof peer->incarnation);
        mesh_window_reset(peer);
    }
    mesh_window_add(mesh, peer, false, message->header.number);
    peer->echo = hello->nonce;
    if (message->header.type == MESH_TYPE_HELLO) {
        mesh_pend(mesh, peer, MESH_PENDING_HELLO_ACK);
        if (peer->state != MESH_PEER_UP && hello->echo != peer->nonce)
            mesh_pend(mesh, peer, MESH_PENDING_HELLO); /* it is there now: do not wait for the next repetition */
    }
    if (peer->state != MESH_PEER_UP && hello->echo == peer->nonce) {
        come_up(mesh, peer, hello);
        mesh_pend(mesh, peer, MESH_PENDING_HELLO_ACK); /* first of all: it refuses what follows until it is up, too */
    }
}

int mesh_hello_receive(struct mesh *mesh, struct mesh_peer *peer, const struct mesh_message *message)
{
    const struct mesh_hello *hello = &message->as.hello;
    struct mesh_refuse refuse = {.nonce = hello->nonce};

    if (peer->state == MESH_PEER_GONE)
        return MESH_ESTATE;
    if (!message->header.number)
        return MESH_ERANGE;
    refuse.reason = compare(mesh, peer, hello, &refuse.found, &refuse.expected);
    if (refuse.reason) {
        if (message->header.type == MESH_TYPE_HELLO)
            mesh_hello_refuse(mesh, peer, &refuse);
        return MESH_EREFUSED;
    }
    if (message->header.type == MESH_TYPE_HELLO_ACK && hello->echo != peer->nonce)
        return MESH_ESTATE; /* the answer to another process */
    if (is_seen(peer, message)) {
        peer->stats.duplicate++;
        return MESH_EDUPLICATE;
    }
    accept(mesh, peer, message);
    return 0;
}

/* Its number is of the space in which the peer's other datagrams are, and would count as lost. One of another epoch has numbers of its
 * own. */
static bool has_number_here(const struct mesh *mesh, const struct mesh_peer *peer, const struct mesh_header *header)
{
    return peer->state == MESH_PEER_UP && header->version == mesh->config.version && header->epoch == mesh->config.epoch &&
           header->number && !(header->flags & MESH_FLAG_ALL) && !mesh_window_has(&peer->seen[0], header->number);
}

int mesh_refuse_receive(struct mesh *mesh, struct mesh_peer *peer, const struct mesh_message *message)
{
    const struct mesh_refuse *refuse = &message->as.refuse;
    bool is_early = refuse->reason == MESH_REFUSE_VERSION || refuse->reason == MESH_REFUSE_EPOCH || refuse->reason == MESH_REFUSE_STRANGER;

    /* Fresh: it names our nonce, or, where the refusing rank could not read that, a number we have sent. */
    if (is_early ? refuse->nonce > peer->number : refuse->nonce != peer->nonce)
        return MESH_ESTATE;
    if (peer->state == MESH_PEER_GONE)
        return MESH_ESTATE;
    report(mesh, peer, refuse, true);
    if (peer->state == MESH_PEER_ASKED)
        peer->state = MESH_PEER_REFUSED;
    if (has_number_here(mesh, peer, &message->header))
        mesh_window_add(mesh, peer, false, message->header.number);
    return 0;
}
