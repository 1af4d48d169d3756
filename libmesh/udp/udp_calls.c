/* Batches of datagrams where a system lacks them or a sandbox forbids them: some filters answer EPERM to system calls that they do not
 * know, emulators and old kernels ENOSYS. Then datagrams go one by one. */
#include "udp_parts.h"

#include <errno.h>

static bool is_lacking(void)
{
    return errno == ENOSYS || errno == EPERM;
}

bool mesh_udp_batches_are_known(int fd)
{
    if (recvmmsg(fd, NULL, 0, MSG_DONTWAIT, NULL) < 0 && is_lacking())
        return false;
    return sendmmsg(fd, NULL, 0, MSG_DONTWAIT) >= 0 || !is_lacking();
}

int mesh_udp_receive_singly(int fd, struct mmsghdr *messages, unsigned count, struct mesh_udp_errors *socket_errors)
{
    unsigned done = 0;

    for (; done < count; done++) {
        const ssize_t bytes = recvmsg(fd, &messages[done].msg_hdr, MSG_DONTWAIT);

        if (bytes < 0)
            break;
        messages[done].msg_len = (unsigned)bytes;
    }
    if (done == 0)
        return -1;
    if (done < count)
        (void)mesh_udp_errors_note(socket_errors, errno); /* it is not told again */
    return (int)done;
}

int mesh_udp_send_singly(int fd, const struct mmsghdr *messages, unsigned count, int flags)
{
    unsigned done = 0;

    while (done < count && sendmsg(fd, &messages[done].msg_hdr, flags) >= 0)
        done++;
    return done > 0 ? (int)done : -1; /* an error after the first one comes again, with the message that it is about */
}
