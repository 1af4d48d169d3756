/* Addresses of the mesh as the system calls for sockets take them. */
/* The system's form of an address. */
#ifndef NODE_SOCKET_ADDRESS_H
#define NODE_SOCKET_ADDRESS_H

#include <sys/socket.h>

#include "mesh/mesh.h"

/* A struct sockaddr_in of an IPv4 address, else a struct sockaddr_in6. */
void socket_address(struct mesh_addr addr, struct sockaddr_storage *out);

#endif
