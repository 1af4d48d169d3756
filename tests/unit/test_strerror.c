/* Words for error codes, and counters by them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "mesh/cluster.h"
#include "mesh/err.h"
#include "mesh/mesh.h"

static const char unknown[] = "unknown error";

/* Codes follow one another, and strerror.c does not compile without words for each. */
static void every_code_has_words_and_a_counter(void **state)
{
    int count = 0;

    (void)state;
    while (strcmp(mesh_strerror(-count), unknown) != 0)
        count++;
    assert_int_equal(count, MESH_ERRS); /* of mesh/err.h */
    assert_int_equal(sizeof((struct mesh_stats *)0)->dropped / sizeof(uint64_t), MESH_ERRS);
    assert_int_equal(sizeof((struct mesh_cluster_stats *)0)->dropped / sizeof(uint64_t), MESH_ERRS);
}

static void what_is_no_code_is_said_to_be_unknown(void **state)
{
    (void)state;
    assert_string_equal(mesh_strerror(1), unknown);
    assert_string_equal(mesh_strerror(-MESH_ERRS), unknown);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_words_and_a_counter),
        cmocka_unit_test(what_is_no_code_is_said_to_be_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
