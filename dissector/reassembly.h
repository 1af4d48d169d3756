/* IP datagrams from their fragments, within fixed bounds: REASSEMBLY_SLOTS at a time. The oldest is given up for a new one, as is any that
 * is not complete after 30 s of the capture's time.
 *
 * Bytes that come twice keep their first value. */
#ifndef DISSECTOR_REASSEMBLY_H
#define DISSECTOR_REASSEMBLY_H

#include "frame.h"

enum { REASSEMBLY_SLOTS = 32, REASSEMBLY_BYTES_MAX = 65535 };

struct reassembly;

struct reassembly *reassembly_open(void);             /* NULL: no memory */
void reassembly_clear(struct reassembly *reassembly); /* forget all fragments */
void reassembly_close(struct reassembly *reassembly);

/* Take a fragment. True when its datagram is complete: then *frame is as if it had come in one piece; its payload is valid until the next
 * call. Fragments that the capture cut short are ignored. */
bool reassembly_add(struct reassembly *reassembly, uint64_t ts_ns, struct frame *frame);

#endif
