/* The protocol endpoint of an epoch, and the keys that seal what it sends. */
#ifndef NODE_EPOCH_RUN_MESH_H
#define NODE_EPOCH_RUN_MESH_H

#include <stdint.h>

#include "mesh/program/fail.h"

struct epoch_run;

/* Allocate its memory, so that a prepared epoch need not wait for that; after its engine is open. Done already or not needed: 0. */
int epoch_run_mesh_allocate(struct epoch_run *run, struct fail *fail);

/* Called when the epoch begins, if it has more than one member. */
int epoch_run_mesh_open(struct epoch_run *run, const uint8_t epoch_id[16], struct fail *fail);

#endif
