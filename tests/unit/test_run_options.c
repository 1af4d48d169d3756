/* The command line of `run`: defaults, shares, peers, and every refusal with its message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "mesh/seal.h"
#include "node/run/run_options.h"

enum { ARGUMENTS_MAX = 20 };

static struct run_options got;
static struct fail fail;

static int parse_list(const char *const *arguments)
{
    char *argv[ARGUMENTS_MAX];
    int argc = 0;

    for (; arguments[argc] != NULL; argc++)
        argv[argc] = (char *)(uintptr_t)arguments[argc];
    return run_options_parse(&got, argc, argv, &fail);
}
#define parse(...) parse_list((const char *const[]){"-m", "m.gguf", ##__VA_ARGS__, NULL})

static void refused(int result, const char *message)
{
    assert_int_equal(result, -1);
    assert_int_equal(fail.exit_code, EXIT_USAGE);
    assert_string_equal(fail.text, message);
}

static void a_model_is_all_that_must_be_given(void **state)
{
    (void)state;
    assert_int_equal(parse("-p", "abc"), 0);
    assert_string_equal(got.model, "m.gguf");
    assert_int_equal(got.predict, 128);
    assert_int_equal(got.local, 1);
    assert_int_equal(got.batch, RUN_BATCH_DEFAULT);
    assert_int_equal(got.kv_type, KV_F16);
    assert_int_equal(got.share[0], 1);
    assert_int_equal(run_options_ranks(&got), 1);
    assert_false(got.has_seed);
    refused(parse_list((const char *const[]){"-p", "abc", NULL}), "run: no model: give one with -m MODEL.gguf");
}

static void nothing_of_an_earlier_command_line_is_left(void **state)
{
    (void)state;
    assert_int_equal(parse("-p", "abc", "--local", "3", "--seed", "7", "--ids", "--lab", "loss=1%"), 0);
    assert_true(got.has_seed && got.ids);
    assert_int_equal(parse("-p", "abc"), 0);
    assert_false(got.has_seed || got.ids);
    assert_int_equal(got.local, 1);
    assert_null(got.lab_text);
}

static void help_asks_for_nothing_else(void **state)
{
    (void)state;
    assert_int_equal(parse_list((const char *const[]){"--help", NULL}), 0);
    assert_true(got.help);
}

static void options_that_exclude_each_other_are_refused(void **state)
{
    (void)state;
    refused(parse("-p", "a", "-f", "b"), "run: two of -p, -f and --prompt-ids together: give one prompt");
    refused(parse("-f", "b", "--prompt-ids", "c"), "run: two of -p, -f and --prompt-ids together: give one prompt");
    refused(parse("-p", "a", "--json", "--ids"), "run: --json and --ids together: JSON has the ids: give one of them");
    refused(parse("--local", "2", "--peers", "127.0.0.1:1,127.0.0.1:2"), "run: --peers and --local together: give one of them");
}

static void security_is_the_best_there_is_unless_it_is_said(void **state)
{
    const int best = mesh_seal_is_available() ? MESH_SECURITY_SEAL : MESH_SECURITY_NONE;

    (void)state;
    assert_int_equal(parse("--local", "2"), 0);
    assert_int_equal(got.security, best);
    assert_int_equal(parse("--peers", "127.0.0.1:1,127.0.0.1:2"), 0);
    assert_int_equal(got.security, MESH_SECURITY_NONE);
    assert_int_equal(parse("--local", "2", "--security", "none"), 0);
    assert_int_equal(got.security, MESH_SECURITY_NONE);
    assert_int_equal(parse("--local", "2", "--security", "auth"), mesh_seal_is_available() ? 0 : -1);
    if (mesh_seal_is_available()) {
        assert_int_equal(got.security, MESH_SECURITY_AUTH);
        return;
    }
    assert_int_equal(fail.exit_code, EXIT_ENVIRONMENT);
    assert_string_equal(fail.text, "--security auth: this mesh-node was built without libsodium: install it and build again, or give "
                                   "--security none");
}

static void security_without_a_key_to_share_is_refused(void **state)
{
    (void)state;
    refused(parse("--peers", "127.0.0.1:1,127.0.0.1:2", "--security", "seal"),
            "--security seal: nodes that are started one by one with --peers have no key to share: leave it out, or give --local");
    refused(parse("--security", "none", "--key-log", "k"), "--key-log k: without --security seal or auth there are no keys: leave it out");
    assert_int_equal(parse("--peers", "127.0.0.1:1,127.0.0.1:2", "--security", "none"), 0);
}

/* ---- shares ---- */

static void shares_are_one_number_per_node(void **state)
{
    (void)state;
    assert_int_equal(parse("--local", "3", "--shares", "3,0,1000000"), 0);
    assert_int_equal(got.share[0], 3);
    assert_int_equal(got.share[1], 0);
    assert_int_equal(got.share[2], 1000000);
}

static void without_shares_all_have_the_same(void **state)
{
    uint32_t shares[MESH_RANKS_MAX] = {0};

    (void)state;
    assert_int_equal(run_options_shares(NULL, MESH_RANKS_MAX, shares, &fail), 0);
    for (size_t r = 0; r < MESH_RANKS_MAX; r++)
        assert_int_equal(shares[r], 1);
}

static void what_is_no_share_is_refused(void **state)
{
    static const char *const bad[] = {"",     ",",    "1,",   "1,,2",  ",1",  "1;2",       "1, 2",
                                      " 1,2", "-1,2", "+1,2", "1.5,2", "x,1", "1000001,1", "99999999999999999999999,1"};
    uint32_t shares[2];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(run_options_shares(bad[i], 2, shares, &fail), -1);
        assert_int_equal(fail.exit_code, EXIT_USAGE);
        assert_non_null(strstr(fail.text, "is no share: give whole numbers 0 to 1000000 with commas between"));
    }
    refused(parse("--local", "2", "--shares", "1,two"),
            "--shares 1,two: 'two' is no share: give whole numbers 0 to 1000000 with commas between");
}

static void too_few_or_too_many_shares_are_refused(void **state)
{
    (void)state;
    refused(parse("--local", "3", "--shares", "1,2"), "--shares 1,2: 2 shares for 3 nodes: give one per node");
    refused(parse("--shares", "1,2,3"), "--shares 1,2,3: 3 shares for 1 node: give one per node");
    refused(parse("--local", "2", "--shares", "5"), "--shares 5: 1 share for 2 nodes: give one per node");
}

/* ---- peers ---- */

static void peers_are_addresses_in_order_of_rank(void **state)
{
    (void)state;
    assert_int_equal(parse("--peers", "127.0.0.1:7001,[::1]:7002", "--rank", "1", "--shares", "2,1"), 0);
    assert_int_equal(got.peer_count, 2);
    assert_int_equal(run_options_ranks(&got), 2);
    assert_int_equal(got.rank, 1);
    assert_int_equal(got.peer[0].port, 7001);
    assert_int_equal(got.peer[1].port, 7002);
    assert_int_equal(got.share[0], 2);
}

static void peers_that_cannot_be_are_refused(void **state)
{
    (void)state;
    refused(parse("--peers", "127.0.0.1:0"),
            "--peers: '127.0.0.1:0': port 0 is any port, so no node would find it: give a port from 1 to 65535");
    refused(parse("--peers", "10.1.2.3:7001"),
            "--peers: '10.1.2.3:7001': nodes have no key, so they talk on loopback only: give 127.0.0.1:PORT or [::1]:PORT");
    refused(parse("--peers", "127.0.0.1:7,127.0.0.1:8,127.0.0.1:7"),
            "--peers: '127.0.0.1:7': given for rank 0 and for rank 2: give every node its own port");
}

static void what_is_no_address_is_refused_with_the_form_of_one(void **state)
{
    static const char *const bad[] = {"", ",", "127.0.0.1", "127.0.0.1:", "127.0.0.1:7001,", "127.0.0.1:70000", "127.0.0.1:7x"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(parse("--peers", bad[i]), -1);
        assert_int_equal(fail.exit_code, EXIT_USAGE);
        assert_true(strncmp(fail.text, "--peers: '", 10) == 0);
        assert_non_null(strstr(fail.text, ": give ADDRESS:PORT"));
    }
}

static void an_address_that_is_too_long_is_refused(void **state)
{
    char text[200];

    (void)state;
    memset(text, '1', sizeof text);
    text[sizeof text - 1] = '\0';
    refused(parse("--peers", text), "--peers: an address of 199 characters: give ADDRESS:PORT");
}

static void more_peers_than_a_mesh_has_are_refused(void **state)
{
    char text[65 * 16] = "";

    (void)state;
    for (unsigned i = 0; i < MESH_RANKS_MAX; i++)
        snprintf(text + strlen(text), 32, "%s127.0.0.1:%u", i > 0 ? "," : "", 7000 + i);
    assert_int_equal(parse("--peers", text), 0);
    assert_int_equal(got.peer_count, MESH_RANKS_MAX);
    strcat(text, ",127.0.0.1:9");
    refused(parse("--peers", text), "--peers: more than 64 addresses: a mesh has at most so many nodes: give fewer");
}

static void a_rank_must_be_one_of_the_peers(void **state)
{
    (void)state;
    refused(parse("--rank", "1"), "--rank 1: applies with --peers only: give --peers");
    refused(parse("--peers", "127.0.0.1:1,127.0.0.1:2", "--rank", "2"), "--rank 2: --peers has 2 addresses: give a rank from 0 to 1");
    refused(parse("--peers", "127.0.0.1:1", "--rank", "5"), "--rank 5: --peers has 1 address: give a rank from 0 to 0");
}

/* ---- the rest ---- */

static void a_kernel_must_be_one_of_this_machine(void **state)
{
    (void)state;
    assert_int_equal(parse("--kernel", "scalar"), 0);
    assert_int_equal(parse("--kernel", "abacus"), -1);
    assert_true(strncmp(fail.text, "--kernel abacus: this machine has no such kernel: give one of scalar", 68) == 0);
}

static void a_lab_must_say_something(void **state)
{
    (void)state;
    assert_int_equal(parse("--lab", "loss=1%,delay=50us"), 0);
    refused(parse("--lab", ""), "--lab: nothing in it: give e.g. --lab loss=1%,delay=50us, or leave it out");
    assert_int_equal(parse("--lab", "lots=1%"), -1);
    assert_int_equal(fail.exit_code, EXIT_USAGE);
    assert_true(strncmp(fail.text, "--lab lots=1%: ", 15) == 0);
}

static void words_of_kv_types_are_in_their_order(void **state)
{
    (void)state;
    assert_string_equal(run_kv_words[KV_F16], "f16");
    assert_string_equal(run_kv_words[KV_F32], "f32");
    assert_string_equal(run_kv_words[KV_Q8_0], "q8_0");
    assert_null(run_kv_words[KV_TYPE_COUNT]);
    assert_int_equal(parse("--kv-type", "q8_0"), 0);
    assert_int_equal(got.kv_type, KV_Q8_0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_is_all_that_must_be_given),
        cmocka_unit_test(nothing_of_an_earlier_command_line_is_left),
        cmocka_unit_test(help_asks_for_nothing_else),
        cmocka_unit_test(options_that_exclude_each_other_are_refused),
        cmocka_unit_test(security_is_the_best_there_is_unless_it_is_said),
        cmocka_unit_test(security_without_a_key_to_share_is_refused),
        cmocka_unit_test(shares_are_one_number_per_node),
        cmocka_unit_test(without_shares_all_have_the_same),
        cmocka_unit_test(what_is_no_share_is_refused),
        cmocka_unit_test(too_few_or_too_many_shares_are_refused),
        cmocka_unit_test(peers_are_addresses_in_order_of_rank),
        cmocka_unit_test(peers_that_cannot_be_are_refused),
        cmocka_unit_test(what_is_no_address_is_refused_with_the_form_of_one),
        cmocka_unit_test(an_address_that_is_too_long_is_refused),
        cmocka_unit_test(more_peers_than_a_mesh_has_are_refused),
        cmocka_unit_test(a_rank_must_be_one_of_the_peers),
        cmocka_unit_test(a_kernel_must_be_one_of_this_machine),
        cmocka_unit_test(a_lab_must_say_something),
        cmocka_unit_test(words_of_kv_types_are_in_their_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
