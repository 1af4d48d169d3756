/* A serving node between epochs: how its state is classified. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/serve_state.h"

/* A node refused by a cluster is not healthy while it is alone; nodes that wait for memory together are not alone. */
static void members_that_wait_together_are_not_refused(void **state)
{
    static struct serve_config config = {.seed_count = 1};
    static struct server server = {.config = &config};

    (void)state;
    server.refused_ns = mesh_udp_now_ns();
    server.memory = (struct serve_memory){.missing_bytes = 1, .count = 1};
    assert_true(serve_is_refused(&server));
    server.memory.count = 2;
    assert_false(serve_is_refused(&server));
    server.memory = (struct serve_memory){.missing_bytes = 0};
    assert_true(serve_is_refused(&server)); /* in no epoch */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_that_wait_together_are_not_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
