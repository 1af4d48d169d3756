/* Lets a thread sleep until it is woken, or for a time by the monotonic clock, which nobody sets. A futex, since not every C library has
 * semaphores that wait by that clock. All zeros: not woken. */
#ifndef MESH_RECORDER_SLEEP_H
#define MESH_RECORDER_SLEEP_H

#include <stdint.h>

struct recorder_sleep {
    _Atomic uint32_t is_woken;
};

/* Any thread: ends the sleep, or the next one. */
void mesh_recorder_sleep_wake(struct recorder_sleep *sleep);

/* One thread. */
void mesh_recorder_sleep_for(struct recorder_sleep *sleep, uint64_t ns);

#endif
