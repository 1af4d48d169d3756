/* Who comes and goes at which address: one that is lost and comes back again and again, one that is started anew again and again, and two
 * processes at one address, which take it from one another. */
#ifndef NODE_COMINGS_H
#define NODE_COMINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "mesh/mesh.h"

enum {
    COMINGS_MAX = 64,   /* addresses; whoever was heard of longest ago gives its place */
    COMINGS_BEFORE = 4, /* processes that are remembered at each */
    COMINGS_LOSSES = 3  /* so many within the time below are too many */
};
#define COMINGS_NS       UINT64_C(600000000000)
#define COMINGS_APART_NS UINT64_C(2000000000)   /* what a process says so long after another one took its place is no old datagram */
#define COMINGS_TWINS_NS UINT64_C(120000000000) /* two at one address are believed in for so long; who is alone asks every 30 s at least */

struct coming {
    struct mesh_addr at;
    uint8_t now[16];                    /* the process that is a member there, or was last, by its incarnation */
    uint8_t before[COMINGS_BEFORE][16]; /* those before it, in a ring; zeros: none */
    uint64_t lost_ns[COMINGS_LOSSES];   /* the last losses, in a ring; 0: none */
    unsigned processes, losses;         /* so many have gone into the rings */
    bool is_lost, is_new;               /* nobody is there; whoever is there was started after the last loss */
    uint8_t other[16];                  /* one that speaks from there while `now` is a member; zeros: nobody does */
    uint64_t other_ns;                  /* since then */
    uint64_t twins_ns;                  /* last sign of there being two; 0: none */
    uint64_t spoke_ns;                  /* somebody did from there; 0: nobody */
    uint64_t seen_ns;
};

/* All zeros: nobody yet. */
struct comings {
    struct coming coming[COMINGS_MAX];
    unsigned count;
};

/* A process is a member at that address. When it was there before another one, two have the address. */
void comings_there(struct comings *comings, uint64_t now_ns, const struct mesh_addr *at, const uint8_t incarnation[16]);

/* The one that was a member there is lost, and has not left. */
void comings_lost(struct comings *comings, uint64_t now_ns, const struct mesh_addr *at);

/* A process says something from that address. When another one is a member there, which is_heard says for the present, and the first has
 * spoken for long enough, two have the address; not when the first is a member at some address. */
void comings_speaks(struct comings *comings, uint64_t now_ns, const struct mesh_addr *at, const uint8_t incarnation[16], bool is_heard);

/* One that was lost within COMINGS_NS and is not back, from whose address nothing has come since then; NULL: there is none. */
const struct coming *comings_lack(const struct comings *comings, uint64_t now_ns, uint64_t since_ns);

/* Have two processes this address? */
bool coming_is_twins(const struct coming *coming, uint64_t now_ns);

/* How often it was lost within COMINGS_NS, as far as that is remembered, when there are COMINGS_LOSSES; else 0. */
unsigned coming_losses(const struct coming *coming, uint64_t now_ns);

#endif
