/* What the sender's host saw of a link that is judged by the capture of its receiver's host. */
#ifndef DISSECTOR_SENDER_CAPTURE_H
#define DISSECTOR_SENDER_CAPTURE_H

#include "links.h"

/* Take a datagram that leaves the sender's host. */
void sender_capture_add(struct link *link, const struct packet *packet);

/* The receiver's capture has just shown a number to be seen or missing. Fills in what the sender's capture knows of it. */
void sender_capture_fill(struct link *link, bool is_all, struct link_entry *entry);

/* A NAK asks for tiles that, by the receiver's capture, are still on their way. False: there are none with these blocks. */
bool sender_capture_take_nak(struct link *link, const struct packet *packet, const struct mesh_range *range);

/* Was the sender's host captured when this number left it, if it left? */
bool sender_capture_covers(const struct link *link, bool is_all, uint64_t number);

#endif
