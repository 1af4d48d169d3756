/* The HTTP listener of `mesh-node api`: completions, models, and health.
 *
 * Each connection has a thread of its own, which calls a node for each request and waits for what it says. */
#ifndef NODE_API_SERVER_H
#define NODE_API_SERVER_H

#include <stdint.h>

#include "api_access.h"
#include "api_session.h"
#include "mesh/mesh.h"

struct api_server;

/* mesh and key are borrowed until close. NULL: EXIT_ENVIRONMENT. */
struct api_server *api_server_open(struct mesh_addr listen, struct api_mesh *mesh, const struct api_key *key, unsigned connections,
                                   struct fail *fail);
uint16_t api_server_port(const struct api_server *server);

/* Take no more connections, and close each after the answer that is under way; how many requests are being answered. */
void api_server_quiesce(struct api_server *server);
unsigned api_server_active(const struct api_server *server);

/* Answers that are not complete are broken off. */
void api_server_close(struct api_server *server);

#endif
