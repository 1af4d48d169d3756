/* What an endpoint tells its tap of each call, when the call is done. For the core's files. Only mesh_is_tapped may be called without a
 * tap. */
#ifndef MESH_TAP_H
#define MESH_TAP_H

#include <string.h>

#include "core.h"
#include "mesh/tape.h"

static inline bool mesh_is_tapped(const struct mesh *mesh)
{
    return __builtin_expect(mesh->config.tap != NULL, false);
}

void mesh_tap_init(struct mesh *mesh);
void mesh_tap_peer(struct mesh *mesh, uint16_t rank, const struct mesh_addr *addr);
void mesh_tap_path(struct mesh *mesh, uint16_t rank, uint32_t datagram_bytes);
void mesh_tap_group(struct mesh *mesh, uint32_t datagram_bytes);
void mesh_tap_receive(struct mesh *mesh, int err, const struct mesh_addr *from, const uint8_t *packet, size_t bytes);
void mesh_tap_tick(struct mesh *mesh);
void mesh_tap_open(struct mesh *mesh, const struct mesh_gather *gather);
void mesh_tap_publish(struct mesh *mesh, uint64_t step, uint16_t phase, const struct mesh_range *range, const struct mesh_slot *slot);
void mesh_tap_consume(struct mesh *mesh, uint64_t step, uint16_t phase);
void mesh_tap_send(struct mesh *mesh, uint16_t to, const uint8_t *record, size_t bytes);
void mesh_tap_goodbye(struct mesh *mesh);
void mesh_tap_event(struct mesh *mesh, const struct mesh_event *event);
void mesh_tap_datagram(struct mesh *mesh, const uint8_t *packet, const struct mesh_output *output);
void mesh_tap_drained(struct mesh *mesh); /* tells nothing where nothing has happened since the last time */

/* ---- for entries of any core ---- */

/* from: struct mesh_addr; to: the struct of a call with such fields. */
#define MESH_TAP_SET_ADDR(to, from) (memcpy((to).ip, (from)->ip, sizeof(to).ip), (to).port = (from)->port, (to).scope = (from)->scope)

void mesh_tap_set_datagram(struct mesh_tape_entry *entry, const uint8_t *packet, size_t bytes);
void mesh_tap_set_body(struct mesh_tape_entry *entry, const void *body, size_t bytes);
void mesh_tap_set_payload(struct mesh_tape_entry *entry, const uint8_t *payload, size_t bytes); /* one row; of no bytes there is none */

#endif
