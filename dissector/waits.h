/* From tiles and have_through: when each rank had sent its own blocks of a gather, when it had those of all others, and so how long it
 * waited, and for whom.
 *
 * A rank computes until the last tile of its own leaves; then it waits until the last one that brings something new has come. Where the
 * capture was not taken at its host, times are those at which its datagrams passed. */
#ifndef DISSECTOR_WAITS_H
#define DISSECTOR_WAITS_H

#include "links.h"
#include "steps.h"

/* A decoded tile leaves the link's sender, or comes to its receiver. */
void waits_depart(struct link *link, const struct packet *packet);
void waits_arrive(struct link *link, const struct packet *packet);

/* A datagram shows which gathers its sender, the link's, holds: what it reads of them, while it may still compute its own blocks. Once it
 * holds a later one they have left: then the gather is added to steps, and losses that were waited for get the length of the wait (stall_ns
 * of their entries). */
void waits_have(struct links *links, struct steps *steps, struct link *link, const struct packet *packet);

/* At the end of the capture: the last gathers of hosts are added to steps that are not reported yet. */
void waits_end(struct links *links, struct steps *steps);

/* How much longer than usual the receiver waited for the sender's blocks, in what is still known of that gather. Below 0: not known. */
double waits_excess_ns(const struct link *link, uint64_t step, uint16_t phase);

#endif
