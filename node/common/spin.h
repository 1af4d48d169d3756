/* A lock that is held for a few instructions or a short copy. Its flag starts clear.
 *
 * Whoever waits for it gives up its processor: where threads outnumber processors, the holder may be waiting for just that one. */
#ifndef NODE_SPIN_H
#define NODE_SPIN_H

#include <sched.h>
#include <stdatomic.h>

static inline void spin_lock(atomic_flag *lock)
{
    while (atomic_flag_test_and_set_explicit(lock, memory_order_acquire))
        sched_yield();
}

static inline void spin_unlock(atomic_flag *lock)
{
    atomic_flag_clear_explicit(lock, memory_order_release);
}

#endif
