/* What is wrong with the network now, as far as this node knows. Each is said once when it begins and once when it is over; meanwhile
 * `status`, /health and /metrics show it. */
#ifndef NODE_TROUBLES_H
#define NODE_TROUBLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mesh/mesh.h"

enum { TROUBLES_MAX = 32, TROUBLE_TEXT_BYTES = 512 };

enum trouble_kind {
    TROUBLE_UNREACHABLE, /* this machine's own system refuses to send there: no route, no interface, a firewall */
    TROUBLE_ADDRESS,     /* this machine has lost the address at which the node listens */
    TROUBLE_ISOLATED,    /* the node is alone, though it asks others to take it in */
    TROUBLE_MTU,         /* the path to a member has too small an MTU, as this machine knows */
    TROUBLE_BLACK_HOLE,  /* large datagrams to or from a member vanish, and nothing reports it (a path MTU black hole) */
    TROUBLE_DUPLICATE,   /* two machines have one address */
    TROUBLE_FLAPPING,    /* a member is lost and comes back again and again */
    TROUBLE_KINDS
};

struct trouble {
    enum trouble_kind kind;
    struct mesh_addr about;        /* of whom; port 0: nobody in particular */
    uint64_t since_ns, last_ns;    /* it began; it was said to be so once more */
    size_t what_bytes;             /* how much of the text says what it is; then why, and what to do */
    char text[TROUBLE_TEXT_BYTES]; /* a sentence */
};

/* All zeros: none. In the order in which they began. */
struct troubles {
    struct trouble trouble[TROUBLES_MAX];
    unsigned count;
};

/* One word for counters and JSON: "unreachable", "address", "isolated", "mtu", "black_hole", "duplicate_address", "flapping". */
const char *trouble_name(enum trouble_kind kind);

/* It is so: what it is, then the rest of the sentence. about NULL: nobody. Returns the trouble if it was not there before, else NULL, and
 * its text is the new one. Where there is no room it is not noted. */
const struct trouble *troubles_begin(struct troubles *troubles, uint64_t now_ns, enum trouble_kind kind, const struct mesh_addr *about,
                                     const char *what, const char *rest);

/* It is not so any more: true when it was, and *over is what it was (NULL: of no interest). */
bool troubles_end(struct troubles *troubles, enum trouble_kind kind, const struct mesh_addr *about, struct trouble *over);

/* Ends it only if it says something else than `what`: then that one begins in its place, and whoever was told of the old one is told that
 * it is over, in its words. */
bool troubles_end_other(struct troubles *troubles, enum trouble_kind kind, const struct mesh_addr *about, const char *what,
                        struct trouble *over);

/* NULL: there is none of that kind about that one. */
const struct trouble *troubles_find(const struct troubles *troubles, enum trouble_kind kind, const struct mesh_addr *about);

#endif
