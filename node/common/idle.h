/* Threads with nothing to do: they yield or sleep. Such system calls are counted, per process, for the figures of a run. */
#ifndef NODE_IDLE_H
#define NODE_IDLE_H

#include <stdbool.h>
#include <stdint.h>

struct idle_calls {
    uint64_t yields; /* sched_yield */
    uint64_t sleeps; /* calls that sleep or wake: futexes and clocks; those of the UDP driver are in its own statistics */
};

/* Let another thread have this processor, if one wants it. Returns how long others had it; 0: hardly at all. */
uint64_t idle_yield(void);

/* A thread's own, zeroed: do other threads want its processor? They do if a recent yield gave the processor to another thread. */
struct idle_sharing {
    uint32_t yields_left;
};
void idle_note_yield(struct idle_sharing *sharing, uint64_t given_ns); /* what idle_yield returned */
bool idle_is_shared(const struct idle_sharing *sharing);

/* Less than a second; a signal ends it early. */
void idle_sleep(uint64_t ns);

/* For code that makes such a call itself (the eventcount). */
void idle_count_sleep(void);

/* Of all threads since the process began. */
struct idle_calls idle_get_calls(void);

#endif
