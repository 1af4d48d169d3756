#include "recorder_sleep.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/futex.h>

_Static_assert(sizeof(_Atomic uint32_t) == sizeof(uint32_t), "a futex is a word of 32 bits");

static const uint64_t second_ns = 1000000000;

void mesh_recorder_sleep_wake(struct recorder_sleep *sleep)
{
    if (atomic_exchange(&sleep->is_woken, 1) == 0)
        syscall(SYS_futex, &sleep->is_woken, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void mesh_recorder_sleep_for(struct recorder_sleep *sleep, uint64_t ns)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    ns += (uint64_t)until.tv_nsec;
    until.tv_sec += (time_t)(ns / second_ns);
    until.tv_nsec = (long)(ns % second_ns);
    while (atomic_exchange(&sleep->is_woken, 0) == 0)
        if (syscall(SYS_futex, &sleep->is_woken, FUTEX_WAIT_BITSET_PRIVATE, 0, &until, NULL, FUTEX_BITSET_MATCH_ANY) != 0 &&
            errno != EINTR && errno != EAGAIN)
            return;
}
