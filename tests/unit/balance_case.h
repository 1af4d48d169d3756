/* What a step reads of a model that is only a shape, with weights of one byte. */
#ifndef TESTS_BALANCE_CASE_H
#define TESTS_BALANCE_CASE_H

#include "node/epoch/balance.h"

static inline struct balance_load balance_case_load(const struct model *m)
{
    struct balance_load load = {
        .model = m,
        .head_bytes = (uint64_t)m->head_dim * m->dim * m->layers,
        .kv_head_bytes = (uint64_t)2 * m->head_dim * m->dim * m->layers,
        .wo_bytes = (uint64_t)m->heads * m->head_dim * m->layers,
        .gate_up_bytes = (uint64_t)2 * m->dim * m->layers,
        .down_bytes = (uint64_t)m->hidden * m->layers,
        .output_bytes = m->dim,
    };

    load.bytes = load.head_bytes * m->heads + load.kv_head_bytes * m->kv_heads + (load.wo_bytes + load.down_bytes) * m->dim +
                 load.gate_up_bytes * m->hidden + load.output_bytes * m->vocab;
    return load;
}

#endif
