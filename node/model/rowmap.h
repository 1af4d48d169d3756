/* Who computes which rows: the row map of an epoch.
 *
 * Every dimension is dealt in units of 32 rows (heads in groups whose rows are a multiple of 32), in proportion to the shares, in rank
 * order, by integer arithmetic alone, so that all nodes get the same map from the same shares. A share may be 0. Results never depend on
 * the map. */
#ifndef NODE_ROWMAP_H
#define NODE_ROWMAP_H

#include <stdbool.h>
#include <stdint.h>

#include "mesh/mesh.h"
#include "mesh/program/fail.h"
#include "model.h"

struct rowmap {
    uint16_t rank_count;
    uint32_t share[MESH_RANKS_MAX];
    /* Rank r has first[r] .. first[r+1]-1. */
    uint16_t x[MESH_RANKS_MAX + 1];     /* blocks of 32 rows of dim */
    uint16_t h[MESH_RANKS_MAX + 1];     /* blocks of 32 rows of hidden */
    uint16_t z[MESH_RANKS_MAX + 1];     /* blocks of 32 rows of heads * head_dim */
    uint32_t heads[MESH_RANKS_MAX + 1]; /* query heads */
    uint32_t vocab[MESH_RANKS_MAX + 1]; /* rows */
};

/* shares: (rank_count), any weights, not all zero. */
int rowmap_init(struct rowmap *map, const struct model *model, const uint32_t *shares, uint16_t rank_count, struct fail *fail);

/* The same ranks compute the same rows. */
bool rowmap_is_same(const struct rowmap *a, const struct rowmap *b);

/* The rows of each matrix that a rank computes. */
struct rowmap_rows {
    uint32_t z_first, z_count;         /* of q */
    uint32_t kv_first, kv_count;       /* of k and v */
    uint32_t x_first, x_count;         /* of wo and down */
    uint32_t h_first, h_count;         /* of gate and up */
    uint32_t vocab_first, vocab_count; /* of output */
};
void rowmap_rows(const struct rowmap *map, const struct model *model, uint16_t rank, struct rowmap_rows *rows);

/* KV heads that rank needs: those of its query heads. */
void rowmap_kv_heads(const struct rowmap *map, const struct model *model, uint16_t rank, uint32_t *first, uint32_t *count);

/* Deal `units` in proportion to shares: first[0..rank_count]. Boundaries move to a multiple of `prefer` if that shifts them by at most 1/24
 * of an average share. */
void rowmap_deal(const uint32_t *shares, uint16_t rank_count, uint32_t units, uint32_t prefer, uint32_t *first);

#endif
