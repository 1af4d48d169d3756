/* Client sessions (mesh/client.h) as the node's commands use them: what goes wrong is a struct fail.
 *
 * Each function is that of libmesh with the same name, but returns -1 on failure: EXIT_USAGE where that says MESH_EINVAL, else
 * EXIT_ENVIRONMENT. */
#ifndef NODE_CALLER_H
#define NODE_CALLER_H

#include "mesh/client.h"
#include "mesh/program/fail.h"

struct mesh_client *caller_open(const struct mesh_client_config *config, struct fail *fail);
int caller_send(struct mesh_client *caller, const uint8_t *record, size_t bytes, struct fail *fail);
int caller_receive(struct mesh_client *caller, const uint8_t **record, size_t *bytes, uint64_t timeout_ns, struct fail *fail);
void caller_close(struct mesh_client *caller);

#endif
