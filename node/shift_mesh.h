/* The protocol endpoint of an epoch, and the keys that seal what it sends. */
#ifndef NODE_SHIFT_MESH_H
#define NODE_SHIFT_MESH_H

#include <stdint.h>

#include "mesh/program/fail.h"

struct shift;

/* Allocate its memory, so that a prepared epoch need not wait for that; after its engine is open. Done already or not needed: 0. */
int shift_mesh_allocate(struct shift *shift, struct fail *fail);

/* Called when the epoch begins, if it has more than one member. */
int shift_mesh_open(struct shift *shift, const uint8_t epoch_id[16], struct fail *fail);

#endif
