/* What the member's files share. Not for other files. */
#ifndef NODE_MEMBER_STATE_H
#define NODE_MEMBER_STATE_H

#include <stdatomic.h>

#include "join.h"
#include "member.h"
#include "mesh/program/progress.h"
#include "node/epoch/worker_pool.h"
#include "silence.h"

enum { REQUEST_ID = 1 /* of the only one */ };

enum member_message { MESSAGE_READY = 1, MESSAGE_FINISH, MESSAGE_REPORT };

struct member {
    struct member_config config;
    struct engine *engine;
    struct mesh *mesh;
    void *mesh_memory;
    struct worker_pool workers;
    atomic_bool has_said_ready;
    struct join join;
    struct silence silence; /* main thread */
    atomic_bool wants_finish;
    _Atomic uint64_t gone;      /* bit r: rank r has said goodbye */
    _Atomic uint64_t ended;     /* bit r: rank r was up, and its port is closed now: its process is gone */
    bool has_left;              /* and so has this one */
    struct member_token *token; /* (ctx + 1) */
    _Atomic uint32_t token_count;
    uint32_t token_taken, token_recorded; /* main thread */
    struct progress progress;             /* until the first token */
    atomic_bool is_done;
    struct member_outcome outcome;
    struct mesh_udp_stats udp; /* at the last look */
    /* Values at the first token; after the last token, the difference: */
    uint64_t decode_datagrams, decode_bytes, decode_send_calls, decode_receive_calls, decode_wait_calls, decode_yields;
    struct member_report *report;       /* (ranks) */
    uint32_t prompt_tokens;             /* of the request, where it entered */
    struct member_telemetry *telemetry; /* NULL: nothing is recorded */
    _Atomic uint64_t reported;          /* bit r: report[r] is written, and never again */
};

/* member_traffic.c: called at the first token, and at the last, when the values of the first are subtracted; and the whole report. */
void member_count_decode(struct member *m);
void member_make_report(struct member *m, struct member_report *report);

/* member_record.c, main thread: record the tokens since the last call, if anything is recorded; and how the request has ended. */
void member_record(struct member *m);
void member_record_end(struct member *m);

/* member_telemetry.c, main thread: write a report into the recording, if there is one and it is due or the end. Open and close with the
 * engine attached; close also accepts what was never opened. */
int member_telemetry_open(struct member *m, struct fail *fail);
void member_telemetry_close(struct member *m);
void member_telemetry(struct member *m, bool is_last);

/* member_silence.c, main thread: say which ranks have not been heard for long, and which are heard again. progress: shown at the moment;
 * NULL: none is. */
void member_tell_silence(struct member *m, struct progress *progress);

#endif
