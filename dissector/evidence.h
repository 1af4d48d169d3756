/* What receivers say of what was sent to them, and what follows for single numbers. */
#ifndef DISSECTOR_EVIDENCE_H
#define DISSECTOR_EVIDENCE_H

#include "links.h"

/* A decoded datagram in the other direction of a link: a STATUS, PONG or NAK. link may be NULL. */
void evidence_take(struct link *link, const struct packet *packet);

/* A resend or copy: whose data it brings. */
void evidence_repair(struct link *link, struct link_entry *entry, bool is_all);

/* Numbers are missing that were not before: which of them held what was sent again since then. */
void evidence_find_originals(struct link *link, uint64_t since_ns);

/* One whose data becomes known after others have come: which of those brought it, the earliest. */
void evidence_find_repair(struct link *link, struct link_entry *entry);

bool evidence_overlaps(const struct mesh_range *a, const struct mesh_range *b);

/* This one is lost; the resend that repaired it was needed. */
void evidence_name(struct link *link, struct link_entry *entry);

#endif
