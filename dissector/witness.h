/* What the sender's host saw of a link that is judged by the capture of its receiver's host. */
#ifndef DISSECTOR_WITNESS_H
#define DISSECTOR_WITNESS_H

#include "links.h"

/* A datagram that leaves its host. */
void witness_add(struct link *link, const struct packet *packet);

/* A number of which the receiver's capture has just told: seen, or missing. Fills in what the sender's capture knows of it. */
void witness_tell(struct link *link, bool is_all, struct link_entry *entry);

/* Tiles that are still on their way, by what the receiver's capture shows, are asked for. False: there are none with these blocks. */
bool witness_take_nak(struct link *link, const struct packet *packet, const struct mesh_range *range);

/* Was the sender's host captured when this number left it, if it left? */
bool witness_covers(const struct link *link, bool is_all, uint64_t number);

#endif
