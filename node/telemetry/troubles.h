/* Troubles that this node knows of now, of the network and of its recording. Each is logged once when it begins and once when it ends;
 * meanwhile `status`, /health and /metrics show it. */
#ifndef NODE_TROUBLES_H
#define NODE_TROUBLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mesh/mesh.h"

enum { TROUBLES_MAX = 32, TROUBLES_UNLISTED_MAX = 256, TROUBLE_TEXT_BYTES = 512 };

enum trouble_kind {
    TROUBLE_UNREACHABLE, /* this machine's own system refuses to send there: no route, no interface, a firewall */
    TROUBLE_ADDRESS,     /* this machine has lost the address at which the node listens */
    TROUBLE_ISOLATED,    /* the node is alone, though it asks others to take it in */
    TROUBLE_MTU,         /* the path to a member has too small an MTU, as this machine knows */
    TROUBLE_BLACK_HOLE,  /* large datagrams to or from a member vanish, and nothing reports it (a path MTU black hole) */
    TROUBLE_DUPLICATE,   /* two machines have one address */
    TROUBLE_FLAPPING,    /* a member is lost and comes back again and again */
    TROUBLE_RECORDING,   /* what --record should store is not stored: its disk is full, fails or does not respond */
    TROUBLE_KINDS
};

struct trouble {
    enum trouble_kind kind;
    struct mesh_addr about;        /* the member that it concerns; port 0: none in particular */
    uint64_t since_ns, last_ns;    /* when it began, and when it was last found to persist */
    size_t what_bytes;             /* the first bytes of the text name the trouble; the rest gives cause and remedy */
    char text[TROUBLE_TEXT_BYTES]; /* a sentence */
};

/* One for which there was no room in the list. */
struct trouble_unlisted {
    enum trouble_kind kind;
    struct mesh_addr about;
};

/* In the order in which they began. All zeros: none. */
struct troubles {
    struct trouble trouble[TROUBLES_MAX];
    unsigned count;
    struct trouble_unlisted unlisted[TROUBLES_UNLISTED_MAX]; /* listed when there is room and they are found to persist */
    unsigned unlisted_count;
};

/* One word for counters and JSON: "unreachable", "address", "isolated", "mtu", "black_hole", "duplicate_address", "flapping",
 * "recording". */
const char *trouble_name(enum trouble_kind kind);

/* Begins a trouble, or updates the text of one that persists. what: the sentence's first part, which names it; rest: cause and remedy.
 * about NULL: no member. Returns the trouble if it is new; NULL if it persists, or if there is no room: then it is counted. */
const struct trouble *troubles_begin(struct troubles *troubles, uint64_t now_ns, enum trouble_kind kind, const struct mesh_addr *about,
                                     const char *what, const char *rest);

/* Ends a trouble. True if there was one, which is copied to *over (unless NULL). */
bool troubles_end(struct troubles *troubles, enum trouble_kind kind, const struct mesh_addr *about, struct trouble *over);

/* Ends a trouble whose first part differs from `what`, before the new one begins: its end is reported in the words of its beginning. */
bool troubles_end_other(struct troubles *troubles, enum trouble_kind kind, const struct mesh_addr *about, const char *what,
                        struct trouble *over);

/* How many of that kind there are, listed or not. */
unsigned troubles_count(const struct troubles *troubles, enum trouble_kind kind);

/* NULL: there is none of this kind about this member. */
const struct trouble *troubles_find(const struct troubles *troubles, enum trouble_kind kind, const struct mesh_addr *about);

#endif
