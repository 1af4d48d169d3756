/* The driver's sleep, in nanoseconds: by epoll_pwait2, or by ppoll where an emulator, an old kernel or a sandbox lacks it. In a file of its
 * own, so that a test can sleep in its place. */
#include "udp_parts.h"

#include <errno.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441 /* Linux 5.11, on every kind of machine; glibc has a function for it from 2.35 on, musl has none */
#endif

int mesh_udp_epoll_wait(int epoll_fd, struct epoll_event *events, int count, uint64_t sleep_ns)
{
    const struct timespec timeout = {.tv_sec = (time_t)(sleep_ns / 1000000000), .tv_nsec = (long)(sleep_ns % 1000000000)};
    const long found = syscall(SYS_epoll_pwait2, epoll_fd, events, count, &timeout, NULL, (size_t)0);

    if (found < 0 && errno != EINTR) {
        struct pollfd one = {.fd = epoll_fd, .events = POLLIN};

        return ppoll(&one, 1, &timeout, NULL) < 0 && errno == EINTR ? 0 : -1;
    }
    return found < 0 ? 0 : (int)found;
}
