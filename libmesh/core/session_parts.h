/* The inside of the node's side of client sessions: session.c and session_calls.c. */
#ifndef MESH_SESSION_PARTS_H
#define MESH_SESSION_PARTS_H

#include "session_connection.h"

enum {
    MESH_SESSION_ANSWERS = 32,
    MESH_SESSION_PAST = 4096 /* closed sessions that are remembered: while there are so many no other is opened */
};

#define MESH_COOKIE_WINDOW_NS UINT64_C(2000000000) /* a cookie is valid in the window it was made in and in the next */

struct mesh_session_answer {
    struct mesh_addr to;
    uint8_t type;
    union {
        struct mesh_call_answer answer;
        struct mesh_call_refuse refuse;
    } as;
};

struct mesh_session_past {
    uint8_t incarnation[MESH_INCARNATION_BYTES];
    uint64_t until_ns;
};

struct mesh_session_slot {
    struct mesh_connection connection;
    uint8_t client[MESH_INCARNATION_BYTES], identity[MESH_INCARNATION_BYTES];
    uint64_t nonce;
    bool was_up;
    void *memory;
};

struct mesh_sessions {
    struct mesh_sessions_config config;
    uint64_t now_ns, number, drawn;
    struct mesh_sessions_stats stats;
    bool is_ending;
    bool taped_none, taped_drained; /* NONE, DRAINED were told to the tap, and nothing else since */
    unsigned turn;                  /* whose event is next */
    struct mesh_session_answer answers[MESH_SESSION_ANSWERS];
    unsigned answer_first, answer_count;
    struct mesh_session_past past[MESH_SESSION_PAST];
    unsigned past_first, past_count;
    struct mesh_session_slot slots[MESH_SESSIONS_MAX];
    uint8_t packet[MESH_SESSION_DATAGRAM_BYTES];
};

/* ---- session.c ---- */
struct mesh_session_slot *mesh_sessions_find(struct mesh_sessions *s, uint32_t session); /* NULL: none */
int mesh_sessions_refuse(struct mesh_sessions *s, enum mesh_session_refusal refusal, int err);

/* ---- session_calls.c ---- */

/* A datagram outside of sessions, in s->packet; message: its header is decoded. *is_opened: whether the guard has opened it. */
int mesh_sessions_receive_outside(struct mesh_sessions *s, const struct mesh_addr *from, size_t bytes, struct mesh_message *message,
                                  bool *is_opened);

/* The next answer to a call, of which there is one, not sealed. */
size_t mesh_sessions_write_answer(struct mesh_sessions *s, uint8_t *packet, size_t capacity, struct mesh_addr *to);

#endif
