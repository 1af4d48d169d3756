/* The endpoint: its configuration and memory, the path of a received datagram, and time.
 *
 * Invariant: a datagram is checked completely before any of it is believed; until then no protocol state changes. */
#include "ring.h"
#include "tap.h"

#include <assert.h>
#include <string.h>

enum { ALIGNMENT = 64, REORDER_DELAY_NS = 50000 };

/* ---- memory ---- */

static bool is_valid(const struct mesh_config *config)
{
    return config->rank_count >= 1 && config->rank_count <= MESH_RANKS_MAX && config->rank < config->rank_count && config->phase_count &&
           config->phase_count < UINT16_MAX && config->tokens_max && config->blocks_max && config->blocks_max < UINT16_MAX &&
           config->tokens_max < UINT16_MAX && config->datagram_bytes_max >= MESH_DATAGRAM_BYTES_MIN && config->version <= UINT8_MAX;
}

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static size_t bits_bytes(const struct mesh_config *config)
{
    return aligned((size_t)config->tokens_max * ((config->blocks_max + 63u) / 64) * sizeof(uint64_t));
}

static size_t pace_bytes(const struct mesh_config *config)
{
    return aligned((size_t)config->rank_count * config->phase_count * MESH_TOKEN_CLASSES * sizeof(struct mesh_pace));
}

static size_t fragments_bytes(void)
{
    return aligned(MESH_FRAGMENTS * sizeof(struct mesh_fragment));
}

static size_t log_bytes(void)
{
    return aligned(MESH_SENT_LOG * sizeof(uint64_t));
}

size_t mesh_memory_bytes(const struct mesh_config *config)
{
    if (!is_valid(config))
        return 0;
    return aligned(sizeof(struct mesh) + config->rank_count * sizeof(struct mesh_peer)) + MESH_GATHERS_OPEN_MAX * bits_bytes(config) +
           pace_bytes(config) + aligned(MESH_RECORD_BYTES_MAX) + config->rank_count * (log_bytes() + 2 * fragments_bytes());
}

static void *carve(uint8_t **at, size_t bytes)
{
    void *piece = *at;

    *at += bytes;
    return piece;
}

static void init_peer(struct mesh *mesh, uint16_t rank, uint8_t **at)
{
    struct mesh_peer *peer = &mesh->peers[rank];

    peer->rank = rank;
    peer->cost_log = carve(at, log_bytes());
    peer->channel.sending = carve(at, fragments_bytes());
    peer->channel.receiving = carve(at, fragments_bytes());
    peer->window_bytes = 1;
    peer->stats.datagram_bytes = MESH_DATAGRAM_BYTES_MIN;
    mesh_channel_init(&peer->channel);
}

int mesh_init(struct mesh **out, const struct mesh_config *config, void *memory, size_t memory_bytes, uint64_t now_ns)
{
    struct mesh *mesh = memory;
    uint8_t *at = memory;

    if (!is_valid(config) || !memory || (uintptr_t)memory % ALIGNMENT || memory_bytes < mesh_memory_bytes(config))
        return MESH_EINVAL;
    memset(memory, 0, mesh_memory_bytes(config));
    mesh->config = *config;
    if (!mesh->config.version)
        mesh->config.version = MESH_WIRE_VERSION;
    if (!mesh->config.reorder_delay_ns)
        mesh->config.reorder_delay_ns = REORDER_DELAY_NS;
    if (mesh->config.datagram_bytes_max > UINT16_MAX)
        mesh->config.datagram_bytes_max = UINT16_MAX;
    mesh->others = (config->rank_count == 64 ? UINT64_MAX : (UINT64_C(1) << config->rank_count) - 1) & ~(UINT64_C(1) << config->rank);
    mesh->now_ns = now_ns;
    mesh->due_ns = UINT64_MAX;
    mesh->grant_bytes = mesh_credit_grant(config);
    carve(&at, aligned(sizeof(struct mesh) + config->rank_count * sizeof(struct mesh_peer)));
    for (unsigned i = 0; i < MESH_GATHERS_OPEN_MAX; i++)
        mesh->slots[i].bits = carve(&at, bits_bytes(config));
    mesh->pace = carve(&at, pace_bytes(config));
    mesh->record = carve(&at, aligned(MESH_RECORD_BYTES_MAX));
    for (uint16_t rank = 0; rank < config->rank_count; rank++)
        init_peer(mesh, rank, &at);
    assert(at == (uint8_t *)memory + mesh_memory_bytes(config));
    mesh_sender_init(mesh);
    if (mesh_is_tapped(mesh))
        mesh_tap_init(mesh);
    *out = mesh;
    return 0;
}

/* ---- shared by all mechanisms ---- */

void mesh_arm(struct mesh *mesh, uint64_t at_ns)
{
    if (at_ns < mesh->due_ns)
        mesh->due_ns = at_ns;
}

void mesh_pend(struct mesh *mesh, struct mesh_peer *peer, enum mesh_pending what)
{
    assert(peer->rank != mesh->config.rank);
    peer->pending |= (uint32_t)what;
    mesh->busy |= UINT64_C(1) << peer->rank;
}

uint64_t mesh_end_of(const struct mesh *mesh, uint64_t step, uint16_t phase)
{
    return step * mesh->config.phase_count + phase + 1;
}

void mesh_set_peer(struct mesh *mesh, uint16_t rank, struct mesh_addr addr)
{
    struct mesh_peer *peer;

    assert(rank < mesh->config.rank_count);
    peer = &mesh->peers[rank];
    peer->addr = addr;
    if (rank != mesh->config.rank && !peer->has_addr) {
        peer->has_addr = true;
        mesh_hello_start(mesh, peer);
    }
    if (mesh_is_tapped(mesh))
        mesh_tap_peer(mesh, rank, &addr);
}

void mesh_set_path(struct mesh *mesh, uint16_t rank, uint32_t datagram_bytes)
{
    assert(rank < mesh->config.rank_count && !mesh->peers[rank].has_addr);
    mesh->peers[rank].path_bytes = datagram_bytes;
    if (mesh_is_tapped(mesh))
        mesh_tap_path(mesh, rank, datagram_bytes);
}

/* ---- receiving ---- */

static int check_none(const struct mesh *mesh, const struct mesh_peer *peer, const struct mesh_message *message)
{
    (void)mesh, (void)peer, (void)message;
    return 0;
}

/* What to do with a message of a peer that is up: judge it without changing anything, then apply it. */
static const struct {
    int (*check)(const struct mesh *mesh, const struct mesh_peer *peer, const struct mesh_message *message);
    void (*apply)(struct mesh *mesh, struct mesh_peer *peer, const struct mesh_message *message);
} handlers[MESH_TYPE_COUNT] = {
    [MESH_TYPE_TILE] = {mesh_receiver_check, mesh_receiver_apply},
    [MESH_TYPE_NAK] = {mesh_nak_check, mesh_nak_apply},
    [MESH_TYPE_NOT_YET] = {mesh_not_yet_check, mesh_not_yet_apply},
    [MESH_TYPE_STATUS] = {mesh_status_check, mesh_status_apply},
    [MESH_TYPE_RECORD] = {mesh_channel_check, mesh_channel_apply},
    [MESH_TYPE_RECORD_ACK] = {mesh_channel_ack_check, mesh_channel_ack_apply},
    [MESH_TYPE_PING] = {check_none, mesh_ping_apply},
    [MESH_TYPE_PONG] = {mesh_pong_check, mesh_pong_apply},
    [MESH_TYPE_PROBE] = {check_none, mesh_probe_apply},
    [MESH_TYPE_PROBE_ACK] = {check_none, mesh_probe_ack_apply},
    [MESH_TYPE_GOODBYE] = {check_none, mesh_goodbye_apply},
};

static bool is_hello(uint8_t type)
{
    return type == MESH_TYPE_HELLO || type == MESH_TYPE_HELLO_ACK;
}

/* By the same interface, too. */
static bool is_same_place(const struct mesh_addr *a, const struct mesh_addr *b)
{
    return mesh_addr_equal(a, b) && a->scope == b->scope;
}

/* A hello from an address that is not the one of its rank: tell its sender, so that a wrong list is found quickly. */
static int refuse_stranger(struct mesh *mesh, struct mesh_addr from, const struct mesh_header *header)
{
    if (header->type == MESH_TYPE_HELLO && !mesh->stranger_waits) {
        mesh->stranger_waits = true;
        mesh->stranger = from;
        mesh->stranger_refuse = (struct mesh_refuse){MESH_REFUSE_STRANGER, header->number ? header->number : 1, header->src, 0};
    }
    return MESH_ESENDER;
}

/* Another version or epoch: a hello is answered, anything else is not for us. */
static int refuse_header(struct mesh *mesh, struct mesh_peer *peer, const struct mesh_header *header)
{
    struct mesh_refuse refuse = {0, header->number ? header->number : 1, header->epoch, mesh->config.epoch};
    bool is_version = header->version != mesh->config.version;

    refuse.reason = is_version ? MESH_REFUSE_VERSION : MESH_REFUSE_EPOCH;
    if (is_version) {
        refuse.found = header->version;
        refuse.expected = mesh->config.version;
    }
    if (is_hello(header->type))
        mesh_hello_refuse(mesh, peer, &refuse);
    return is_version ? MESH_EVERSION : MESH_EEPOCH;
}

/* Authenticated or sealed datagrams have been opened before they come here; one whose flags still say so was not opened. */
static bool is_open(const struct mesh_header *header)
{
    static const uint8_t zeros[sizeof header->tag];

    return !(header->flags & MESH_FLAGS_OF_SEALING) && memcmp(header->tag, zeros, sizeof zeros) == 0;
}

static uint64_t through_of(const struct mesh *mesh, const struct mesh_header *header)
{
    return header->have_step == MESH_STEP_NONE ? 0 : mesh_end_of(mesh, header->have_step, header->have_phase);
}

static int check_peer_message(const struct mesh *mesh, const struct mesh_peer *peer, const struct mesh_message *message)
{
    const struct mesh_header *header = &message->header;

    if (!handlers[header->type].check)
        return MESH_ETYPE; /* of another layer */
    if (peer->state != MESH_PEER_UP)
        return MESH_ESTATE;
    if (!header->number ||
        (header->have_step != MESH_STEP_NONE && (header->have_step > MESH_STEP_MAX || header->have_phase >= mesh->config.phase_count)))
        return MESH_ERANGE;
    if (mesh_window_has(&peer->seen[header->flags & MESH_FLAG_ALL], header->number))
        return MESH_EDUPLICATE;
    return handlers[header->type].check(mesh, peer, message);
}

/* The peer holds more than we knew: it has seen all that was sent for these gathers, and some may be freed. */
static void on_through(struct mesh *mesh, struct mesh_peer *peer, uint64_t through)
{
    if (through <= peer->through)
        return;
    peer->through = through;
    for (uint64_t ordinal = mesh_ordinal_first(mesh); ordinal < mesh->opened; ordinal++) {
        struct mesh_slot *slot = mesh_slot_at(mesh, ordinal);

        if (!slot->is_open || slot->end > through || (slot->readers >> peer->rank & 1) == 0)
            continue;
        mesh_credit_report(mesh, peer, slot->last_number_all, slot->last_number[peer->rank]);
        mesh_slot_release(mesh, slot);
    }
    mesh_probe_on_progress(peer);
}

static void count_received(const struct mesh *mesh, struct mesh_peer *peer, size_t bytes)
{
    peer->heard_ns = mesh->now_ns;
    peer->stats.datagrams_received++;
    peer->stats.bytes_received += bytes;
}

/* It came from a peer's address, but is not to be believed. */
static int refuse_of(struct mesh_peer *peer, int err)
{
    if (err == MESH_EDUPLICATE)
        peer->stats.duplicate++;
    else if (err && err != MESH_AGAIN)
        peer->stats.refused++;
    return err;
}

static int receive(struct mesh *mesh, struct mesh_addr from, const uint8_t *packet, size_t bytes)
{
    struct mesh_message message;
    const struct mesh_header *header = &message.header;
    struct mesh_peer *peer;
    int err = mesh_wire_decode_header(packet, bytes, &message.header);

    if (err)
        return err;
    if (bytes > UINT16_MAX)
        return MESH_ERANGE; /* no datagram */
    if (!is_open(header))
        return MESH_EAUTH;
    if (header->src >= mesh->config.rank_count || header->src == mesh->config.rank)
        return refuse_stranger(mesh, from, header);
    peer = &mesh->peers[header->src];
    if (!peer->has_addr || !is_same_place(&peer->addr, &from))
        return refuse_stranger(mesh, from, header);
    if (header->dst != mesh->config.rank && header->dst != MESH_DST_ALL)
        return refuse_of(peer, MESH_ESENDER);
    if (header->type != MESH_TYPE_REFUSE && (header->version != mesh->config.version || header->epoch != mesh->config.epoch))
        return refuse_header(mesh, peer, header);
    err = mesh_wire_decode_body(packet, bytes, &message);
    if (err)
        return refuse_of(peer, err);
    if (header->type == MESH_TYPE_REFUSE)
        return mesh_refuse_receive(mesh, peer, &message);
    if (is_hello(header->type)) {
        err = mesh_hello_receive(mesh, peer, &message);
        if (!err)
            count_received(mesh, peer, bytes);
        return err;
    }
    err = check_peer_message(mesh, peer, &message);
    if (err)
        return refuse_of(peer, err);
    count_received(mesh, peer, bytes);
    mesh_window_add(mesh, peer, header->flags & MESH_FLAG_ALL, header->number);
    if (header->type == MESH_TYPE_TILE || header->type == MESH_TYPE_RECORD)
        mesh_credit_consume(mesh, peer, bytes);
    on_through(mesh, peer, through_of(mesh, header));
    handlers[header->type].apply(mesh, peer, &message);
    return 0;
}

int mesh_receive(struct mesh *mesh, uint64_t now_ns, struct mesh_addr from, const uint8_t *packet, size_t packet_bytes)
{
    int err;

    assert(now_ns >= mesh->now_ns);
    mesh->now_ns = now_ns;
    err = receive(mesh, from, packet, packet_bytes);
    assert(err <= 0 && err > -MESH_ERRS);
    if (err)
        mesh->stats.dropped[-err]++;
    if (mesh_is_tapped(mesh) && err != MESH_AGAIN)
        mesh_tap_receive(mesh, err, &from, packet, packet_bytes);
    return err;
}

/* ---- time ---- */

void mesh_tick(struct mesh *mesh, uint64_t now_ns)
{
    assert(now_ns >= mesh->now_ns);
    mesh->now_ns = now_ns;
    if (now_ns < mesh->due_ns || mesh->is_leaving)
        return;
    mesh->due_ns = UINT64_MAX;
    for (uint64_t ranks = mesh->others; ranks; ranks &= ranks - 1) {
        struct mesh_peer *peer = &mesh->peers[__builtin_ctzll(ranks)];

        mesh_hello_tick(mesh, peer);
        if (peer->state != MESH_PEER_UP)
            continue;
        mesh_window_tick(mesh, peer);
        mesh_peer_tick(mesh, peer);
        mesh_probe_tick(mesh, peer);
        mesh_channel_tick(mesh, peer);
    }
    mesh_nak_tick(mesh);
    mesh_status_tick(mesh);
    mesh_solicit_tick(mesh);
    mesh_group_tick(mesh);
    if (mesh_is_tapped(mesh))
        mesh_tap_tick(mesh);
}

uint64_t mesh_timeout(const struct mesh *mesh)
{
    return mesh->is_leaving ? UINT64_MAX : mesh->due_ns;
}

/* ---- figures ---- */

bool mesh_is_quiet(const struct mesh *mesh)
{
    if (mesh->published_count || mesh->current_ranks)
        return false;
    for (unsigned i = 0; i < MESH_GATHERS_OPEN_MAX; i++) {
        const struct mesh_slot *slot = &mesh->slots[i];
        uint32_t own;

        if (!slot->is_open || !slot->readers)
            continue;
        own = (uint32_t)(slot->first[mesh->config.rank + 1] - slot->first[mesh->config.rank]) * slot->gather.token_count;
        for (uint64_t ranks = slot->readers; ranks && slot->unpublished < own; ranks &= ranks - 1)
            if (mesh->peers[__builtin_ctzll(ranks)].through < slot->end && mesh->peers[__builtin_ctzll(ranks)].state != MESH_PEER_GONE)
                return false;
    }
    for (uint16_t rank = 0; rank < mesh->config.rank_count; rank++)
        if (mesh->peers[rank].channel.send_first != mesh->peers[rank].channel.send_end && mesh->peers[rank].state != MESH_PEER_GONE)
            return false;
    return true;
}

void mesh_get_stats(const struct mesh *mesh, struct mesh_stats *stats)
{
    *stats = mesh->stats;
}

void mesh_get_peer_stats(const struct mesh *mesh, uint16_t rank, struct mesh_peer_stats *stats)
{
    assert(rank < mesh->config.rank_count);
    *stats = mesh->peers[rank].stats;
    stats->is_up = mesh->peers[rank].state == MESH_PEER_UP;
    stats->hears_group = mesh->group_hears >> rank & 1;
    stats->rtt_ns_smoothed = mesh->peers[rank].rtt_ns;
    stats->clock_offset_ns = mesh_peer_clock_ahead_ns(&mesh->peers[rank].clock, mesh->now_ns);
    stats->clock_error_ns = mesh_peer_clock_error_ns(&mesh->peers[rank].clock, mesh->now_ns);
    stats->silent_ns = mesh->peers[rank].heard_ns ? mesh->now_ns - mesh->peers[rank].heard_ns : 0;
}

const struct mesh_histogram *mesh_tile_latency(const struct mesh *mesh, uint16_t rank)
{
    assert(rank < mesh->config.rank_count);
    return &mesh->peers[rank].latency;
}

const struct mesh_histogram *mesh_round_trips(const struct mesh *mesh, uint16_t rank)
{
    assert(rank < mesh->config.rank_count);
    return &mesh->peers[rank].round_trip;
}

uint64_t mesh_sent_here_ns(const struct mesh *mesh, uint16_t rank, uint64_t sent_ns)
{
    assert(rank < mesh->config.rank_count);
    return mesh->peers[rank].stats.rtt_ns_min ? sent_ns - (uint64_t)mesh_peer_clock_ahead_ns(&mesh->peers[rank].clock, mesh->now_ns) : 0;
}
