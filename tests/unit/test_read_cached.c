/* Parts of a file that are in memory are read from there; where the system cannot tell, this is reported. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "forbidden.h"
#include "node/common/read_cached.h"

static const char text[] = "Ships were hauled over the isthmus on wheels.";

static int open_written(void)
{
    char path[] = "/tmp/mesh-test-XXXXXX";
    const int file = mkstemp(path);

    assert_true(file >= 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(write(file, text, sizeof text), sizeof text);
    return file;
}

static void what_was_just_written_is_read(void **state)
{
    const int file = open_written();
    char found[sizeof text] = {0};
    const ssize_t got = read_cached(file, found, sizeof found - 6, 6);

    (void)state;
    if (got < 0) {
        assert_int_equal(errno, EOPNOTSUPP); /* a property of this file system */
        skip();
    }
    assert_int_equal(got, sizeof text - 6);
    assert_memory_equal(found, text + 6, sizeof text - 6);
    assert_int_equal(read_cached(file, found, 1, sizeof text), 0);
    close(file);
}

static const char *read_it(void)
{
    const int file = open_written();
    char found[sizeof text];

    if (read_cached(file, found, sizeof found, 0) >= 0) {
        return "it was read by a call that is forbidden";
    }
    return errno == EOPNOTSUPP ? NULL : "another reason than that it cannot be known";
}

static void a_system_without_the_call_does_not_know(void **state)
{
    static const int call = SYS_preadv2;

    (void)state;
    without_calls(ENOSYS, &call, 1, read_it);
    without_calls(EPERM, &call, 1, read_it);
    without_calls(EINVAL, &call, 1, read_it);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_just_written_is_read),
        cmocka_unit_test(a_system_without_the_call_does_not_know),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
