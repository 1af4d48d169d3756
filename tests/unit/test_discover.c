/* Groups as people type them; datagrams of a group, one by one: an empty one is not the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "node/engine/multicast.h"
#include "node/serve/discover.h"

/* Whatever comes in by the socket, and -1 once there is nothing; no group is needed. */
static void an_empty_datagram_does_not_hide_the_next(void **state)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t name_bytes = sizeof name;
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    struct mesh_addr from;
    uint8_t packet[16];

    (void)state;
    assert_int_equal(bind(fd, (const struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &name_bytes), 0);
    assert_int_equal(sendto(fd, "", 0, 0, (const struct sockaddr *)&name, name_bytes), 0);
    assert_int_equal(sendto(fd, "abc", 3, 0, (const struct sockaddr *)&name, name_bytes), 3);
    assert_int_equal(discover_next(fd, &from, packet, sizeof packet), 0);
    assert_int_equal(discover_next(fd, &from, packet, sizeof packet), 3);
    assert_memory_equal(packet, "abc", 3);
    assert_int_equal(from.port, ntohs(name.sin_port));
    assert_int_equal(discover_next(fd, &from, packet, sizeof packet), -1);
    close(fd);
}

static void expect_group(int parse(const char *, struct mesh_addr *, struct fail *), const char *text, const char *expected)
{
    struct fail fail = {.text = ""};
    struct mesh_addr group;
    char seen[MESH_ADDR_TEXT_BYTES];

    if (parse(text, &group, &fail) < 0)
        fail_msg("%s: %s", text, fail.text);
    mesh_addr_format(group, seen);
    assert_string_equal(seen, expected);
}

static void a_group_without_a_port_has_the_usual_one(void **state)
{
    (void)state;
    expect_group(discover_parse, "239.255.77.11", "239.255.77.11:7412");
    expect_group(discover_parse, "239.255.77.11:99", "239.255.77.11:99");
    expect_group(multicast_parse, "239.255.77.13", "239.255.77.13:7413");
    expect_group(multicast_parse, "239.255.77.13:99", "239.255.77.13:99");
    expect_group(multicast_parse, "[ff02::4d13%1]", "[ff02::4d13%1]:7413");
}

static void what_is_no_group_is_refused(void **state)
{
    static const char *const wrong[] = {"",
                                        ":",
                                        "nowhere",
                                        "10.0.0.1",
                                        "10.0.0.1:7413",
                                        "239.255.77.13:",
                                        "239.255.77.13:0",
                                        "239.255.77.13:x",
                                        "239.255.77.300",
                                        "[ff02::4d13]",
                                        "[ff05::4d13%lo]",
                                        "[ff02::4d13%lo",
                                        "239.255.77.13:7413:7413"};
    struct mesh_addr group;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct fail fail = {.text = ""};

        if (multicast_parse(wrong[i], &group, &fail) == 0 || strstr(fail.text, "239.255.77.13") == NULL)
            fail_msg("'%s': %s", wrong[i], fail.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_datagram_does_not_hide_the_next),
        cmocka_unit_test(a_group_without_a_port_has_the_usual_one),
        cmocka_unit_test(what_is_no_group_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
