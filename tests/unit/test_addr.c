/* Addresses as text: what is accepted, how it is shown, what a refusal says. No resolver is queried; only the local hosts file is read. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "mesh/udp.h"

static struct mesh_addr parsed(const char *text)
{
    struct mesh_addr addr;
    char reason[MESH_REASON_BYTES] = "";

    memset(&addr, 0xff, sizeof addr);
    if (mesh_addr_parse(text, &addr, reason, sizeof reason) != 0) {
        fail_msg("%s: %s", text, reason);
    }
    return addr;
}

static void text_to_address_and_back_gives_the_same_text(void **state)
{
    static const char *const texts[] = {"127.0.0.1:7411",        "[::1]:7411",      "0.0.0.0:0",
                                        "255.255.255.255:65535", "[2001:db8::5]:1", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe]:65535"};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char out[MESH_ADDR_TEXT_BYTES];

        mesh_addr_format(parsed(texts[i]), out);
        assert_string_equal(out, texts[i]);
    }
}

static void the_longest_address_fits_its_text_buffer(void **state)
{
    struct mesh_addr addr = {.port = 65535, .scope = UINT32_MAX};
    char out[MESH_ADDR_TEXT_BYTES];

    (void)state;
    memset(addr.ip, 0xff, sizeof addr.ip);
    mesh_addr_format(addr, out);
    assert_string_equal(out, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535");
}

static void an_ipv4_address_is_the_same_bytes_mapped_or_not(void **state)
{
    const struct mesh_addr plain = parsed("10.1.2.3:5"), mapped = parsed("[::ffff:10.1.2.3]:5");

    (void)state;
    assert_memory_equal(&plain.ip, &mapped.ip, sizeof plain.ip);
    assert_int_equal(plain.port, mapped.port);
    assert_int_equal(plain.scope, mapped.scope);
}

static void what_only_ends_like_a_mapped_address_is_ipv6(void **state)
{
    const struct mesh_addr mapped = parsed("[::ffff:127.0.0.1]:5"), other = parsed("[fd00::ffff:7f00:1]:5"), any = parsed("[::]:5");

    (void)state;
    assert_true(mesh_addr_is_v4(&mapped));
    assert_false(mesh_addr_is_v4(&other));
    assert_false(mesh_addr_is_v4(&any));
    assert_true(mesh_addr_is_any(&any));
    assert_false(mesh_addr_is_any(&mapped));
}

static void no_host_means_any_address(void **state)
{
    static const uint8_t zeros[16];
    const struct mesh_addr addr = parsed(":7411");

    (void)state;
    assert_memory_equal(addr.ip, zeros, sizeof zeros);
    assert_int_equal(addr.port, 7411);
}

static void loopback_is_127_and_one(void **state)
{
    (void)state;
    assert_true(mesh_addr_is_loopback(parsed("127.0.0.1:1")));
    assert_true(mesh_addr_is_loopback(parsed("127.9.9.9:1")));
    assert_true(mesh_addr_is_loopback(parsed("[::1]:1")));
    assert_false(mesh_addr_is_loopback(parsed("128.0.0.1:1")));
    assert_false(mesh_addr_is_loopback(parsed("[::2]:1")));
    assert_false(mesh_addr_is_loopback(parsed(":1")));
}

static void localhost_is_a_loopback_address(void **state)
{
    struct mesh_addr addr;
    char reason[MESH_REASON_BYTES] = "";

    (void)state;
    if (mesh_addr_parse("localhost:7411", &addr, reason, sizeof reason) != 0) {
        print_message("this machine does not resolve localhost (%s)\n", reason);
        skip();
    }
    assert_true(mesh_addr_is_loopback(addr));
    assert_int_equal(addr.port, 7411);
}

static void a_wrong_text_is_refused_with_the_reason(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "no port"},
        {"127.0.0.1", "no port"},
        {"127.0.0.1:", "the port is not a number"},
        {"127.0.0.1:65536", "the port is not a number"},
        {"127.0.0.1:-1", "the port is not a number"},
        {"127.0.0.1:7 ", "the port is not a number"},
        {"127.0.0.1:99999999999999999999999", "the port is not a number"},
        {"::1:7411", "needs brackets"},
        {"[::1]", "closing bracket"},
        {"[:7411", "closing bracket"},
        {"[]:7411", "between the brackets"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mesh_addr addr = {.port = 99};
        char reason[MESH_REASON_BYTES] = "";

        assert_int_equal(mesh_addr_parse(cases[i].text, &addr, reason, sizeof reason), MESH_EINVAL);
        if (strstr(reason, cases[i].says) == NULL) {
            fail_msg("%s: says '%s'", cases[i].text, reason);
        }
        assert_int_equal(addr.port, 99);
    }
}

/* An interface that does not exist is looked up like a name, without a query. */
static void what_may_be_known_later_is_not_a_wrong_text(void **state)
{
    struct mesh_addr addr = {.port = 99};
    char reason[MESH_REASON_BYTES] = "";

    (void)state;
    assert_int_equal(mesh_addr_parse("[fe80::1%nosuch0]:7411", &addr, reason, sizeof reason), MESH_ESYSTEM);
    assert_int_equal(errno, ENOENT);
    assert_non_null(strstr(reason, "'[fe80::1%nosuch0]:7411': "));
    assert_non_null(strstr(reason, "this machine has no such interface"));
    assert_int_equal(addr.port, 99);
}

static void by_some_addresses_nobody_reaches_one_machine(void **state)
{
    static const struct {
        const char *text, *why; /* NULL: it may be valid */
    } cases[] = {
        {"127.0.0.1:7411", NULL},
        {"10.0.0.1:7411", NULL},
        {"[2001:db8::5]:7411", NULL},
        {"10.0.0.1:0", "port 0"},
        {"0.0.0.0:7411", "a wildcard address"},
        {"[::]:7411", "a wildcard address"},
        {":7411", "a wildcard address"},
        {"224.0.0.1:7411", "no single machine"},
        {"255.255.255.255:7411", "no single machine"},
        {"[ff02::1]:7411", "no single machine"},
        {"[fe80::1]:7411", "needs its interface"},
        {"[fe80::1%lo]:7411", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *why = mesh_addr_fault(parsed(cases[i].text));

        if ((why == NULL) != (cases[i].why == NULL) || (why != NULL && strstr(why, cases[i].why) == NULL)) {
            fail_msg("%s: says '%s'", cases[i].text, why != NULL ? why : "nothing");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_to_address_and_back_gives_the_same_text),
        cmocka_unit_test(the_longest_address_fits_its_text_buffer),
        cmocka_unit_test(an_ipv4_address_is_the_same_bytes_mapped_or_not),
        cmocka_unit_test(what_only_ends_like_a_mapped_address_is_ipv6),
        cmocka_unit_test(no_host_means_any_address),
        cmocka_unit_test(loopback_is_127_and_one),
        cmocka_unit_test(localhost_is_a_loopback_address),
        cmocka_unit_test(a_wrong_text_is_refused_with_the_reason),
        cmocka_unit_test(what_may_be_known_later_is_not_a_wrong_text),
        cmocka_unit_test(by_some_addresses_nobody_reaches_one_machine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
