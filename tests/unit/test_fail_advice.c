/* The advice in a message follows from the system's error: what has run out is not the fault of a file or an address. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "mesh/program/fail_advice.h"

static void a_name_is_suspected_only_where_it_may_be_to_blame(void **state)
{
    static const char name[] = "check its name and permissions";

    (void)state;
    assert_ptr_equal(fail_advice(ENOENT, name), name);
    assert_ptr_equal(fail_advice(EACCES, name), name);
    assert_ptr_equal(fail_advice(0, name), name);
    assert_non_null(strstr(fail_advice(EMFILE, name), "ulimit -n"));
    assert_non_null(strstr(fail_advice(ENFILE, name), "fs.file-max"));
    assert_non_null(strstr(fail_advice(ENOMEM, name), "close other programs"));
    assert_non_null(strstr(fail_advice(ENOBUFS, name), "close other programs"));
    assert_non_null(strstr(fail_advice(ENOSPC, name), "make room"));
    assert_non_null(strstr(fail_advice(EDQUOT, name), "make room"));
    assert_non_null(strstr(fail_advice(EIO, name), "disk"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_suspected_only_where_it_may_be_to_blame),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
