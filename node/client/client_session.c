#include "client_session.h"

static int tell(const struct mesh_client_error *why, struct fail *fail)
{
    return fail_set(fail, why->err == MESH_EINVAL ? EXIT_USAGE : EXIT_ENVIRONMENT, "%s", why->text);
}

struct mesh_client *client_session_open(const struct mesh_client_config *config, struct fail *fail)
{
    struct mesh_client_error why;
    struct mesh_client *client = mesh_client_open(config, &why);

    if (client == NULL)
        tell(&why, fail);
    return client;
}

int client_session_send(struct mesh_client *client, const uint8_t *record, size_t bytes, struct fail *fail)
{
    struct mesh_client_error why;

    return mesh_client_send(client, record, bytes, &why) < 0 ? tell(&why, fail) : 0;
}

int client_session_receive(struct mesh_client *client, const uint8_t **record, size_t *bytes, uint64_t timeout_ns, struct fail *fail)
{
    struct mesh_client_error why;
    const int result = mesh_client_receive(client, record, bytes, timeout_ns, &why);

    return result < 0 ? tell(&why, fail) : result;
}

void client_session_close(struct mesh_client *client)
{
    mesh_client_close(client);
}
