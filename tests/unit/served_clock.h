/* Defines the clock and the network of served.h in place of the node's own functions. Included by one file of a program; not part of
 * served.c, since the linker would give them to each test program that calls one of these functions. */
#ifndef TESTS_SERVED_CLOCK_H
#define TESTS_SERVED_CLOCK_H

#include "mesh/udp.h"
#include "served.h"

uint64_t mesh_udp_now_ns(void)
{
    return served_now_ns();
}

void serve_send_outside(struct server *server)
{
    served_send(server);
}

void serve_send_rest(struct server *server)
{
    served_send(server);
}

#endif
