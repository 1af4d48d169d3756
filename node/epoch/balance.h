/* Shares of the rows by speed: how they are computed, and when dealing the rows anew is worth it.
 *
 * A node's speed is the rate, in kB/s, at which its threads read weights while they compute; time spent waiting for other nodes does not
 * count. Before a node has computed anything, only a benchmark (speed_test.h) gives its speed, which flatters small models. A node that has
 * computed therefore reports the ratio of the two, and the benchmark of a node that has not is scaled by the median of those ratios.
 * A member also reports how much memory it can use for its part, and gets no more rows than fit (balance_fit.c).
 * Integers only: all nodes get the same shares from the same members. No clock: time is an argument. */
#ifndef NODE_BALANCE_H
#define NODE_BALANCE_H

#include <stdbool.h>
#include <stdint.h>

#include "mesh/mesh.h"
#include "node/kernel/kernel.h"
#include "node/model/model.h"
#include "node/model/rowmap.h"

enum {
    BALANCE_RULES = 2,           /* one more whenever these functions deal differently: members have to agree */
    BALANCE_EVEN = 1000,         /* share of a node of average speed, where shares follow speed */
    BALANCE_SHARE_MAX = 1000000, /* that may be asked for */
    BALANCE_SHARE_AUTO = INT32_MAX,
    BALANCE_RATIO_ONE = 512,   /* stands for 1, of the ratio of speed at work to benchmark */
    BALANCE_RATIO_OCTAVE = 32, /* steps for each doubling */
    BALANCE_RATIO_MAX = 1023,
    BALANCE_FLAGS_FIRST = 1 << 1 /* of a member's flags in mesh/cluster.h those from here on are balance_flags */
};

struct balance_member {
    uint32_t speed;        /* kB/s; 0: unknown */
    uint32_t share;        /* requested, relative to nodes of average speed, which count 1; BALANCE_SHARE_AUTO: by speed */
    uint16_t ratio;        /* of speed to its benchmark; 0: speed is a benchmark */
    uint64_t memory_bytes; /* for its rows and their keys and values; 0: unknown */
};

/* What a member reports beside its speed, as flags of the cluster layer; and the reverse. */
uint32_t balance_flags(const struct balance_member *member);
struct balance_member balance_member_of(uint32_t speed, uint32_t flags);

/* The ratio of two non-zero speeds, in units of BALANCE_RATIO_OCTAVE per doubling. */
uint16_t balance_ratio(uint32_t speed, uint32_t benchmark);

/* What a step of one token reads of the weights of all layers. The model is borrowed. */
struct balance_load {
    const struct model *model;
    uint64_t head_bytes, kv_head_bytes;           /* for each head */
    uint64_t wo_bytes, gate_up_bytes, down_bytes; /* for each row of dim, hidden, dim */
    uint64_t output_bytes;                        /* for each row of the vocabulary */
    uint64_t bytes;                               /* all of it */
    uint64_t cache_bytes;                         /* of keys and values, for each KV head, of all slots */
};
void balance_load_init(struct balance_load *load, const struct model *model); /* without the last one */
void balance_load_cache(struct balance_load *load, enum kv_type type, uint32_t ctx, uint16_t slots);

/* The weight bytes that a rank reads by this map; and the bytes that it holds, of weights, keys and values. */
uint64_t balance_weight_bytes(const struct balance_load *load, const struct rowmap *map, uint16_t rank);
uint64_t balance_part_bytes(const struct balance_load *load, const struct rowmap *map, uint16_t rank);

/* Shares of these members, at least one of which is not 0. Speeds within a tenth count as equal, benchmarks within a quarter. A member
 * without a requested share, so slow that its rows cost the others more than they gain, gets 0. */
void balance_shares(const struct balance_load *load, const struct balance_member *member, uint16_t count, uint32_t *share);

/* Change shares, of which at least one is not 0, only where a member's part would not fit into its memory: that member gets as much as
 * fits, the others share the rest in proportion to their shares; if these cannot hold it, members that were too slow for a share get one,
 * too. A member with a requested share of 0 never gets one. Returns 0, or the bytes that are missing when all members together cannot hold
 * the model; share is then unchanged. */
uint64_t balance_fit(const struct balance_load *load, const struct balance_member *member, uint16_t count, uint32_t *share);

/* Estimated time of a step of one token: in each phase that of the slowest node, and the datagrams between nodes. */
uint64_t balance_step_ns(const struct balance_load *load, const struct balance_member *member, const struct rowmap *map);

/* ---- when ---- */

/* What a member remembers of changes of shares; every member does, coordinator or not. All zeros to begin with. */
struct balance {
    uint64_t begun_ns, rest_until_ns;
    uint64_t drift_ns; /* since when a change would be worth it; 0: it would not */
    uint32_t changes;  /* of shares in a row */
};

/* An epoch begins, with new members or with new shares for the same ones. */
void balance_begin(struct balance *balance, uint64_t now_ns, bool has_new_shares);

/* Whether the rows of map should be dealt anew, by share: (count), which fit into the members' memory. For five seconds on end a step must
 * promise to become at least a tenth shorter, and the epoch must have lasted ten seconds. Each change of shares doubles that time, up to
 * eleven minutes, and raises the gain that the next one must bring, up to 30 %, until shares have been left alone for a quarter of an hour.
 * Call several times a second. */
bool balance_is_due(struct balance *balance, uint64_t now_ns, const struct balance_load *load, const struct balance_member *member,
                    const struct rowmap *map, uint32_t *share);

#endif
