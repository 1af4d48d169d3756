/* Copies of requests with all their tokens so far, to continue in another epoch. */
#ifndef NODE_SAVED_REQUESTS_H
#define NODE_SAVED_REQUESTS_H

#include <stddef.h>

#include "request.h"

/* All zeros: none. */
struct saved_requests {
    struct request *request; /* (count) each owns its prompt */
    size_t count, room;
};

/* Copy one request. Of two with the same id the one with more tokens stays: generated tokens never differ, so a longer history is a later
 * one. 0, or -1: out of memory. */
int saved_requests_add(struct saved_requests *saved, const struct request *request);

/* NULL: not there. Valid until the next saved_requests_add. */
const struct request *saved_requests_find(const struct saved_requests *saved, uint64_t id);

void saved_requests_release(struct saved_requests *saved);

#endif
