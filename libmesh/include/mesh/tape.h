/* The tape: everything that goes into a protocol core and comes out of it, in order, as records of bytes.
 *
 * A core (an endpoint of mesh/mesh.h, the cluster core of mesh/cluster.h, or a node's client sessions, mesh/session.h) whose config has a
 * *tap* tells it of each call when it is done: inputs with what they returned, and every datagram and event that was taken. The order of
 * the inputs of a core decides its outputs completely (ADR 4), so a tape is enough to run the core again in virtual time and to compare.
 * Calls that change nothing are not told. Of an endpoint: calls that returned MESH_AGAIN or MESH_EINVAL, ticks before they are due,
 * queries, and of several vain requests for a datagram in a row all but the first. Of client sessions: datagrams that were not opened,
 * ticks that are not due, and of vain requests for an event or a datagram all but the first after something else.
 *
 * Every call is declared once, in the lists below, as the messages of the wire are: structs, codec and field tables come from them. A
 * record is the call's fields, then its *body* (what can always be read: a datagram up to its data, lists), then its *payload* (tile
 * data and records, which the protocol does not look into) or, instead, a hash of it. Integers are little-endian, and there is no
 * padding; the same calls give the same bytes on every machine. No allocation, no I/O. */
#ifndef MESH_TAPE_H
#define MESH_TAPE_H

#include "mesh/mesh.h"
#include "mesh/wire.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MESH_TAPE_FORMAT 1u /* of the records; another number, another layout */

enum mesh_tape_payload { MESH_TAPE_EMPTY, MESH_TAPE_WHOLE, MESH_TAPE_HASHED };

/* clang-format off */
/*    name                  type  min  max         unit      meaning */
#define MESH_TAPE_CALL_FIELDS(F) \
    F(kind,                 u8,   1,   UINT8_MAX,  "",       "which call: the list of calls") \
    F(payload,              u8,   0,   2,          "",       "of the payload: 0 there is none, 1 all of it, 2 its hash alone") \
    F(error,                u8,   0,   15,         "",       "what the call returned, without its sign: enum mesh_err") \
    F(at_ns,                u64,  0,   UINT64_MAX, "ns",     "the time that the core was told; for calls without a time, the last one") \
    F(due_ns,               u64,  0,   UINT64_MAX, "ns",     "when the core wants a tick, after the call; 2^64 - 1: never") \
    F(body_bytes,           u32,  0,   UINT16_MAX, "bytes",  "length of the body") \
    F(payload_bytes,        u32,  0,   INT32_MAX,  "bytes",  "length of the payload") \
    F(payload_hash,         u64,  0,   UINT64_MAX, "",       "of the payload, when it is left out; 0 otherwise")

#define MESH_TAPE_ADDR_FIELDS(F) \
    F(ip,                   b16,  0,   255,        "",       "IPv6, or IPv4 mapped into it") \
    F(port,                 u16,  0,   UINT16_MAX, "",       "UDP port") \
    F(scope,                u32,  0,   UINT32_MAX, "",       "interface of a link-local address")

#define MESH_TAPE_RANGE_FIELDS(F) \
    F(step,                 u64,  0,   UINT64_MAX, "step",   "of the gather") \
    F(phase,                u16,  0,   UINT16_MAX, "phase",  "within the step") \
    F(token_first,          u16,  0,   UINT16_MAX, "token",  "first one") \
    F(token_count,          u16,  0,   UINT16_MAX, "tokens", "in a row") \
    F(block_first,          u16,  0,   UINT16_MAX, "block",  "first one, absolute") \
    F(block_count,          u16,  0,   UINT16_MAX, "blocks", "in a row")

#define MESH_TAPE_INIT_FIELDS(F) \
    MESH_TAPE_CALL_FIELDS(F) \
    F(format,               u16,  0,   UINT16_MAX, "",       "MESH_TAPE_FORMAT of the program that recorded") \
    F(rank,                 u16,  0,   UINT16_MAX, "rank",   "own") \
    F(rank_count,           u16,  0,   UINT16_MAX, "ranks",  "of the epoch") \
    F(epoch,                u32,  0,   UINT32_MAX, "epoch",  "") \
    F(phase_count,          u16,  0,   UINT16_MAX, "phases", "gathers per step") \
    F(tokens_max,           u16,  0,   UINT16_MAX, "tokens", "of a gather") \
    F(blocks_max,           u16,  0,   UINT16_MAX, "blocks", "per token of a gather") \
    F(fingerprint,          b32,  0,   255,        "",       "of the model") \
    F(configuration,        b32,  0,   255,        "",       "hash of the row map and what else must be equal") \
    F(incarnation,          b16,  0,   255,        "",       "of the process") \
    F(datagram_bytes_max,   u32,  0,   UINT32_MAX, "bytes",  "largest datagram of the driver") \
    F(receive_buffer_bytes, u64,  0,   UINT64_MAX, "bytes",  "of the driver") \
    F(reorder_delay_ns,     u32,  0,   UINT32_MAX, "ns",     "before a gap is asked for") \
    F(copy_loss_ppm,        u32,  0,   UINT32_MAX, "ppm",    "loss from which tiles are sent twice") \
    F(version,              u16,  0,   UINT16_MAX, "",       "of the protocol")

#define MESH_TAPE_PEER_FIELDS(F) \
    MESH_TAPE_CALL_FIELDS(F) \
    F(rank,                 u16,  0,   UINT16_MAX, "rank",   "of the peer") \
    MESH_TAPE_ADDR_FIELDS(F)

#define MESH_TAPE_PATH_FIELDS(F) \
    MESH_TAPE_CALL_FIELDS(F) \
    F(rank,                 u16,  0,   UINT16_MAX, "rank",   "of the peer") \
    F(datagram_bytes,       u32,  0,   UINT32_MAX, "bytes",  "largest datagram that the path to it can carry")

#define MESH_TAPE_GROUP_FIELDS(F) \
    MESH_TAPE_CALL_FIELDS(F) \
    F(datagram_bytes,       u32,  0,   UINT32_MAX, "bytes",  "largest datagram that the group's interface carries")

#define MESH_TAPE_RECEIVE_FIELDS(F) \
    MESH_TAPE_CALL_FIELDS(F) \
    MESH_TAPE_ADDR_FIELDS(F)

#define MESH_TAPE_PLAIN_FIELDS(F) \
    MESH_TAPE_CALL_FIELDS(F)

#define MESH_TAPE_OPEN_FIELDS(F) \
    MESH_TAPE_CALL_FIELDS(F) \
    F(step,                 u64,  0,   UINT64_MAX, "step",   "of the gather") \
    F(phase,                u16,  0,   UINT16_MAX, "phase",  "within the step") \
    F(token_count,          u16,  0,   UINT16_MAX, "tokens", "of the step") \
    F(block_count,          u16,  0,   UINT16_MAX, "blocks", "per token, of all ranks together") \
    F(block_bytes,          u32,  0,   UINT32_MAX, "bytes",  "of a block") \
    F(last_block_bytes,     u32,  0,   UINT32_MAX, "bytes",  "of the last block of a token") \
    F(readers,              u64,  0,   UINT64_MAX, "",       "bit r: rank r reads it")

#define MESH_TAPE_PUBLISH_FIELDS(F) \
    MESH_TAPE_CALL_FIELDS(F) \
    MESH_TAPE_RANGE_FIELDS(F)

#define MESH_TAPE_CONSUME_FIELDS(F) \
    MESH_TAPE_CALL_FIELDS(F) \
    F(step,                 u64,  0,   UINT64_MAX, "step",   "of the gather") \
    F(phase,                u16,  0,   UINT16_MAX, "phase",  "within the step")

#define MESH_TAPE_SEND_FIELDS(F) \
    MESH_TAPE_CALL_FIELDS(F) \
    F(to,                   u16,  0,   UINT16_MAX, "rank",   "of the receiver")

#define MESH_TAPE_EVENT_FIELDS(F) \
    MESH_TAPE_CALL_FIELDS(F) \
    F(type,                 u8,   0,   UINT8_MAX,  "",       "enum mesh_event_type") \
    F(rank,                 u16,  0,   UINT16_MAX, "rank",   "of the peer") \
    MESH_TAPE_RANGE_FIELDS(F) \
    F(sent_ns,              u64,  0,   UINT64_MAX, "ns",     "arrived: the sender's clock when it sent")

#define MESH_TAPE_DATAGRAM_FIELDS(F) \
    MESH_TAPE_CALL_FIELDS(F) \
    F(ranks,                u64,  0,   UINT64_MAX, "",       "bit r: it goes to rank r; 0: to the address") \
    MESH_TAPE_ADDR_FIELDS(F)

#define MESH_TAPE_CLUSTER_INIT_FIELDS(F) \
    MESH_TAPE_CALL_FIELDS(F) \
    F(format,               u16,  0,   UINT16_MAX, "",       "MESH_TAPE_FORMAT of the program that recorded") \
    F(incarnation,          b16,  0,   255,        "",       "of the process") \
    F(secret,               b32,  0,   255,        "",       "of the process: its nonces and cookies are hashes of it") \
    F(hash,                 b16,  0,   255,        "",       "what the config's hash makes of no bytes at all: which hash it is") \
    F(cluster,              b16,  0,   255,        "",       "hash of the cluster's name") \
    F(fingerprint,          b32,  0,   255,        "",       "of the model") \
    F(features,             u32,  0,   UINT32_MAX, "",       "optional parts this process knows") \
    F(features_required,    u32,  0,   UINT32_MAX, "",       "and others have to know") \
    F(version,              u16,  0,   UINT16_MAX, "",       "of the protocol") \
    MESH_TAPE_ADDR_FIELDS(F) \
    F(speed,                u32,  0,   UINT32_MAX, "",       "measured") \
    F(flags,                u32,  0,   UINT32_MAX, "",       "the application's own") \
    F(prepares_joins,       u8,   0,   1,          "",       "let all load before new members come in") \
    F(gather_ns,            u64,  0,   UINT64_MAX, "ns",     "wait for more who want to join") \
    F(settle_ns,            u64,  0,   UINT64_MAX, "ns",     "look for others before an epoch of one") \
    F(prepare_ns_max,       u64,  0,   UINT64_MAX, "ns",     "a plan waits for all to be ready")

#define MESH_TAPE_CLUSTER_RANK_FIELDS(F) \
    MESH_TAPE_CALL_FIELDS(F) \
    F(rank,                 u16,  0,   UINT16_MAX, "rank",   "of the member")

#define MESH_TAPE_CLUSTER_VALUE_FIELDS(F) \
    MESH_TAPE_CALL_FIELDS(F) \
    F(value,                u64,  0,   UINT64_MAX, "",       "plan, speed, flags, summary or number: what the call is about")

#define MESH_TAPE_CLUSTER_EVENT_FIELDS(F) \
    MESH_TAPE_CALL_FIELDS(F) \
    F(type,                 u8,   0,   UINT8_MAX,  "",       "enum mesh_cluster_event_type") \
    F(plan,                 u32,  0,   UINT32_MAX, "",       "prepare: its number") \
    F(number,               u32,  0,   UINT32_MAX, "epoch",  "epoch, prepare: of the epoch") \
    F(id,                   b16,  0,   255,        "",       "epoch: its id") \
    F(member_count,         u16,  0,   UINT16_MAX, "",       "epoch, prepare: members, which are the body") \
    F(own_rank,             u16,  0,   UINT16_MAX, "rank",   "epoch, prepare: 65535: none, leaving") \
    F(rank,                 u16,  0,   UINT16_MAX, "rank",   "of the peer lost or back") \
    MESH_TAPE_ADDR_FIELDS(F) \
    F(incarnation,          b16,  0,   255,        "",       "of the peer lost or back") \
    F(reason_code,          u16,  0,   UINT16_MAX, "",       "refused: enum mesh_deny_reason") \
    F(found,                u64,  0,   UINT64_MAX, "",       "refused: by reason") \
    F(expected,             u64,  0,   UINT64_MAX, "",       "refused: by reason")

#define MESH_TAPE_SESSIONS_INIT_FIELDS(F) \
    MESH_TAPE_CALL_FIELDS(F) \
    F(format,               u16,  0,   UINT16_MAX, "",       "MESH_TAPE_FORMAT of the program that recorded") \
    F(incarnation,          b16,  0,   255,        "",       "of the process") \
    F(secret,               b32,  0,   255,        "",       "of the process: its cookies, and numbers and identities of sessions are hashes of it") \
    F(hash,                 b16,  0,   255,        "",       "what the config's hash makes of no bytes at all: which hash it is") \
    F(capacity,             u16,  1,   UINT16_MAX, "",       "sessions at a time") \
    F(version,              u16,  0,   UINT16_MAX, "",       "of the protocol")

#define MESH_TAPE_SESSION_FIELDS(F) \
    MESH_TAPE_CALL_FIELDS(F) \
    F(session,              u32,  0,   UINT32_MAX, "",       "number of the session")

#define MESH_TAPE_SESSION_EVENT_FIELDS(F) \
    MESH_TAPE_SESSION_FIELDS(F) \
    F(type,                 u8,   0,   UINT8_MAX,  "",       "enum mesh_session_event_type") \
    F(why,                  u8,   0,   UINT8_MAX,  "",       "closed: enum mesh_session_why") \
    MESH_TAPE_ADDR_FIELDS(F)

/*    number NAME             name             FIELDS                          way      meaning */
#define MESH_TAPE_CALLS(C) \
    C(1,  INIT,             init,             MESH_TAPE_INIT_FIELDS,          INPUT,  "mesh_init: the endpoint's config") \
    C(2,  PEER,             peer,             MESH_TAPE_PEER_FIELDS,          INPUT,  "mesh_set_peer") \
    C(3,  PATH,             path,             MESH_TAPE_PATH_FIELDS,          INPUT,  "mesh_set_path") \
    C(4,  RECEIVE,          receive,          MESH_TAPE_RECEIVE_FIELDS,       INPUT,  "mesh_receive: body and payload are the datagram, opened") \
    C(5,  TICK,             tick,             MESH_TAPE_PLAIN_FIELDS,         INPUT,  "mesh_tick, when it was due") \
    C(6,  OPEN,             open,             MESH_TAPE_OPEN_FIELDS,          INPUT,  "mesh_open_gather; body: first[], 16 bits each") \
    C(7,  PUBLISH,          publish,          MESH_TAPE_PUBLISH_FIELDS,       INPUT,  "mesh_publish; payload: the blocks, token by token") \
    C(8,  CONSUME,          consume,          MESH_TAPE_CONSUME_FIELDS,       INPUT,  "mesh_consume") \
    C(9,  SEND,             send,             MESH_TAPE_SEND_FIELDS,          INPUT,  "mesh_send_record; payload: the record") \
    C(10, GOODBYE,          goodbye,          MESH_TAPE_PLAIN_FIELDS,         INPUT,  "mesh_goodbye") \
    C(11, EVENT,            event,            MESH_TAPE_EVENT_FIELDS,         OUTPUT, "mesh_next_event; payload: the record; body: the reason") \
    C(12, DATAGRAM,         datagram,         MESH_TAPE_DATAGRAM_FIELDS,      OUTPUT, "mesh_next_datagram: body and payload are the datagram") \
    C(13, DRAINED,          drained,          MESH_TAPE_PLAIN_FIELDS,         OUTPUT, "mesh_next_datagram had none, though something waits") \
    C(14, GROUP,            group,            MESH_TAPE_GROUP_FIELDS,         INPUT,  "mesh_set_group") \
    C(32, CLUSTER_INIT,     cluster_init,     MESH_TAPE_CLUSTER_INIT_FIELDS,  INPUT,  "mesh_cluster_init; body: addresses of the seeds") \
    C(33, CLUSTER_RECEIVE,  cluster_receive,  MESH_TAPE_RECEIVE_FIELDS,       INPUT,  "mesh_cluster_receive; body: the datagram, opened") \
    C(34, CLUSTER_TICK,     cluster_tick,     MESH_TAPE_PLAIN_FIELDS,         INPUT,  "mesh_cluster_tick, when it was due") \
    C(35, CLUSTER_JOIN,     cluster_join,     MESH_TAPE_PLAIN_FIELDS,         INPUT,  "mesh_cluster_join; body: the addresses") \
    C(36, CLUSTER_LEAVE,    cluster_leave,    MESH_TAPE_PLAIN_FIELDS,         INPUT,  "mesh_cluster_leave") \
    C(37, CLUSTER_SUSPECT,  cluster_suspect,  MESH_TAPE_CLUSTER_RANK_FIELDS,  INPUT,  "mesh_cluster_suspect") \
    C(38, CLUSTER_HEARD,    cluster_heard,    MESH_TAPE_CLUSTER_RANK_FIELDS,  INPUT,  "mesh_cluster_heard") \
    C(39, CLUSTER_READY,    cluster_ready,    MESH_TAPE_CLUSTER_VALUE_FIELDS, INPUT,  "mesh_cluster_ready: the plan") \
    C(40, CLUSTER_SPEED,    cluster_speed,    MESH_TAPE_CLUSTER_VALUE_FIELDS, INPUT,  "mesh_cluster_set_speed") \
    C(41, CLUSTER_FLAGS,    cluster_flags,    MESH_TAPE_CLUSTER_VALUE_FIELDS, INPUT,  "mesh_cluster_set_flags") \
    C(42, CLUSTER_SUMMARY,  cluster_summary,  MESH_TAPE_CLUSTER_VALUE_FIELDS, INPUT,  "mesh_cluster_set_summary") \
    C(43, CLUSTER_SHARES,   cluster_shares,   MESH_TAPE_PLAIN_FIELDS,         INPUT,  "mesh_cluster_propose_shares; body: 32 bits each") \
    C(44, CLUSTER_EVENT,    cluster_event,    MESH_TAPE_CLUSTER_EVENT_FIELDS, OUTPUT, "mesh_cluster_next_event; body: the members, as on the wire") \
    C(45, CLUSTER_DATAGRAM, cluster_datagram, MESH_TAPE_DATAGRAM_FIELDS,      OUTPUT, "mesh_cluster_next_datagram; body: the datagram") \
    C(46, CLUSTER_NUMBER,   cluster_number,   MESH_TAPE_CLUSTER_VALUE_FIELDS, OUTPUT, "mesh_cluster_spend_number: what it returned") \
    C(47, CLUSTER_STARVED,  cluster_starved,  MESH_TAPE_CLUSTER_RANK_FIELDS,  INPUT,  "mesh_cluster_starved") \
    C(64, SESSIONS_INIT,    sessions_init,    MESH_TAPE_SESSIONS_INIT_FIELDS, INPUT,  "mesh_sessions_init") \
    C(65, SESSIONS_RECEIVE, sessions_receive, MESH_TAPE_RECEIVE_FIELDS,       INPUT,  "mesh_sessions_receive; body and payload: the datagram, opened") \
    C(66, SESSIONS_TICK,    sessions_tick,    MESH_TAPE_PLAIN_FIELDS,         INPUT,  "mesh_sessions_tick, when it was due") \
    C(67, SESSIONS_SEND,    sessions_send,    MESH_TAPE_SESSION_FIELDS,       INPUT,  "mesh_sessions_send; payload: the record") \
    C(68, SESSIONS_CLOSE,   sessions_close,   MESH_TAPE_SESSION_FIELDS,       INPUT,  "mesh_sessions_close") \
    C(69, SESSIONS_END,     sessions_end,     MESH_TAPE_PLAIN_FIELDS,         INPUT,  "mesh_sessions_end") \
    C(70, SESSIONS_EVENT,   sessions_event,   MESH_TAPE_SESSION_EVENT_FIELDS, OUTPUT, "mesh_sessions_next_event; payload: the record") \
    C(71, SESSIONS_NONE,    sessions_none,    MESH_TAPE_PLAIN_FIELDS,         OUTPUT, "mesh_sessions_next_event had none") \
    C(72, SESSIONS_DATAGRAM, sessions_datagram, MESH_TAPE_DATAGRAM_FIELDS,    OUTPUT, "mesh_sessions_next_datagram: the datagram before it is sealed") \
    C(73, SESSIONS_DRAINED, sessions_drained, MESH_TAPE_PLAIN_FIELDS,         OUTPUT, "mesh_sessions_next_datagram had none")

/* ---- what comes from the lists ---- */

struct mesh_tape_call { MESH_TAPE_CALL_FIELDS(MESH_WIRE_MEMBER) };
struct mesh_tape_call_bytes { MESH_TAPE_CALL_FIELDS(MESH_WIRE_BYTES) };
struct mesh_tape_addr { MESH_TAPE_ADDR_FIELDS(MESH_WIRE_MEMBER) };
struct mesh_tape_addr_bytes { MESH_TAPE_ADDR_FIELDS(MESH_WIRE_BYTES) };

#define MESH_TAPE_STRUCTS(number, NAME, name, FIELDS, way, meaning) \
    struct mesh_tape_##name { FIELDS(MESH_WIRE_MEMBER) }; \
    struct mesh_tape_##name##_bytes { FIELDS(MESH_WIRE_BYTES) };
MESH_TAPE_CALLS(MESH_TAPE_STRUCTS)

#define MESH_TAPE_KIND(number, NAME, name, FIELDS, way, meaning) MESH_TAPE_##NAME = number,
enum mesh_tape_kind { MESH_TAPE_CALLS(MESH_TAPE_KIND) MESH_TAPE_KINDS };
#define MESH_TAPE_UNION(number, NAME, name, FIELDS, way, meaning) struct mesh_tape_##name name;

/* One call. Which member counts is in call.kind, and every member begins with the fields of call. */
struct mesh_tape_entry {
    union {
        struct mesh_tape_call call;
        MESH_TAPE_CALLS(MESH_TAPE_UNION)
    };
    const uint8_t *body;    /* (call.body_bytes) borrowed */
    const uint8_t *payload; /* (call.payload_bytes) in payload_rows rows of the same length, each payload_stride after the one before;
                             * borrowed. NULL unless call.payload says WHOLE */
    uint32_t payload_rows;
    size_t payload_stride;
};
/* clang-format on */

enum mesh_tape_way { MESH_TAPE_INPUT, MESH_TAPE_OUTPUT };

/* The listener. put is called at the end of the core's functions and must not call the core; the entry and all it points to are borrowed
 * for the call. */
struct mesh_tap {
    void (*put)(void *user, const struct mesh_tape_entry *entry);
    void *user;
};

/* The fields of a kind of call (for mesh_wire_get, texts and columns), of which the first ones are those of every call; NULL: no such
 * kind. wire_bytes: of its fields in a record. */
const struct mesh_wire_part *mesh_tape_part(unsigned kind);
enum mesh_tape_way mesh_tape_way(unsigned kind); /* of an existing kind */

/* Whether body and payload are a datagram that was taken in or given out. */
static inline bool mesh_tape_is_datagram(unsigned kind)
{
    return kind == MESH_TAPE_RECEIVE || kind == MESH_TAPE_DATAGRAM || kind == MESH_TAPE_CLUSTER_RECEIVE ||
           kind == MESH_TAPE_CLUSTER_DATAGRAM || kind == MESH_TAPE_SESSIONS_RECEIVE || kind == MESH_TAPE_SESSIONS_DATAGRAM;
}

/* Whether it is the first call of its core. */
static inline bool mesh_tape_begins(unsigned kind)
{
    return kind == MESH_TAPE_INIT || kind == MESH_TAPE_CLUSTER_INIT || kind == MESH_TAPE_SESSIONS_INIT;
}

/* How much of a datagram is body: all of it, unless it carries data that the protocol does not look into. */
size_t mesh_tape_body_bytes(const uint8_t *packet, size_t bytes);

/* Leave the payload out: a hash takes its place, folded over the payload's rows. Nothing happens to an entry without payload. hash: 64 bits
 * of any function that is good enough for the purpose, e.g. a keyed one where payloads must not be guessed; NULL: 0 takes its place. */
void mesh_tape_leave_out(struct mesh_tape_entry *entry, uint64_t (*hash)(void *user, const uint8_t *data, size_t bytes), void *user);

/* The same with a hash that is known already, of an entry with its payload. */
void mesh_tape_put_hash(struct mesh_tape_entry *entry, uint64_t hash);

/* ---- as bytes ---- */

enum { MESH_TAPE_RECORD_BYTES_MIN = sizeof(struct mesh_tape_call_bytes) };

/* The length of an entry's record. */
size_t mesh_tape_record_bytes(const struct mesh_tape_entry *entry);

/* Write it; returns its length. It must fit (asserted). Body and payload are copied. */
size_t mesh_tape_encode(const struct mesh_tape_entry *entry, uint8_t *out, size_t capacity);

/* Read the record at the beginning of bytes; its length into *used. Body and payload are borrowed from there, the payload as one row.
 * MESH_ETRUNCATED: it is longer than that; MESH_ETYPE: no such kind; MESH_ERANGE: a field is out of its range. */
int mesh_tape_decode(const uint8_t *bytes, size_t size, struct mesh_tape_entry *entry, size_t *used);

/* The lengths of the record that begins here: of its payload, which stands last and need not be there, and of what is before it. Errors as
 * of mesh_tape_decode. */
int mesh_tape_measure(const uint8_t *bytes, size_t size, size_t *without_payload, size_t *payload);

/* ---- text (tape_text.c; no part of the core) ---- */

struct mesh_tape_line {
    const char *name;              /* of a field: "due_ns", "header.number", "nak.phase", "range[0].count", "payload" */
    const char *expected, *actual; /* NULL: that entry has no such field */
    bool is_same;
};

/* Two entries side by side, line by line; either may be NULL. A datagram's header and fields are lines of their own. All are borrowed for
 * the call. */
void mesh_tape_compare(const struct mesh_tape_entry *expected, const struct mesh_tape_entry *actual,
                       void (*put)(void *user, const struct mesh_tape_line *line), void *user);

/* An entry in a few words, e.g. "RECEIVE at 1.234567890 s: 1>0 TILE ..." without newline. Like snprintf. */
size_t mesh_tape_text(const struct mesh_tape_entry *entry, char *out, size_t capacity);

#ifdef __cplusplus
}
#endif

#endif
