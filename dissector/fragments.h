/* What -w keeps of fragments until their datagram is complete and a display filter says whether it is wanted: the frames as captured.
 *
 * At most FRAGMENTS_SLOTS datagrams at a time, of FRAGMENTS_BYTES_MAX each (4 MiB in all); the oldest makes room. */
#ifndef DISSECTOR_FRAGMENTS_H
#define DISSECTOR_FRAGMENTS_H

#include "capture.h"

enum { FRAGMENTS_SLOTS = 32, FRAGMENTS_BYTES_MAX = 128 << 10 };

struct fragments;

struct fragments *fragments_open(struct fail *fail); /* NULL with EXIT_ENVIRONMENT */
void fragments_close(struct fragments *fragments);   /* NULL is fine */

/* Keep one whose datagram is not complete. What there is no room for is left out. */
void fragments_keep(struct fragments *fragments, const struct frame *frame, const struct capture_frame *captured);

/* The kept frames of the datagram that `frame` has completed, in order: *cursor is 0 at first. False: no more. */
bool fragments_next(const struct fragments *fragments, const struct frame *frame, size_t *cursor, struct capture_frame *out);

/* Its frames are not needed any more. */
void fragments_forget(struct fragments *fragments, const struct frame *frame);

#endif
