#include "pool.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "idle.h"

enum { NICENESS = 10 /* about a tenth of a core beside a thread that wants all of it */ };

struct thread {
    struct pool *pool;
    pthread_t id;
    uint16_t index;
};

struct pool {
    void (*work)(void *app, uint16_t index);
    void *app;
    uint16_t count;
    struct thread thread[];
};

static void *run(void *argument)
{
    struct thread *thread = argument;

    thread->pool->work(thread->pool->app, thread->index);
    return NULL;
}

uint16_t pool_cores(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof set, &set) == 0 ? (uint16_t)CPU_COUNT(&set) : 1;
}

/* Not every pool is as large as -t says: some have one thread. */
static const char *advice(int err, uint16_t count)
{
    if (err == EPERM)
        return "a sandbox forbids it: allow clone3";
    return count > 1 ? "use fewer (-t), or raise the limits of threads and memory (ulimit -u, ulimit -v, TasksMax=)"
                     : "raise the limits of threads and memory (ulimit -u, ulimit -v, TasksMax=)";
}

struct pool *pool_start(uint16_t count, void (*work)(void *app, uint16_t index), void *app, struct fail *fail)
{
    struct pool *pool = calloc(1, sizeof *pool + count * sizeof *pool->thread);
    sigset_t all, before;

    fail->text[0] = '\0';
    if (pool == NULL) {
        fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
        return NULL;
    }
    pool->work = work;
    pool->app = app;
    sigfillset(&all);
    sigdelset(&all, SIGBUS); /* signals to the reading thread that a file cannot be read */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (; pool->count < count; pool->count++) {
        struct thread *thread = &pool->thread[pool->count];

        thread->pool = pool;
        thread->index = pool->count;
        int err = pthread_create(&thread->id, NULL, run, thread);
        if (err != 0) {
            fail_set(fail, EXIT_ENVIRONMENT, "threads: cannot start thread %u of %u: %s: %s", pool->count, count, strerror(err),
                     advice(err, count));
            break;
        }
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (pool->count == 0 && count > 0) {
        free(pool);
        return NULL;
    }
    return pool;
}

void pool_join(struct pool *pool)
{
    if (pool == NULL)
        return;
    for (uint16_t i = 0; i < pool->count; i++)
        pthread_join(pool->thread[i].id, NULL);
    free(pool);
}

void pool_pin(uint16_t index)
{
    cpu_set_t all, one;
    int left;

    if (sched_getaffinity(0, sizeof all, &all) != 0)
        return;
    left = index % CPU_COUNT(&all);
    CPU_ZERO(&one);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &all) && left-- == 0)
            CPU_SET(cpu, &one);
    (void)sched_setaffinity(0, sizeof one, &one); /* if that is not allowed, the system chooses */
}

void pool_give_way(void)
{
    /* On Linux a thread has a niceness of its own. Without it the work is done all the same. */
    (void)setpriority(PRIO_PROCESS, 0, NICENESS);
}

/* A futex: ringing costs one system call, and none if nobody waits. Linux futex(2), FUTEX_WAIT_BITSET with an absolute time. */
struct eventcount {
    _Atomic uint32_t count, waiting;
};

static_assert(sizeof(_Atomic uint32_t) == sizeof(uint32_t), "a futex is a word of 32 bits");

struct eventcount *eventcount_open(struct fail *fail)
{
    struct eventcount *wakeup = calloc(1, sizeof *wakeup);

    if (wakeup == NULL)
        fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    return wakeup;
}

void eventcount_close(struct eventcount *wakeup)
{
    free(wakeup);
}

uint32_t eventcount_read(struct eventcount *wakeup)
{
    return atomic_load(&wakeup->count);
}

void eventcount_notify(struct eventcount *wakeup)
{
    atomic_fetch_add(&wakeup->count, 1);
    if (atomic_load(&wakeup->waiting) > 0) {
        idle_count_sleep();
        syscall(SYS_futex, &wakeup->count, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    }
}

void eventcount_wait(struct eventcount *wakeup, uint32_t count, uint64_t max_ns)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    uint64_t ns = (uint64_t)until.tv_nsec + max_ns;
    until.tv_sec += (time_t)(ns / 1000000000u);
    until.tv_nsec = (long)(ns % 1000000000u);
    atomic_fetch_add(&wakeup->waiting, 1);
    while (atomic_load(&wakeup->count) == count) {
        idle_count_sleep();
        if (syscall(SYS_futex, &wakeup->count, FUTEX_WAIT_BITSET_PRIVATE, count, &until, NULL, FUTEX_BITSET_MATCH_ANY) < 0 &&
            errno == ETIMEDOUT)
            break;
    }
    atomic_fetch_sub(&wakeup->waiting, 1);
}
