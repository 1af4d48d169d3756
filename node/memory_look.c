#include "memory_look.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "memory_text.h"
#include "pool.h"

enum { LOOK_NS = 2000000000 };

struct memory_look {
    atomic_flag lock; /* of the next two */
    uint64_t available_bytes, held_bytes;
    struct bell *bell;
    struct pool *pool;
    atomic_bool is_ending;
};

static void lock(struct memory_look *look)
{
    while (atomic_flag_test_and_set_explicit(&look->lock, memory_order_acquire))
        sched_yield();
}

static void unlock(struct memory_look *look)
{
    atomic_flag_clear_explicit(&look->lock, memory_order_release);
}

static void look_again(struct memory_look *look)
{
    const uint64_t available = memory_available_bytes(), held = memory_held_bytes();

    lock(look);
    look->available_bytes = available;
    look->held_bytes = held;
    unlock(look);
}

static void work(void *app, uint16_t index)
{
    struct memory_look *look = app;

    (void)index;
    while (!atomic_load(&look->is_ending)) {
        const uint32_t rung = bell_count(look->bell);

        look_again(look);
        if (!atomic_load(&look->is_ending))
            bell_wait(look->bell, rung, LOOK_NS);
    }
}

struct memory_look *memory_look_open(struct fail *fail)
{
    struct memory_look *look = calloc(1, sizeof *look);

    if (look == NULL) {
        fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
        return NULL;
    }
    atomic_flag_clear(&look->lock);
    look_again(look);
    look->bell = bell_open(fail);
    look->pool = look->bell == NULL ? NULL : pool_start(1, work, look, fail);
    if (look->pool != NULL)
        return look;
    memory_look_close(look);
    return NULL;
}

void memory_look_close(struct memory_look *look)
{
    if (look == NULL)
        return;
    atomic_store(&look->is_ending, true);
    if (look->pool != NULL)
        bell_ring(look->bell);
    pool_join(look->pool);
    bell_close(look->bell);
    free(look);
}

void memory_look_last(struct memory_look *look, uint64_t *available_bytes, uint64_t *held_bytes)
{
    lock(look);
    *available_bytes = look->available_bytes;
    *held_bytes = look->held_bytes;
    unlock(look);
}
