/* The inside of a protocol endpoint, shared by the core's files and by nobody else.
 *
 * One struct mesh with everything in it; arrays whose size depends on the configuration follow it in the same block of memory. Each
 * mechanism has a file of its own, which alone changes the fields named after it:
 *
 *   mesh.c      configuration, memory, dispatch, time         gather.c    the ring of gathers, what is held, freeing
 *   output.c    which datagram next; its header and number    sender.c    published ranges and resends into TILE datagrams
 *   hello.c     handshake and refusal                         receiver.c  tiles into gathers
 *   reason.c    refusals in words                             nak.c       when and what to ask for; answering
 *   flight.c    what is on its way                            early.c     tiles that come before their gather is opened
 *   copy.c      tiles sent twice where datagrams get lost     group.c     who hears the multicast group
 *   peer.c      RTT, pings, goodbye                           window.c    received numbers: duplicates, gaps, losses
 *   peer_clock.c  a peer's clock against the own one
 *   probe.c     path MTU                                      credit.c    how much may be on its way to a peer
 *   channel.c   reliable records                              event.c     the event queue
 *
 * A new member that decides how the endpoint behaves belongs to state_hash.c; tests/unit/test_state_hash.c lists all members.
 *
 * Gathers are counted in linear order: index = step * phase_count + phase. "end" and "through" are such an index plus one, 0 for none. */
#ifndef MESH_CORE_H
#define MESH_CORE_H

#include "mesh/mesh.h"
#include "mesh/wire.h"
#include "peer_clock.h"

_Static_assert(MESH_RANKS_MAX == 64, "sets of ranks are masks of 64 bits, and the wire has no more");

enum {
    MESH_SEND_QUEUE = 512,   /* published ranges that wait */
    MESH_RESEND_QUEUE = 128, /* ranges per peer */
    MESH_EVENT_QUEUE = 2048,
    MESH_EVENT_RESERVE = 2 * MESH_GATHERS_OPEN_MAX + 4 * MESH_RANKS_MAX, /* for events that cannot wait; tiles leave these free */
    MESH_AHEAD_MAX = 4,                                                  /* gathers a sender runs ahead of what a reader has */
    MESH_NUMBERS = 512,                                                  /* received numbers remembered per space */
    MESH_SENT_LOG = 1024,                                                /* sent numbers whose cost is remembered per space */
    MESH_FRAGMENT_BYTES = MESH_DATAGRAM_BYTES_MIN - MESH_RECORD_OVERHEAD_BYTES,
    MESH_FRAGMENTS = 96, /* of a channel in each direction: one largest record and what may fly beyond it */
    MESH_FRAGMENTS_FLYING = 32,
    MESH_TOKEN_CLASSES = 4,
    MESH_FLIGHTS = 256, /* tiles sent last that are remembered: as many as usually are on the way */
    MESH_COPIES = 64,   /* tiles of which a copy waits */
    MESH_EARLY_TILES = 32,
    MESH_EARLY_BYTES = 4096 /* of data; larger early tiles are not kept */
};

/* What waits to be said to a peer, most urgent first. Bits of mesh_peer.pending. */
enum mesh_pending {
    MESH_PENDING_REFUSE = 1 << 0,
    MESH_PENDING_HELLO_ACK = 1 << 1,
    MESH_PENDING_HELLO = 1 << 2,
    MESH_PENDING_PONG = 1 << 3,
    MESH_PENDING_NOT_YET = 1 << 4,
    MESH_PENDING_NAK = 1 << 5,
    MESH_PENDING_STATUS = 1 << 6,
    MESH_PENDING_RECORD_ACK = 1 << 7,
    MESH_PENDING_RESEND = 1 << 8,
    MESH_PENDING_RECORD = 1 << 9,
    MESH_PENDING_PING = 1 << 10,
    MESH_PENDING_PROBE_ACK = 1 << 11,
    MESH_PENDING_PROBE = 1 << 12
};

/* Why a rank was refused, or refuses this one. */
struct mesh_refusal {
    bool is_theirs;
    struct mesh_refuse refuse;
};

enum mesh_peer_state { MESH_PEER_ASKED, MESH_PEER_UP, MESH_PEER_REFUSED, MESH_PEER_GONE };

/* Received numbers of one space of a peer. A missing number is *fresh* until it has been missing for the reorder delay; then it is lost. */
struct mesh_window {
    uint64_t highest;   /* 0: none yet */
    uint64_t judged;    /* up to here a missing number counts as lost */
    uint64_t limit;     /* fresh ones up to here are judged at gap_at_ns; 0: none are */
    uint64_t gap_at_ns; /* with limit */
    uint64_t bits[MESH_NUMBERS / 64];
    uint32_t old_missing, new_missing; /* fresh ones up to limit, and beyond */
};

/* A fragment of a record, sent or received. */
struct mesh_fragment {
    uint64_t sent_ns; /* sending: the last time; 0: never */
    uint16_t bytes;   /* 0: empty */
    uint8_t flags;
    bool acked;
    uint8_t data[MESH_FRAGMENT_BYTES];
};

struct mesh_channel {
    uint64_t send_first, send_next, send_end; /* sequences: oldest unacknowledged, next never sent, next to be queued */
    uint64_t receive_next, deliver_next;      /* first missing; first of the next record to deliver */
    uint64_t resend_at_ns, resend_delay_ns;
    uint64_t waiting_ns;                       /* since then send_first has been on its way and is not acknowledged */
    uint32_t begun_bytes;                      /* of the record that is not whole, up to receive_next */
    struct mesh_fragment *sending, *receiving; /* (MESH_FRAGMENTS) by sequence modulo */
};

/* A rectangle of a gather: block_count blocks from block_first of each of token_count tokens. */
struct mesh_resend {
    uint64_t end;
    struct mesh_range range;
};

/* Whether blocks are on their way to a peer. */
enum mesh_way {
    MESH_WAY_NONE, /* they are not, or were lost */
    MESH_WAY_SENT, /* they were sent a moment ago, or will be at once */
    MESH_WAY_LATE  /* they should have been seen by now, but neither they nor what was sent later have */
};

/* A tile that was sent a moment ago. */
struct mesh_flight {
    uint64_t end;
    struct mesh_range range;
    uint64_t ranks;
    uint64_t number;
    bool is_to_all; /* which space the number is of */
    uint64_t sent_ns;
};

/* A tile that is to be sent once more. */
struct mesh_copy {
    struct mesh_resend what;
    uint64_t ready_ns;
    uint64_t ranks; /* that it still goes to */
};

/* A tile that came before its gather was opened. */
struct mesh_early {
    uint64_t end; /* 0: free */
    uint16_t rank;
    struct mesh_header header;
    struct mesh_tile tile;
    size_t data_bytes;
    uint8_t data[MESH_EARLY_BYTES];
};

struct mesh_pace {
    uint32_t mean_ns, deviation_ns; /* mean 0: no sample yet */
};

/* What a peer reports to be lost of what is sent to it. */
struct mesh_loss {
    uint64_t seen, lost; /* numbers, as last reported */
    uint32_t ppm;        /* a slow average */
};

struct mesh_peer {
    struct mesh_addr addr;
    bool has_addr;
    enum mesh_peer_state state;
    uint32_t pending;
    uint16_t rank;

    /* hello */
    uint8_t incarnation[16];
    uint64_t nonce, echo;
    uint64_t hello_at_ns, hello_delay_ns;
    struct mesh_refuse refuse;
    uint16_t refused_reason; /* told to the application; 0: none */
    uint32_t datagram_bytes_max;

    /* numbers */
    struct mesh_window seen[2]; /* [1]: to everybody */
    uint64_t number;            /* last spent in the space for this peer */

    /* exchange */
    uint64_t through;           /* of the peer */
    uint64_t announced_through; /* ours, as last told */
    uint64_t heard_end;         /* highest gather it sent a tile of */
    uint64_t early_end;         /* highest gather of which a tile had to be dropped for not being open */
    struct mesh_not_yet not_yet;
    struct mesh_resend resends[MESH_RESEND_QUEUE];
    unsigned resend_first, resend_count;
    unsigned resends_exempt; /* datagrams that may still answer the last NAK beyond the credit */

    /* credit */
    uint64_t reported[2];    /* highest numbers of ours it has seen */
    uint64_t cost_sent;      /* cumulative, space for this peer */
    uint64_t *cost_log;      /* (MESH_SENT_LOG) cost_sent after a number, by number modulo */
    uint32_t window_bytes;   /* granted to us */
    uint32_t consumed_bytes; /* received since our last report */
    bool waits;
    uint32_t queue_bytes;             /* credit that the queues on the way have room for, if they have less; 0: all that is granted */
    uint64_t queue_at_ns, queue_lost; /* its next change; numbers that were lost by the last report */

    struct mesh_loss loss, few_loss; /* of all numbers, for stats; of those sent when no tiles of many tokens were */
    uint64_t many_through;           /* numbers of both spaces up to the last tile of many tokens */

    uint64_t heard_ns; /* the last datagram that was accepted; 0: none */

    /* path */
    uint64_t ping_at_ns, ping_origin_ns, ping_answered_ns, pong_origin_ns, pong_received_ns;
    uint32_t ping_count;
    uint64_t rtt_ns, rtt_deviation_ns;
    struct mesh_peer_clock clock;
    uint32_t probe_bytes, probe_ack_bytes, probe_tries; /* probe_bytes 0: not probing */
    uint64_t probe_at_ns, probe_again_ns;               /* the next try; the time until three more, if these are not answered */
    uint32_t probes_open[2];                            /* of these tries neither answered nor reported as lost; [1]: to the group */
    uint32_t path_bytes;                                /* larger ones do not leave this machine; 0: not known */
    uint32_t naks_in_a_row;
    bool is_repairing;                       /* asked for a resend since it last had something complete */
    uint64_t unanswered_ns, unanswered_lost; /* it has been asked in vain since then, and what was lost of it by then; 0: it has not */
    uint32_t unanswered_naks;                /* so often */
    uint64_t repeated_ns;                    /* since then it has asked again and again for the same, and was given it; 0: it has not */
    uint32_t repeated_naks;                  /* so often */
    struct mesh_resend repeated;             /* its question began there */
    uint32_t group_naks;                     /* since group_seen has grown */
    uint64_t group_seen;                     /* highest number to everybody that it has reported */

    struct mesh_channel channel;
    struct mesh_peer_stats stats;
    struct mesh_histogram latency, round_trip;
};

/* What is missing of one rank in one gather, and the asking for it. */
struct mesh_owed {
    uint32_t missing;   /* blocks of all tokens */
    uint32_t asked;     /* blocks of the outstanding NAK that have not come */
    uint64_t nak_at_ns; /* when to ask (again); 0: no timer */
    uint64_t delay_ns;  /* until the next repetition; 0: nothing asked yet */
    uint16_t high;      /* one past the highest block seen */
    uint16_t limit;     /* the due NAK asks for blocks below this */
    bool is_due;        /* a NAK waits to be written */
    bool is_outstanding;
    bool is_truncated; /* the last NAK had no room for everything */
    bool was_resent;   /* so the time of completion is no sample */
};

/* A published range on its way out. The first token's row may be partly sent: it goes on at block_next. */
struct mesh_published {
    struct mesh_range range;
    uint16_t block_next;
    uint64_t ready_ns;
    int16_t next; /* in the gather's queue or the free list; -1: last */
};

struct mesh_slot {
    bool is_open;     /* not yet freed */
    bool is_reader;   /* this rank reads it */
    bool is_complete; /* it holds all it reads */
    bool is_consumed;
    struct mesh_gather gather;  /* gather.first is not used */
    uint64_t end, wait_through; /* readers must have this much before it is sent to them */
    uint16_t first[MESH_RANKS_MAX + 1];
    unsigned row_words;
    uint64_t *bits;       /* (token_count, row_words) own: published; others': arrived */
    uint32_t missing;     /* blocks of the other ranks */
    uint32_t unpublished; /* own blocks */
    uint64_t readers;     /* the other ranks to which own blocks go; 0 when there are none */
    uint64_t base_ns;     /* when this rank had what it needs; 0: not yet */
    int16_t queue_first, queue_last;
    uint64_t last_number_all, last_number[MESH_RANKS_MAX]; /* of its last tile */
    struct mesh_owed owed[MESH_RANKS_MAX];
};

struct mesh {
    struct mesh_config config;
    uint64_t others; /* mask of all other ranks */
    uint64_t now_ns, due_ns;
    uint64_t busy; /* ranks with something pending */
    struct mesh_stats stats;

    /* gathers: ordinals opened - count .. opened - 1 have slots, by ordinal modulo */
    struct mesh_slot slots[MESH_GATHERS_OPEN_MAX];
    uint64_t opened, held; /* ordinals: next to open; first that is not complete */
    uint64_t opened_end;
    uint64_t ends[2 * MESH_GATHERS_OPEN_MAX]; /* of the last opened ones, by ordinal modulo */
    uint64_t through;
    struct mesh_pace *pace; /* (rank_count, phase_count, MESH_TOKEN_CLASSES) */

    /* sender */
    struct mesh_published published[MESH_SEND_QUEUE];
    int16_t published_free;
    uint32_t published_count;
    struct mesh_resend current; /* a tile that goes to its readers one by one */
    uint64_t current_ready_ns, current_ranks;
    struct mesh_flight flights[MESH_FLIGHTS];
    unsigned flight_next;
    struct mesh_copy copies[MESH_COPIES];
    unsigned copy_first, copy_count;
    uint64_t copying; /* ranks on whose path it pays */
    uint64_t number_all, cost_sent_all;
    uint64_t cost_log_all[MESH_SENT_LOG];
    uint64_t solicit_at_ns, solicit_delay_ns;
    bool ping_all;
    uint64_t ping_all_number; /* of the last one */

    /* group */
    uint32_t group_bytes; /* largest datagram of the group's interface; 0: there is no group */
    uint64_t group_hears; /* ranks that are reached by it */
    uint64_t group_at_ns, group_again_ns;
    uint64_t group_whole_ns; /* when nobody was missing any more, the last time */
    uint32_t group_tries;
    bool group_is_due;

    struct mesh_early early[MESH_EARLY_TILES];
    uint32_t grant_bytes; /* to each peer */
    uint64_t status_at_ns;

    struct mesh_event events[MESH_EVENT_QUEUE];
    unsigned event_first, event_count;
    char reason[MESH_REASON_BYTES];               /* of the event last taken */
    struct mesh_refusal refusals[MESH_RANKS_MAX]; /* behind REFUSED events, by rank */
    uint8_t *record;                              /* (MESH_RECORD_BYTES_MAX) of the event last taken */

    struct mesh_addr stranger;
    struct mesh_refuse stranger_refuse;
    bool stranger_waits;
    unsigned goodbyes; /* still to be written, over all peers */
    bool is_leaving;
    bool taped_drained; /* DRAINED was told to the tap, and nothing has happened since */
    uint64_t taped_ns;  /* the time of the last call with one that was told */

    struct mesh_peer peers[];
};

/* The place where a datagram is written. */
struct mesh_packet {
    uint8_t *bytes;
    size_t capacity, size;
    struct mesh_message message;
};

/* Names that end alike have one contract:
 *   _check  Does this decoded message of a peer fit the state? 0, or the enum mesh_err with which it is dropped. Changes nothing.
 *   _apply  Acts on a message that _check has let through.
 *   _write  Writes the peer's next datagram of that kind into packet. False: nothing is written. output.c clears the bit of peer->pending
 *           before; those that may take several datagrams (NAK, RESEND, RECORD) keep theirs until nothing is left to say.
 *   _tick   Does what is due at mesh->now_ns, and arms the endpoint for what is due next.
 * All of them take the time from mesh->now_ns, and borrow their arguments for the call. */

/* ---- mesh.c ---- */
void mesh_arm(struct mesh *mesh, uint64_t at_ns);                                  /* mesh_timeout is at_ns or earlier from now on */
void mesh_pend(struct mesh *mesh, struct mesh_peer *peer, enum mesh_pending what); /* a datagram of that kind is to be written */
uint64_t mesh_end_of(const struct mesh *mesh, uint64_t step, uint16_t phase);      /* index + 1 */

/* ---- output.c ---- */
/* Complete packet->message's header, spend a number of that space, and encode. is_exempt: the datagram costs no credit. */
void mesh_write_peer(struct mesh *mesh, struct mesh_peer *peer, struct mesh_packet *packet, bool is_exempt);
void mesh_write_all(struct mesh *mesh, struct mesh_packet *packet, bool is_exempt);

/* ---- event.c ---- */
unsigned mesh_event_room(const struct mesh *mesh);                       /* beyond the reserve */
void mesh_event_push(struct mesh *mesh, const struct mesh_event *event); /* there is room, if need be in the reserve (asserted) */
void mesh_event_gather(struct mesh *mesh, enum mesh_event_type type, const struct mesh_slot *slot);

/* ---- gather.c ---- */
struct mesh_slot *mesh_slot_find(struct mesh *mesh, uint64_t end);           /* NULL: no gather with that end is open */
const uint64_t *mesh_slot_row(const struct mesh_slot *slot, unsigned token); /* (row_words) its bits */
size_t mesh_slot_row_bytes(const struct mesh_slot *slot, unsigned block_first, unsigned block_count);  /* of one token's data */
bool mesh_range_meet(const struct mesh_range *a, const struct mesh_range *b, struct mesh_range *both); /* they have blocks in common */
bool mesh_ranges_are_disjoint(const struct mesh_range *ranges, unsigned count);
bool mesh_slot_contains(const struct mesh_slot *slot, uint16_t rank, const struct mesh_range *range); /* blocks of that rank */
void mesh_slot_mark(struct mesh_slot *slot, const struct mesh_range *range);
void mesh_slot_copy_out(const struct mesh_slot *slot, const struct mesh_range *range, uint8_t *out);
void mesh_slot_copy_in(struct mesh_slot *slot, const struct mesh_range *range, const uint8_t *data, size_t data_stride);
void mesh_gather_arrived(struct mesh *mesh, struct mesh_slot *slot, uint16_t rank, uint32_t blocks); /* so many new ones, of all tokens */
/* Free what is complete and consumed here, and held by its readers: after something has changed about this gather, or about a peer. */
void mesh_slot_release(struct mesh *mesh, struct mesh_slot *slot);
void mesh_gather_release(struct mesh *mesh);
struct mesh_pace *mesh_pace_of(struct mesh *mesh, const struct mesh_slot *slot, uint16_t rank);
void mesh_pace_add(struct mesh_pace *pace, uint64_t sample_ns);

/* ---- sender.c ---- */
bool mesh_sender_next(struct mesh *mesh, struct mesh_packet *packet, uint64_t *ranks);          /* to whom; false: nothing may go */
bool mesh_sender_resend(struct mesh *mesh, struct mesh_peer *peer, struct mesh_packet *packet); /* as _write */
void mesh_sender_add_resend(struct mesh *mesh, struct mesh_peer *peer, uint64_t end, const struct mesh_range *range);
void mesh_sender_forget(struct mesh *mesh, struct mesh_slot *slot); /* the gather is freed */
void mesh_sender_init(struct mesh *mesh);
void mesh_sender_write_tile(const struct mesh_slot *slot, const struct mesh_range *range, uint64_t ready_ns, uint16_t flags,
                            struct mesh_packet *packet);

/* ---- copy.c ---- */
void mesh_copy_report(struct mesh *mesh, struct mesh_peer *peer, uint64_t seen, uint64_t lost); /* both cumulative */
void mesh_copy_note(struct mesh *mesh, const struct mesh_slot *slot, const struct mesh_range *range, uint64_t ready_ns,
                    uint64_t ranks);                                                                 /* just sent to these */
void mesh_copy_note_resend(struct mesh *mesh, const struct mesh_slot *slot, struct mesh_peer *peer); /* just sent */
bool mesh_copy_next(struct mesh *mesh, struct mesh_packet *packet, uint64_t *ranks);                 /* as mesh_sender_next */

/* ---- flight.c ---- */
/* peer NULL: to everybody. Call when the number is spent. */
void mesh_flight_note(struct mesh *mesh, const struct mesh_slot *slot, const struct mesh_range *range, const struct mesh_peer *peer);
/* Whether some of the range is on its way to the peer, or will be unasked. *part (not with MESH_WAY_NONE): of what was sent last. */
enum mesh_way mesh_flight_find(const struct mesh *mesh, const struct mesh_slot *slot, const struct mesh_peer *peer,
                               const struct mesh_range *range, struct mesh_range *part);

/* ---- receiver.c ---- */
int mesh_receiver_check(const struct mesh *mesh, const struct mesh_peer *peer, const struct mesh_message *message);
void mesh_receiver_apply(struct mesh *mesh, struct mesh_peer *peer, const struct mesh_message *message);
void mesh_receiver_deliver(struct mesh *mesh, struct mesh_peer *peer, struct mesh_slot *slot, const struct mesh_message *message);

/* ---- early.c ---- */
bool mesh_early_keep(struct mesh *mesh, const struct mesh_peer *peer, const struct mesh_message *message); /* false: it is not kept */
void mesh_early_opened(struct mesh *mesh, struct mesh_slot *slot); /* just opened: deliver what came before */

/* ---- nak.c ---- */
void mesh_nak_expect(struct mesh *mesh, struct mesh_slot *slot); /* base_ns is set: from when are blocks late? */
void mesh_nak_opened(struct mesh *mesh, struct mesh_slot *slot); /* ask at once for what came too early */
void mesh_nak_gap(struct mesh *mesh, struct mesh_peer *peer);    /* numbers of the peer are lost */
void mesh_nak_arrived(struct mesh *mesh, struct mesh_slot *slot, uint16_t rank, uint32_t blocks, bool is_resend);
void mesh_nak_tick(struct mesh *mesh);
bool mesh_nak_write(struct mesh *mesh, struct mesh_peer *peer, struct mesh_packet *packet);
bool mesh_not_yet_write(struct mesh *mesh, struct mesh_peer *peer, struct mesh_packet *packet);
int mesh_nak_check(const struct mesh *mesh, const struct mesh_peer *peer, const struct mesh_message *message);
void mesh_nak_apply(struct mesh *mesh, struct mesh_peer *peer, const struct mesh_message *message);
void mesh_not_yet_apply(struct mesh *mesh, struct mesh_peer *peer, const struct mesh_message *message);
int mesh_not_yet_check(const struct mesh *mesh, const struct mesh_peer *peer, const struct mesh_message *message);

/* ---- window.c ---- */
bool mesh_window_has(const struct mesh_window *window, uint64_t number);                       /* it came, or is too old to tell */
void mesh_window_add(struct mesh *mesh, struct mesh_peer *peer, bool is_all, uint64_t number); /* it has not come before (asserted) */
void mesh_window_reset(struct mesh_peer *peer);                                                /* another process sends from now on */
void mesh_window_tick(struct mesh *mesh, struct mesh_peer *peer);

/* ---- credit.c ---- */
/* Costs, windows and what is in flight are bytes by the kernel's accounting; only datagram_bytes are those of the UDP payload. */
uint32_t mesh_credit_cost(size_t datagram_bytes);
uint32_t mesh_credit_grant(const struct mesh_config *config);                    /* what this rank grants to each peer */
uint32_t mesh_credit_exempt_resends(const struct mesh_peer *peer);               /* datagrams per NAK; at least one */
void mesh_credit_lost(struct mesh *mesh, struct mesh_peer *peer, uint64_t lost); /* cumulative */
uint32_t mesh_credit_datagram_max(uint32_t window_bytes);                        /* largest datagram of which several fit */
uint64_t mesh_credit_in_flight(const struct mesh *mesh, const struct mesh_peer *peer);
bool mesh_credit_allows(struct mesh *mesh, struct mesh_peer *peer, size_t datagram_bytes); /* false begins a wait, which is counted */
void mesh_credit_spend(struct mesh *mesh, struct mesh_peer *peer, uint32_t cost);          /* for peer->number */
void mesh_credit_spend_all(struct mesh *mesh, uint32_t cost);                              /* for number_all */
void mesh_credit_consume(struct mesh *mesh, struct mesh_peer *peer, size_t datagram_bytes);
int mesh_credit_check(const struct mesh *mesh, const struct mesh_peer *peer, uint64_t seen_all, uint64_t seen_peer);
void mesh_credit_report(struct mesh *mesh, struct mesh_peer *peer, uint64_t seen_all, uint64_t seen_peer);
int mesh_status_check(const struct mesh *mesh, const struct mesh_peer *peer, const struct mesh_message *message);
void mesh_status_apply(struct mesh *mesh, struct mesh_peer *peer, const struct mesh_message *message);
bool mesh_status_write(struct mesh *mesh, struct mesh_peer *peer, struct mesh_packet *packet);
void mesh_status_advanced(struct mesh *mesh); /* through has advanced: tell it soon */
void mesh_status_tick(struct mesh *mesh);

/* ---- hello.c ---- */
void mesh_hello_start(struct mesh *mesh, struct mesh_peer *peer);
void mesh_hello_tick(struct mesh *mesh, struct mesh_peer *peer);
bool mesh_hello_write(struct mesh *mesh, struct mesh_peer *peer, struct mesh_packet *packet);
bool mesh_hello_ack_write(struct mesh *mesh, struct mesh_peer *peer, struct mesh_packet *packet);
bool mesh_refuse_write(struct mesh *mesh, struct mesh_peer *peer, struct mesh_packet *packet);
void mesh_hello_refuse(struct mesh *mesh, struct mesh_peer *peer, const struct mesh_refuse *refuse); /* it does not fit */
/* Check and apply in one; also of a peer that is not up. */
int mesh_hello_receive(struct mesh *mesh, struct mesh_peer *peer, const struct mesh_message *message);
int mesh_refuse_receive(struct mesh *mesh, struct mesh_peer *peer, const struct mesh_message *message);

/* ---- reason.c ---- */
uint64_t mesh_reason_theirs(bool is_theirs, const struct mesh_refuse *refuse); /* what the peer has */
void mesh_reason_write(char out[MESH_REASON_BYTES], uint16_t rank, bool is_theirs, const struct mesh_refuse *refuse);

/* ---- peer.c ---- */
void mesh_peer_up(struct mesh *mesh, struct mesh_peer *peer);
void mesh_peer_tick(struct mesh *mesh, struct mesh_peer *peer);
bool mesh_ping_write(struct mesh *mesh, struct mesh_peer *peer, struct mesh_packet *packet);
bool mesh_pong_write(struct mesh *mesh, struct mesh_peer *peer, struct mesh_packet *packet);
void mesh_ping_all_write(struct mesh *mesh, struct mesh_packet *packet);
void mesh_ping_apply(struct mesh *mesh, struct mesh_peer *peer, const struct mesh_message *message);
int mesh_pong_check(const struct mesh *mesh, const struct mesh_peer *peer, const struct mesh_message *message);
void mesh_pong_apply(struct mesh *mesh, struct mesh_peer *peer, const struct mesh_message *message);
void mesh_goodbye_apply(struct mesh *mesh, struct mesh_peer *peer, const struct mesh_message *message);
void mesh_solicit_sent(struct mesh *mesh);
void mesh_solicit_tick(struct mesh *mesh);
uint64_t mesh_peer_timeout_ns(const struct mesh_peer *peer); /* how long an answer may take */
uint64_t mesh_peer_flight_ns(const struct mesh_peer *peer);  /* how long a tile and then a NAK may be on their way */

/* ---- probe.c ---- */
void mesh_probe_start(struct mesh *mesh, struct mesh_peer *peer);
void mesh_probe_tick(struct mesh *mesh, struct mesh_peer *peer);
bool mesh_probe_write(struct mesh *mesh, struct mesh_peer *peer, struct mesh_packet *packet);
bool mesh_probe_ack_write(struct mesh *mesh, struct mesh_peer *peer, struct mesh_packet *packet);
void mesh_probe_apply(struct mesh *mesh, struct mesh_peer *peer, const struct mesh_message *message);
void mesh_probe_ack_apply(struct mesh *mesh, struct mesh_peer *peer, const struct mesh_message *message);
void mesh_probe_on_nak(struct mesh *mesh, struct mesh_peer *peer);       /* too many in a row: the path carries less than was proved */
uint64_t mesh_probe_other_losses(struct mesh_peer *peer, uint64_t lost); /* what of the reported losses are no probes; once per report */
void mesh_probe_on_progress(struct mesh_peer *peer);                     /* the peer has completed a gather */

/* ---- group.c ---- */
void mesh_group_peer_up(struct mesh *mesh);
void mesh_group_tick(struct mesh *mesh);
uint64_t mesh_group_probe_write(struct mesh *mesh, struct mesh_packet *packet); /* returns its ranks, all by the group */
void mesh_group_probe_acked(struct mesh *mesh, struct mesh_peer *peer);
uint64_t mesh_group_of(const struct mesh *mesh, uint64_t ranks, size_t datagram_bytes); /* whom one to the group reaches, if several */
void mesh_group_sent(struct mesh *mesh, uint64_t ranks, size_t bytes);                  /* by one datagram */
void mesh_group_on_nak(struct mesh *mesh, struct mesh_peer *peer);
void mesh_group_seen(const struct mesh *mesh, struct mesh_peer *peer, uint64_t seen_all);

/* ---- channel.c ---- */
void mesh_channel_init(struct mesh_channel *channel);
void mesh_channel_tick(struct mesh *mesh, struct mesh_peer *peer);
bool mesh_channel_write(struct mesh *mesh, struct mesh_peer *peer, struct mesh_packet *packet);
bool mesh_channel_ack_write(struct mesh *mesh, struct mesh_peer *peer, struct mesh_packet *packet);
int mesh_channel_check(const struct mesh *mesh, const struct mesh_peer *peer, const struct mesh_message *message);
void mesh_channel_apply(struct mesh *mesh, struct mesh_peer *peer, const struct mesh_message *message);
int mesh_channel_ack_check(const struct mesh *mesh, const struct mesh_peer *peer, const struct mesh_message *message);
void mesh_channel_ack_apply(struct mesh *mesh, struct mesh_peer *peer, const struct mesh_message *message);
bool mesh_channel_deliver(struct mesh *mesh, struct mesh_peer *peer, struct mesh_event *event);

#endif
