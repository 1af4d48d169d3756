/* The protocol core: one endpoint of a mesh, without input or output of its own.
 *
 * Datagrams, the time and the application's calls go in; datagrams and events come out. No socket, clock, thread, allocation,
 * cryptography or randomness: everything is an argument, so the UDP driver, the simulator and replay drive the same object code, and
 * the order of inputs decides the outputs completely. One thread per endpoint at a time. Time is monotonic nanoseconds and never goes back
 * (asserted). All memory is one block, sized by mesh_memory_bytes and given at mesh_init; nothing is allocated afterwards, every
 * queue is bounded.
 *
 * Exchange in short: the ranks of an epoch work through *gathers* in the same order, step by step and phase by phase. In a gather each rank
 * produces a run of blocks (for every token of the step) and reads everybody's. The application opens a gather (saying what it should
 * hold), publishes its own blocks as they are finished, is told of arrived blocks by events, and says when it has consumed it.
 */
#ifndef MESH_MESH_H
#define MESH_MESH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "mesh/err.h"
#include "mesh/histogram.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    MESH_RANKS_MAX = 64,
    MESH_GATHERS_OPEN_MAX = 8,      /* ring of gathers; a sender runs at most 4 ahead of what its readers have */
    MESH_DATAGRAM_BYTES_MIN = 1200, /* what every path carries */
    MESH_BLOCK_BYTES_MAX = 1024,    /* of a gather; one fits the smallest datagram */
    MESH_RECORD_BYTES_MAX = 60000,
    MESH_REASON_BYTES = 160
};

/* IPv4 is stored as an IPv4-mapped IPv6 address, so that comparing is memcmp. In the simulator: the rank in the port. */
struct mesh_addr {
    uint8_t ip[16];
    uint16_t port; /* host order */
    uint32_t scope;
};

/* IPv4, as it is stored here. */
static inline bool mesh_addr_is_v4(const struct mesh_addr *addr)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

    return memcmp(addr->ip, mapped, sizeof mapped) == 0;
}

/* [::], of any machine, or no address at all. */
static inline bool mesh_addr_is_any(const struct mesh_addr *addr)
{
    static const uint8_t any[16] = {0};

    return memcmp(addr->ip, any, sizeof any) == 0;
}

/* The same IP and port, by whatever interface (scope). */
static inline bool mesh_addr_equal(const struct mesh_addr *a, const struct mesh_addr *b)
{
    return a->port == b->port && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

struct mesh_tap;

struct mesh_config {
    uint16_t rank;
    uint16_t rank_count;           /* 1..MESH_RANKS_MAX; a list fixed at start */
    uint32_t epoch;                /* 1..INT32_MAX; a client session's has the top bit set, and 0 is for datagrams outside of epochs */
    uint16_t phase_count;          /* gathers per step; this and the next two: 1..65534 */
    uint16_t tokens_max;           /* tokens of a gather */
    uint16_t blocks_max;           /* blocks per token of a gather */
    uint8_t fingerprint[32];       /* of the model: must be equal everywhere */
    uint8_t configuration[32];     /* of everything else that must be equal (row map, context, KV type): likewise */
    uint8_t incarnation[16];       /* drawn by the process at start */
    uint32_t datagram_bytes_max;   /* largest payload the driver can send; ≥ MESH_DATAGRAM_BYTES_MIN. Above 65535: as 65535 */
    uint64_t receive_buffer_bytes; /* of the driver, by the kernel's accounting; divided among the peers as credit */
    uint32_t reorder_delay_ns;     /* 0: the default, 50 µs */
    uint32_t copy_loss_ppm;        /* path loss from which on small tiles are sent twice; 0: decided by cost; UINT32_MAX: never */
    uint16_t version;              /* 0: the real one; tests give others */
    const struct mesh_tap *tap;    /* told of every call (mesh/tape.h); NULL: none. Borrowed as long as the endpoint lives */
};

struct mesh;

/* The bytes that mesh_init needs for this config; 0: config breaks a limit stated above. */
size_t mesh_memory_bytes(const struct mesh_config *config);

/* memory: mesh_memory_bytes bytes, 64-byte aligned, kept by the endpoint until the caller frees it; there is nothing else to release.
 * MESH_EINVAL: config or memory breaks a rule. */
int mesh_init(struct mesh **mesh, const struct mesh_config *config, void *memory, size_t memory_bytes, uint64_t now_ns);

/* The address of a peer. Set all of them before the first tick, which sends to them; a later change moves the peer. */
void mesh_set_peer(struct mesh *mesh, uint16_t rank, struct mesh_addr addr);

/* The largest datagram that the path to a peer can carry, as far as this machine knows: larger ones are not tried. 0: not known. Call
 * before mesh_set_peer (asserted). */
void mesh_set_path(struct mesh *mesh, uint16_t rank, uint32_t datagram_bytes);

/* The driver can send one datagram to all other ranks, by a multicast group that each of them may or may not hear; mesh_output.group says
 * when to. The core finds out which ranks hear it, again when that changes. datagram_bytes: the largest that the group's interface carries,
 * at least MESH_DATAGRAM_BYTES_MIN. At most once (both asserted), before the first tick. */
void mesh_set_group(struct mesh *mesh, uint32_t datagram_bytes);

/* ---- input ---- */

/* Feed one received datagram; then drain mesh_next_event and mesh_next_datagram.
 * packet: borrowed for the call; any alignment, any content.
 * Returns 0, or why it was dropped (counted in mesh_stats.dropped). A drop changes no protocol state. MESH_AGAIN: no room for what it would
 * tell the application: drain the events and feed it again (or drop it: it counts as lost). A tile for a gather that is not open yet is no
 * drop: its number counts, and its data is kept, or asked for when the gather is opened (mesh_stats.early). */
int mesh_receive(struct mesh *mesh, uint64_t now_ns, struct mesh_addr from, const uint8_t *packet, size_t packet_bytes);

/* Let time pass: NAKs, resends, handshakes. Cheap when nothing is due. Call at least when mesh_timeout says. */
void mesh_tick(struct mesh *mesh, uint64_t now_ns);

/* When mesh_tick is due next; UINT64_MAX for never. May be in the past. */
uint64_t mesh_timeout(const struct mesh *mesh);

/* ---- gathers ---- */

struct mesh_gather {
    uint64_t step;             /* below 2^40 */
    uint16_t phase;            /* 0..phase_count-1 */
    uint16_t token_count;      /* 1..tokens_max */
    uint16_t block_count;      /* 1..blocks_max: per token, of all ranks together */
    uint32_t block_bytes;      /* 1..MESH_BLOCK_BYTES_MAX */
    uint32_t last_block_bytes; /* 1..block_bytes: of block block_count-1; may be shorter */
    uint8_t *data;             /* block b of token t is at data + t*token_stride + b*block_bytes; own blocks are read from here (also for
                                * resends), arrived ones are written here; valid until MESH_EVENT_FREED of this gather */
    size_t token_stride;       /* at least the bytes of a token's blocks: tokens do not overlap. Of one token: not read */
    const uint16_t *first;     /* (rank_count + 1): rank r produces blocks first[r] .. first[r+1]-1; copied */
    uint64_t readers;          /* bit r: rank r reads this gather, as at least one rank does. Other ranks neither receive nor expect it */
};

/* Open the next gather. Every rank opens the same gathers in the same order: (step, phase) increasing, phases 0..phase_count-1 of each
 * step, of which all ranks alike may leave some out. MESH_AGAIN: the ring is full, or the event queue: drain it. MESH_EINVAL: it is not
 * after the last one, or breaks a rule, e.g. first[] does not run from 0 to block_count, tokens overlap, or no rank reads it. A gather with
 * nothing to send or receive is freed at once; one that this rank reads is reported complete before. Gathers complete in any order.
 * They may be opened, and published in, before the handshakes (MESH_EVENT_UP): tiles reach each peer once it is up. */
int mesh_open_gather(struct mesh *mesh, uint64_t now_ns, const struct mesh_gather *gather);

/* Own blocks block_first.. (absolute index) of tokens token_first.. are finished in gather->data: send them. MESH_AGAIN: the send queue is
 * full, drain mesh_next_datagram and try again. MESH_EINVAL: no such gather was opened, or the blocks are not this rank's. A range is
 * published once (asserted). Publishing in a gather that was freed at once has no effect. */
int mesh_publish(struct mesh *mesh, uint64_t now_ns, uint64_t step, uint16_t phase, uint16_t token_first, uint16_t token_count,
                 uint16_t block_first, uint16_t block_count);

/* The application does not read this gather any more. It was opened and is complete (both asserted); without effect if it was freed at
 * once. */
void mesh_consume(struct mesh *mesh, uint64_t now_ns, uint64_t step, uint16_t phase);

/* ---- records: reliable, ordered messages per peer ---- */

/* 1..MESH_RECORD_BYTES_MAX bytes, copied. MESH_AGAIN: the peer's queue is full. MESH_EINVAL: another size, or `to` is no other rank. */
int mesh_send_record(struct mesh *mesh, uint64_t now_ns, uint16_t to, const uint8_t *record, size_t record_bytes);

/* The longest record that the peer's queue takes now. */
size_t mesh_record_room_bytes(const struct mesh *mesh, uint16_t to);

/* ---- output ---- */

enum mesh_event_type {
    MESH_EVENT_NONE,
    MESH_EVENT_UP,       /* handshake complete: the peer is who it should be */
    MESH_EVENT_REFUSED,  /* the peer does not fit, or says so of this rank: reason in words */
    MESH_EVENT_ARRIVED,  /* blocks of a gather are in its data; may be ignored by who waits for MESH_EVENT_COMPLETE */
    MESH_EVENT_COMPLETE, /* all blocks of a gather that this rank reads are there */
    MESH_EVENT_FREED,    /* consumed here and held by all its readers: data may be reused */
    MESH_EVENT_RECORD,   /* record valid until the next call on this endpoint */
    MESH_EVENT_GONE      /* the peer has said goodbye (mesh_goodbye) */
};

/* Members that the type does not have are 0. */
struct mesh_event {
    enum mesh_event_type type;
    uint16_t rank; /* the peer; COMPLETE, FREED: this rank */
    uint64_t step; /* ARRIVED, COMPLETE, FREED: the gather; and phase */
    uint16_t phase;
    uint16_t token_first, token_count, block_first, block_count; /* ARRIVED: what is now in the gather's data */
    uint64_t sent_ns;                                            /* ARRIVED: the sender's clock when it sent */
    const uint8_t *record;                                       /* RECORD */
    size_t record_bytes;
    const char *reason; /* REFUSED: valid until the next call */
    uint64_t theirs;    /* REFUSED: what the peer has where the two differ; of a hash its first 8 bytes */
};

/* The next event into *event; false when there is none. Drain after every input. */
bool mesh_next_event(struct mesh *mesh, struct mesh_event *event);

struct mesh_output {
    uint64_t ranks; /* bit r: send to rank r, the same bytes to each. 0: to addr (a stranger) */
    uint64_t group; /* of these, the ranks that one datagram to the group reaches; 0 without mesh_set_group */
    struct mesh_addr addr;
    size_t bytes;
};

/* Write the next datagram into packet (capacity ≥ datagram_bytes_max); false when there is nothing to send now. The number it carries is
 * spent: a datagram that the caller does not send counts as lost. */
bool mesh_next_datagram(struct mesh *mesh, uint64_t now_ns, uint8_t *packet, size_t capacity, struct mesh_output *output);

/* ---- liveness ---- */

/* Bit r: this rank waits for blocks of rank r, which is up and has said nothing at all for max(20 ms, 8 times the time that these blocks
 * usually take, twice that of an answer). A rank that says "not computed yet" is not silent. now_ns: never less than in an earlier call. */
uint64_t mesh_silent_ranks(const struct mesh *mesh, uint64_t now_ns);

/* Bit r: rank r is up and heard, but for 3 s what one of the two asked the other for, or a record for rank r, has not arrived, though it
 * was sent again and again: the path between them carries small datagrams and no large ones, which by then have at most
 * MESH_DATAGRAM_BYTES_MIN bytes. */
uint64_t mesh_starved_ranks(const struct mesh *mesh, uint64_t now_ns);

/* ---- ending ---- */

/* True when nothing is owed: every published block is held by its readers, every record acknowledged. */
bool mesh_is_quiet(const struct mesh *mesh);

/* Say goodbye to all peers (three times, unacknowledged). After it only mesh_next_datagram makes sense. */
void mesh_goodbye(struct mesh *mesh, uint64_t now_ns);

/* ---- figures ---- */

struct mesh_peer_stats {
    uint64_t datagrams_sent, bytes_sent, datagrams_received, bytes_received;
    uint64_t shared_sent, shared_bytes_sent; /* of these, in a datagram to the group that left once but counts for another peer, too */
    uint64_t tiles_sent, tiles_received;     /* datagrams with tile data, resends included */
    uint64_t lost;                           /* numbers of this peer's two spaces that never came */
    uint64_t reordered;                      /* came after a later number */
    uint64_t late;                           /* of these, after they had counted as lost */
    uint64_t refused;                        /* came from its address, with a field out of range or not expected in this state */
    uint64_t duplicate;                      /* the same number twice, or blocks already held */
    uint64_t naks_sent, naks_received;       /* datagrams */
    uint64_t resent;                         /* tiles, after NAKs of this peer */
    uint64_t not_yet_sent, not_yet_received; /* answers to a NAK that its blocks are not computed yet */
    uint64_t duplicates_sent;                /* tiles sent a second time, unasked, because datagrams to this peer get lost */
    uint64_t duplicates_used;                /* received, of tiles that had not arrived */
    uint32_t loss_ppm;                       /* of datagrams to this peer, by its reports, without probes; a slow average */
    uint64_t probes_lost;                    /* probes (path MTU, group) that did not reach it, by its reports; it counts them as lost */
    uint64_t credit_waits;                   /* times sending waited for this peer's credit */
    int64_t clock_offset_ns;                 /* peer's clock minus ours, at the endpoint's last call */
    uint64_t clock_error_ns;                 /* its error, either way, at most */
    uint64_t rtt_ns_min, rtt_ns_smoothed;
    uint64_t silent_ns;      /* from hearing it last to the endpoint's last call; 0: never heard */
    uint32_t datagram_bytes; /* proved on this path */
    bool is_up;
    bool hears_group; /* datagrams to everybody go to it by the group, if other peers hear the group, too */
};

struct mesh_stats {
    uint64_t dropped[MESH_ERRS]; /* by -enum mesh_err */
    uint64_t gathers_opened, gathers_freed;
    uint64_t early; /* tiles that came before their gather was opened */
};

void mesh_get_stats(const struct mesh *mesh, struct mesh_stats *stats);
void mesh_get_peer_stats(const struct mesh *mesh, uint16_t rank, struct mesh_peer_stats *stats);

/* Send-to-receive latency of tiles from a peer, one-way by the estimated offset; borrowed. */
const struct mesh_histogram *mesh_tile_latency(const struct mesh *mesh, uint16_t rank);

/* Round trips to a peer, from a ping to its answer, less the time that the peer held it; borrowed. */
const struct mesh_histogram *mesh_round_trips(const struct mesh *mesh, uint16_t rank);

/* sent_ns, a time of the peer's clock, by our clock as estimated; 0: its clock is not known yet. */
uint64_t mesh_sent_here_ns(const struct mesh *mesh, uint16_t rank, uint64_t sent_ns);

/* 32 hash bits of all protocol state: equal inputs give equal states (tests, replay). */
uint32_t mesh_state_hash(const struct mesh *mesh);

#ifdef __cplusplus
}
#endif

#endif
