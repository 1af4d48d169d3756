/* Lets a thread rest until it is woken, or for a time by the monotonic clock, which nobody sets. A futex, since not every C library has
 * semaphores that wait by that clock. All zeros: not woken. */
#ifndef MESH_RECORDER_REST_H
#define MESH_RECORDER_REST_H

#include <stdint.h>

struct recorder_rest {
    _Atomic uint32_t is_woken;
};

/* Any thread: ends the rest, or the next one. */
void recorder_rest_wake(struct recorder_rest *rest);

/* One thread. */
void recorder_rest_for(struct recorder_rest *rest, uint64_t ns);

#endif
