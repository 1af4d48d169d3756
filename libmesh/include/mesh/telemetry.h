/* Telemetry: what nodes measure of themselves, their links, workers, requests and steps; one list of metrics, and its form on the wire.
 *
 * A *report* is what one node says of itself at one moment. It travels in *pieces*, each small enough for one datagram and complete in
 * itself: a head, then *items*. Counters count from the beginning of the epoch (or of the process, where the meaning says so), so a piece
 * that is lost or left out costs nothing: the next one says more. Pieces come by REPORT datagrams from members that were asked by a LOOK,
 * and as records of client sessions (below) of any node that a client watches.
 *
 * The lists give the structs, the codec, range checks, docs/PROTOCOL.md, and the table of metrics, from which names and help of /metrics,
 * columns of the monitor and JSON keys come. Pure functions: no I/O, no allocation; what is read comes from others and is checked. */
#ifndef MESH_TELEMETRY_H
#define MESH_TELEMETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mesh/err.h"
#include "mesh/histogram.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    MESH_TELEMETRY_VERSION = 1,
    MESH_TELEMETRY_PIECE_BYTES_MAX = 1100, /* of a piece */
    MESH_TELEMETRY_TEXT_BYTES_MAX = 200,   /* of an item's text */
    MESH_TELEMETRY_INTERVAL_MS_MIN = 50,
    MESH_TELEMETRY_INTERVAL_MS_MAX = 10000,
    MESH_TELEMETRY_LEASE_MS_MAX = 60000,
    MESH_TELEMETRY_NOBODY = UINT16_MAX, /* in place of a rank */
    MESH_TELEMETRY_PHASE_NS = 100       /* unit of the times of phases */
};

enum mesh_node_state {
    MESH_NODE_SEEKING, /* in no epoch: it looks for the others */
    MESH_NODE_LOADING,
    MESH_NODE_UP,
    MESH_NODE_JOINING, /* of a peer: in the epoch's list, not heard in it yet */
    MESH_NODE_SUSPECTED,
    MESH_NODE_LEAVING,
    MESH_NODE_STATES
};

enum mesh_worker_state {
    MESH_WORKER_IDLE, /* no step is open */
    MESH_WORKER_COMPUTING,
    MESH_WORKER_WAITING, /* for waits_for */
    MESH_WORKER_STATES
};

enum mesh_request_state {
    MESH_REQUEST_WAITING,
    MESH_REQUEST_PROMPT,
    MESH_REQUEST_GENERATING,
    MESH_REQUEST_DONE,
    MESH_REQUEST_FAILED, /* by an error, or cancelled */
    MESH_REQUEST_STATES
};

enum mesh_node_event {
    MESH_NODE_EVENT_START = 1, /* of the process */
    MESH_NODE_EVENT_EPOCH,     /* began */
    MESH_NODE_EVENT_PREPARE,   /* it is loaded and copied for the next epoch */
    MESH_NODE_EVENT_LOADED,
    MESH_NODE_EVENT_LOST, /* a member of the last epoch is not in this one */
    MESH_NODE_EVENT_BACK,
    MESH_NODE_EVENT_SUSPECTED, /* silent while it owes something, or unreachable */
    MESH_NODE_EVENT_JOINED,    /* this node was taken in by another cluster */
    MESH_NODE_EVENT_REFUSED,   /* and this is why not */
    MESH_NODE_EVENT_EVICTED,   /* the others went on without this node */
    MESH_NODE_EVENT_LEAVING,
    MESH_NODE_EVENT_REQUEST_FAILED,
    MESH_NODE_EVENT_SHORT,   /* the epoch's members have too little memory for the model */
    MESH_NODE_EVENT_TROUBLE, /* something is wrong, mostly with the network: what, why, what to do */
    MESH_NODE_EVENT_MENDED,  /* a trouble is over; the text is how the trouble's begins */
    MESH_NODE_EVENTS
};

/* Words for people, JSON and labels: "up", "waiting", ...; "?" for what is not one. */
const char *mesh_telemetry_state_name(unsigned state);
const char *mesh_telemetry_worker_name(unsigned state);
const char *mesh_telemetry_request_name(unsigned state);
const char *mesh_telemetry_event_name(unsigned event);

/* ---- the lists ---- */

/* clang-format off */
/*    name              type  min max                  unit         kind     metric                                       meaning */
#define MESH_TELEMETRY_HEAD_FIELDS(F) \
    F(version,          u8,   1,  UINT8_MAX,           "",          LABEL,   "",                                          "of telemetry") \
    F(incarnation,      b16,  0,  UINT8_MAX,           "",          LABEL,   "",                                          "of the node that this is about: drawn by its process at its start") \
    F(rank,             u16,  0,  UINT16_MAX,          "rank",      LABEL,   "",                                          "of that node; 65535: in no epoch") \
    F(epoch,            u32,  0,  INT32_MAX,           "",          LABEL,   "",                                          "its epoch; 0: none") \
    F(serial,           u32,  1,  UINT32_MAX,          "",          LABEL,   "",                                          "of the report, increasing") \
    F(now_ns,           u64,  0,  UINT64_MAX,          "ns",        LABEL,   "",                                          "its clock when it was made")

#define MESH_TELEMETRY_NODE_FIELDS(F) \
    F(state,            u8,   0,  MESH_NODE_STATES-1,  "",          LABEL,   "",                                          "0: seeking; 1: loading; 2: up; 5: leaving") \
    F(members,          u16,  0,  64,                  "ranks",     GAUGE,   "mesh_members",                              "Members of the node's epoch; 0 while it is in none") \
    F(ip,               b16,  0,  UINT8_MAX,           "",          LABEL,   "",                                          "its mesh address; IPv4 mapped into IPv6") \
    F(port,             u16,  0,  UINT16_MAX,          "",          LABEL,   "",                                          "with it") \
    F(epoch_number,     u32,  0,  INT32_MAX,           "",          GAUGE,   "mesh_epoch",                                "Number of the node's epoch; 0 while it is in none") \
    F(is_sequencer,     u8,   0,  1,                   "",          GAUGE,   "mesh_sequencer",                            "Whether the node decides the order of steps: 1, else 0") \
    F(share,            u32,  0,  UINT32_MAX,          "",          GAUGE,   "mesh_share",                                "Share of the rows, beside the other nodes'") \
    F(threads,          u16,  0,  UINT16_MAX,          "threads",   GAUGE,   "mesh_threads",                              "Worker threads") \
    F(unix_ms,          u64,  0,  UINT64_C(1) << 48,   "ms",        LABEL,   "",                                          "wall clock when the report was made") \
    F(uptime_ns,        u64,  0,  UINT64_MAX,          "ns",        GAUGE,   "mesh_uptime_seconds",                       "Time since the process started") \
    F(epoch_age_ns,     u64,  0,  UINT64_MAX,          "ns",        GAUGE,   "mesh_epoch_age_seconds",                    "Time since the node's epoch began") \
    F(steps,            u64,  0,  UINT64_MAX,          "steps",     COUNTER, "mesh_steps_total",                          "Steps computed in this epoch") \
    F(positions,        u64,  0,  UINT64_MAX,          "tokens",    COUNTER, "mesh_positions_total",                      "Tokens of prompts and answers taken through the model in this epoch") \
    F(tokens,           u64,  0,  UINT64_MAX,          "tokens",    COUNTER, "mesh_generated_tokens_total",               "Tokens generated in this epoch, of all requests of the mesh") \
    F(stepping_ns,      u64,  0,  UINT64_MAX,          "ns",        COUNTER, "mesh_stepping_seconds_total",               "Time with a step open in this epoch") \
    F(compute_ns,       u64,  0,  UINT64_MAX,          "ns",        COUNTER, "mesh_compute_seconds_total",                "Time computing in this epoch, summed over workers") \
    F(weight_bytes_read, u64, 0,  UINT64_MAX,          "bytes",     COUNTER, "mesh_weight_read_bytes_total",              "Weights read by the kernels in this epoch") \
    F(own_wait_ns,      u64,  0,  UINT64_MAX,          "ns",        COUNTER, "mesh_own_wait_seconds_total",               "Time workers waited for another worker of the same node in this epoch") \
    F(recomputed,       u64,  0,  UINT64_MAX,          "tokens",    COUNTER, "mesh_recomputed_tokens_total",              "Positions computed again after an epoch, since the start") \
    F(weight_bytes,     u64,  0,  UINT64_MAX,          "bytes",     GAUGE,   "mesh_weight_bytes",                         "Memory for weights") \
    F(kv_bytes,         u64,  0,  UINT64_MAX,          "bytes",     GAUGE,   "mesh_kv_bytes",                             "Memory for keys and values") \
    F(buffer_bytes,     u64,  0,  UINT64_MAX,          "bytes",     GAUGE,   "mesh_buffer_bytes",                         "Memory for everything else of the engine") \
    F(available_bytes,  u64,  0,  UINT64_MAX,          "bytes",     GAUGE,   "mesh_machine_available_bytes",              "Memory that the machine has left") \
    F(requests_running, u32,  0,  UINT32_MAX,          "requests",  GAUGE,   "mesh_requests_running",                     "Requests that entered here and are not over") \
    F(requests_begun,   u64,  0,  UINT64_MAX,          "requests",  COUNTER, "mesh_requests_total",                       "Requests that entered here, since the start") \
    F(requests_failed,  u64,  0,  UINT64_MAX,          "requests",  COUNTER, "mesh_requests_failed_total",                "Of these, ended by an error or cancelled") \
    F(prompt_tokens,    u64,  0,  UINT64_MAX,          "tokens",    COUNTER, "mesh_request_prompt_tokens_total",          "Prompt tokens of requests that entered here and are over, since the start") \
    F(answer_tokens,    u64,  0,  UINT64_MAX,          "tokens",    COUNTER, "mesh_request_generated_tokens_total",       "Tokens generated for requests that entered here and are over, since the start") \
    F(first_token_ns,   u64,  0,  UINT64_MAX,          "ns",        COUNTER, "mesh_request_first_token_seconds_total",    "Time to the first token, summed over requests that entered here and are over") \
    F(generating_ns,    u64,  0,  UINT64_MAX,          "ns",        COUNTER, "mesh_request_generating_seconds_total",     "Time from the first to the last token, summed over requests that entered here and are over") \
    F(clients,          u32,  0,  UINT32_MAX,          "sessions",  GAUGE,   "mesh_client_sessions",                      "Client sessions that are open") \
    F(watchers,         u32,  0,  UINT32_MAX,          "sessions",  GAUGE,   "mesh_watchers",                             "Client sessions and members that telemetry is sent to") \
    F(epochs,           u64,  0,  UINT64_MAX,          "epochs",    COUNTER, "mesh_epochs_total",                         "Epochs that began on this node, since the start") \
    F(evictions,        u64,  0,  UINT64_MAX,          "times",     COUNTER, "mesh_evictions_total",                      "Times the others went on without this node, since the start") \
    F(suspicions,       u64,  0,  UINT64_MAX,          "times",     COUNTER, "mesh_suspicions_total",                     "Members that were asked for a sign of life, since the start") \
    F(early,            u64,  0,  UINT64_MAX,          "tiles",     COUNTER, "mesh_tiles_early_total",                    "Tiles that came before their gather was opened, in this epoch") \
    F(kernel_drops,     u64,  0,  UINT64_MAX,          "datagrams", COUNTER, "mesh_dropped_kernel_datagrams_total",       "Datagrams that found the socket's buffer full, since the start") \
    F(send_errors,      u64,  0,  UINT64_MAX,          "datagrams", COUNTER, "mesh_send_errors_total",                    "Datagrams that the system would not send, since the start") \
    F(unreachable,      u64,  0,  UINT64_MAX,          "datagrams", COUNTER, "mesh_unreachable_datagrams_total",          "Datagrams that came back as unreachable, since the start") \
    F(refused_auth,     u64,  0,  UINT64_MAX,          "datagrams", COUNTER, "mesh_refused_authentication_datagrams_total", "Datagrams without proof of the key, or with a wrong one, since the start") \
    F(refused_replay,   u64,  0,  UINT64_MAX,          "datagrams", COUNTER, "mesh_refused_replay_datagrams_total",       "Datagrams that came again, since the start") \
    F(refused_range,    u64,  0,  UINT64_MAX,          "datagrams", COUNTER, "mesh_refused_range_datagrams_total",        "Datagrams of an unknown form, or with a field out of range, in this epoch") \
    F(refused_rate,     u64,  0,  UINT64_MAX,          "datagrams", COUNTER, "mesh_refused_rate_datagrams_total",         "Datagrams of strangers beyond what is looked at, since the start") \
    F(telemetry_refused, u64, 0,  UINT64_MAX,          "messages",  COUNTER, "mesh_telemetry_refused_total",              "Telemetry, and requests for it, of an unknown form or not entitled, since the start") \
    F(lab_pace,         u64,  0,  UINT64_MAX,          "bytes/s",   GAUGE,   "mesh_lab_pace_bytes_per_second",            "Memory speed that the node is held to by --lab; 0: none") \
    F(lab_loss_ppm,     u32,  0,  1000000,             "ppm",       GAUGE,   "mesh_lab_loss_ratio",                       "Part of the received datagrams that --lab drops")

#define MESH_TELEMETRY_LINK_FIELDS(F) \
    F(peer,             u16,  0,  63,                  "rank",      LABEL,   "",                                          "the other node") \
    F(state,            u8,   0,  MESH_NODE_STATES-1,  "",          LABEL,   "",                                          "of the peer, as this node sees it: 2: up; 3: joining; 4: suspected; 5: leaving") \
    F(ip,               b16,  0,  UINT8_MAX,           "",          LABEL,   "",                                          "the peer's mesh address; IPv4 mapped into IPv6") \
    F(port,             u16,  0,  UINT16_MAX,          "",          LABEL,   "",                                          "with it") \
    F(is_up,            u8,   0,  1,                   "",          GAUGE,   "mesh_link_up",                              "Whether the handshake with the peer is complete: 1, else 0") \
    F(datagrams_sent,   u64,  0,  UINT64_MAX,          "datagrams", COUNTER, "mesh_link_sent_datagrams_total",            "Datagrams sent to the peer") \
    F(bytes_sent,       u64,  0,  UINT64_MAX,          "bytes",     COUNTER, "mesh_link_sent_bytes_total",                "Bytes sent to the peer") \
    F(datagrams_received, u64, 0, UINT64_MAX,          "datagrams", COUNTER, "mesh_link_received_datagrams_total",        "Datagrams received from the peer") \
    F(bytes_received,   u64,  0,  UINT64_MAX,          "bytes",     COUNTER, "mesh_link_received_bytes_total",            "Bytes received from the peer") \
    F(tiles_sent,       u64,  0,  UINT64_MAX,          "tiles",     COUNTER, "mesh_link_sent_tiles_total",                "Tiles sent to the peer, resends included") \
    F(tiles_received,   u64,  0,  UINT64_MAX,          "tiles",     COUNTER, "mesh_link_received_tiles_total",            "Tiles received from the peer, resends included") \
    F(lost,             u64,  0,  UINT64_MAX,          "datagrams", COUNTER, "mesh_link_lost_datagrams_total",            "Datagrams of the peer that never came, probes too; for one that comes late, the next one lost is not counted") \
    F(probes_lost,      u64,  0,  UINT64_MAX,          "datagrams", COUNTER, "mesh_link_lost_probes_total",               "Probes (path MTU, group) that did not reach the peer, by its reports: it counts them as lost, and no data was") \
    F(late,             u64,  0,  UINT64_MAX,          "datagrams", COUNTER, "mesh_link_late_datagrams_total",            "Datagrams of the peer that came after they had counted as lost") \
    F(reordered,        u64,  0,  UINT64_MAX,          "datagrams", COUNTER, "mesh_link_reordered_datagrams_total",       "Datagrams of the peer that came after a later one") \
    F(duplicate,        u64,  0,  UINT64_MAX,          "datagrams", COUNTER, "mesh_link_duplicate_datagrams_total",       "Datagrams of the peer that came twice, or brought blocks that were there") \
    F(refused,          u64,  0,  UINT64_MAX,          "datagrams", COUNTER, "mesh_link_refused_datagrams_total",         "Datagrams of the peer with a field out of range, or not expected") \
    F(naks_sent,        u64,  0,  UINT64_MAX,          "datagrams", COUNTER, "mesh_link_sent_naks_total",                 "NAKs sent to the peer, for missing blocks") \
    F(naks_received,    u64,  0,  UINT64_MAX,          "datagrams", COUNTER, "mesh_link_received_naks_total",             "NAKs received from the peer, for missing blocks") \
    F(resent,           u64,  0,  UINT64_MAX,          "tiles",     COUNTER, "mesh_link_resent_tiles_total",              "Tiles resent to the peer after its NAKs") \
    F(not_yet_sent,     u64,  0,  UINT64_MAX,          "datagrams", COUNTER, "mesh_link_sent_not_yet_total",              "Answers to the peer that its blocks are not computed yet") \
    F(not_yet_received, u64,  0,  UINT64_MAX,          "datagrams", COUNTER, "mesh_link_received_not_yet_total",          "Answers of the peer that blocks are not computed yet") \
    F(duplicates_sent,  u64,  0,  UINT64_MAX,          "tiles",     COUNTER, "mesh_link_sent_copies_total",               "Copies of tiles sent to the peer, because its path loses datagrams") \
    F(duplicates_used,  u64,  0,  UINT64_MAX,          "tiles",     COUNTER, "mesh_link_used_copies_total",               "Copies of tiles received from the peer before the tile itself") \
    F(credit_waits,     u64,  0,  UINT64_MAX,          "times",     COUNTER, "mesh_link_credit_waits_total",              "Times sending waited for room in the peer's buffer") \
    F(waited_ns,        u64,  0,  UINT64_MAX,          "ns",        COUNTER, "mesh_link_wait_seconds_total",              "Time this node's workers waited for blocks of the peer") \
    F(loss_ppm,         u32,  0,  1000000,             "ppm",       GAUGE,   "mesh_link_loss_ratio",                      "Part lost of what goes to the peer, without probes, by its reports, as a slow average") \
    F(clock_offset_ns,  s64,  0,  UINT64_MAX,          "ns",        GAUGE,   "mesh_link_clock_offset_seconds",            "The peer's clock minus this node's, as estimated") \
    F(clock_error_ns,   u64,  0,  UINT64_MAX,          "ns",        GAUGE,   "mesh_link_clock_error_seconds",             "How far the estimate may be off, either way: half the round trip by which it was measured, and what the clocks may have drifted since") \
    F(rtt_ns_min,       u64,  0,  UINT64_MAX,          "ns",        GAUGE,   "mesh_link_round_trip_min_seconds",          "Shortest round trip to the peer") \
    F(rtt_ns,           u64,  0,  UINT64_MAX,          "ns",        GAUGE,   "mesh_link_round_trip_smoothed_seconds",     "Round trip to the peer, as a running average") \
    F(silent_ns,        u64,  0,  UINT64_MAX,          "ns",        GAUGE,   "mesh_link_silent_seconds",                  "Time since the peer was last heard in this epoch") \
    F(datagram_bytes,   u32,  0,  65535,               "bytes",     GAUGE,   "mesh_link_datagram_bytes",                  "Largest datagram proved on the path to the peer")

#define MESH_TELEMETRY_LATENCY_FIELDS(F) \
    F(peer,             u16,  0,  63,                  "rank",      LABEL,   "",                                          "the other node") \
    F(which,            u8,   0,  MESH_LATENCIES-1,    "",          LABEL,   "",                                          "0: use; 1: one way; 2: round trip") \
    F(count,            u64,  0,  UINT64_MAX,          "",          LABEL,   "",                                          "of samples") \
    F(sum_ns,           u64,  0,  UINT64_MAX,          "ns",        LABEL,   "",                                          "of samples") \
    F(max_ns,           u64,  0,  UINT64_MAX,          "ns",        LABEL,   "",                                          "largest sample") \
    F(bucket_first,     u16,  0,  MESH_HISTOGRAM_BUCKETS-1, "",     LABEL,   "",                                          "first bucket that this item tells of") \
    F(bucket_end,       u16,  1,  MESH_HISTOGRAM_BUCKETS, "",       LABEL,   "",                                          "one after the last; those in between that are not told of are empty")

#define MESH_TELEMETRY_WORKER_FIELDS(F) \
    F(worker,           u16,  0,  UINT16_MAX,          "",          LABEL,   "",                                          "which, from 0") \
    F(doing,            u8,   0,  MESH_WORKER_STATES-1, "",         LABEL,   "",                                          "0: idle; 1: computing; 2: waiting") \
    F(waits_for,        u16,  0,  UINT16_MAX,          "rank",      LABEL,   "",                                          "whose blocks it waits for; the own rank: another worker; 65535: nobody's") \
    F(waits_phase,      u16,  0,  UINT16_MAX,          "phase",     LABEL,   "",                                          "gather that it waits for; 65535: none") \
    F(compute_ns,       u64,  0,  UINT64_MAX,          "ns",        COUNTER, "mesh_worker_compute_seconds_total",         "Time computing") \
    F(send_ns,          u64,  0,  UINT64_MAX,          "ns",        COUNTER, "mesh_worker_send_seconds_total",            "Time sending, and receiving what was there then") \
    F(poll_ns,          u64,  0,  UINT64_MAX,          "ns",        COUNTER, "mesh_worker_poll_seconds_total",            "Time receiving between two pieces of computing") \
    F(wait_ns,          u64,  0,  UINT64_MAX,          "ns",        COUNTER, "mesh_worker_wait_seconds_total",            "Time with a step open and nothing to compute yet") \
    F(idle_ns,          u64,  0,  UINT64_MAX,          "ns",        COUNTER, "mesh_worker_idle_seconds_total",            "Time without an open step")

#define MESH_TELEMETRY_REQUEST_FIELDS(F) \
    F(request,          u64,  1,  UINT64_MAX,          "",          LABEL,   "",                                          "its id") \
    F(state,            u8,   0,  MESH_REQUEST_STATES-1, "",        LABEL,   "",                                          "0: waiting; 1: prompt; 2: generating; 3: done; 4: failed") \
    F(prompt_tokens,    u32,  0,  UINT32_MAX,          "tokens",    LABEL,   "",                                          "of the prompt") \
    F(tokens,           u32,  0,  UINT32_MAX,          "tokens",    LABEL,   "",                                          "generated so far") \
    F(age_ns,           u64,  0,  UINT64_MAX,          "ns",        LABEL,   "",                                          "since it was asked, until now or its end") \
    F(first_ns,         u64,  0,  UINT64_MAX,          "ns",        LABEL,   "",                                          "from being asked to its first token; 0: none yet") \
    F(last_ns,          u64,  0,  UINT64_MAX,          "ns",        LABEL,   "",                                          "from being asked to its last token so far; 0: none yet") \
    F(epochs,           u32,  0,  UINT32_MAX,          "epochs",    LABEL,   "",                                          "that began while it ran")

#define MESH_TELEMETRY_STEP_FIELDS(F) \
    F(step,             u64,  0,  (UINT64_C(1) << 40) - 1, "step",  LABEL,   "",                                          "its number, the same on all nodes") \
    F(begin_ns,         u64,  0,  UINT64_MAX,          "ns",        LABEL,   "",                                          "the node's clock when it began") \
    F(duration_ns,      u64,  0,  UINT64_MAX,          "ns",        LABEL,   "",                                          "until its end") \
    F(tokens,           u16,  0,  UINT16_MAX,          "tokens",    LABEL,   "",                                          "taken through the model") \
    F(sampled,          u16,  0,  UINT16_MAX,          "tokens",    LABEL,   "",                                          "drawn at its end") \
    F(stall_ns,         u64,  0,  UINT64_MAX,          "ns",        LABEL,   "",                                          "longest wait of a worker in it; 0: none") \
    F(stall_begin_ns,   u64,  0,  UINT64_MAX,          "ns",        LABEL,   "",                                          "when that began, from the step's beginning") \
    F(stall_rank,       u16,  0,  UINT16_MAX,          "rank",      LABEL,   "",                                          "whose blocks it waited for; the own rank: another worker; 65535: nobody's") \
    F(stall_phase,      u16,  0,  UINT16_MAX,          "phase",     LABEL,   "",                                          "of which gather") \
    F(stall_block,      u16,  0,  UINT16_MAX,          "block",     LABEL,   "",                                          "the first that was missing") \
    F(phase_total,      u16,  0,  UINT16_MAX,          "phases",    LABEL,   "",                                          "of a step; four per layer, and one") \
    F(phase_first,      u16,  0,  UINT16_MAX,          "phase",     LABEL,   "",                                          "first that this item tells of") \
    F(phase_count,      u16,  0,  UINT16_MAX,          "phases",    LABEL,   "",                                          "that follow")

#define MESH_TELEMETRY_EVENT_FIELDS(F) \
    F(number,           u32,  1,  UINT32_MAX,          "",          LABEL,   "",                                          "of the event on its node, from 1; it may come more than once") \
    F(happened,         u8,   1,  MESH_NODE_EVENTS-1,  "",          LABEL,   "",                                          "what; see the table of events") \
    F(when_ns,          u64,  0,  UINT64_MAX,          "ns",        LABEL,   "",                                          "the node's clock") \
    F(unix_ms,          u64,  0,  UINT64_C(1) << 48,   "ms",        LABEL,   "",                                          "wall clock") \
    F(epoch,            u32,  0,  INT32_MAX,           "",          LABEL,   "",                                          "then") \
    F(rank,             u16,  0,  UINT16_MAX,          "rank",      LABEL,   "",                                          "whom it is about; 65535: nobody in the epoch") \
    F(ip,               b16,  0,  UINT8_MAX,           "",          LABEL,   "",                                          "with it; zeros: none") \
    F(port,             u16,  0,  UINT16_MAX,          "",          LABEL,   "",                                          "with it")

/*    number  NAME     name     fields                         tail     meaning */
#define MESH_TELEMETRY_ITEMS(M) \
    M(1,      NODE,    node,    MESH_TELEMETRY_NODE_FIELDS,    TEXT,    "The node itself; the text is the name of its model.") \
    M(2,      LINK,    link,    MESH_TELEMETRY_LINK_FIELDS,    NONE,    "What went to and came from one peer, in this epoch.") \
    M(3,      LATENCY, latency, MESH_TELEMETRY_LATENCY_FIELDS, BUCKETS, "Some buckets of a histogram of tiles from one peer, or of round trips to it.") \
    M(4,      WORKER,  worker,  MESH_TELEMETRY_WORKER_FIELDS,  NONE,    "A worker's time in this epoch.") \
    M(5,      REQUEST, request, MESH_TELEMETRY_REQUEST_FIELDS, NONE,    "A request that entered at this node, running or just over.") \
    M(6,      STEP,    step,    MESH_TELEMETRY_STEP_FIELDS,    PHASES,  "A step that has ended, and some of its phases.") \
    M(7,      EVENT,   event,   MESH_TELEMETRY_EVENT_FIELDS,   TEXT,    "Something that happened; the text says why.")

/*    NAME        metric                          meaning */
#define MESH_TELEMETRY_LATENCIES(H) \
    H(USE,        "mesh_tile_use_seconds",        "From the sending of blocks by the peer to their first use in computing, by the estimated clock offset") \
    H(ONE_WAY,    "mesh_tile_one_way_seconds",    "From the sending of a tile by the peer to its arrival, by the estimated clock offset") \
    H(ROUND_TRIP, "mesh_link_round_trip_seconds", "From a ping to its answer, without the time that the peer held it")

/* And the metrics of /metrics whose values are words, which become labels. */
#define MESH_METRIC_INFO   "mesh_info"         /* {version, address, model} 1 */
#define MESH_METRIC_STATE  "mesh_state"        /* {state} 1 or 0 */
#define MESH_METRIC_RANK   "mesh_rank"
#define MESH_METRIC_EVENTS "mesh_events_total" /* {event} */
#define MESH_METRIC_TROUBLES "mesh_troubles"   /* {trouble} how many there are now */

/* ---- what comes from the lists ---- */

#define MESH_TELEMETRY_MEMBER_u8(name)  uint8_t name;
#define MESH_TELEMETRY_MEMBER_u16(name) uint16_t name;
#define MESH_TELEMETRY_MEMBER_u32(name) uint32_t name;
#define MESH_TELEMETRY_MEMBER_u64(name) uint64_t name;
#define MESH_TELEMETRY_MEMBER_s64(name) int64_t name;
#define MESH_TELEMETRY_MEMBER_b16(name) uint8_t name[16];
#define MESH_TELEMETRY_MEMBER(name, type, min, max, unit, kind, metric, meaning) MESH_TELEMETRY_MEMBER_##type(name)
#define MESH_TELEMETRY_STRUCT(number, NAME, name, FIELDS, tail, meaning) struct mesh_telemetry_##name { FIELDS(MESH_TELEMETRY_MEMBER) };
#define MESH_TELEMETRY_KIND(number, NAME, name, FIELDS, tail, meaning) MESH_TELEMETRY_##NAME = number,
#define MESH_TELEMETRY_UNION(number, NAME, name, FIELDS, tail, meaning) struct mesh_telemetry_##name name;
#define MESH_TELEMETRY_LATENCY_NAME(NAME, metric, meaning) MESH_LATENCY_##NAME,

enum mesh_latency { MESH_TELEMETRY_LATENCIES(MESH_TELEMETRY_LATENCY_NAME) MESH_LATENCIES };
struct mesh_telemetry_head { MESH_TELEMETRY_HEAD_FIELDS(MESH_TELEMETRY_MEMBER) };
MESH_TELEMETRY_ITEMS(MESH_TELEMETRY_STRUCT)
enum mesh_telemetry_kind { MESH_TELEMETRY_ITEMS(MESH_TELEMETRY_KIND) MESH_TELEMETRY_KINDS };

/* One item, decoded or to be encoded. */
struct mesh_telemetry_item {
    enum mesh_telemetry_kind kind;
    union { MESH_TELEMETRY_ITEMS(MESH_TELEMETRY_UNION) };
    const uint8_t *tail; /* decoded: borrowed from the piece. Encoding: the text of NODE and EVENT; else not read */
    size_t tail_bytes;
};
/* clang-format on */

enum mesh_telemetry_tail { MESH_TELEMETRY_TAIL_NONE, MESH_TELEMETRY_TAIL_TEXT, MESH_TELEMETRY_TAIL_BUCKETS, MESH_TELEMETRY_TAIL_PHASES };
enum mesh_telemetry_type {
    MESH_TELEMETRY_u8,
    MESH_TELEMETRY_u16,
    MESH_TELEMETRY_u32,
    MESH_TELEMETRY_u64,
    MESH_TELEMETRY_s64,
    MESH_TELEMETRY_b16
};
enum mesh_metric_kind { MESH_METRIC_LABEL /* no metric: it names or describes the item */, MESH_METRIC_COUNTER, MESH_METRIC_GAUGE };

/* One field of an item, and the metric that it is. */
struct mesh_metric {
    const char *name; /* of the field, its unit last: the JSON key */
    enum mesh_telemetry_type type;
    uint16_t offset; /* in the decoded struct */
    uint64_t min, max;
    const char *unit; /* of the value in the struct; metrics are in seconds where this is ns, in ratios where it is ppm */
    enum mesh_metric_kind kind;
    const char *metric; /* Prometheus's name; "" for labels */
    const char *meaning;
};

struct mesh_telemetry_part {
    const char *name, *meaning; /* "node", "link", ... */
    const struct mesh_metric *fields;
    uint16_t field_count;
    uint8_t number;
    enum mesh_telemetry_tail tail;
};

extern const struct mesh_telemetry_part mesh_telemetry_head_part;

/* The part of a kind of item; NULL when there is none. */
const struct mesh_telemetry_part *mesh_telemetry_part(unsigned kind);

/* A histogram's metric name, and its meaning. */
struct mesh_telemetry_latency_text {
    const char *name /* "use", "one_way", "round_trip" */, *metric, *meaning;
};
extern const struct mesh_telemetry_latency_text mesh_telemetry_latency_texts[MESH_LATENCIES];

/* The field of a part by name; NULL. */
const struct mesh_metric *mesh_metric_find(const struct mesh_telemetry_part *part, const char *name);

/* The value of a field of a decoded struct, as it is; signed ones as two's complement. Not of byte strings (asserted). decoded, here and
 * below: struct mesh_telemetry_head for fields of mesh_telemetry_head_part; else the item's own struct, such as &item->node (all of them
 * begin at the same place). */
uint64_t mesh_metric_get(const struct mesh_metric *metric, const void *decoded);
void mesh_metric_set(const struct mesh_metric *metric, void *decoded, uint64_t value); /* its lowest bytes, as many as the field has */

/* The same in the unit of the metric: seconds, ratio, or as it is. */
double mesh_metric_value(const struct mesh_metric *metric, const void *decoded);

/* ---- writing a piece ---- */

struct mesh_telemetry_writer {
    uint8_t *bytes;
    size_t used, capacity;
};

/* Begin a piece in bytes. Fields in range, capacity at least 64 (asserted, as everywhere in writing). */
void mesh_telemetry_begin(struct mesh_telemetry_writer *writer, uint8_t *bytes, size_t capacity, const struct mesh_telemetry_head *head);

/* Add an item other than LATENCY and STEP; a text is cut at MESH_TELEMETRY_TEXT_BYTES_MAX. False: no room, and nothing is written. */
bool mesh_telemetry_put(struct mesh_telemetry_writer *writer, const struct mesh_telemetry_item *item);

/* Add buckets of a histogram from *bucket (0 at first) on. True: all are written; false: go on in a new piece with the same *bucket. */
bool mesh_telemetry_put_histogram(struct mesh_telemetry_writer *writer, uint16_t peer, enum mesh_latency which,
                                  const struct mesh_histogram *histogram, uint16_t *bucket);

/* A phase of a step: when it began, from the step's beginning, and how long it took. Both are 0 where the node had nothing to do. */
struct mesh_telemetry_phase {
    uint32_t begin, duration; /* in MESH_TELEMETRY_PHASE_NS */
};

/* Add phases of a step from *phase (0 at first) on: step->phase_total of them; step's phase_first and phase_count are not read. */
bool mesh_telemetry_put_step(struct mesh_telemetry_writer *writer, const struct mesh_telemetry_step *step,
                             const struct mesh_telemetry_phase *phases, uint16_t *phase);

/* ---- reading a piece ---- */

struct mesh_telemetry_reader {
    const uint8_t *bytes;
    size_t used, size;
};

/* MESH_ETRUNCATED, MESH_ERANGE, MESH_EVERSION. bytes is borrowed until the reader is done. */
int mesh_telemetry_open(struct mesh_telemetry_reader *reader, const uint8_t *bytes, size_t size, struct mesh_telemetry_head *head);

/* 1: the next item, whose tail has been checked; 0: there are no more; else MESH_ETRUNCATED, MESH_ERANGE. Unknown kinds are passed
 * over. */
int mesh_telemetry_next(struct mesh_telemetry_reader *reader, struct mesh_telemetry_item *item);

/* All of a piece: 0, or why it is none. */
int mesh_telemetry_check(const uint8_t *bytes, size_t size);

/* The buckets that a LATENCY item tells of, and count, sum and max, into a histogram: the others stay as they are. */
void mesh_telemetry_get_histogram(const struct mesh_telemetry_item *item, struct mesh_histogram *histogram);

/* The phases that a STEP item tells of: item->step.phase_count of them, at most capacity; returns how many. 0 if the tail is no such list,
 * as in a row of a damaged trace; out is then not to be used. */
unsigned mesh_telemetry_get_phases(const struct mesh_telemetry_item *item, struct mesh_telemetry_phase *out, unsigned capacity);

/* ---- records of client sessions: the first byte says which ---- */

enum { MESH_TELEMETRY_RECORD_WATCH = 7, MESH_TELEMETRY_RECORD_REPORT = 40 };
enum { MESH_TELEMETRY_WATCH_BYTES = 9, MESH_TELEMETRY_REPORT_OVERHEAD_BYTES = 17 };
#define MESH_TELEMETRY_ALL        0xfeu       /* kinds: all items */
#define MESH_TELEMETRY_OLD_EVENTS UINT32_C(1) /* of a LOOK: also events that have been told before, as far as they are remembered */

/* A client's wish: a report of every member each interval_ms (clamped to its limits), for lease_ms from now on, to be renewed before that
 * is over. lease_ms 0: no more reports. */
struct mesh_telemetry_watch {
    uint16_t interval_ms;
    uint16_t lease_ms;
    uint32_t kinds; /* bit k: items of kind k are wanted; NODE comes always */
};

/* Each piece comes in a record of its own: the answering node's clocks when it sent it, and the piece, of that node or of another
 * member. */
struct mesh_telemetry_report {
    uint64_t now_ns;  /* of the answering node; with the head's now_ns and that node's LINK to the member, it tells the piece's age */
    uint64_t unix_ms; /* the answering node's wall clock */
    const uint8_t *piece;
    size_t piece_bytes;
};

void mesh_telemetry_write_watch(const struct mesh_telemetry_watch *watch, uint8_t record[MESH_TELEMETRY_WATCH_BYTES]);
int mesh_telemetry_read_watch(struct mesh_telemetry_watch *watch, const uint8_t *record, size_t bytes);

/* Into record (MESH_TELEMETRY_REPORT_OVERHEAD_BYTES + piece_bytes); the size. */
size_t mesh_telemetry_write_report(const struct mesh_telemetry_report *report, uint8_t *record);

/* The piece is borrowed from the record and not checked yet. MESH_ETYPE: another record; MESH_ETRUNCATED. */
int mesh_telemetry_read_report(struct mesh_telemetry_report *report, const uint8_t *record, size_t bytes);

/* ---- text (telemetry_text.c; uses stdio) ---- */

/* The tables of docs/PROTOCOL.md in Markdown. Like snprintf. */
size_t mesh_telemetry_write_protocol(char *out, size_t capacity);

#ifdef __cplusplus
}
#endif

#endif
