/* What client sessions tell their tap of each call, when the call is done. For session.c; only with a tap. Keys are never told: received
 * datagrams are told as the guard has opened them, others before it seals them. */
#ifndef MESH_SESSION_TAP_H
#define MESH_SESSION_TAP_H

#include "mesh/tape.h"
#include "session_parts.h"

void mesh_sessions_tap_init(struct mesh_sessions *s);
void mesh_sessions_tap_receive(struct mesh_sessions *s, int err, const struct mesh_addr *from, const uint8_t *packet, size_t bytes);
void mesh_sessions_tap_send(struct mesh_sessions *s, uint32_t session, const uint8_t *record, size_t bytes);
void mesh_sessions_tap_close(struct mesh_sessions *s, uint32_t session);
void mesh_sessions_tap_event(struct mesh_sessions *s, const struct mesh_session_event *event);
void mesh_sessions_tap_datagram(struct mesh_sessions *s, const struct mesh_addr *to, const uint8_t *packet, size_t bytes);

/* TICK, END, NONE, DRAINED; the last two only where something else was told since the last time. */
void mesh_sessions_tap_plain(struct mesh_sessions *s, enum mesh_tape_kind kind);

#endif
