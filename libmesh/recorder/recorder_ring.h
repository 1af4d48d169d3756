/* A bounded ring of entries of any size: many writers, one reader, no locks.
 *
 * A writer reserves room with one compare-and-swap, fills it and marks it as whole; the reader sees entries in the order in which they were
 * reserved, and stops at one that is not whole yet. Entries that have been read stay until they are released, so that they can be read
 * again when storing them failed. Room that is not reserved is all zeros: a released entry is wiped. */
#ifndef MESH_RECORDER_RING_H
#define MESH_RECORDER_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RECORDER_RING_ALIGN = 16 /* of entries, and at least 8 bytes of it are before their content */ };

struct recorder_ring {
    uint8_t *bytes; /* (capacity) */
    uint64_t capacity;
    _Alignas(64) _Atomic uint64_t reserved; /* all of these count bytes from the beginning of time */
    _Alignas(64) _Atomic uint64_t released;
    uint64_t read; /* reader's own */
};

/* A capacity that a ring may have: see mesh/recorder.h. */
bool mesh_recorder_ring_is_valid(uint64_t capacity);

/* MESH_ENOMEM. */
int mesh_recorder_ring_open(struct recorder_ring *ring, uint64_t capacity);
void mesh_recorder_ring_close(struct recorder_ring *ring);

/* Room for the content of an entry, aligned to 8 bytes; NULL: there is none now. Any thread. mesh_recorder_ring_commit must follow. */
uint8_t *mesh_recorder_ring_reserve(struct recorder_ring *ring, size_t bytes);
void mesh_recorder_ring_commit(uint8_t *content, size_t bytes);

/* Bytes that are reserved and not yet released. Any thread; of the past by then. */
uint64_t mesh_recorder_ring_used(struct recorder_ring *ring);

/* The rest is the reader's. The next entry that is whole; NULL: none. */
const uint8_t *mesh_recorder_ring_next(struct recorder_ring *ring, size_t *bytes);
bool mesh_recorder_ring_has_next(struct recorder_ring *ring);
uint64_t mesh_recorder_ring_unreleased(const struct recorder_ring *ring);  /* bytes of entries that were read, and what is around them */
void mesh_recorder_ring_unread(struct recorder_ring *ring, uint64_t read); /* back to what `read` was: before mesh_recorder_ring_next */
void mesh_recorder_ring_rewind(struct recorder_ring *ring);                /* read them again */
void mesh_recorder_ring_release(struct recorder_ring *ring);               /* their room may be used */

#endif
