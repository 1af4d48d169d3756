/* Notifications to a service manager arrive unchanged, by either kind of name, and an absent manager does no harm. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/common/notify.h"

static socklen_t place_of(const char *name, struct sockaddr_un *at)
{
    *at = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(at->sun_path, name, strlen(name));
    if (name[0] == '@')
        at->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
}

static int connect_to(int fd, const char *name)
{
    struct sockaddr_un at;
    const socklen_t size = place_of(name, &at);

    return connect(fd, (struct sockaddr *)&at, size);
}

static int bound(const char *name)
{
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    struct sockaddr_un at;
    const socklen_t size = place_of(name, &at);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, size), 0);
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
    notify_manager("READY=1"); /* no receiver any more */
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

enum { MESSAGES_MAX = 100000, PAUSE_US = 100000 };

/* The manager: it does something else first, interrupts the node, and then reads. True when it is told that the node is ready. */
static bool hears_late(int fd)
{
    struct timeval limit = {.tv_sec = 30};
    char got[200];
    ssize_t bytes = 0;

    usleep(PAUSE_US);
    kill(getppid(), SIGUSR1);
    usleep(PAUSE_US);
    if (fcntl(fd, F_SETFL, 0) != 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0)
        return false;
    while (bytes >= 0 || errno == EINTR) {
        bytes = recv(fd, got, sizeof got, 0);
        if (bytes == 7 && memcmp(got, "READY=1", 7) == 0)
            return true;
    }
    return false;
}

static void do_nothing(int signal)
{
    (void)signal;
}

static void that_it_is_ready_waits_for_a_manager_with_much_to_read(void **state)
{
    const struct sigaction interrupt = {.sa_handler = do_nothing, .sa_flags = SA_RESTART};
    char name[64];
    int fd, queue, status, sent = 0;
    pid_t manager;

    (void)state;
    snprintf(name, sizeof name, "@mesh-notify-full-%d", (int)getpid());
    fd = bound(name);
    queue = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_int_equal(connect_to(queue, name), 0);
    while (sent < MESSAGES_MAX && send(queue, "STATUS=", 7, 0) == 7)
        sent++;
    assert_in_range(sent, 1, MESSAGES_MAX - 1);
    notify_manager("STATUS=left out"); /* and does not block on this */
    assert_int_equal(sigaction(SIGUSR1, &interrupt, NULL), 0);
    manager = fork();
    assert_true(manager >= 0);
    if (manager == 0)
        _exit(hears_late(fd) ? 0 : 1);
    notify_manager("READY=1");
    assert_int_equal(waitpid(manager, &status, 0), manager);
    assert_int_equal(status, 0);
    close(queue);
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
        cmocka_unit_test(that_it_is_ready_waits_for_a_manager_with_much_to_read),
        cmocka_unit_test(without_a_manager_nothing_happens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
