#include "notify.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { READY_WAIT_S = 5, READY_TRIES_MAX = 20 };
static const char ready[] = "READY=1";

void notify_manager(const char *text)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const char *name = secure_getenv("NOTIFY_SOCKET");
    const size_t size = name == NULL ? 0 : strlen(name);
    const bool is_ready = strncmp(text, ready, sizeof ready - 1) == 0;
    const struct timeval wait = {.tv_sec = READY_WAIT_S};
    int fd;

    if (size < 2 || size >= sizeof to.sun_path || (name[0] != '/' && name[0] != '@'))
        return;
    memcpy(to.sun_path, name, size);
    if (name[0] == '@')
        to.sun_path[0] = '\0'; /* in the abstract namespace, without a file */
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (is_ready)
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    /* A signal ends the wait early, as does a stop of the process or of its machine; a manager that is not told kills the node later. */
    for (int tries = 0; tries < READY_TRIES_MAX; tries++)
        if (sendto(fd, text, strlen(text), MSG_NOSIGNAL | (is_ready ? 0 : MSG_DONTWAIT), (const struct sockaddr *)&to,
                   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size)) >= 0 ||
            errno != EINTR)
            break;
    close(fd);
}
