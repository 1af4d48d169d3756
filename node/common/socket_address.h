/* Addresses of the mesh as the system calls for sockets take them, and why none can be listened at. */
#ifndef NODE_SOCKET_ADDRESS_H
#define NODE_SOCKET_ADDRESS_H

#include <sys/socket.h>

#include "mesh/mesh.h"
#include "mesh/program/fail.h"

/* A struct sockaddr_in of an IPv4 address, else a struct sockaddr_in6. */
void socket_address(struct mesh_addr addr, struct sockaddr_storage *out);

/* A TCP listener at the address of an option ("--listen") could not be opened. reason: errno, 0 if that is unknown. Always -1:
 * EXIT_ENVIRONMENT. */
int socket_address_refused(const char *option, struct mesh_addr addr, int reason, struct fail *fail);

#endif
