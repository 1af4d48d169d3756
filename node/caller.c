#include "caller.h"

static int tell(const struct mesh_client_error *why, struct fail *fail)
{
    return fail_set(fail, why->err == MESH_EINVAL ? EXIT_USAGE : EXIT_ENVIRONMENT, "%s", why->text);
}

struct mesh_client *caller_open(const struct mesh_client_config *config, struct fail *fail)
{
    struct mesh_client_error why;
    struct mesh_client *caller = mesh_client_open(config, &why);

    if (caller == NULL)
        tell(&why, fail);
    return caller;
}

int caller_send(struct mesh_client *caller, const uint8_t *record, size_t bytes, struct fail *fail)
{
    struct mesh_client_error why;

    return mesh_client_send(caller, record, bytes, &why) < 0 ? tell(&why, fail) : 0;
}

int caller_receive(struct mesh_client *caller, const uint8_t **record, size_t *bytes, uint64_t timeout_ns, struct fail *fail)
{
    struct mesh_client_error why;
    const int result = mesh_client_receive(caller, record, bytes, timeout_ns, &why);

    return result < 0 ? tell(&why, fail) : result;
}

void caller_close(struct mesh_client *caller)
{
    mesh_client_close(caller);
}
