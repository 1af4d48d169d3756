/* How long the last change of members took, step by step: nanoseconds of this machine's monotonic clock; 0: not yet, or not here. */
#ifndef NODE_EPOCH_CHANGE_H
#define NODE_EPOCH_CHANGE_H

#include <stdbool.h>
#include <stdint.h>

#define EPOCH_CHANGE_DOUBT_NS_MAX UINT64_C(2000000000) /* older suspicions are unrelated to the change */

struct epoch_change {
    uint64_t doubt_ns; /* the first suspicion in the present epoch */
    uint64_t suspected_ns, agreed_ns, loaded_ns, token_ns;
    uint64_t recomputed; /* positions that this node computed again until that token */
    uint32_t number;     /* of the epoch that began; 0: none */
};

static inline void epoch_change_suspect(struct epoch_change *change, uint64_t now_ns)
{
    if (change->doubt_ns == 0 || now_ns - change->doubt_ns > EPOCH_CHANGE_DOUBT_NS_MAX)
        change->doubt_ns = now_ns;
}

static inline void epoch_change_agree(struct epoch_change *change, uint32_t number, uint64_t now_ns)
{
    const uint64_t doubt_ns = change->doubt_ns;
    const bool is_about = doubt_ns != 0 && now_ns - doubt_ns <= EPOCH_CHANGE_DOUBT_NS_MAX;

    *change = (struct epoch_change){.number = number, .suspected_ns = is_about ? doubt_ns : 0, .agreed_ns = now_ns};
}

static inline void epoch_change_load(struct epoch_change *change, uint64_t now_ns)
{
    if (change->loaded_ns == 0)
        change->loaded_ns = now_ns;
}

/* A token of the new epoch. True: the first. */
static inline bool epoch_change_token(struct epoch_change *change, uint64_t when_ns)
{
    const bool is_first = change->token_ns == 0 && change->agreed_ns != 0;

    if (is_first)
        change->token_ns = when_ns;
    return is_first;
}

static inline double epoch_change_ms(uint64_t from_ns, uint64_t to_ns)
{
    return from_ns == 0 || to_ns <= from_ns ? 0.0 : (double)(to_ns - from_ns) / 1e6;
}

/* From loading to the first token, if this node had to recompute something; otherwise that token is like any other: 0. */
static inline double epoch_change_recompute_ms(const struct epoch_change *change)
{
    return change->recomputed > 0 ? epoch_change_ms(change->loaded_ns, change->token_ns) : 0.0;
}

#endif
