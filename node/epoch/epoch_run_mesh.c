#include "epoch_run_mesh.h"

#include <stdlib.h>
#include <string.h>

#include "epoch_run.h"
#include "node/engine/engine.h"
#include "node/engine/multicast.h"
#include "recording.h"

static int open_sealer(struct epoch_run *run, const uint8_t id[16], struct fail *fail)
{
    uint8_t incarnation[MESH_RANKS_MAX][MESH_INCARNATION_BYTES];
    const struct mesh_sealer_config config = {
        .security = run->config->security,
        .key = run->config->key,
        .cluster = run->config->cluster,
        .epoch = run->number,
        .epoch_id = id,
        .incarnation = (const uint8_t(*)[MESH_INCARNATION_BYTES])incarnation,
        .rank = run->rank,
        .rank_count = run->count,
        .has_no_aes = run->config->has_no_aes,
    };
    int err;

    for (uint16_t r = 0; r < run->count; r++)
        memcpy(incarnation[r], run->member[r].incarnation, MESH_INCARNATION_BYTES);
    err = mesh_sealer_init(&run->sealer, &config);
    if (err != MESH_OK)
        return fail_set(fail, EXIT_ENVIRONMENT, "keys of epoch %u: cannot be made: %s: report this", run->number, mesh_strerror(err));
    mesh_udp_set_sealer(run->config->udp, run->config->security == MESH_SECURITY_NONE ? NULL : &run->sealer);
    run->has_sealer = true;
    return 0;
}

static void configure_mesh(const struct epoch_run *run, struct mesh_config *config)
{
    *config = (struct mesh_config){
        .epoch = run->number,
        .datagram_bytes_max = mesh_udp_datagram_bytes_max(run->config->udp),
        .receive_buffer_bytes = mesh_udp_receive_buffer_bytes(run->config->udp),
    };
    engine_mesh_config(run->engine, config);
    memcpy(config->incarnation, run->member[run->rank].incarnation, sizeof config->incarnation);
}

/* The size depends on neither epoch nor incarnation. Touched here: populating pages would cost more than everything else when an epoch
 * begins. */
int epoch_run_mesh_allocate(struct epoch_run *run, struct fail *fail)
{
    struct mesh_config config;

    if (run->mesh_memory != NULL || run->count == 1)
        return 0;
    configure_mesh(run, &config);
    run->mesh_bytes = mesh_memory_bytes(&config);
    if (posix_memalign(&run->mesh_memory, 64, run->mesh_bytes) != 0) {
        run->mesh_memory = NULL;
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: cannot have %zu bytes for the endpoint: use a smaller batch", run->mesh_bytes);
    }
    memset(run->mesh_memory, 0, run->mesh_bytes);
    return 0;
}

static int open_mesh(struct epoch_run *run, struct fail *fail)
{
    struct mesh_config config;
    int err;

    if (epoch_run_mesh_allocate(run, fail) < 0)
        return -1;
    configure_mesh(run, &config);
    config.tap = recording_endpoint_tap(run->config->recording);
    err = mesh_init(&run->mesh, &config, run->mesh_memory, run->mesh_bytes, mesh_udp_now_ns());
    if (err != MESH_OK)
        return fail_set(fail, EXIT_ENVIRONMENT, "mesh: cannot start the endpoint: %s: report this", mesh_strerror(err));
    multicast_tell(run->config->udp, run->mesh);
    for (uint16_t r = 0; r < run->count; r++) {
        if (r == run->rank)
            continue;
        mesh_set_path(run->mesh, r, mesh_udp_path_bytes(run->member[r].addr));
        mesh_set_peer(run->mesh, r, run->member[r].addr);
        mesh_udp_set_peer(run->config->udp, r, run->member[r].addr);
    }
    return 0;
}

int epoch_run_mesh_open(struct epoch_run *run, const uint8_t epoch_id[16], struct fail *fail)
{
    return open_sealer(run, epoch_id, fail) < 0 ? -1 : open_mesh(run, fail);
}
