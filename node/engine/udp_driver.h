/* A UDP socket as the driver of a port, and the clock that goes with it. */
#ifndef NODE_UDP_DRIVER_H
#define NODE_UDP_DRIVER_H

#include "mesh/udp.h"
#include "port.h"

struct port_driver udp_driver(struct mesh_udp *udp); /* borrowed */

/* For engine_attach, with the clock NULL. */
uint64_t udp_driver_now_ns(void *clock);

#endif
