/* The recorder: entries of any thread go through a lock-free ring to one thread that stores them.
 *
 * Writers never wait: an entry is put into the ring or it is lost. While the ring is more than half full, payloads are to be left out; when
 * it is full, entries are lost. An entry of its own, before the next one of that lane, tells how many are missing, and of which time. So
 * what is stored says what it lacks. Entries leave the ring when the store has kept them: while it fails (a full disk), they come again.
 *
 * A thread that is idle for a moment can help (mesh_recorder_help): it prepares entries for storing in its own time instead of the
 * recorder's thread, which takes a processor from somebody.
 *
 * A lane is one sequence of entries, written by one thread at a time; what is stored of a lane is in its order. */
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

/* As it comes out of the ring. */
struct mesh_recorder_entry {
    uint16_t lane, kind;
    uint64_t when_ns;
    const void *content; /* of a gap: struct mesh_recorder_gap; aligned to 8 bytes */
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

/* Entries that are to be stored together. */
struct mesh_recorder_batch;

/* The next entry of a batch, valid until the batch is over; false: there are no more. */
bool mesh_recorder_next(struct mesh_recorder_batch *batch, struct mesh_recorder_entry *entry);

/* Where entries go. */
struct mesh_recorder_store {
    /* Called by the recorder's thread, and by the thread that closes it, while others may call take. Keep what was taken before the last
     * swap, then all entries of the batch, which may be empty; or keep nothing, and return an error, with why in words: then all comes
     * again later, with more. */
    int (*write)(void *app, struct mesh_recorder_batch *batch, char why[MESH_RECORDER_REASON_BYTES]);
    /* Called by helping threads, one at a time. Take the next entry into memory, quickly and without a system call. False: it is not taken,
     * and stays the next one. NULL: nobody can help. */
    bool (*take)(void *app, const struct mesh_recorder_entry *entry);
    /* What has been taken so far is for the next write to keep, and for later ones until one succeeds. Not called before that, nor at the
     * same time as take. */
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
    uint64_t writing_ns;                  /* how long the present call of write takes already; 0: there is none */
    char why[MESH_RECORDER_REASON_BYTES]; /* the first failure; empty: none */
};

/* From this time of day until the next batch: at most 17/16 of batch_ns. All recorders whose clocks agree store at the same moments: nodes
 * that wait for one another then wait for all of their recorders at once, and not for one after the other. Nothing else depends on it. */
uint64_t mesh_recorder_sleep_ns(uint64_t now_ns, uint64_t batch_ns);

struct mesh_recorder;

/* Begins its thread, which blocks all signals. MESH_EINVAL: another ring_bytes, or no function to write; MESH_ENOMEM;
 * MESH_ESYSTEM (errno: no thread). */
int mesh_recorder_open(struct mesh_recorder **recorder, const struct mesh_recorder_config *config);

/* Where an entry of that many bytes may be written, aligned to 8 bytes; mesh_recorder_end must follow, soon, with the same bytes. NULL: it
 * is lost, and counted. Never waits. One thread at a time per lane. kind is not MESH_RECORDER_GAP; bytes are not 0; lane is
 * below MESH_RECORDER_LANES (all asserted). */
void *mesh_recorder_begin(struct mesh_recorder *recorder, uint16_t lane, uint16_t kind, uint64_t when_ns, size_t bytes);
void mesh_recorder_end(void *content, size_t bytes);

/* The same for an entry that is there already. */
void mesh_recorder_put(struct mesh_recorder *recorder, const struct mesh_recorder_entry *entry);

/* For a thread that waits for something else: let the store take the next `count` entries, if there are so many and no other thread is
 * doing so. Never waits; takes less than a microsecond per entry. Any thread. */
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
