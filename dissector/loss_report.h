/* What a receiver says of the numbers on a link: how many it counts as lost, matched with those that can be meant, and which ones it has
 * answered. */
#ifndef DISSECTOR_LOSS_REPORT_H
#define DISSECTOR_LOSS_REPORT_H

#include "links.h"

/* A STATUS or PONG, as sent at ts_ns: the highest numbers seen of datagrams to all and to this receiver alone, and how
 * many numbers up to these never came. */
void loss_report_take(struct link *link, uint64_t ts_ns, uint64_t seen_all, uint64_t seen_peer, uint64_t lost);

/* The ping that a PONG answers has arrived: also notes the round-trip time of the two as seen from the capture. */
void loss_report_take_pong(struct link *link, const struct packet *packet);

/* A PROBE of that size has arrived. */
void loss_report_take_probe_ack(struct link *link, uint32_t bytes);

/* The HELLO that is answered has arrived. If several match, nothing tells which one. */
void loss_report_take_hello_ack(struct link *link, uint64_t echo);

#endif
