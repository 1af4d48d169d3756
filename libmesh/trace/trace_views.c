/* Views of the trace store: answers to common queries, so that nobody has to know how tables hang together. */
#include "trace_parts.h"

/* clang-format off */
/*    name, meaning, SELECT */
const struct trace_view mesh_trace_views[] = {
    {"messages", "Datagrams with the name of their type and the time since the first datagram.",
     "SELECT d.id, d.node, d.t_ns, d.t_ns - (SELECT min(t_ns) FROM datagrams) AS since_ns,\n"
     "    CASE d.direction WHEN 1 THEN 'sent' WHEN 2 THEN 'received' ELSE 'seen' END AS direction, n.name, d.src, d.dst, d.epoch, d.number,\n"
     "    d.flags & 2 > 0 AS is_resend, d.bytes\n"
     "  FROM datagrams d LEFT JOIN types n ON n.type = d.type"},
    {"tiles", "Tiles with the blocks that they carry and their times.",
     "SELECT d.id, d.node, d.t_ns, d.direction, d.src, d.dst, d.epoch, d.number, d.flags & 1 > 0 AS is_to_all, d.flags & 2 > 0 AS is_resend,\n"
     "    d.flags & 16 > 0 AS is_copy, d.sent_ns, m.ready_ns, m.step, m.phase, m.token_first, m.token_count, m.block_first, m.block_count,\n"
     "    d.data_bytes, d.data_hash\n"
     "  FROM message_tile m JOIN datagrams d ON d.id = m.datagram"},
    {"lost_tiles", "Tiles lost or late: those that the analysis of a capture names, or, in a node's own trace, those that it sent a NAK for. "
     "repair_ns: time until the tile came; NULL: it is not in this trace.",
     "SELECT e.node, e.t_ns, e.peer, e.epoch, e.step, e.phase, e.block, NULL AS blocks, e.duration_ns AS repair_ns, e.reason AS place\n"
     "  FROM events e WHERE e.kind = 'lost' AND NOT EXISTS (SELECT 1 FROM meta WHERE key = 'source' AND value = 'node')\n"
     "UNION ALL\n"
     "SELECT d.node, d.t_ns, d.dst, d.epoch, k.step, k.phase, r.block_first, r.block_count,\n"
     "    (SELECT min(t.t_ns) FROM message_tile m JOIN datagrams t ON t.id = m.datagram\n"
     "       WHERE m.step = k.step AND m.phase = k.phase AND t.src = d.dst AND t.epoch = d.epoch AND t.node = d.node AND t.direction = 2\n"
     "         AND t.id > d.id\n"
     "         AND m.token_first < r.token_first + r.token_count AND m.token_first + m.token_count > r.token_first\n"
     "         AND m.block_first < r.block_first + r.block_count AND m.block_first + m.block_count > r.block_first) - d.t_ns, 'not known'\n"
     "  FROM message_nak k JOIN datagrams d ON d.id = k.datagram JOIN message_ranges r ON r.datagram = k.datagram WHERE d.direction = 1"},
    {"stalls", "The longest waits of workers: for which rank, in which gather.",
     "SELECT p.node, s.begin_ns + s.stall_begin_ns AS t_ns, s.step, s.stall_phase AS phase, s.stall_block AS block, s.stall_rank AS peer,\n"
     "    s.stall_ns AS duration_ns\n"
     "  FROM telemetry_step s JOIN reports p ON p.id = s.report WHERE s.stall_ns > 0 GROUP BY p.node, s.step, s.begin_ns\n"
     "UNION ALL\n"
     "SELECT node, t_ns, step, phase, block, peer, duration_ns FROM events WHERE kind = 'stall'"},
    {"clock_offsets", "The last estimate of the offset of peers' clocks in each epoch: theirs minus the node's.",
     "SELECT p.node, n.epoch_number AS epoch, l.peer, l.clock_offset_ns, l.clock_error_ns, max(l.id) AS id\n"
     "  FROM telemetry_node n JOIN reports q ON q.id = n.report JOIN reports p ON p.node = q.node AND p.t_ns = q.t_ns\n"
     "    JOIN telemetry_link l ON l.report = p.id\n"
     "  WHERE l.rtt_ns_min > 0 GROUP BY p.node, n.epoch_number, l.peer"},
    {"tile_latency", "One-way latency of received tiles, by the estimates of the peer's clock before and after, with its drift between them. "
     "Where the peer's clock is not known, relative to the fastest tile of that peer.",
     "WITH estimates AS (\n"
     "    SELECT p.node, n.epoch_number AS epoch, l.peer, p.t_ns, l.clock_offset_ns AS ahead_ns, lead(p.t_ns) OVER later AS next_ns,\n"
     "        lead(l.clock_offset_ns) OVER later - l.clock_offset_ns AS gain_ns\n"
     "      FROM telemetry_node n JOIN reports q ON q.id = n.report JOIN reports p ON p.node = q.node AND p.t_ns = q.t_ns\n"
     "        JOIN telemetry_link l ON l.report = p.id\n"
     "      WHERE l.rtt_ns_min > 0 WINDOW later AS (PARTITION BY p.node, n.epoch_number, l.peer ORDER BY p.t_ns, l.id)),\n"
     "  marks AS (\n"
     "    SELECT node, t_ns, peer, epoch, NULL AS step, NULL AS phase, NULL AS block_first, NULL AS block_count, NULL AS is_resend,\n"
     "        NULL AS sent_ns, 0 AS id, t_ns AS at_ns, ahead_ns, next_ns, gain_ns FROM estimates\n"
     "    UNION ALL SELECT node, t_ns, src, epoch, step, phase, block_first, block_count, is_resend, sent_ns, id, NULL, NULL, NULL, NULL\n"
     "      FROM tiles WHERE direction <> 1),\n"
     "  numbered AS (\n"
     "    SELECT *, max(1, count(at_ns) OVER (PARTITION BY node, epoch, peer ORDER BY t_ns, id)) AS place,\n"
     "        min(t_ns - sent_ns) OVER (PARTITION BY node, epoch, peer) AS least_ns FROM marks),\n"
     "  known AS (\n"
     "    SELECT node, t_ns, peer, epoch, step, phase, block_first, block_count, is_resend, sent_ns, id, least_ns,\n"
     "        max(at_ns) OVER beside AS at_ns, max(ahead_ns) OVER beside AS ahead_ns, max(next_ns) OVER beside AS next_ns,\n"
     "        max(gain_ns) OVER beside AS gain_ns FROM numbered WINDOW beside AS (PARTITION BY node, epoch, peer, place))\n"
     "SELECT node, t_ns, peer, epoch, step, phase, block_first, block_count, is_resend,\n"
     "    t_ns - sent_ns + coalesce(ahead_ns + CASE WHEN t_ns > at_ns AND next_ns > at_ns\n"
     "      THEN CAST(gain_ns * (1.0 * (t_ns - at_ns) / (next_ns - at_ns)) AS INTEGER) ELSE 0 END, -least_ns) AS latency_ns,\n"
     "    ahead_ns IS NULL AS is_relative\n"
     "  FROM known WHERE id > 0"},
    {"token_times", "Tokens and the time since the previous token of the same request.",
     "SELECT node, request, position, step, token, t_ns, t_ns - lag(t_ns) OVER (PARTITION BY node, request ORDER BY position) AS since_ns\n"
     "  FROM tokens"},
    {"links", "Datagrams from each rank to each rank, as each node saw them.",
     "SELECT node, direction, src, dst, epoch, count(*) AS datagrams, sum(bytes) AS bytes, sum(type = 4) AS tiles, sum(flags & 2 > 0) AS resent,\n"
     "    sum(type = 5) AS naks, min(t_ns) AS first_ns, max(t_ns) AS last_ns\n"
     "  FROM datagrams WHERE form > 1 GROUP BY node, direction, src, dst, epoch"},
    {NULL, NULL, NULL}
};
/* clang-format on */
