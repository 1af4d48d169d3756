/* The clock of the UDP driver. In a file of its own, so that a program that is linked with the driver can have another: tests of what uses
 * both have virtual time. */
#include <time.h>

#include "mesh/udp.h"

uint64_t mesh_udp_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
