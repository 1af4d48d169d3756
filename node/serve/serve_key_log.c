/* The key log of a serving node: with it, the node's traffic can be decrypted. */
#include "node/common/log.h"
#include "serve_state.h"

int serve_key_log_open(struct server *server, const uint8_t incarnation[MESH_INCARNATION_BYTES], struct fail *fail)
{
    const char *path = server->config->key_log;
    char reason[200];
    int err;

    if (path == NULL)
        return 0;
    err = mesh_key_log_open(&server->key_log, path, reason, sizeof reason);
    if (err != MESH_OK)
        return fail_set(fail, err == MESH_EINVAL ? EXIT_BAD_FILE : EXIT_ENVIRONMENT, "--key-log %.200s: %s", path, reason);
    server->has_key_log = true;
    server->session_seal.log = &server->key_log;
    log_line("WARNING: keys are written to %.200s: whoever reads that file can read all that these nodes send", path);
    if (mesh_key_log_process(&server->key_log, incarnation, &server->process_key) != MESH_OK)
        return fail_set(fail, EXIT_ENVIRONMENT, "--key-log %.200s: writing failed: make room, or leave it out", path);
    return 0;
}

/* The keys of an epoch, and of its members' datagrams outside epochs. */
void serve_key_log_epoch(struct server *server)
{
    const struct epoch_run *run = server->run;
    const struct serve_config *config = server->config;
    struct mesh_seal_key key;

    if (!server->has_key_log)
        return;
    for (uint16_t r = 0; r < run->count; r++)
        if (mesh_seal_key_of_process(&key, &config->cluster_key, config->run.cluster, run->member[r].incarnation) == MESH_OK)
            mesh_key_log_process(&server->key_log, run->member[r].incarnation, &key);
    mesh_wipe(&key, sizeof key);
    if (run->count > 1)
        mesh_key_log_epoch(&server->key_log, &run->sealer);
}

bool serve_key_log_has_gap(struct server *server)
{
    const bool is_new = server->has_key_log && server->key_log.has_failed && !server->has_reported_gap;

    server->has_reported_gap |= is_new;
    return is_new;
}

void serve_key_log_close(struct server *server)
{
    if (server->has_key_log)
        mesh_key_log_close(&server->key_log);
    server->has_key_log = false;
}
