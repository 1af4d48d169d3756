/* Values of fields of the wire schema that have names: reasons, stages, answers, flags.
 *
 * mesh/wire.h includes this, and its lists give the ranges: a new last value has to be the max of its field there. What each means for a
 * receiver is in docs/PROTOCOL.md. */
#ifndef MESH_WIRE_VALUES_H
#define MESH_WIRE_VALUES_H

enum mesh_refuse_reason {
    MESH_REFUSE_VERSION = 1,   /* found and expected: protocol versions */
    MESH_REFUSE_EPOCH,         /* epochs */
    MESH_REFUSE_RANK_COUNT,    /* numbers of ranks */
    MESH_REFUSE_PHASE_COUNT,   /* phases per step */
    MESH_REFUSE_FINGERPRINT,   /* first 8 bytes of the models' fingerprints */
    MESH_REFUSE_CONFIGURATION, /* first 8 bytes of the configurations' hashes */
    MESH_REFUSE_INCARNATION,   /* first 8 bytes of the processes' incarnations: it restarted within an epoch */
    MESH_REFUSE_STRANGER       /* found: the sender's rank; its address is not a member's */
};

enum mesh_call_reason {
    MESH_CALL_VERSION = 1, /* another protocol version: the one of the header */
    MESH_CALL_FULL,        /* the node has as many sessions as it may */
    MESH_CALL_ENDING       /* the node is shutting down */
};

/* Why a process is not taken into a cluster. */
enum mesh_deny_reason {
    MESH_DENY_VERSION = 1, /* found and expected: protocol versions */
    MESH_DENY_CLUSTER,     /* first 8 bytes of the hashes of the clusters' names */
    MESH_DENY_FINGERPRINT, /* first 8 bytes of the models' fingerprints */
    MESH_DENY_FEATURES,    /* found: what the asking process knows; expected: what it has to know */
    MESH_DENY_FULL,        /* found: members with it; expected: at most */
    MESH_DENY_BUSY,        /* understood, but never sent. Found: processes that wait to be taken in; expected: at most */
    MESH_DENY_UNHEARD,     /* found: rank of a member that cannot hear the process, or is not heard by it */
    MESH_DENY_NUMBER       /* found: number of the process's last epoch; expected: at most */
};

/* What a PLAN asks for. */
enum mesh_stage {
    MESH_STAGE_CHECK = 1, /* can all hear the new ones? */
    MESH_STAGE_PREPARE,   /* load and copy, then say so */
    MESH_STAGE_PROPOSE,   /* agree to the epoch */
    MESH_STAGE_COMMIT     /* of a COMMIT: it is agreed */
};

enum mesh_answer {
    MESH_ANSWER_YES = 1,
    MESH_ANSWER_NOT_YET,   /* the plan is known; not all are heard, or not all is loaded */
    MESH_ANSWER_PROMISED,  /* to a higher ballot: rival, rival_number */
    MESH_ANSWER_ELSEWHERE, /* in another epoch, or that number is over: epoch, id */
    MESH_ANSWER_UNASKED    /* has not asked to join, or not any more */
};

/* Flags of ALIVE. */
enum {
    MESH_ALIVE_ASKS = 1,
    MESH_ALIVE_ANSWERS = 2,  /* origin_ns is the question's */
    MESH_ALIVE_STRANGER = 4, /* the receiver is no member of the sender's epoch */
    MESH_ALIVE_LEAVING = 8,
    MESH_ALIVE_COMMIT = 16, /* answers a COMMIT */
    MESH_ALIVE_FLAGS = 31
};

#endif
