/* The guard of client sessions with the keys of a cluster: between the core of sessions and mesh/seal.h. */
#include <assert.h>
#include <string.h>

#include "mesh/session.h"
#include "mesh/wire.h"

static int session_seal_outside(void *app, uint8_t *packet, size_t bytes)
{
    const struct mesh_session_seal *seal = app;

    return mesh_seal_packet(&seal->process, seal->guard.security, packet, bytes);
}

static int session_open_outside(void *app, uint8_t *packet, size_t bytes)
{
    const struct mesh_session_seal *seal = app;
    struct mesh_seal_key key;
    int err;

    if (bytes < MESH_HEADER_BYTES + MESH_INCARNATION_BYTES)
        return MESH_EAUTH;
    err = mesh_seal_key_of_process(&key, &seal->key, seal->cluster, packet + MESH_HEADER_BYTES);
    if (err == 0)
        err = mesh_open_packet(&key, seal->guard.security, packet, bytes);
    mesh_wipe(&key, sizeof key);
    return err;
}

/* The keys that open a capture of this session: its call, and both directions of it. If the log cannot be written, that is noted in it. */
static void session_log(struct mesh_session_seal *seal, unsigned slot, const uint8_t *own, const uint8_t *other)
{
    struct mesh_seal_key caller;

    if (seal->log == NULL || seal->guard.security == MESH_SECURITY_NONE)
        return;
    if (mesh_seal_key_of_process(&caller, &seal->key, seal->cluster, other) == 0)
        mesh_key_log_process(seal->log, other, &caller);
    mesh_key_log_session(seal->log, own, other, &seal->keys[slot][0]);
    mesh_key_log_session(seal->log, other, own, &seal->keys[slot][1]);
    mesh_wipe(&caller, sizeof caller);
}

static int session_begin(void *app, unsigned slot, const uint8_t own[MESH_INCARNATION_BYTES], const uint8_t other[MESH_INCARNATION_BYTES])
{
    struct mesh_session_seal *seal = app;
    int err;

    assert(slot < MESH_SESSIONS_MAX);
    err = mesh_seal_key_of_session(&seal->keys[slot][0], &seal->key, seal->cluster, own, other);
    if (err == 0)
        err = mesh_seal_key_of_session(&seal->keys[slot][1], &seal->key, seal->cluster, other, own);
    if (err == 0)
        session_log(seal, slot, own, other);
    return err;
}

static int session_seal(void *app, unsigned slot, uint8_t *packet, size_t bytes)
{
    const struct mesh_session_seal *seal = app;

    return mesh_seal_packet(&seal->keys[slot][0], seal->guard.security, packet, bytes);
}

static int session_open(void *app, unsigned slot, uint8_t *packet, size_t bytes)
{
    const struct mesh_session_seal *seal = app;

    return mesh_open_packet(&seal->keys[slot][1], seal->guard.security, packet, bytes);
}

static void session_end(void *app, unsigned slot)
{
    struct mesh_session_seal *seal = app;

    mesh_wipe(seal->keys[slot], sizeof seal->keys[slot]);
}

int mesh_session_seal_init(struct mesh_session_seal *seal, enum mesh_security security, const struct mesh_key *key, const char *cluster,
                           const uint8_t incarnation[MESH_INCARNATION_BYTES])
{
    int err;

    memset(seal, 0, sizeof *seal);
    seal->guard = (struct mesh_session_guard){
        .security = security,
        .seal_outside = session_seal_outside,
        .open_outside = session_open_outside,
        .begin = session_begin,
        .seal = session_seal,
        .open = session_open,
        .end = session_end,
        .app = seal,
    };
    if (security == MESH_SECURITY_NONE)
        return 0;
    err = mesh_seal_key_of_process(&seal->process, key, cluster, incarnation);
    if (err != 0) {
        mesh_session_seal_release(seal);
        return err;
    }
    seal->key = *key;
    memcpy(seal->cluster, cluster, strlen(cluster));
    return 0;
}

void mesh_session_seal_release(struct mesh_session_seal *seal)
{
    mesh_wipe(seal, sizeof *seal);
}
