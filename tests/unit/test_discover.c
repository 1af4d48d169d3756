/* Datagrams of a group, one by one: an empty one is not the end. */
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

#include "node/discover.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(an_empty_datagram_does_not_hide_the_next)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
