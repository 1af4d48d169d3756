/* Which node is called; sessions themselves are tested by tests/run/api.sh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/api/api_session.h"

static struct api_error error;

static bool is_not_wanted(void *app)
{
    (void)app;
    return false;
}

static void requests_that_one_node_refuses_together_go_to_the_next_one(void **state)
{
    struct api_mesh mesh = {.node_count = 2, .last = 1};
    const struct api_node node = {.index = 1};

    (void)state;
    api_mesh_pass(&mesh, &node);
    assert_int_equal(atomic_load(&mesh.last), 0);
    api_mesh_pass(&mesh, &node);
    assert_int_equal(atomic_load(&mesh.last), 0);
}

static void a_request_that_is_given_up_before_a_node_is_called_is_refused(void **state)
{
    struct api_mesh mesh = {.node = {"127.0.0.1:1"}, .node_count = 1, .name = "mesh"};
    struct api_node node;

    (void)state;
    error = (struct api_error){.status = 0};
    assert_null(api_session_open(&mesh, is_not_wanted, NULL, &node, &error));
    assert_int_equal(error.status, API_UNAVAILABLE);
    assert_true(api_is_given_up(&error));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_that_one_node_refuses_together_go_to_the_next_one),
        cmocka_unit_test(a_request_that_is_given_up_before_a_node_is_called_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
