#include "busy_poll.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

int busy_poll_set(struct mesh_udp *udp, uint32_t us, struct fail *fail)
{
    if (us == 0 || mesh_udp_set_busy_poll(udp, us) == MESH_OK)
        return 0;
    if (errno == EPERM)
        return fail_set(fail, EXIT_ENVIRONMENT,
                        "--busy-poll %" PRIu32
                        ": more than this user may: set the sysctl net.core.busy_read to as much, or give the program "
                        "CAP_NET_ADMIN",
                        us);
    return fail_set(fail, EXIT_ENVIRONMENT, "--busy-poll %" PRIu32 ": the kernel refuses: %s: leave it out", us, strerror(errno));
}
