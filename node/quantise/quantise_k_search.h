/* Searches for the scales of super-blocks: 256 values in groups, each group with a small whole number for its scale (and minimum).
 *
 * A value is d * scale * q, or d * scale * q - dmin * minimum. Results fit into every field of the packed types. */
#ifndef NODE_QUANTISE_K_SEARCH_H
#define NODE_QUANTISE_K_SEARCH_H

#include <stdint.h>

enum { QUANTISE_K_VALUES = 256, QUANTISE_K_GROUPS_MAX = 16 };

struct quantise_k_block {
    uint16_t d, dmin; /* halves */
    int scale[QUANTISE_K_GROUPS_MAX];
    int minimum[QUANTISE_K_GROUPS_MAX];
    uint8_t level[QUANTISE_K_VALUES]; /* q as packed: from 0 on */
};

/* values: (QUANTISE_K_VALUES), finite */
void quantise_k_search_q2(const float *values, struct quantise_k_block *block); /* 16 groups, scales and minima 0-15, levels 0-3 */
void quantise_k_search_q3(const float *values, struct quantise_k_block *block); /* 16 groups, scales -32 to 31, levels 0-7 for q -4 to 3 */
void quantise_k_search_q4(const float *values, struct quantise_k_block *block); /* 8 groups, scales and minima 0-63, levels 0-15 */
void quantise_k_search_q5(const float *values, struct quantise_k_block *block); /* the same with levels 0-31 */
void quantise_k_search_q6(const float *values,
                          struct quantise_k_block *block); /* 16 groups, scales -128 to 127, levels 0-63 for -32 to 31 */

#endif
