/* What follows for single numbers from what receivers ask for and report, and from what is sent again: what a missing number held, what
 * brought it later, what was lost. */
#ifndef DISSECTOR_EVIDENCE_H
#define DISSECTOR_EVIDENCE_H

#include "links.h"

/* Take a decoded datagram in the other direction of a link: a STATUS, PONG, NAK or HELLO_ACK; others are ignored. link may be NULL. */
void evidence_take(struct link *link, const struct packet *packet);

/* A resend or copy: find the entries whose data it brings. */
void evidence_repair(struct link *link, struct link_entry *entry, bool is_all);

/* Numbers were found missing: find which of them held what has been sent again since then. */
void evidence_find_originals(struct link *link, uint64_t since_ns);

/* An entry's data has become known late: find the earliest resend or copy that brought it. */
void evidence_find_repair(struct link *link, struct link_entry *entry);

/* When the data of a lost entry was sent again and was not lost as well; 0: never. */
uint64_t evidence_repaired_ns(const struct link *link, const struct link_entry *entry);

/* A lost entry leaves the window: it has repaired no other; the next resend or copy that is not lost has. */
void evidence_forget_repair(struct link *link, bool is_all, const struct link_entry *lost);

bool evidence_overlaps(const struct mesh_range *a, const struct mesh_range *b);

/* Mark the entry as lost, and the resend that repaired it as needed. */
void evidence_mark_lost(struct link *link, struct link_entry *entry);

/* The entry has arrived, even if it was marked as lost. */
void evidence_prove(struct link *link, struct link_entry *entry);

/* The entry was marked as lost, but may have come late: it or another one is lost, and nothing tells which. */
void evidence_doubt(struct link *link, struct link_entry *entry);

#endif
