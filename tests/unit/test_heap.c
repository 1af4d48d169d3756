/* The heap gives entries in order of time, equal times in order of arrival. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "libmesh/core/mix.h"
#include "libmesh/sim/heap.h"
#include "mesh/err.h"

enum { ITEMS = 2000 };

static void entries_come_out_by_time_and_then_by_arrival(void **state)
{
    struct mesh_heap heap;
    struct mesh_heap_entry entry, last = {0, 0, NULL};
    static int items[ITEMS];

    (void)state;
    mesh_heap_init(&heap, ITEMS);
    for (size_t i = 0; i < ITEMS; i++) {
        assert_int_equal(mesh_heap_push(&heap, mesh_draw_below(mesh_draw(1, 2, i), 100), &items[i]), 0);
    }
    for (size_t i = 0; i < ITEMS; i++) {
        assert_true(mesh_heap_pop(&heap, &entry));
        assert_true(i == 0 || entry.time_ns > last.time_ns || (entry.time_ns == last.time_ns && entry.sequence > last.sequence));
        assert_ptr_equal(entry.item, &items[entry.sequence]);
        last = entry;
    }
    assert_false(mesh_heap_pop(&heap, &entry));
    mesh_heap_release(&heap);
}

static void pushes_between_pops_keep_the_order(void **state)
{
    struct mesh_heap heap;
    struct mesh_heap_entry entry;
    uint64_t now_ns = 0;

    (void)state;
    mesh_heap_init(&heap, ITEMS);
    for (size_t i = 0; i < ITEMS; i++) {
        assert_int_equal(mesh_heap_push(&heap, now_ns + mesh_draw_below(mesh_draw(3, 0, i), 50), NULL), 0);
        if (i % 3 == 0) {
            assert_true(mesh_heap_pop(&heap, &entry));
            assert_true(entry.time_ns >= now_ns);
            now_ns = entry.time_ns;
        }
    }
    mesh_heap_release(&heap);
}

static void a_full_heap_says_again(void **state)
{
    struct mesh_heap heap;

    (void)state;
    mesh_heap_init(&heap, 2);
    assert_null(mesh_heap_first(&heap));
    assert_int_equal(mesh_heap_push(&heap, 7, NULL), 0);
    assert_int_equal(mesh_heap_push(&heap, 5, NULL), 0);
    assert_int_equal(mesh_heap_push(&heap, 6, NULL), MESH_AGAIN);
    assert_int_equal(mesh_heap_first(&heap)->time_ns, 5);
    mesh_heap_release(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_come_out_by_time_and_then_by_arrival),
        cmocka_unit_test(pushes_between_pops_keep_the_order),
        cmocka_unit_test(a_full_heap_says_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
