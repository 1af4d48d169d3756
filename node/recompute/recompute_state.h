/* What the files of recomputing share. Not for other files. */
#ifndef NODE_RECOMPUTE_STATE_H
#define NODE_RECOMPUTE_STATE_H

#include "node/engine/engine_state.h"
#include "node/kernel/team.h"
#include "node/tokenizer/tokenizer.h"
#include "recompute.h"

/* A record of the log that no step has needed yet. */
struct heard {
    struct heard *next;
    bool is_step;
    uint64_t step;
    size_t bytes;
    uint8_t record[];
};

struct recompute {
    struct gguf *gguf;
    struct model *model;
    struct tokenizer *tokenizer;
    struct team *team;
    struct rowmap map, shares; /* of this engine; of the recorded epoch */
    bool has_shares;
    struct engine *engine;
    struct recompute_hooks hooks;
    struct heard *first, *last;
    uint64_t steps; /* given to the engine */
    bool is_filling;
    _Atomic bool is_idle;
    atomic_flag telling;
    uint8_t *message; /* candidates of a rank */
    size_t message_bytes;
    bool has_no_memory; /* for it, in the step at hand */
};

#endif
