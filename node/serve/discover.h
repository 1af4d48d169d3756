/* A multicast group through which nodes of one local network find one another without knowing an address.
 *
 * A node sends the group what it would send a seed; nodes that hear it answer to the sender's address. The protocol therefore needs nothing
 * special: the group is one more address to ask, and one more socket to receive on. Datagrams stay in the local network (TTL 1). */
#ifndef NODE_DISCOVER_H
#define NODE_DISCOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "mesh/program/fail.h"
#include "mesh/udp.h"

/* An IPv4 multicast group, as text: "239.255.77.11:7412", or without a port, which is 7412 then. */
int discover_parse(const char *text, struct mesh_addr *group, struct fail *fail);

/* Join the group on the interface that has the address listen, or on the system's choice when that is the wildcard address. Returns a
 * descriptor, to be closed with close; -1 with fail set. */
int discover_open(struct mesh_addr group, struct mesh_addr listen, struct fail *fail);

/* The next datagram sent to the group: its size, cut to capacity; -1 when there is none now. 0 is one that is empty. Never blocks. */
ssize_t discover_next(int fd, struct mesh_addr *from, uint8_t *packet, size_t capacity);

#endif
