/* Fragments that -w keeps, as captured frames, until their datagram is complete and a display filter says whether it is wanted.
 *
 * At most FRAGMENTS_SLOTS datagrams at a time, of FRAGMENTS_BYTES_MAX each (4 MiB in all); the oldest makes room. */
#ifndef DISSECTOR_FRAGMENTS_H
#define DISSECTOR_FRAGMENTS_H

#include "capture.h"

enum { FRAGMENTS_SLOTS = 32, FRAGMENTS_BYTES_MAX = 128 << 10 };

struct fragments;

struct fragments *fragments_open(struct fail *fail); /* NULL with EXIT_ENVIRONMENT */
void fragments_close(struct fragments *fragments);   /* NULL is fine */

/* Keep a fragment whose datagram is not complete. Fragments for which there is no room are left out. */
void fragments_keep(struct fragments *fragments, const struct frame *frame, const struct capture_frame *captured);

/* The kept frames of the datagram that `frame` has completed, in order: *cursor is 0 at first. False: no more. */
bool fragments_next(const struct fragments *fragments, const struct frame *frame, size_t *cursor, struct capture_frame *out);

/* Discard the kept frames of that datagram. */
void fragments_forget(struct fragments *fragments, const struct frame *frame);

#endif
