/* A multicast group by which nodes of one local network send each tile once, where the network carries multicast. */
#ifndef NODE_MULTICAST_H
#define NODE_MULTICAST_H

#include <stddef.h>
#include <stdint.h>

#include "mesh/program/fail.h"
#include "mesh/udp.h"

/* A group as text, "239.255.77.13:7413" or "[ff02::4d13%eth0]:7413", or without a port, then usual_port. Other addresses pass, too:
 * the caller tells groups from them. 0, or negative with the reason. */
int multicast_address(const char *text, uint16_t usual_port, struct mesh_addr *group, char *reason, size_t reason_bytes);

/* The group of --multicast; port 7413 unless it says otherwise. */
int multicast_parse(const char *text, struct mesh_addr *group, struct fail *fail);

/* Receive from the group and send to it, from now on, through the interface of the socket's own address. Before the first endpoint. Port 0:
 * no group. */
int multicast_open(struct mesh_udp *udp, struct mesh_addr group, struct fail *fail);

/* Let a new endpoint use the group, if there is one. */
void multicast_tell(const struct mesh_udp *udp, struct mesh *mesh);

#endif
