/* The wire schema: every message and field of the protocol, declared once.
 *
 * A datagram is one message: the common header, the message's fields, then its tail (tile data, ranges, members, padding or nothing).
 * From the lists below come the decoded structs, twin structs of byte arrays whose offsetof and sizeof *are* the layout, the field tables,
 * the codec, the range checks, the one-line text and the tables of docs/PROTOCOL.md. Integers are little-endian, nothing is padded.
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +-------------------------------+---------------+---------------+
 *   0 |             magic             |    version    |     type      |
 *     +-------------------------------+---------------+---------------+
 *   4 |             flags             |              src              |
 *     +-------------------------------+-------------------------------+
 *   8 |              dst              |          have_phase           |
 *     +-------------------------------+-------------------------------+
 *  12 |                             epoch                             |
 *     +---------------------------------------------------------------+
 *  16 |                            number                             |
 *     |                                                               |
 *     +---------------------------------------------------------------+
 *  24 |                           have_step                           |
 *     |                                                               |
 *     +---------------------------------------------------------------+
 *  32 |                            sent_ns                            |
 *     |                                                               |
 *     +---------------------------------------------------------------+
 *  40 |                        tag (16 bytes)                         |
 *     +---------------------------------------------------------------+
 *  56   message fields, then the tail
 */
#ifndef MESH_WIRE_H
#define MESH_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mesh/err.h"
#include "mesh/wire_values.h"
#ifdef __cplusplus
extern "C" {
#endif

#define MESH_WIRE_MAGIC   0x6d44u /* bytes "Dm" */
#define MESH_WIRE_VERSION 1u
#define MESH_STEP_MAX     ((UINT64_C(1) << 40) - 1)
#define MESH_EPOCH_MAX    INT32_MAX
#define MESH_STEP_NONE    UINT64_MAX /* have_step: nothing is complete yet */
#define MESH_DST_ALL      UINT16_MAX /* dst: the same bytes to every other rank */

enum {
    MESH_FLAG_ALL = 1,           /* number is of the space that counts datagrams to everybody; without it, of the space for this peer */
    MESH_FLAG_RESEND = 2,        /* the data was sent before */
    MESH_FLAG_AUTHENTICATED = 4, /* the tag covers the datagram. Set and cleared between core and socket (mesh/seal.h) */
    MESH_FLAG_SEALED = 8,        /* what follows the header is encrypted; never without MESH_FLAG_AUTHENTICATED */
    MESH_FLAG_COPY = 16,         /* a second copy of a tile just sent, in case the first is lost */
    MESH_FLAG_AES = 32,          /* protected with AES-256-GCM; without this flag with ChaCha20-Poly1305 */
    MESH_FLAG_AES_READY = 64     /* the sender has instructions for AES. Neither AES flag is set without MESH_FLAG_AUTHENTICATED */
};
enum { MESH_FLAGS_OF_SEALING = 4 | 8 | 32 | 64, MESH_FLAGS_KNOWN = 127 };

enum { MESH_FRAGMENT_FIRST = 1, MESH_FRAGMENT_LAST = 2 };
enum { MESH_NAK_RANGES_MAX = 64, MESH_PART_MEMBERS_MAX = 15 };
enum { MESH_SESSION_MAX = INT32_MAX }; /* numbers of client sessions; header.epoch is that with the top bit set */

/* clang-format off */
/*    name            type  min                  max                   unit      meaning */
#define MESH_HEADER_FIELDS(F) \
    F(magic,          u16,  MESH_WIRE_MAGIC,     MESH_WIRE_MAGIC,      "",       "a datagram of this protocol: the bytes Dm") \
    F(version,        u8,   1,                   UINT8_MAX,            "",       "of the protocol") \
    F(type,           u8,   1,                   UINT8_MAX,            "",       "which message follows") \
    F(flags,          u16,  0,                   MESH_FLAGS_KNOWN,     "bits",   "1: to all (number is of that space); 2: resend; 4: authenticated; 8: sealed; 16: copy; 32: with AES; 64: AES is fast") \
    F(src,            u16,  0,                   UINT16_MAX - 1,       "rank",   "sender") \
    F(dst,            u16,  0,                   UINT16_MAX,           "rank",   "receiver; 65535: every other rank") \
    F(have_phase,     u16,  0,                   UINT16_MAX - 1,       "phase",  "have_through, with have_step") \
    F(epoch,          u32,  0,                   UINT32_MAX,           "",       "membership that ranks refer to") \
    F(number,         u64,  0,                   UINT64_MAX - 1,       "",       "from 1 in its space, gapless; 0: to a stranger") \
    F(have_step,      u64,  0,                   UINT64_MAX,           "step",   "have_through: gathers up to it are held; all ones: none") \
    F(sent_ns,        u64,  0,                   UINT64_MAX,           "ns",     "sender's clock when it sent") \
    F(tag,            b16,  0,                   UINT8_MAX,            "",       "proves who sent it, see Keys; zero without flag 4")

#define MESH_HELLO_FIELDS(F) \
    F(features,       u32,  0,                   UINT32_MAX,           "bits",   "optional parts the sender knows; none are defined") \
    F(rank_count,     u16,  1,                   64,                   "ranks",  "members of the epoch") \
    F(phase_count,    u16,  1,                   UINT16_MAX - 1,       "phases", "gathers per step") \
    F(datagram_bytes, u32,  1200,                65535,                "bytes",  "largest datagram the sender can handle") \
    F(window_bytes,   u32,  1,                   UINT32_MAX,           "bytes",  "credit granted, by the kernel's accounting") \
    F(nonce,          u64,  1,                   UINT64_MAX,           "",       "fresh for this handshake of the sender") \
    F(echo,           u64,  0,                   UINT64_MAX,           "",       "receiver's nonce as last seen; 0: not seen") \
    F(incarnation,    b16,  0,                   UINT8_MAX,            "",       "drawn by the sender's process at its start") \
    F(fingerprint,    b32,  0,                   UINT8_MAX,            "",       "of the model") \
    F(configuration,  b32,  0,                   UINT8_MAX,            "",       "hash of everything else that must be equal")

#define MESH_REFUSE_FIELDS(F) \
    F(reason,         u16,  MESH_REFUSE_VERSION, MESH_REFUSE_STRANGER, "",       "why; see the reasons of refusal") \
    F(nonce,          u64,  1,                   UINT64_MAX,           "",       "of the refused hello, or its number") \
    F(found,          u64,  0,                   UINT64_MAX,           "",       "what the hello said; first 8 bytes of longer values") \
    F(expected,       u64,  0,                   UINT64_MAX,           "",       "what the refusing rank has")

#define MESH_TILE_FIELDS(F) \
    F(step,           u64,  0,                   MESH_STEP_MAX,        "step",   "step of the gather") \
    F(ready_ns,       u64,  0,                   UINT64_MAX,           "ns",     "sender's clock when the data was published") \
    F(phase,          u16,  0,                   UINT16_MAX - 1,       "phase",  "gather within the step") \
    MESH_RANGE_FIELDS(F)

#define MESH_RANGE_FIELDS(F) \
    F(token_first,    u16,  0,                   UINT16_MAX - 1,       "token",  "first token of the step") \
    F(token_count,    u16,  1,                   UINT16_MAX,           "tokens", "tokens in a row") \
    F(block_first,    u16,  0,                   UINT16_MAX - 1,       "block",  "first block of each of these tokens") \
    F(block_count,    u16,  1,                   UINT16_MAX,           "blocks", "blocks in a row")

#define MESH_NAK_FIELDS(F) \
    F(step,           u64,  0,                   MESH_STEP_MAX,        "step",   "step of the gather") \
    F(phase,          u16,  0,                   UINT16_MAX - 1,       "phase",  "gather within the step") \
    F(range_count,    u16,  1,                   MESH_NAK_RANGES_MAX,  "ranges", "missing ranges that follow")

#define MESH_NOT_YET_FIELDS(F) \
    F(step,           u64,  0,                   MESH_STEP_MAX,        "step",   "step of the gather") \
    F(phase,          u16,  0,                   UINT16_MAX - 1,       "phase",  "gather within the step") \
    F(expected_ns,    u64,  0,                   UINT64_C(1) << 40,    "ns",     "from now until it should be computed; 0: unknown")

#define MESH_STATUS_FIELDS(F) \
    F(seen_all,       u64,  0,                   UINT64_MAX - 1,       "",       "highest number seen in the space to everybody") \
    F(seen_peer,      u64,  0,                   UINT64_MAX - 1,       "",       "highest number seen in the space to this peer") \
    F(window_bytes,   u32,  1,                   UINT32_MAX,           "bytes",  "credit granted beyond these numbers") \
    F(lost,           u64,  0,                   UINT64_MAX,           "",       "numbers up to these, of both spaces, that never came")

#define MESH_RECORD_FIELDS(F) \
    F(sequence,       u64,  1,                   UINT64_MAX - 1,       "",       "of the fragment, from 1, gapless") \
    F(next,           u64,  1,                   UINT64_MAX,           "",       "fragment expected next in the other direction") \
    F(fragment,       u8,   0,                   3,                    "bits",   "1: first of its record; 2: last")

#define MESH_RECORD_ACK_FIELDS(F) \
    F(next,           u64,  1,                   UINT64_MAX,           "",       "fragment expected next: all before it are here") \
    F(later,          u64,  0,                   UINT64_MAX,           "bits",   "bit i: fragment next + 1 + i is here too")

#define MESH_PING_FIELDS(F) \
    F(origin_ns,      u64,  0,                   UINT64_MAX,           "ns",     "sender's clock")

#define MESH_PONG_FIELDS(F) \
    F(origin_ns,      u64,  0,                   UINT64_MAX,           "ns",     "of the ping") \
    F(received_ns,    u64,  0,                   UINT64_MAX,           "ns",     "answering rank's clock when the ping came") \
    MESH_STATUS_FIELDS(F)

#define MESH_PROBE_FIELDS(F) \
    F(bytes,          u32,  1200,                65535,                "bytes",  "size of the whole probe")

#define MESH_PROBE_ACK_FIELDS(F) \
    F(bytes,          u32,  1200,                65535,                "bytes",  "size that arrived whole")

#define MESH_GOODBYE_FIELDS(F) \
    F(reason,         u16,  0,                   0,                    "",       "0: leaving")

#define MESH_CALL_FIELDS(F) \
    F(incarnation,    b16,  0,                   UINT8_MAX,            "",       "drawn by the client for this call") \
    F(nonce,          u64,  1,                   UINT64_MAX,           "",       "drawn by the client for this call") \
    F(cookie,         b16,  0,                   UINT8_MAX,            "",       "from a CALL_ANSWER; zeros: none yet") \
    F(padding,        b32,  0,                   0,                    "",       "no answer is longer than the question")

#define MESH_CALL_ANSWER_FIELDS(F) \
    F(incarnation,    b16,  0,                   UINT8_MAX,            "",       "of the node's process") \
    F(nonce,          u64,  1,                   UINT64_MAX,           "",       "of the CALL") \
    F(cookie,         b16,  0,                   UINT8_MAX,            "",       "to be sent back when session is 0") \
    F(identity,       b16,  0,                   UINT8_MAX,            "",       "drawn by the node for this session; zeros when session is 0") \
    F(session,        u32,  0,                   MESH_SESSION_MAX,     "",       "the session is open: epoch less its top bit; 0: call again, with the cookie")

#define MESH_CALL_REFUSE_FIELDS(F) \
    F(incarnation,    b16,  0,                   UINT8_MAX,            "",       "of the node's process") \
    F(nonce,          u64,  1,                   UINT64_MAX,           "",       "of the CALL") \
    F(reason,         u16,  MESH_CALL_VERSION,   MESH_CALL_ENDING,     "",       "1: another version; 2: too many sessions; 3: shutting down")

/* ---- the cluster layer: epoch 0, src and dst 0; the sender's incarnation is the first 16 bytes of every body ---- */

#define MESH_SENDER_FIELDS(F) \
    F(incarnation,    b16,  0,                   UINT8_MAX,            "",       "of the sender: drawn by its process at its start")

#define MESH_IDENTITY_FIELDS(F) \
    F(cluster,        b16,  0,                   UINT8_MAX,            "",       "hash of the cluster's name") \
    F(fingerprint,    b32,  0,                   UINT8_MAX,            "",       "of the model") \
    F(features,       u32,  0,                   UINT32_MAX,           "bits",   "optional parts the sender knows")

#define MESH_STANDING_FIELDS(F) \
    F(members,        u16,  1,                   64,                   "ranks",  "of the cluster's epoch that are not lost") \
    F(number,         u32,  0,                   MESH_EPOCH_MAX,       "",       "of the epoch; 0: none yet") \
    F(first,          b16,  0,                   UINT8_MAX,            "",       "incarnation of rank 0") \
    F(id,             b16,  0,                   UINT8_MAX,            "",       "of the epoch")

#define MESH_ADDRESS_FIELDS(F) \
    F(ip,             b16,  0,                   UINT8_MAX,            "",       "address of the coordinator; zero: the sender is it") \
    F(port,           u16,  0,                   UINT16_MAX,           "",       "with it")

#define MESH_ASK_FIELDS(F) \
    MESH_SENDER_FIELDS(F) \
    F(nonce,          u64,  1,                   UINT64_MAX,           "",       "fresh for this question") \
    MESH_IDENTITY_FIELDS(F) \
    MESH_STANDING_FIELDS(F)

#define MESH_COOKIE_FIELDS(F) \
    MESH_SENDER_FIELDS(F) \
    F(nonce,          u64,  1,                   UINT64_MAX,           "",       "of the question") \
    F(cookie,         b16,  0,                   UINT8_MAX,            "",       "for a JOIN or INVITE from the address that asked") \
    F(is_waiting,     u8,   0,                   1,                    "",       "1: the JOIN is noted: wait for a PLAN") \
    MESH_ADDRESS_FIELDS(F) \
    MESH_STANDING_FIELDS(F)

#define MESH_DENY_FIELDS(F) \
    MESH_SENDER_FIELDS(F) \
    F(reason,         u16,  MESH_DENY_VERSION,   MESH_DENY_NUMBER,     "",       "why; see the reasons of denial") \
    F(nonce,          u64,  1,                   UINT64_MAX,           "",       "of the question, or its number") \
    F(found,          u64,  0,                   UINT64_MAX,           "",       "what the question said; first 8 bytes of longer values") \
    F(expected,       u64,  0,                   UINT64_MAX,           "",       "what the sender has")

#define MESH_JOIN_FIELDS(F) \
    MESH_SENDER_FIELDS(F) \
    F(nonce,          u64,  1,                   UINT64_MAX,           "",       "fresh for this attempt; comes back in the PLAN") \
    F(cookie,         b16,  0,                   UINT8_MAX,            "",       "from the cluster's last COOKIE") \
    MESH_IDENTITY_FIELDS(F) \
    F(number,         u32,  0,                   MESH_EPOCH_MAX,       "",       "of the sender's last epoch; 0: none yet") \
    F(speed,          u32,  0,                   UINT32_MAX,           "",       "of the sender, in the application's unit") \
    F(app_flags,      u32,  0,                   UINT32_MAX,           "bits",   "of the sender, as the application says") \
    F(to_ip,          b16,  0,                   UINT8_MAX,            "",       "address this is sent to") \
    F(to_port,        u16,  0,                   UINT16_MAX,           "",       "with it")

#define MESH_INVITE_FIELDS(F) \
    MESH_SENDER_FIELDS(F) \
    F(cookie,         b16,  0,                   UINT8_MAX,            "",       "from the receiver's COOKIE") \
    MESH_ADDRESS_FIELDS(F) \
    MESH_STANDING_FIELDS(F)

#define MESH_MOVE_FIELDS(F) \
    MESH_SENDER_FIELDS(F) \
    F(from,           b16,  0,                   UINT8_MAX,            "",       "id of the epoch of sender and receiver") \
    MESH_ADDRESS_FIELDS(F) \
    MESH_STANDING_FIELDS(F)

#define MESH_PLAN_FIELDS(F) \
    MESH_SENDER_FIELDS(F) \
    F(stage,          u8,   MESH_STAGE_CHECK,    MESH_STAGE_COMMIT,    "",       "1: check; 2: prepare; 3: propose; 4: commit") \
    F(number,         u32,  1,                   MESH_EPOCH_MAX,       "",       "of the new epoch") \
    F(round,          u32,  1,                   UINT32_MAX,           "",       "of the proposer, increasing") \
    F(rank,           u16,  0,                   63,                   "rank",   "of the proposer in the epoch before") \
    F(proposer,       b16,  0,                   UINT8_MAX,            "",       "incarnation of the proposer") \
    F(id,             b16,  0,                   UINT8_MAX,            "",       "PLAN: of the proposer's epoch; COMMIT: of the new one") \
    F(total,          u16,  1,                   64,                   "ranks",  "members of the new epoch") \
    F(first,          u16,  0,                   63,                   "rank",   "of the first that follows") \
    F(member_count,   u16,  1,                   MESH_PART_MEMBERS_MAX, "ranks", "members that follow")

#define MESH_MEMBER_FIELDS(F) \
    F(incarnation,    b16,  0,                   UINT8_MAX,            "",       "of the member") \
    F(ip,             b16,  0,                   UINT8_MAX,            "",       "its address; IPv4 mapped into IPv6") \
    F(port,           u16,  0,                   UINT16_MAX,           "",       "with it") \
    F(speed,          u32,  0,                   UINT32_MAX,           "",       "in the application's unit") \
    F(share,          u32,  0,                   UINT32_MAX,           "",       "of the rows, as the application says; all 0: by speed") \
    F(app_flags,      u32,  0,                   UINT32_MAX,           "bits",   "as the application says") \
    F(summary,        u64,  0,                   UINT64_MAX,           "",       "as the application says, when the member agreed") \
    F(nonce,          b16,  0,                   UINT8_MAX,            "",       "of this agreement; in a PLAN the JOIN's, or zero")

#define MESH_VOTE_FIELDS(F) \
    MESH_SENDER_FIELDS(F) \
    F(stage,          u8,   MESH_STAGE_CHECK,    MESH_STAGE_PROPOSE,   "",       "of the PLAN") \
    F(number,         u32,  1,                   MESH_EPOCH_MAX,       "",       "of the PLAN") \
    F(round,          u32,  1,                   UINT32_MAX,           "",       "of the PLAN") \
    F(answer,         u8,   MESH_ANSWER_YES,     MESH_ANSWER_UNASKED,  "",       "1: yes; 2: not yet; 3: promised; 4: elsewhere; 5: unasked") \
    F(heard,          u64,  0,                   UINT64_MAX,           "ranks",  "bits of the list: these are heard") \
    F(epoch,          u32,  0,                   MESH_EPOCH_MAX,       "",       "number of the sender's epoch") \
    F(id,             b16,  0,                   UINT8_MAX,            "",       "of the sender's epoch") \
    F(rival_number,   u32,  0,                   MESH_EPOCH_MAX,       "",       "of the ballot promised to") \
    F(rival,          b16,  0,                   UINT8_MAX,            "",       "promised: that ballot's proposer; else the PLAN's, or zero") \
    F(nonce,          b16,  0,                   UINT8_MAX,            "",       "yes to a proposal: fresh for it") \
    F(summary,        u64,  0,                   UINT64_MAX,           "",       "as the application says") \
    F(speed,          u32,  0,                   UINT32_MAX,           "",       "of the sender") \
    F(app_flags,      u32,  0,                   UINT32_MAX,           "bits",   "of the sender")

#define MESH_SUSPECT_FIELDS(F) \
    MESH_SENDER_FIELDS(F) \
    F(id,             b16,  0,                   UINT8_MAX,            "",       "of the epoch") \
    F(ranks,          u64,  0,                   UINT64_MAX,           "ranks",  "bits: these are suspected") \
    F(unheard,        u64,  0,                   UINT64_MAX,           "ranks",  "bits: the sender has heard nothing of these for 500 ms; not in ranks: starving")

#define MESH_VERDICT_FIELDS(F) \
    MESH_SENDER_FIELDS(F) \
    F(id,             b16,  0,                   UINT8_MAX,            "",       "of the epoch") \
    F(alive,          u64,  0,                   UINT64_MAX,           "ranks",  "bits: these have answered the sender") \
    F(doubted,        u64,  0,                   UINT64_MAX,           "ranks",  "bits: these have not, or not yet")

#define MESH_ALIVE_FIELDS(F) \
    MESH_SENDER_FIELDS(F) \
    F(state,          u16,  0,                   MESH_ALIVE_FLAGS,     "bits",   "1: asks; 2: answers; 4: to a stranger; 8: leaving; 16: to a COMMIT") \
    F(number,         u32,  0,                   MESH_EPOCH_MAX,       "",       "of the sender's epoch; 0: none yet") \
    F(id,             b16,  0,                   UINT8_MAX,            "",       "of the sender's epoch") \
    F(origin_ns,      u64,  0,                   UINT64_MAX,           "ns",     "asking member's clock, echoed; to a COMMIT: its number") \
    F(speed,          u32,  0,                   UINT32_MAX,           "",       "of the sender") \
    F(app_flags,      u32,  0,                   UINT32_MAX,           "bits",   "of the sender")

#define MESH_LOOK_FIELDS(F) \
    MESH_SENDER_FIELDS(F) \
    F(interval_ms,    u16,  50,                  10000,                "ms",     "between two reports of the receiver") \
    F(lease_ms,       u16,  1,                   60000,                "ms",     "for so long from now on") \
    F(kinds,          u32,  0,                   UINT32_MAX,           "bits",   "bit k: items of kind k, see Telemetry; bit 0: also events already told")

/* A number belongs to a layer, which alone receives it: 1-31 to endpoints of an epoch (mesh.c), 32-47 to the cluster layer (cluster.c), 48-63
 * to telemetry among members (node/telemetry/watch.c), from 64 on to the calls of clients (session_connection.c). A node drops messages of types that
 * it does not know and counts them, so a message that nodes can do without needs no new version; changed fields do, once released. */
/*    number  NAME        struct      fields                   tail     meaning */
#define MESH_MESSAGES(M) \
    M(1,      HELLO,      hello,      MESH_HELLO_FIELDS,       NONE,    "Who the sender is. Repeated until a HELLO_ACK comes.") \
    M(2,      HELLO_ACK,  hello_ack,  MESH_HELLO_FIELDS,       NONE,    "Answer to a HELLO; echoes its nonce.") \
    M(3,      REFUSE,     refuse,     MESH_REFUSE_FIELDS,      NONE,    "Answer to a HELLO that does not fit.") \
    M(4,      TILE,       tile,       MESH_TILE_FIELDS,        DATA,    "Blocks of a gather: for each token in turn, its blocks.") \
    M(5,      NAK,        nak,        MESH_NAK_FIELDS,         RANGES,  "Blocks of the receiver that are missing at the sender.") \
    M(6,      NOT_YET,    not_yet,    MESH_NOT_YET_FIELDS,     NONE,    "Answer to a NAK: not computed yet.") \
    M(7,      STATUS,     status,     MESH_STATUS_FIELDS,      NONE,    "What has been seen of the receiver, and its credit beyond.") \
    M(8,      RECORD,     record,     MESH_RECORD_FIELDS,      DATA,    "A fragment of a record of the reliable channel.") \
    M(9,      RECORD_ACK, record_ack, MESH_RECORD_ACK_FIELDS,  NONE,    "Fragments that have arrived.") \
    M(10,     PING,       ping,       MESH_PING_FIELDS,        NONE,    "Asks for a PONG.") \
    M(11,     PONG,       pong,       MESH_PONG_FIELDS,        NONE,    "Answer to a PING: times for RTT and clock offset; a STATUS.") \
    M(12,     PROBE,      probe,      MESH_PROBE_FIELDS,       PADDING, "Padded to a size the path has not carried yet.") \
    M(13,     PROBE_ACK,  probe_ack,  MESH_PROBE_ACK_FIELDS,   NONE,    "Answer to a PROBE.") \
    M(14,     GOODBYE,    goodbye,    MESH_GOODBYE_FIELDS,     NONE,    "The sender leaves; sent three times.") \
    M(32,     ASK,        ask,        MESH_ASK_FIELDS,         NONE,    "Which cluster is there, and may I join? To any address.") \
    M(33,     COOKIE,     cookie,     MESH_COOKIE_FIELDS,      NONE,    "Answer to an ASK or JOIN: who we are, and how to go on.") \
    M(34,     DENY,       deny,       MESH_DENY_FIELDS,        NONE,    "Answer to an ASK or JOIN that does not fit.") \
    M(35,     JOIN,       join,       MESH_JOIN_FIELDS,        NONE,    "Takes a cookie to the coordinator. Repeated until a PLAN comes.") \
    M(36,     INVITE,     invite,     MESH_INVITE_FIELDS,      NONE,    "Takes a cookie back: our cluster should take yours in.") \
    M(37,     MOVE,       move,       MESH_MOVE_FIELDS,        NONE,    "Among members: that cluster should take us in.") \
    M(38,     PLAN,       plan,       MESH_PLAN_FIELDS,        MEMBERS, "A part of the list of the next epoch.") \
    M(39,     VOTE,       vote,       MESH_VOTE_FIELDS,        NONE,    "Answer to a PLAN.") \
    M(40,     COMMIT,     commit,     MESH_PLAN_FIELDS,        MEMBERS, "A part of the list of an epoch that is agreed.") \
    M(41,     SUSPECT,    suspect,    MESH_SUSPECT_FIELDS,     NONE,    "To the lowest rank that is not suspected.") \
    M(42,     VERDICT,    verdict,    MESH_VERDICT_FIELDS,     NONE,    "Answer to a SUSPECT.") \
    M(43,     ALIVE,      alive,      MESH_ALIVE_FIELDS,       NONE,    "The sender is there, in this epoch.") \
    M(48,     LOOK,       look,       MESH_LOOK_FIELDS,        NONE,    "Among members: asks for telemetry. Repeated while somebody looks at it.") \
    M(49,     REPORT,     report,     MESH_SENDER_FIELDS,      DATA,    "Answer to a LOOK, again and again: a piece of the sender's telemetry.") \
    M(64,     CALL,        calling,     MESH_CALL_FIELDS,        NONE, "A client asks a node for a session. Repeated until it is open.") \
    M(65,     CALL_ANSWER, call_answer, MESH_CALL_ANSWER_FIELDS, NONE, "Answer to a CALL: a cookie, or the session.") \
    M(66,     CALL_REFUSE, call_refuse, MESH_CALL_REFUSE_FIELDS, NONE, "Answer to a CALL: there will be no session.")

/* ---- what comes from the lists ---- */

#define MESH_WIRE_MEMBER_u8(name)  uint8_t name;
#define MESH_WIRE_MEMBER_u16(name) uint16_t name;
#define MESH_WIRE_MEMBER_u32(name) uint32_t name;
#define MESH_WIRE_MEMBER_u64(name) uint64_t name;
#define MESH_WIRE_MEMBER_b16(name) uint8_t name[16];
#define MESH_WIRE_MEMBER_b32(name) uint8_t name[32];
#define MESH_WIRE_MEMBER(name, type, min, max, unit, meaning) MESH_WIRE_MEMBER_##type(name)
#define MESH_WIRE_BYTES(name, type, min, max, unit, meaning) uint8_t name[MESH_WIRE_SIZE_##type];

enum {
    MESH_WIRE_SIZE_u8 = 1, MESH_WIRE_SIZE_u16 = 2, MESH_WIRE_SIZE_u32 = 4, MESH_WIRE_SIZE_u64 = 8,
    MESH_WIRE_SIZE_b16 = 16, MESH_WIRE_SIZE_b32 = 32
};

struct mesh_header { MESH_HEADER_FIELDS(MESH_WIRE_MEMBER) };
struct mesh_header_bytes { MESH_HEADER_FIELDS(MESH_WIRE_BYTES) };
struct mesh_range { MESH_RANGE_FIELDS(MESH_WIRE_MEMBER) };
struct mesh_range_bytes { MESH_RANGE_FIELDS(MESH_WIRE_BYTES) };
struct mesh_member { MESH_MEMBER_FIELDS(MESH_WIRE_MEMBER) };
struct mesh_member_bytes { MESH_MEMBER_FIELDS(MESH_WIRE_BYTES) };

#define MESH_WIRE_STRUCTS(number, NAME, name, FIELDS, tail, meaning) \
    struct mesh_##name { FIELDS(MESH_WIRE_MEMBER) }; \
    struct mesh_##name##_bytes { FIELDS(MESH_WIRE_BYTES) };
MESH_MESSAGES(MESH_WIRE_STRUCTS)

#define MESH_WIRE_TYPE(number, NAME, name, FIELDS, tail, meaning) MESH_TYPE_##NAME = number,
enum mesh_type { MESH_MESSAGES(MESH_WIRE_TYPE) MESH_TYPE_COUNT /* the highest + 1; not all below are in use */ };
#define MESH_WIRE_UNION(number, NAME, name, FIELDS, tail, meaning) struct mesh_##name name;
/* clang-format on */

enum {
    MESH_HEADER_BYTES = sizeof(struct mesh_header_bytes),
    MESH_TILE_OVERHEAD_BYTES = sizeof(struct mesh_header_bytes) + sizeof(struct mesh_tile_bytes),
    MESH_RECORD_OVERHEAD_BYTES = sizeof(struct mesh_header_bytes) + sizeof(struct mesh_record_bytes),
    MESH_MEMBER_BYTES = sizeof(struct mesh_member_bytes)
};

/* A decoded datagram. Valid for the type in header.type only. */
struct mesh_message {
    struct mesh_header header;
    union {
        MESH_MESSAGES(MESH_WIRE_UNION)
    } as;
    const uint8_t *data; /* TILE, RECORD, REPORT: borrowed from the packet, or NULL to leave the bytes to the caller of encode */
    size_t data_bytes;
    union {
        struct mesh_range ranges[MESH_NAK_RANGES_MAX];     /* NAK: as.nak.range_count of them */
        struct mesh_member members[MESH_PART_MEMBERS_MAX]; /* PLAN, COMMIT: as.plan.member_count */
    };
};

enum mesh_wire_tail { MESH_TAIL_NONE, MESH_TAIL_DATA, MESH_TAIL_RANGES, MESH_TAIL_PADDING, MESH_TAIL_MEMBERS };
enum mesh_wire_type { MESH_WIRE_u8, MESH_WIRE_u16, MESH_WIRE_u32, MESH_WIRE_u64, MESH_WIRE_b16, MESH_WIRE_b32 };

/* One field: where it is on the wire (from the start of its part) and in the decoded struct, and what it may be. */
struct mesh_wire_field {
    const char *name;
    enum mesh_wire_type type;
    uint16_t size, wire_offset, struct_offset;
    uint64_t min, max; /* of integers; of every byte of byte strings */
    const char *unit, *meaning;
};

struct mesh_wire_part {
    const char *name, *meaning;
    const struct mesh_wire_field *fields;
    uint16_t field_count, wire_bytes;
    uint8_t number;
    enum mesh_wire_tail tail;
};

extern const struct mesh_wire_part mesh_wire_header, mesh_wire_range, mesh_wire_member;

/* The message of a type; NULL when there is none. */
const struct mesh_wire_part *mesh_wire_message(unsigned type);

/* The value of an integer field (asserted). decoded: the struct of its part, e.g. a struct mesh_header; of a message, &mesh_message.as. */
uint64_t mesh_wire_get(const struct mesh_wire_field *field, const void *decoded);

/* Decode a header alone; of another version too (the caller compares). MESH_ETRUNCATED, MESH_ETYPE (not this protocol), MESH_ERANGE. */
int mesh_wire_decode_header(const uint8_t *packet, size_t bytes, struct mesh_header *header);

/* Decode what follows message->header, which mesh_wire_decode_header decoded (asserted). MESH_ETRUNCATED: another size; MESH_ERANGE. */
int mesh_wire_decode_body(const uint8_t *packet, size_t bytes, struct mesh_message *message);

/* Both. MESH_EVERSION: another version. After an error of any of the three the content of their output is undefined. */
int mesh_wire_decode(const uint8_t *packet, size_t bytes, struct mesh_message *message);

/* Write a message; returns its bytes. All must be in range and fit (asserted). data NULL: its room is left. PROBE is padded with zeros. */
size_t mesh_wire_encode(const struct mesh_message *message, uint8_t *packet, size_t capacity);

/* A member alone, as it stands in a list. */
void mesh_wire_encode_member(const struct mesh_member *member, uint8_t out[MESH_MEMBER_BYTES]);

/* ---- text (wire_text.c; the only part that uses stdio) ---- */

/* One line without newline, e.g. "1>0 NAK epoch 9 #17 have 3.2 sent_ns 0 step 4 ...". Like snprintf: returns the length it needs. */
size_t mesh_wire_text(const struct mesh_message *message, char *out, size_t capacity);

/* The header's part of that line: what can be said of a datagram that is sealed or cut short. */
size_t mesh_wire_header_text(const struct mesh_header *header, char *out, size_t capacity);

/* The tables of docs/PROTOCOL.md in Markdown. Like snprintf. */
size_t mesh_wire_write_protocol(char *out, size_t capacity);

#ifdef __cplusplus
}
#endif
#endif
