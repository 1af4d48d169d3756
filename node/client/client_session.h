/* Client sessions (mesh/client.h) as the node's commands use them: what goes wrong is a struct fail.
 *
 * Each function is mesh_client_* of the same verb, but returns -1 on failure: EXIT_USAGE where that says MESH_EINVAL, else
 * EXIT_ENVIRONMENT. */
#ifndef NODE_CLIENT_SESSION_H
#define NODE_CLIENT_SESSION_H

#include "mesh/client.h"
#include "mesh/program/fail.h"

struct mesh_client *client_session_open(const struct mesh_client_config *config, struct fail *fail);
int client_session_send(struct mesh_client *client, const uint8_t *record, size_t bytes, struct fail *fail);
int client_session_receive(struct mesh_client *client, const uint8_t **record, size_t *bytes, uint64_t timeout_ns, struct fail *fail);
void client_session_close(struct mesh_client *client);

#endif
