/* The protection of a run: none of its random values repeats, its nodes understand one another, and then the key is wiped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "mesh/wire.h"
#include "node/engine/security.h"
#include "seal_case.h"

static struct security a, b;
static struct fail fail;

static void need_libsodium(void)
{
    if (!mesh_seal_is_available()) {
        print_message("built without libsodium\n");
        skip();
    }
}

static void nothing_is_drawn_twice(void **state)
{
    (void)state;
    assert_int_equal(security_draw(&a, &fail), 0);
    assert_int_equal(security_draw(&b, &fail), 0);
    assert_memory_not_equal(&a.key, &b.key, sizeof a.key);
    assert_memory_not_equal(a.epoch_id, b.epoch_id, sizeof a.epoch_id);
    for (size_t i = 0; i < MESH_RANKS_MAX; i++) {
        assert_memory_not_equal(a.incarnation[i], b.incarnation[i], MESH_INCARNATION_BYTES);
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(a.incarnation[i], a.incarnation[k], MESH_INCARNATION_BYTES);
    }
}

static int release_pair(void **state)
{
    (void)state;
    security_release(&a);
    security_release(&b);
    return 0;
}

/* As after fork: both have a copy of the random bytes drawn. */
static void start_pair(enum mesh_security mode)
{
    release_pair(NULL);
    assert_int_equal(security_draw(&a, &fail), 0);
    b = a;
    assert_int_equal(security_start(&a, mode, SEAL_CASE_EPOCH, 1, 3, &fail), 0);
    assert_int_equal(security_start(&b, mode, SEAL_CASE_EPOCH, 2, 3, &fail), 0);
}

static void nodes_of_one_run_understand_one_another(void **state)
{
    (void)state;
    need_libsodium();
    for (int mode = MESH_SECURITY_AUTH; mode <= MESH_SECURITY_SEAL; mode++) {
        uint8_t packet[2100];
        const size_t bytes = seal_case_record(packet, 2, 1, 100);

        start_pair((enum mesh_security)mode);
        assert_int_equal(mesh_sealer_seal(&a.sealer, packet, bytes), 0);
        assert_int_equal(mesh_sealer_open(&b.sealer, packet, bytes), 0);
    }
}

static void nodes_of_two_runs_do_not(void **state)
{
    uint8_t packet[2100];
    const size_t bytes = seal_case_record(packet, 2, 1, 100);

    (void)state;
    need_libsodium();
    start_pair(MESH_SECURITY_SEAL);
    assert_int_equal(mesh_sealer_seal(&a.sealer, packet, bytes), 0);
    start_pair(MESH_SECURITY_SEAL);
    assert_int_equal(mesh_sealer_open(&b.sealer, packet, bytes), MESH_EAUTH);
}

static void the_key_is_wiped_when_it_was_used(void **state)
{
    static const struct mesh_key zeros;
    static const struct mesh_sealer no_sealer;

    release_pair(state);
    assert_int_equal(security_draw(&a, &fail), 0);
    assert_int_equal(security_start(&a, MESH_SECURITY_NONE, 1, 0, 2, &fail), 0);
    assert_memory_equal(&a.key, &zeros, sizeof zeros);
    security_release(&a);
    assert_memory_equal(&a.sealer, &no_sealer, sizeof no_sealer);
}

static void a_log_that_cannot_be_written_is_named(void **state)
{
    (void)state;
    need_libsodium();
    start_pair(MESH_SECURITY_SEAL);
    assert_int_equal(security_log(&a, NULL, &fail), 0);
    assert_int_equal(security_log(&a, "/nowhere/keys", &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_ENVIRONMENT);
    assert_string_equal(fail.text,
                        "/nowhere/keys: cannot be opened: No such file or directory: choose another name or folder for the key log");
}

static void words_are_in_the_order_of_the_ways(void **state)
{
    (void)state;
    assert_string_equal(security_words[MESH_SECURITY_NONE], "none");
    assert_string_equal(security_words[MESH_SECURITY_AUTH], "auth");
    assert_string_equal(security_words[MESH_SECURITY_SEAL], "seal");
    assert_null(security_words[3]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_drawn_twice),
        cmocka_unit_test(nodes_of_one_run_understand_one_another),
        cmocka_unit_test(nodes_of_two_runs_do_not),
        cmocka_unit_test(the_key_is_wiped_when_it_was_used),
        cmocka_unit_test(a_log_that_cannot_be_written_is_named),
        cmocka_unit_test(words_are_in_the_order_of_the_ways),
    };

    return cmocka_run_group_tests(tests, NULL, release_pair);
}
