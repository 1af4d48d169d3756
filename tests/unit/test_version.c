/* The version of the library. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/version.h"

static void the_library_has_the_version_of_its_headers(void **state)
{
    (void)state;
    assert_string_equal(mesh_version(), MESH_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_library_has_the_version_of_its_headers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
