/* Whether only the large datagrams of a link are lost, as where something on the path carries less than its ends believe.
 *
 * What counts are the datagrams from the first loss to the last, each by its size. The losses must have nothing to do with chance, nor with
 * damage that hits a datagram the likelier the longer it is; losses in a row, between which nothing smaller arrived, count as one. */
#ifndef DISSECTOR_SIZES_H
#define DISSECTOR_SIZES_H

#include <stdbool.h>
#include <stdint.h>

enum { SIZES_BINS = 216 };

struct sizes {
    uint32_t lost, unknown;       /* unknown: more that were lost, of any size */
    uint32_t events;              /* losses between which something smaller arrived */
    uint16_t least, most;         /* of those lost; bytes of UDP payload */
    uint32_t arrived[SIZES_BINS]; /* from the first loss to the last */
    uint32_t since[SIZES_BINS];   /* since the last loss; before the first one it does not matter */
};

/* What is beyond doubt. */
struct sizes_verdict {
    uint32_t bytes;        /* none smaller is known to be lost; 0: there is nothing to say */
    uint32_t lost;         /* of this size or larger */
    uint32_t unknown;      /* more that were lost, of any size */
    uint32_t large, small; /* arrived meanwhile at least, of about this size or larger, and smaller */
};

struct link;
struct link_entry;

/* Take the link's numbers up to that time, of both spaces in the order of time, as far as it is known what became of them. */
void sizes_follow(struct link *link, uint64_t until_ns);

/* It is known to be lost only now; counts once. Probes do not count, nor what was lost in the receiver's host, or before it listened. */
void sizes_take_lost(struct link *link, bool is_all, struct link_entry *entry);

void sizes_arrived(struct sizes *sizes, unsigned bytes);
void sizes_lost(struct sizes *sizes, unsigned bytes); /* 0: not known */

struct sizes_verdict sizes_judge(const struct sizes *sizes);

#endif
