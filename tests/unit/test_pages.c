/* Pages of memory: zeros that take no memory until they are touched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/common/pages.h"

enum { PAGES = 64 };

static size_t resident(void *at, size_t page)
{
    unsigned char is_there[PAGES];
    size_t count = 0;

    assert_int_equal(mincore(at, PAGES * page, is_there), 0);
    for (size_t i = 0; i < PAGES; i++)
        count += is_there[i] & 1;
    return count;
}

static void zeros_are_not_there_until_they_are_touched(void **state)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *at = pages_zeros(PAGES * page);

    (void)state;
    assert_non_null(at);
    assert_int_equal((uintptr_t)at % page, 0);
    assert_int_equal(madvise(at, PAGES * page, MADV_NOHUGEPAGE), 0);
    assert_int_equal(resident(at, page), 0);
    at[5 * page] = 1;
    assert_int_equal(resident(at, page), 1);
    pages_have(at, PAGES * page);
    assert_int_equal(at[5 * page], 1);
    for (size_t i = 0; i < PAGES * page; i++)
        assert_true(at[i] == (i == 5 * page));
    pages_release(at, PAGES * page);
}

static void what_is_forgotten_is_zeros_again_and_its_neighbours_stay(void **state)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = 2 * (size_t)PAGES_HUGE_BYTES + page + 1;
    uint8_t *at = pages_huge(bytes);

    (void)state;
    assert_non_null(at);
    assert_int_equal((uintptr_t)at % PAGES_HUGE_BYTES, 0);
    at[page - 1] = at[page] = at[4 * page] = at[5 * page] = at[bytes - 1] = 7;
    pages_forget(at + page, 4 * page);
    assert_int_equal(at[page] + at[4 * page], 0);
    assert_int_equal(at[page - 1] + at[5 * page] + at[bytes - 1], 21);
    pages_release(at, bytes);
}

static void what_cannot_be_had_is_none(void **state)
{
    (void)state;
    assert_null(pages_zeros(SIZE_MAX / 2));
    assert_null(pages_huge(SIZE_MAX / 2));
    pages_release(NULL, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeros_are_not_there_until_they_are_touched),
        cmocka_unit_test(what_is_forgotten_is_zeros_again_and_its_neighbours_stay),
        cmocka_unit_test(what_cannot_be_had_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
