/* The advice in a message follows from the system's error. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/common/socket_hint.h"

static void the_address_is_suspected_only_where_it_may_be_to_blame(void **state)
{
    static const char address[] = "give another address";

    (void)state;
    assert_ptr_equal(socket_hint(EADDRNOTAVAIL, address), address);
    assert_ptr_equal(socket_hint(ENETUNREACH, address), address);
    assert_non_null(strstr(socket_hint(EADDRINUSE, address), "another process has this UDP port"));
    assert_non_null(strstr(socket_hint(EPERM, address), "sandbox"));
    assert_non_null(strstr(socket_hint(ENOSYS, address), "sandbox"));
    assert_non_null(strstr(socket_hint(EMFILE, address), "ulimit -n"));
    assert_non_null(strstr(socket_hint(ENOBUFS, address), "close other programs"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_address_is_suspected_only_where_it_may_be_to_blame),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
