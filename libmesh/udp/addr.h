/* Between mesh_addr and the kernel's sockaddr; for the UDP driver only. */
#ifndef MESH_ADDR_H
#define MESH_ADDR_H

#include <sys/socket.h>

#include "mesh/udp.h"

/* Any other family than AF_INET and AF_INET6 gives all zeros. */
void mesh_addr_from_sockaddr(const struct sockaddr_storage *from, struct mesh_addr *addr);

/* For a socket of that family; an IPv4 address on an AF_INET6 socket stays mapped. Returns the sockaddr's size. */
socklen_t mesh_addr_to_sockaddr(const struct mesh_addr *addr, int family, struct sockaddr_storage *to);

#endif
