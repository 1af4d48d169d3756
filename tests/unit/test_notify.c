/* What a service manager is told arrives as it was said, by either kind of name, and a manager that is not there does no harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/notify.h"

static int bound(const char *name)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

    memcpy(at.sun_path, name, strlen(name));
    if (name[0] == '@')
        at.sun_path[0] = '\0';
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))), 0);
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
    return fd;
}

static void arrives(int fd, const char *text)
{
    char got[200];

    notify_manager(text);
    assert_int_equal(recv(fd, got, sizeof got, 0), strlen(text));
    assert_memory_equal(got, text, strlen(text));
    assert_int_equal(recv(fd, got, sizeof got, 0), -1);
}

static void a_manager_with_a_socket_file_hears_it(void **state)
{
    char folder[] = "/tmp/mesh-notify.XXXXXX", name[64];
    int fd;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(name, sizeof name, "%s/socket", folder);
    fd = bound(name);
    arrives(fd, "READY=1\nSTATUS=listening");
    arrives(fd, "STOPPING=1");
    close(fd);
    notify_manager("READY=1"); /* nobody listens any more */
    unlink(name);
    notify_manager("READY=1");
    rmdir(folder);
}

static void a_manager_with_an_abstract_name_hears_it(void **state)
{
    char name[64];
    int fd;

    (void)state;
    snprintf(name, sizeof name, "@mesh-notify-%d", (int)getpid());
    fd = bound(name);
    arrives(fd, "READY=1");
    close(fd);
}

static void without_a_manager_nothing_happens(void **state)
{
    char name[300];

    (void)state;
    unsetenv("NOTIFY_SOCKET");
    notify_manager("READY=1");
    setenv("NOTIFY_SOCKET", "", 1);
    notify_manager("READY=1");
    setenv("NOTIFY_SOCKET", "vsock:2:1234", 1);
    notify_manager("READY=1");
    memset(name, '/', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    setenv("NOTIFY_SOCKET", name, 1);
    notify_manager("READY=1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_manager_with_a_socket_file_hears_it),
        cmocka_unit_test(a_manager_with_an_abstract_name_hears_it),
        cmocka_unit_test(without_a_manager_nothing_happens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
