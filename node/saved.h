/* Copies of requests with all their tokens so far, to continue in another epoch. */
#ifndef NODE_SAVED_H
#define NODE_SAVED_H

#include <stddef.h>

#include "request.h"

/* All zeros: none. */
struct saved {
    struct request *request; /* (count) each owns its prompt */
    size_t count, room;
};

/* Copy one request. Of two with the same id the one with more tokens stays: generated tokens never differ, so a longer history is a later
 * one. 0, or -1: out of memory. */
int saved_add(struct saved *saved, const struct request *request);

/* NULL: not there. Valid until the next saved_add. */
const struct request *saved_find(const struct saved *saved, uint64_t id);

void saved_release(struct saved *saved);

#endif
