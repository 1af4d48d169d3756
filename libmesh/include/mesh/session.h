/* Client sessions: how a program that is no member of the mesh (ask, status) speaks to any node, without input or output of its own.
 *
 * A client that calls a node is given a cookie first; the node keeps nothing until the client returns it. A session is an endpoint of two
 * ranks (mesh/mesh.h), 0 the node and 1 the client, that carries records and nothing else. As in mesh/mesh.h, datagrams, the time and calls
 * go in, datagrams and events come out; no socket, clock, allocation, cryptography or randomness. Datagrams are protected through struct
 * mesh_session_guard; mesh_session_seal is the guard with keys. docs/PROTOCOL.md (Client sessions) has every byte. */
#ifndef MESH_SESSION_H
#define MESH_SESSION_H

#include "mesh/mesh.h"
#include "mesh/seal.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MESH_SESSION_EPOCH 0x80000000u /* ORed with the session's number: header.epoch of its datagrams */

enum {
    MESH_SESSIONS_MAX = 48,
    MESH_SESSION_DATAGRAM_BYTES = MESH_DATAGRAM_BYTES_MIN,
    MESH_SESSION_RECORDS = 1 /* version of the records that sessions carry: both sides have the same, or there is no session */
};

/* ---- what protects datagrams ---- */

/* Functions as in mesh/seal.h: they change a datagram in place, and return 0 or why not. With MESH_SECURITY_NONE none is called. */
struct mesh_session_guard {
    enum mesh_security security;
    int (*seal_outside)(void *app, uint8_t *packet, size_t bytes); /* with epoch 0: by this process */
    int (*open_outside)(void *app, uint8_t *packet, size_t bytes); /* by the process whose incarnation begins the body */
    int (*begin)(void *app, unsigned slot, const uint8_t own[MESH_INCARNATION_BYTES], const uint8_t other[MESH_INCARNATION_BYTES]);
    int (*seal)(void *app, unsigned slot, uint8_t *packet, size_t bytes); /* of the session in that slot */
    int (*open)(void *app, unsigned slot, uint8_t *packet, size_t bytes);
    void (*end)(void *app, unsigned slot);
    void *app;
};

/* The guard with keys of a cluster. Must not move between init and release. */
struct mesh_session_seal {
    struct mesh_session_guard guard;
    struct mesh_key key;
    char cluster[MESH_CLUSTER_NAME_BYTES_MAX + 1];
    struct mesh_seal_key process;
    struct mesh_seal_key keys[MESH_SESSIONS_MAX][2]; /* own, the other's */
    struct mesh_key_log *log;                        /* NULL, or set after init: where sessions' keys are written. Borrowed */
};

/* key: not read with MESH_SECURITY_NONE. incarnation: that of the node's or the call's config. MESH_EINVAL: the name is too long;
 * MESH_ESYSTEM: nothing can be sealed here. */
int mesh_session_seal_init(struct mesh_session_seal *seal, enum mesh_security security, const struct mesh_key *key, const char *cluster,
                           const uint8_t incarnation[MESH_INCARNATION_BYTES]);
void mesh_session_seal_release(struct mesh_session_seal *seal); /* wipes the keys */

/* Whether a datagram is for mesh_sessions_receive or mesh_call_receive, and not for the cluster layer. False without a whole header. */
bool mesh_session_is_of_one(const uint8_t *packet, size_t bytes);

/* ---- events ---- */

enum mesh_session_event_type {
    MESH_SESSION_NONE,
    MESH_SESSION_OPENED, /* the other side is there */
    MESH_SESSION_RECORD, /* record valid until the next call */
    MESH_SESSION_CLOSED, /* not by this side; no event of this session comes after it */
    MESH_SESSION_FAILED  /* a call only: it never was open */
};

enum mesh_session_why {
    MESH_SESSION_GOODBYE = 1, /* CLOSED: the other side closed it */
    MESH_SESSION_SILENT,      /* CLOSED: nothing heard for 10 s */
    MESH_SESSION_UNFIT,       /* CLOSED, FAILED: the other side has other records, of the version in version */
    MESH_SESSION_NO_ANSWER,   /* FAILED: nobody there, or it has another key: a node does not answer strangers */
    MESH_SESSION_FULL,        /* FAILED: the node has as many sessions as it may */
    MESH_SESSION_VERSION,     /* FAILED: the node has another protocol version, in version */
    MESH_SESSION_ENDING,      /* FAILED: the node is shutting down */
    MESH_SESSION_NARROW       /* CLOSED, of a call: the node is heard, but a long record has not reached it for 10 s */
};

struct mesh_session_event {
    enum mesh_session_event_type type;
    uint32_t session; /* never 0; repeats only by chance */
    struct mesh_addr addr;
    const uint8_t *record;
    size_t record_bytes;
    enum mesh_session_why why;
    uint8_t version;
};

/* ---- node ---- */

struct mesh_sessions_config {
    uint8_t incarnation[MESH_INCARNATION_BYTES]; /* of this process */
    uint8_t secret[32];                          /* random; for cookies, session numbers and identities; leaves only through hash */
    unsigned capacity;                           /* 1..MESH_SESSIONS_MAX */
    uint16_t version;                            /* 0: the real one; tests give others */
    uint8_t records;                             /* version of records; likewise */
    const struct mesh_session_guard *guard;      /* NULL: nothing is protected. Borrowed until the end */

    /* 128 bits of a cryptographic hash, e.g. mesh_hash16. Called during the other calls; must not call the core. */
    void (*hash)(const void *data, size_t bytes, uint8_t out[16]);

    const struct mesh_tap *tap; /* told of every call (mesh/tape.h); NULL: none. Borrowed until the end */
};

struct mesh_sessions;

/* Why a datagram had no effect. Where they apply, the reasons are those of mesh_seal_refusal. PLAIN to TAG lack a proof of the key, and are
 * counted as that (refused_auth of mesh/telemetry.h). */
enum mesh_session_refusal {
    MESH_SESSION_BY_FORM,    /* not of this protocol, or not in its form */
    MESH_SESSION_BY_PLAIN,   /* not authenticated at all */
    MESH_SESSION_BY_MODE,    /* protected in another way than this node's */
    MESH_SESSION_BY_TAG,     /* the tag does not fit: another key, or changed on the way */
    MESH_SESSION_BY_VERSION, /* another version; answered */
    MESH_SESSION_BY_COOKIE,  /* a cookie of another address or client, or an old one; answered with a new one */
    MESH_SESSION_BY_REPLAY,  /* a call whose session is over, or unlike the call that opened it */
    MESH_SESSION_BY_UNKNOWN, /* of a session that does not exist (any more) */
    MESH_SESSION_BY_SENDER,  /* of a session, from another address */
    MESH_SESSION_BY_FULL,    /* as many sessions as there may be; answered */
    MESH_SESSION_BY_ENDING,  /* after mesh_sessions_end; answered */
    MESH_SESSION_REFUSALS
};

/* One word for people and for counters' names: "form", "plain", "mode", "tag", ...; "?" for another value. */
const char *mesh_session_refusal_name(enum mesh_session_refusal refusal);

struct mesh_sessions_stats {
    uint64_t refused[MESH_SESSION_REFUSALS];
    uint64_t cookies; /* given out */
    uint64_t opened, closed_by_goodbye, closed_by_silence, closed_here;
    uint64_t never_up;     /* sessions whose client was never heard again */
    uint64_t answers_lost; /* to calls, for which the queue had no room */
    uint32_t open_now;     /* slots in use, those that are not up yet included */
};

size_t mesh_sessions_memory_bytes(unsigned capacity);

/* memory: mesh_sessions_memory_bytes, 64-byte aligned, kept until the caller frees it; a session's part is first touched when it opens.
 * MESH_EINVAL: config breaks a rule. */
int mesh_sessions_init(struct mesh_sessions **sessions, const struct mesh_sessions_config *config, void *memory, size_t memory_bytes,
                       uint64_t now_ns);

/* A datagram as it came, for which mesh_session_is_of_one holds. Returns 0, or why it was dropped. */
int mesh_sessions_receive(struct mesh_sessions *sessions, uint64_t now_ns, struct mesh_addr from, const uint8_t *packet, size_t bytes);
void mesh_sessions_tick(struct mesh_sessions *sessions, uint64_t now_ns);
uint64_t mesh_sessions_timeout(const struct mesh_sessions *sessions); /* when to tick next; UINT64_MAX never */

/* 1..MESH_RECORD_BYTES_MAX bytes, copied. MESH_AGAIN: the queue is full; MESH_ESTATE: no session, or not up; MESH_EINVAL: another size. */
int mesh_sessions_send(struct mesh_sessions *sessions, uint64_t now_ns, uint32_t session, const uint8_t *record, size_t record_bytes);

/* The longest record that mesh_sessions_send takes now; 0: none, or no such session. */
size_t mesh_sessions_room_bytes(struct mesh_sessions *sessions, uint32_t session);

/* No more events of it come; what was sent is still delivered, for a second at most, then goodbye is said. No effect where there is no such
 * session. */
void mesh_sessions_close(struct mesh_sessions *sessions, uint64_t now_ns, uint32_t session);

/* Close all, and refuse calls from now on. Keep receiving, ticking and sending until mesh_sessions_stats.open_now is 0. */
void mesh_sessions_end(struct mesh_sessions *sessions, uint64_t now_ns);

/* Drain both after every input. */
bool mesh_sessions_next_event(struct mesh_sessions *sessions, uint64_t now_ns, struct mesh_session_event *event);

/* Write the next datagram into packet (capacity at least MESH_SESSION_DATAGRAM_BYTES), ready to be sent; its size, or 0: nothing now. */
size_t mesh_sessions_next_datagram(struct mesh_sessions *sessions, uint64_t now_ns, uint8_t *packet, size_t capacity, struct mesh_addr *to);

void mesh_sessions_get_stats(const struct mesh_sessions *sessions, struct mesh_sessions_stats *stats);

/* The sessions whose datagrams have an effect now, and the address that each must come from, so that a driver can turn others away. Returns
 * how many. */
struct mesh_session_peer {
    uint32_t session;
    struct mesh_addr addr;
};
unsigned mesh_sessions_peers(const struct mesh_sessions *sessions, struct mesh_session_peer out[MESH_SESSIONS_MAX]);

/* ---- client ---- */

struct mesh_call_config {
    uint8_t incarnation[MESH_INCARNATION_BYTES]; /* random, for this call alone: it may be used once */
    uint64_t nonce;                              /* random; not 0 */
    struct mesh_addr addr;                       /* the node's */
    uint64_t timeout_ns;                         /* to be open by then, or FAILED */
    uint16_t version;                            /* 0: the real one; tests give others */
    const struct mesh_session_guard *guard;      /* NULL: nothing is protected. Borrowed until the end */
};

struct mesh_call;

size_t mesh_call_memory_bytes(void);

/* As for mesh_sessions. The first datagram is ready at once. */
int mesh_call_init(struct mesh_call **call, const struct mesh_call_config *config, void *memory, size_t memory_bytes, uint64_t now_ns);
int mesh_call_receive(struct mesh_call *call, uint64_t now_ns, struct mesh_addr from, const uint8_t *packet, size_t bytes);
void mesh_call_tick(struct mesh_call *call, uint64_t now_ns);
uint64_t mesh_call_timeout(const struct mesh_call *call);
/* As mesh_sessions_send. MESH_ESTATE: not answered yet, or over. */
int mesh_call_send(struct mesh_call *call, uint64_t now_ns, const uint8_t *record, size_t record_bytes);
void mesh_call_close(struct mesh_call *call, uint64_t now_ns);
uint64_t mesh_call_heard_ns(const struct mesh_call *call); /* when the node was last heard, while the session is open; else 0 */
bool mesh_call_is_over(const struct mesh_call *call);      /* failed, closed, or mesh_call_close is done */
bool mesh_call_next_event(struct mesh_call *call, uint64_t now_ns, struct mesh_session_event *event);
size_t mesh_call_next_datagram(struct mesh_call *call, uint64_t now_ns, uint8_t *packet, size_t capacity);

#ifdef __cplusplus
}
#endif

#endif
