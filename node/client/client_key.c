#include "client_key.h"

#include "mesh/key.h"
#include "node/engine/security.h"

int client_key_read(struct mesh_key *key, enum mesh_security *security, const int *given, const char *key_path, struct fail *fail)
{
    char reason[300];
    int err;

    if (security_check_key(given != NULL, given != NULL ? *given : 0, key_path, fail) < 0)
        return -1;
    *security = given != NULL ? (enum mesh_security)given[0] : key_path != NULL ? MESH_SECURITY_SEAL : MESH_SECURITY_NONE;
    if (key_path == NULL && *security != MESH_SECURITY_NONE)
        return fail_set(fail, EXIT_USAGE, "--security %s: needs a key: give one with --key FILE", security_words[*security]);
    if (key_path == NULL)
        return 0;
    err = mesh_key_read(key_path, key, reason, sizeof reason);
    if (err != MESH_OK)
        return fail_set(fail, err == MESH_EINVAL ? EXIT_BAD_FILE : EXIT_ENVIRONMENT, "--key %.200s: %s", key_path, reason);
    return 0;
}
