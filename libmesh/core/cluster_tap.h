/* What the cluster core tells its tap of each call, when the call is done. For the core's files. Only mesh_cluster_is_tapped may be called
 * without a tap. */
#ifndef MESH_CLUSTER_TAP_H
#define MESH_CLUSTER_TAP_H

#include "cluster_parts.h"
#include "mesh/tape.h"

static inline bool mesh_cluster_is_tapped(const struct mesh_cluster *cluster)
{
    return __builtin_expect(cluster->config.tap != NULL, false);
}

void mesh_cluster_tap_init(struct mesh_cluster *cluster, const struct mesh_cluster_config *config);
void mesh_cluster_tap_receive(struct mesh_cluster *cluster, int err, const struct mesh_addr *from, const uint8_t *packet, size_t bytes);
void mesh_cluster_tap_plain(struct mesh_cluster *cluster, enum mesh_tape_kind kind, int err);
void mesh_cluster_tap_join(struct mesh_cluster *cluster, int err, const struct mesh_addr *seeds, unsigned seed_count);
void mesh_cluster_tap_rank(struct mesh_cluster *cluster, enum mesh_tape_kind kind, int err, uint16_t rank);
void mesh_cluster_tap_value(struct mesh_cluster *cluster, enum mesh_tape_kind kind, int err, uint64_t value);
void mesh_cluster_tap_shares(struct mesh_cluster *cluster, int err, const uint32_t *shares, unsigned count);
void mesh_cluster_tap_event(struct mesh_cluster *cluster, const struct mesh_cluster_event *event);
void mesh_cluster_tap_datagram(struct mesh_cluster *cluster, const uint8_t *packet, const struct mesh_output *output);

#endif
