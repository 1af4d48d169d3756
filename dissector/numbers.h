/* The numbers of each stream of datagrams, one after another: which are missing, duplicate, late.
 *
 * A stream is one sender's number space as it goes to one receiver: the space of a pair of ranks, or that to all, of which each receiver
 * gets the same datagrams. In either numbers are gapless, so what is skipped was sent. Outside of epochs a process uses one count for all
 * destinations, so a capture between two processes has gaps that mean nothing: those datagrams belong to no stream.
 *
 * A sender with a multicast group sends datagrams of the space to all sometimes to the group and sometimes to each receiver: a number that
 * one receiver's stream skips is then missing only if no other path shows it.
 *
 * At most NUMBERS_STREAMS streams at a time; the one silent for longest makes room. */
#ifndef DISSECTOR_NUMBERS_H
#define DISSECTOR_NUMBERS_H

#include "packet.h"

enum { NUMBERS_WINDOW = 2048, NUMBERS_STREAMS = 2048, NUMBERS_GAPS = 32, NUMBERS_REORDER_NS = 50000 };

/* What a datagram's number tells when it is seen. */
struct numbers_verdict {
    uint64_t gap;      /* numbers before it that have not been seen */
    bool is_duplicate; /* its number was seen before */
    bool is_reordered; /* it was missing until now, */
    bool is_late;      /* or for more than NUMBERS_REORDER_NS, after which receivers count it as lost */
};

/* When the lowest and the highest number of a space were sent, by the sender's clock. Number and time grow together; if they do not, a
 * restarted process has come to the same epoch again, and its numbers begin anew. */
struct numbers_incarnation {
    uint64_t first, first_sent_ns; /* first 0: nothing yet */
    uint64_t highest, highest_sent_ns;
};

/* Does the number belong to this incarnation? If so, it is noted. */
bool numbers_extend_incarnation(struct numbers_incarnation *incarnation, uint64_t number, uint64_t sent_ns);

struct numbers_key {
    uint32_t epoch;
    uint16_t src, space; /* rank of the sender; of the receiver, or 65535 */
    struct frame_address from, to;
};

struct numbers_stream {
    struct numbers_key key;
    struct numbers_incarnation incarnation;
    uint64_t last_ns, first, highest; /* numbers; first 0: unused */
    uint64_t bits[NUMBERS_WINDOW / 64];
    struct {
        uint64_t number, ts_ns; /* of the datagram that showed it */
    } gaps[NUMBERS_GAPS];       /* the last ones */
    unsigned next_gap;
};

struct numbers;

struct numbers *numbers_open(void);          /* NULL: no memory */
void numbers_clear(struct numbers *numbers); /* forget all streams */
void numbers_close(struct numbers *numbers);

/* Take a datagram. All zeros for one that belongs to no stream. Numbers below a stream's first one, and those more than NUMBERS_WINDOW
 * below its highest, count as late. */
struct numbers_verdict numbers_add(struct numbers *numbers, const struct packet *packet);

#endif
