/* One request's session with a node of the mesh: what it asks, and what comes back. */
#ifndef NODE_API_SESSION_H
#define NODE_API_SESSION_H

#include <stdatomic.h>

#include "api_request.h"
#include "mesh/client.h"

enum { API_NODES_MAX = 16 };

/* How to reach the mesh; the same for all requests. */
struct api_mesh {
    const char *node[API_NODES_MAX]; /* addresses of members, of which any will do */
    unsigned node_count;
    atomic_uint last; /* the one that answered last; tried first */
    const char *name, *key_path;
    enum mesh_security security;
    struct mesh_key key;
};

/* The node of a session. */
struct api_node {
    unsigned index;                  /* among those of the mesh */
    char model[API_MODEL_BYTES_MAX]; /* the file's name without folder and .gguf */
};

/* That node has refused a request: the next one is for another node. Of several requests that it refuses at a time, one counts. */
void api_mesh_pass(struct api_mesh *mesh, const struct api_node *node);

struct api_session;

/* Calls one node after the other until one answers, which fills *node. is_wanted: asked several times a second by this and by
 * api_session_next; false: the request's sender is gone, and -1 is returned. NULL with *error set. */
struct api_session *api_session_open(struct api_mesh *mesh, bool (*is_wanted)(void *app), void *app, struct api_node *node,
                                     struct api_error *error);
void api_session_close(struct api_session *session); /* cancels what runs; NULL is fine */

int api_session_ask(struct api_session *session, const struct api_request *request, struct api_error *error);

/* The next tokens, or the end of the answer: *message is valid until the next call. */
int api_session_next(struct api_session *session, struct client_message *message, struct api_error *error);

/* The request's tokens are enough. The end of the answer still comes, unless the node takes long to say so. */
int api_session_cancel(struct api_session *session, struct client_message_done *done, struct api_error *error);

#endif
