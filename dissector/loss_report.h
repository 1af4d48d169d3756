/* What a receiver says of the numbers on a link: how many it counts as lost, matched with those that can be meant, and which ones it has
 * answered. */
#ifndef DISSECTOR_LOSS_REPORT_H
#define DISSECTOR_LOSS_REPORT_H

#include "links.h"

/* What a STATUS or PONG says. */
struct loss_report {
    uint64_t ts_ns, sent_ns;      /* when it was captured; when it was sent, by its sender's clock, 0: not known */
    uint64_t seen_all, seen_peer; /* the highest numbers that have come, to all and to this receiver alone */
    uint64_t lost;                /* how many numbers up to these never came */
};

void loss_report_take(struct link *link, const struct loss_report *report);

/* The ping that a PONG answers has arrived: also notes the round-trip time of the two as seen from the capture. Pings to all and to this
 * receiver alone that left at one moment are not told apart. */
void loss_report_take_pong(struct link *link, const struct packet *packet);

/* A PROBE of that size has arrived. */
void loss_report_take_probe_ack(struct link *link, uint32_t bytes);

/* The HELLO that is answered has arrived. If several match, nothing tells which one. */
void loss_report_take_hello_ack(struct link *link, uint64_t echo);

#endif
