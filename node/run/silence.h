/* Ranks of which nothing is heard: for how long, and when it is time to say so. Between nodes that never leave one another out, one that
 * is stopped or hangs makes all others wait, and somebody who watches one of them has to learn for which one.
 *
 * Every rank is heard several times a second, even when there is nothing to compute. No I/O, no clock. */
#ifndef NODE_SILENCE_H
#define NODE_SILENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "mesh/mesh.h"

#define SILENCE_LOOK_NS  UINT64_C(500000000)  /* between two looks */
#define SILENCE_FIRST_NS UINT64_C(5000000000) /* silence that is told; again after SILENCE_AGAIN times as long */
enum { SILENCE_AGAIN = 10 };

struct silence_rank {
    uint64_t received; /* datagrams, at the last look */
    uint64_t silent_ns;
    uint64_t tell_ns; /* silence that is told next */
    bool is_told, is_over;
};

struct silence {
    struct silence_rank rank[MESH_RANKS_MAX];
    uint64_t looked_ns;
    uint64_t pending; /* bit r: there are news of rank r */
};

struct silence_news {
    uint16_t rank;
    uint64_t silent_ns;
    bool is_over; /* it is heard again */
};

void silence_init(struct silence *silence, uint64_t now_ns);
bool silence_is_due(const struct silence *silence, uint64_t now_ns);

/* received: (rank_count) datagrams of each rank so far. here: bit r: rank r was heard once, and has not left; others are not silent. The
 * time in which this process itself stood still does not count. Then call silence_next until there is nothing more. */
void silence_look(struct silence *silence, uint64_t now_ns, const uint64_t *received, uint16_t rank_count, uint64_t here);

/* What is to be told, each once; false: nothing more. */
bool silence_next(struct silence *silence, struct silence_news *news);

#endif
