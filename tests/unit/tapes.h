/* Tapes in memory: what a core's tap reports, recorded as bytes, read, changed, and run again. No test library is used here. */
#ifndef TESTS_TAPES_H
#define TESTS_TAPES_H

#include "mesh/rerun.h"

struct tape {
    struct mesh_tap tap; /* for a config; its address must not change */
    uint8_t *bytes;
    size_t size, capacity;
    uint64_t count;                                                /* entries */
    bool leaves_payloads;                                          /* stores hashes instead of payloads */
    void (*hash)(const void *data, size_t bytes, uint8_t out[16]); /* of a cluster core; NULL: of an endpoint */
};

void tape_init(struct tape *tape);
void tape_release(struct tape *tape);

/* The next entry after *at (0: the first), borrowed from the tape; false: there is none. */
bool tape_next(const struct tape *tape, size_t *at, struct mesh_tape_entry *entry);

/* A copy of the tape in which change may alter each entry; the lengths of body and payload stay. When change returns false, the entry is
 * left out. */
void tape_copy(struct tape *to, const struct tape *from, bool (*change)(void *app, uint64_t index, struct mesh_tape_entry *entry),
               void *app);

/* Run the tape again. Returns the last result of feed (0: everything equal). The caller closes *rerun. */
int tape_rerun(const struct tape *tape, struct mesh_rerun **rerun);

#endif
