/* What every node of a mesh would compute and hold, before anything is loaded. */
#ifndef NODE_PLAN_H
#define NODE_PLAN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "engine.h"
#include "mesh/program/fail.h"

struct plan_node {
    uint32_t share;
    uint32_t x_rows, h_rows, vocab_rows, heads, kv_heads;
    struct engine_memory memory;
    uint32_t chunks;          /* of 1 MiB of the file that it reads: what a node without the file fetches */
    uint64_t embedding_bytes; /* mapped from the file: token_embd, of which one row per token is read */
};

struct plan {
    const struct model *model;
    struct rowmap map;
    uint32_t ctx;
    uint16_t batch, threads, slots;
    enum kv_type kv_type;
    struct plan_node node[MESH_RANKS_MAX];
    uint64_t available_bytes; /* memory available to programs on this machine; UINT64_MAX: unknown */
    uint64_t fewer_bytes;     /* the most that a node holds when any one node is gone; UINT64_MAX: no node is left to compute */
};

/* Fill the fields from plan->node on from the fields before it. */
int plan_make(struct plan *plan, struct fail *fail);

/* Can the model continue when any one node is gone, if all machines have as much memory as this one? This is the comparison by which `run`
 * refuses a model. False for one node. */
bool plan_fits_on_one_fewer(const struct plan *plan);
void plan_print(const struct plan *plan, bool json, FILE *out);

#endif
