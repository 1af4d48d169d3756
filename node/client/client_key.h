/* What a client of a cluster needs to speak to it: the options --key and --security. */
#ifndef NODE_CLIENT_KEY_H
#define NODE_CLIENT_KEY_H

#include "mesh/program/fail.h"
#include "mesh/seal.h"

/* What the options --key and --security say. given: an index of security_words; NULL: seal if there is a key. key_path: NULL without a key.
 * EXIT_USAGE: they do not go together; EXIT_BAD_FILE, EXIT_ENVIRONMENT: the file. */
int client_key_read(struct mesh_key *key, enum mesh_security *security, const int *given, const char *key_path, struct fail *fail);

#endif
