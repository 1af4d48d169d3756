/* One end of a client session: its endpoint, and how it opens and ends. The same for the node and the client.
 *
 * Invariant: a datagram is opened by the guard before the endpoint sees it, from the session's address only. What the other side sent
 * before its goodbye is handed out before the connection is over. */
#ifndef MESH_SESSION_CONNECTION_H
#define MESH_SESSION_CONNECTION_H

#include "mesh/session.h"
#include "mesh/wire.h"

enum { MESH_SESSION_OUTSIDE_BYTES_MAX = 128 }; /* a CALL, the longest datagram outside of sessions */

enum mesh_connection_state {
    MESH_CONNECTION_FREE,
    MESH_CONNECTION_OPENING, /* the other side has not answered yet */
    MESH_CONNECTION_UP,
    MESH_CONNECTION_CLOSING, /* closed here: what was sent is still delivered */
    MESH_CONNECTION_LEAVING, /* says goodbye */
    MESH_CONNECTION_OVER
};

struct mesh_connection {
    enum mesh_connection_state state;
    uint16_t rank; /* own: 0 the node, 1 the client */
    unsigned slot; /* of the guard */
    uint32_t session;
    const struct mesh_session_guard *guard;
    struct mesh *mesh;
    struct mesh_addr addr;
    uint64_t heard_ns, close_by_ns;
    enum mesh_session_why why; /* the other side has ended it, or is silent; 0: not yet */
    uint8_t version;           /* with MESH_SESSION_UNFIT: of the other side's records */
};

struct mesh_connection_config {
    uint16_t rank;
    unsigned slot;
    uint32_t session;
    uint8_t records; /* version */
    const struct mesh_session_guard *guard;
    struct mesh_addr addr;
    const uint8_t *own, *other; /* (MESH_INCARNATION_BYTES) in the session's keys */
};

size_t mesh_connection_memory_bytes(void);
int mesh_connection_start(struct mesh_connection *connection, const struct mesh_connection_config *config, void *memory, uint64_t now_ns);

/* Open a datagram of the session in place, then take it. MESH_ESTATE: none has an effect any more; MESH_EAUTH: the guard did not open
 * it. */
int mesh_connection_open(const struct mesh_connection *connection, uint8_t *packet, size_t bytes);
int mesh_connection_receive(struct mesh_connection *connection, uint64_t now_ns, struct mesh_addr from, const uint8_t *packet,
                            size_t bytes);
void mesh_connection_tick(struct mesh_connection *connection, uint64_t now_ns);
uint64_t mesh_connection_timeout(const struct mesh_connection *connection);
int mesh_connection_send(struct mesh_connection *connection, uint64_t now_ns, const uint8_t *record, size_t record_bytes);
size_t mesh_connection_room_bytes(const struct mesh_connection *connection); /* the longest record that mesh_connection_send takes now */
void mesh_connection_close(struct mesh_connection *connection, uint64_t now_ns);

/* OPENED, RECORD and CLOSED. */
bool mesh_connection_next_event(struct mesh_connection *connection, struct mesh_session_event *event);
/* Not sealed; then seal it in place. False: it cannot be sent, so go on with the next one. */
size_t mesh_connection_next_datagram(struct mesh_connection *connection, uint64_t now_ns, uint8_t *packet, size_t capacity);
bool mesh_connection_seal(const struct mesh_connection *connection, uint8_t *packet, size_t bytes);
void mesh_connection_free(struct mesh_connection *connection); /* forget the keys; free already is fine */

/* ---- for datagrams outside of sessions, too ---- */

/* Is it protected in the way that the guard wants? Fills *refusal (MESH_SESSION_BY_PLAIN, _MODE) when not. */
bool mesh_session_has_mode(const struct mesh_session_guard *guard, const uint8_t *packet, enum mesh_session_refusal *refusal);
bool mesh_session_is_guarded(const struct mesh_session_guard *guard);

/* Complete the header of a message outside of sessions, and encode it. *number: of the last one. Then seal it; false: it cannot be. */
size_t mesh_session_write_outside(struct mesh_message *message, uint16_t version, uint64_t *number, uint64_t now_ns, uint8_t *packet,
                                  size_t capacity);
bool mesh_session_seal_outside(const struct mesh_session_guard *guard, uint8_t *packet, size_t bytes);

#endif
