/* A multicast group by which nodes of one local network find one another without knowing an address.
 *
 * A node asks the group as it would ask a seed; whoever hears it answers to its own address. So nothing of the protocol is special: the
 * group is one more address to ask, and one more socket to hear questions by. Datagrams stay in the local network (TTL 1). */
#ifndef NODE_DISCOVER_H
#define NODE_DISCOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mesh/program/fail.h"
#include "mesh/udp.h"

/* An IPv4 multicast group, as text: "239.255.77.11:7412". */
int discover_parse(const char *text, struct mesh_addr *group, struct fail *fail);

/* Hear the group, on the interface that has the address listen, or the system's choice when that is any address. The descriptor; -1 with
 * fail. Close it with close. */
int discover_open(struct mesh_addr group, struct mesh_addr listen, struct fail *fail);

/* The next datagram that came to the group: its size, 0: none now. Never blocks. */
size_t discover_next(int fd, struct mesh_addr *from, uint8_t *packet, size_t capacity);

#endif
