/* Polling the network card's queue instead of waiting for its interrupt: `--busy-poll`. */
#ifndef NODE_BUSY_POLL_H
#define NODE_BUSY_POLL_H

#include "mesh/program/fail.h"
#include "mesh/udp.h"

enum { BUSY_POLL_US_MAX = 1000 };

/* us: 0 leaves the socket as it is. */
int busy_poll_set(struct mesh_udp *udp, uint32_t us, struct fail *fail);

#endif
