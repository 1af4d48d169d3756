/* What the member's files share: its threads' work (member_work.c) and its life (member.c). Not for anybody else. */
#ifndef NODE_MEMBER_STATE_H
#define NODE_MEMBER_STATE_H

#include <stdatomic.h>

#include "join.h"
#include "member.h"
#include "pool.h"

enum member_message { MESSAGE_READY = 1, MESSAGE_FINISH, MESSAGE_REPORT };

struct member {
    struct member_config config;
    struct engine *engine;
    struct mesh *mesh;
    void *mesh_memory;
    struct pool *pool;
    struct bell *bell;        /* for the main thread: tokens, readiness, endings */
    struct bell *worker_bell; /* for parked workers: there may be work */
    _Atomic uint32_t parking; /* workers that park or are about to */
    atomic_bool is_stopping;
    _Atomic uint32_t load_next, load_left;
    atomic_bool has_said_ready;
    struct join join;
    atomic_bool wants_finish;
    _Atomic uint64_t gone;      /* bit r: rank r has said goodbye */
    bool has_left;              /* and so has this one */
    struct member_token *token; /* (ctx + 1) */
    _Atomic uint32_t token_count;
    uint32_t token_taken;
    atomic_bool is_done;
    struct member_outcome outcome;
    uint64_t decode_datagrams, decode_bytes; /* counted at the first token, then the difference */
    struct member_report *report;            /* (ranks) */
    _Atomic uint64_t reported;               /* bit r: report[r] is written, and never again */
};

/* What a worker thread does until is_stopping. app: struct member. */
void member_work(void *app, uint16_t index);

#endif
