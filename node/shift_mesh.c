#include "shift_mesh.h"

#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "multicast.h"
#include "recording.h"
#include "shift.h"

static int open_sealer(struct shift *shift, const uint8_t id[16], struct fail *fail)
{
    uint8_t incarnation[MESH_RANKS_MAX][MESH_INCARNATION_BYTES];
    const struct mesh_sealer_config config = {
        .security = shift->config->security,
        .key = shift->config->key,
        .cluster = shift->config->cluster,
        .epoch = shift->number,
        .epoch_id = id,
        .incarnation = (const uint8_t(*)[MESH_INCARNATION_BYTES])incarnation,
        .rank = shift->rank,
        .rank_count = shift->count,
        .has_no_aes = shift->config->has_no_aes,
    };
    int err;

    for (uint16_t r = 0; r < shift->count; r++)
        memcpy(incarnation[r], shift->member[r].incarnation, MESH_INCARNATION_BYTES);
    err = mesh_sealer_init(&shift->sealer, &config);
    if (err != MESH_OK)
        return fail_set(fail, EXIT_ENVIRONMENT, "keys of epoch %u: cannot be made: %s: report this", shift->number, mesh_strerror(err));
    mesh_udp_set_sealer(shift->config->udp, shift->config->security == MESH_SECURITY_NONE ? NULL : &shift->sealer);
    shift->has_sealer = true;
    return 0;
}

static void configure_mesh(const struct shift *shift, struct mesh_config *config)
{
    *config = (struct mesh_config){
        .epoch = shift->number,
        .datagram_bytes_max = mesh_udp_datagram_bytes_max(shift->config->udp),
        .receive_buffer_bytes = mesh_udp_receive_buffer_bytes(shift->config->udp),
    };
    engine_mesh_config(shift->engine, config);
    memcpy(config->incarnation, shift->member[shift->rank].incarnation, sizeof config->incarnation);
}

/* The size depends on neither epoch nor incarnation. Touched here: populating pages would cost more than everything else when an epoch
 * begins. */
int shift_mesh_allocate(struct shift *shift, struct fail *fail)
{
    struct mesh_config config;

    if (shift->mesh_memory != NULL || shift->count == 1)
        return 0;
    configure_mesh(shift, &config);
    shift->mesh_bytes = mesh_memory_bytes(&config);
    if (posix_memalign(&shift->mesh_memory, 64, shift->mesh_bytes) != 0) {
        shift->mesh_memory = NULL;
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: cannot have %zu bytes for the endpoint: use a smaller batch", shift->mesh_bytes);
    }
    memset(shift->mesh_memory, 0, shift->mesh_bytes);
    return 0;
}

static int open_mesh(struct shift *shift, struct fail *fail)
{
    struct mesh_config config;
    int err;

    if (shift_mesh_allocate(shift, fail) < 0)
        return -1;
    configure_mesh(shift, &config);
    config.tap = recording_endpoint_tap(shift->config->recording);
    err = mesh_init(&shift->mesh, &config, shift->mesh_memory, shift->mesh_bytes, mesh_udp_now_ns());
    if (err != MESH_OK)
        return fail_set(fail, EXIT_ENVIRONMENT, "mesh: cannot start the endpoint: %s: report this", mesh_strerror(err));
    multicast_tell(shift->config->udp, shift->mesh);
    for (uint16_t r = 0; r < shift->count; r++) {
        if (r == shift->rank)
            continue;
        mesh_set_path(shift->mesh, r, mesh_udp_path_bytes(shift->member[r].addr));
        mesh_set_peer(shift->mesh, r, shift->member[r].addr);
        mesh_udp_set_peer(shift->config->udp, r, shift->member[r].addr);
    }
    return 0;
}

int shift_mesh_open(struct shift *shift, const uint8_t epoch_id[16], struct fail *fail)
{
    return open_sealer(shift, epoch_id, fail) < 0 ? -1 : open_mesh(shift, fail);
}
