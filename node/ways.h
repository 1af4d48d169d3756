/* To whom this machine's own system sends nothing: no route, no interface, a firewall, an address that is gone. It says so at once, when
 * others can only say that somebody is silent. Nothing is kept of who can be sent to. */
#ifndef NODE_WAYS_H
#define NODE_WAYS_H

#include <stdbool.h>
#include <stdint.h>

#include "mesh/mesh.h"

enum { WAYS_MAX = 64, WAYS_TEXT_BYTES = 256 };

/* Nothing is said of a failure before another one so long after it; and one that is longer ago gives its place to others. */
#define WAYS_PATIENCE_NS UINT64_C(1000000000)
#define WAYS_OLD_NS      UINT64_C(120000000000)

struct way {
    struct mesh_addr to;
    int error; /* the system's last, by errno */
    uint64_t since_ns, last_ns;
    bool is_told, is_again; /* it has been said; it is over, which is to be said */
};

struct ways {
    struct way way[WAYS_MAX];
    unsigned count;
};

/* A datagram was sent there (error 0), or was not. Whoever has no place any more is not told of. */
void ways_note(struct ways *ways, uint64_t now_ns, const struct mesh_addr *to, int error);

/* A sentence that is to be said now, about all for whom the same is true, and whether it is that all is well again; false when there is
 * none. */
bool ways_next(struct ways *ways, char text[WAYS_TEXT_BYTES], bool *is_again);

/* All to whom nothing can be sent, of whom that has been said, in one sentence, which begins with WAYS_WHAT; false when there are none.
 * Those to whom nothing was sent for long are forgotten. */
#define WAYS_WHAT "nothing can be sent"
bool ways_present(struct ways *ways, uint64_t now_ns, char text[WAYS_TEXT_BYTES]);

#endif
