/* A multicast group by which nodes of one local network send each tile once, where it carries that. */
#ifndef NODE_MULTICAST_H
#define NODE_MULTICAST_H

#include "mesh/program/fail.h"
#include "mesh/udp.h"

/* A group and a port, as text: "239.255.77.13:7413" or "[ff02::4d13%eth0]:7413". */
int multicast_parse(const char *text, struct mesh_addr *group, struct fail *fail);

/* Hear it and send to it, from now on, by the interface of the socket's own address. Before the first endpoint. Port 0: there is none. */
int multicast_open(struct mesh_udp *udp, struct mesh_addr group, struct fail *fail);

/* An endpoint that has just been made may use the group, where there is one. */
void multicast_tell(const struct mesh_udp *udp, struct mesh *mesh);

#endif
