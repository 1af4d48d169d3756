/* The recorder: entries of any thread go through a lock-free ring to one thread that stores them.
 *
 * A lane is one sequence of entries, written by one thread at a time, and stored in that order.
 *
 * Writers never wait: an entry is put into the ring or it is lost. While the ring is more than half full, writers are told to leave
 * payloads out; when it is full, entries are lost. Before the next entry of a lane that has lost some, an entry of kind MESH_RECORDER_GAP
 * says how many are missing and from which time, so a recording shows what it lacks. Entries stay in the ring until the store has kept
 * them: while it fails, for example because the disk is full, they are given to it again.
 *
 * A thread that has nothing to do for a moment can help (mesh_recorder_help): it prepares entries for storing. Otherwise the recorder's own
 * thread does that, and takes a processor from somebody. */
#ifndef MESH_RECORDER_H
#define MESH_RECORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mesh/err.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    MESH_RECORDER_LANES = 4,
    MESH_RECORDER_GAP = 0, /* the kind of entries that say what is missing; other kinds are the application's */
    MESH_RECORDER_REASON_BYTES = 200,
    MESH_RECORDER_RING_BYTES_MIN = 4096
};

struct mesh_recorder_entry {
    uint16_t lane, kind;
    uint64_t when_ns;    /* as the writer gave it; of a gap, the time of its last loss */
    const void *content; /* aligned to 8 bytes in what comes out of the ring; of a gap a struct mesh_recorder_gap */
    size_t bytes;
};

struct mesh_recorder_loss {
    uint64_t count; /* 0: none, and the times mean nothing */
    uint64_t first_ns, last_ns;
};

/* What a lane has lost since its last entry. */
struct mesh_recorder_gap {
    struct mesh_recorder_loss entries, payloads;
};

/* Entries to be stored together, of which all are kept or none. */
struct mesh_recorder_batch;

/* The next entry of a batch, valid until the batch is over; false: there are no more. */
bool mesh_recorder_next(struct mesh_recorder_batch *batch, struct mesh_recorder_entry *entry);

/* Where entries go. */
struct mesh_recorder_store {
    /* Keep what was taken before the last swap, then all entries of the batch, which may be empty, and return 0. Or keep nothing, and
     * return a negative enum mesh_err, with why in words: then all of it comes again later, and more with it. Called by the recorder's
     * thread, and by the thread that closes it, while others may call take. */
    int (*write)(void *app, struct mesh_recorder_batch *batch, char why[MESH_RECORDER_REASON_BYTES]);
    /* Take the next entry into memory, quickly and without a system call. False: it is not taken, and stays the next one. Called by helping
     * threads, and by the recorder's, one at a time. NULL: the store cannot do that, and nobody can help. */
    bool (*take)(void *app, const struct mesh_recorder_entry *entry);
    /* Set aside what has been taken so far: the next write has to keep it, or, if that fails, a later one. It is not called again before a
     * write has succeeded, and never at the same time as take. */
    void (*swap)(void *app);
    void *app;
};

struct mesh_recorder_config {
    struct mesh_recorder_store store;
    uint64_t ring_bytes; /* a power of 2, MESH_RECORDER_RING_BYTES_MIN to 2^31; 0: 16 MiB. An entry takes a quarter of it at most */
    uint64_t batch_ns;   /* entries are stored together at multiples of it of the time of day (mesh_recorder_sleep_ns); 0: 250 ms */
    uint64_t retry_ns;   /* after a failure; 0: 1 s */
};

struct mesh_recorder_stats {
    uint64_t entries;  /* stored, gaps not counted */
    uint64_t lost;     /* entries, of all lanes */
    uint64_t payloads; /* left out */
    uint64_t batches, failures;
    uint64_t ring_bytes_max;              /* most bytes that waited when a batch began, out of the config's ring_bytes */
    bool is_failing;                      /* the last batch could not be stored */
    uint64_t writing_ns;                  /* how long the present call of write has been running; 0: there is none */
    char why[MESH_RECORDER_REASON_BYTES]; /* the first failure; empty: none */
};

/* How long to sleep from this time of day until the next batch: at most 17/16 of batch_ns. Recorders whose clocks agree store at the same
 * moments, so that nodes that wait for one another wait for all recorders at once, and not for one after the other. Nothing else depends
 * on it. */
uint64_t mesh_recorder_sleep_ns(uint64_t now_ns, uint64_t batch_ns);

struct mesh_recorder;

/* Begins its thread, which blocks all signals. MESH_EINVAL: another ring_bytes, or no function to write; MESH_ENOMEM;
 * MESH_ESYSTEM (errno: no thread). */
int mesh_recorder_open(struct mesh_recorder **recorder, const struct mesh_recorder_config *config);

/* Reserve an entry. Returns where its content of that many bytes is to be written, aligned to 8 bytes; the caller does so at once, as
 * nothing behind it is stored before, and then calls mesh_recorder_end with the same number. NULL: there is no room; the entry is lost, and
 * counted. Never waits. One thread at a time per lane. lane is below MESH_RECORDER_LANES, kind not MESH_RECORDER_GAP, bytes not 0 (all
 * asserted). */
void *mesh_recorder_begin(struct mesh_recorder *recorder, uint16_t lane, uint16_t kind, uint64_t when_ns, size_t bytes);
void mesh_recorder_end(void *content, size_t bytes);

/* mesh_recorder_begin, a copy of entry->content, and mesh_recorder_end. */
void mesh_recorder_put(struct mesh_recorder *recorder, const struct mesh_recorder_entry *entry);

/* For a thread that waits for something else: let the store take the next entries, at most `count` of them, unless another thread is doing
 * so. Never waits; takes less than a microsecond per entry. Any thread. */
void mesh_recorder_help(struct mesh_recorder *recorder, unsigned count);

/* Whether there is room for a payload; if not, it is counted as left out, and the caller goes on without it. Threads as for
 * mesh_recorder_begin. */
bool mesh_recorder_takes_payload(struct mesh_recorder *recorder, uint16_t lane, uint64_t when_ns);

/* Any thread. */
void mesh_recorder_get_stats(struct mesh_recorder *recorder, struct mesh_recorder_stats *stats);

/* No thread may put entries or help any more. Store what is there, trying once more where the store fails; what it does not take counts as
 * lost. stats: of the end, or NULL. NULL as a recorder is fine. */
void mesh_recorder_close(struct mesh_recorder *recorder, struct mesh_recorder_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
