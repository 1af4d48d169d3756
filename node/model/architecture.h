/* The architectures of models that run here, and how they differ. */
#ifndef NODE_ARCHITECTURE_H
#define NODE_ARCHITECTURE_H

#include <stdbool.h>
#include <stddef.h>

struct architecture {
    const char *name;    /* general.architecture, and the beginning of its keys: NAME.block_count */
    bool has_biases;     /* of q, k and v: attn_q.bias, attn_k.bias, attn_v.bias */
    bool has_head_norms; /* RMSNorm of each head of q and k, before rope: attn_q_norm.weight, attn_k_norm.weight */
    bool turns_halves;   /* rope turns columns i and i + n/2 of a head, not 2i and 2i + 1 */
};

/* For messages. */
#define ARCHITECTURE_NAMES "llama, qwen2 or qwen3"

enum { ARCHITECTURE_KEY_BYTES = 96 };

/* NULL: not one of these. text need not be terminated. */
const struct architecture *architecture_find(const char *text, size_t size);

/* The key of one of its values, "llama.block_count" for "block_count", in key (ARCHITECTURE_KEY_BYTES). Returns key. */
const char *architecture_key(const struct architecture *architecture, const char *name, char *key);

#endif
