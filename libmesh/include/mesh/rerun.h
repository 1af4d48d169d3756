/* Running a core again from its tape, in virtual time: every recorded input is given to a new core, and all it says is compared.
 *
 * The new core has a tap, too, so what is compared is one entry with another: what a call returned, when a tick is wanted, every event,
 * every byte of every datagram. Payloads that the tape has only hashes of are zeros here, and are then not compared. One thread at a
 * time. */
#ifndef MESH_RERUN_H
#define MESH_RERUN_H

#include "mesh/tape.h"

#ifdef __cplusplus
extern "C" {
#endif

struct mesh_rerun;

/* MESH_ENOMEM. hash: for cluster cores and client sessions, e.g. mesh_hash16; NULL: those are refused (MESH_ESTATE). */
int mesh_rerun_open(struct mesh_rerun **rerun, void (*hash)(const void *data, size_t bytes, uint8_t out[16]));
void mesh_rerun_close(struct mesh_rerun *rerun); /* NULL is fine */

enum mesh_rerun_outcome {
    MESH_RERUN_SAME,
    MESH_RERUN_DIFFERENT,  /* expected and actual entry differ */
    MESH_RERUN_MISSING,    /* the core had nothing to tell where the tape has an entry */
    MESH_RERUN_IMPOSSIBLE, /* the input cannot be given, because this core is in another state: reason */
    MESH_RERUN_EXTRA       /* the tape is over, and the core has more to tell: actual */
};

/* The first difference. Entries are valid until the rerun is closed. */
struct mesh_rerun_difference {
    enum mesh_rerun_outcome outcome;
    uint64_t index;                                 /* of the tape's entry, from 0 */
    struct mesh_tape_entry input, expected, actual; /* kind 0: there is none. input: the last one, which it follows from */
    uint64_t input_index;
    const char *reason;
};

/* The next entry of one core's tape, as mesh_tape_decode gives it; the tape begins with its INIT, CLUSTER_INIT or SESSIONS_INIT; with
 * another INIT a new core begins.
 * Returns 0; 1: there is a difference; MESH_EVERSION: recorded in another format; MESH_EINVAL: no core ever told this, so the tape is
 * damaged or incomplete (mesh_rerun_reason says how); MESH_ESTATE: it cannot be run here (likewise); MESH_ENOMEM. After any but 0 the rerun
 * can only be asked and closed: nothing more may be fed, and mesh_rerun_finish not be called. */
int mesh_rerun_feed(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry);

/* After the last entry: 0, or 1 when the core has events or datagrams that the tape lacks. Only where the tape is complete. */
int mesh_rerun_finish(struct mesh_rerun *rerun);

/* mesh_state_hash or mesh_cluster_state_hash of the new core; 0: there is none. */
uint32_t mesh_rerun_state_hash(const struct mesh_rerun *rerun);

/* A phrase for the last error. */
const char *mesh_rerun_reason(const struct mesh_rerun *rerun);

const struct mesh_rerun_difference *mesh_rerun_difference(const struct mesh_rerun *rerun);

struct mesh_rerun_stats {
    uint64_t entries, inputs, events, datagrams_in, datagrams_out, bytes_out;
    uint64_t payloads_compared, payloads_unknown; /* of outputs */
    uint64_t first_ns, last_ns;
};
void mesh_rerun_get_stats(const struct mesh_rerun *rerun, struct mesh_rerun_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
