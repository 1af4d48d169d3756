/* The ring of ids: first in, first out, bounded; from one thread to another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>

#include "node/common/pool.h"
#include "node/engine/id_ring.h"

enum { IDS = 100000 };

static void ids_come_out_in_the_order_in_which_they_went_in(void **state)
{
    static struct id_ring ring;
    uint64_t id, put = 0, taken = 0;

    (void)state;
    assert_false(id_ring_take(&ring, &id));
    for (int round = 0; round < 10; round++) {
        while (id_ring_put(&ring, put))
            put++;
        assert_true(put - taken == ID_RING_MAX);
        for (int i = 0; i < 100; i++) {
            assert_true(id_ring_take(&ring, &id));
            assert_true(id == taken++);
        }
    }
}

struct pair {
    struct id_ring ring;
    uint64_t wrong; /* seen by the thread that takes */
};

static void hand_over(void *app, uint16_t index)
{
    struct pair *pair = app;

    for (uint64_t next = 1, id; next <= IDS;) {
        if (index == 0 ? !id_ring_put(&pair->ring, next * next) : !id_ring_take(&pair->ring, &id)) {
            sched_yield();
            continue;
        }
        if (index == 1)
            pair->wrong += id != next * next;
        next++;
    }
}

static void what_one_thread_puts_another_takes(void **state)
{
    static struct pair pair;
    struct fail fail = {0};

    (void)state;
    struct pool *pool = pool_start(2, hand_over, &pair, &fail);
    assert_non_null(pool);
    pool_join(pool);
    assert_true(pair.wrong == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_come_out_in_the_order_in_which_they_went_in),
        cmocka_unit_test(what_one_thread_puts_another_takes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
