/* Copies of requests with all their tokens so far, for tests that continue them in another epoch. */
#ifndef TESTS_SIMSAVED_H
#define TESTS_SIMSAVED_H

#include <stddef.h>

#include "node/engine/engine.h"
#include "node/engine/request_queue.h"
#include "node/engine/steplog.h"

/* All zeros: none. */
struct simsaved {
    struct request *request; /* (count) each owns its prompt */
    size_t count, room;
};

/* Copy one request. Of two with the same id the one with more tokens stays: generated tokens never differ, so a longer history is a later
 * one. 0, or -1: out of memory. */
int simsaved_add(struct simsaved *saved, const struct request *request);

/* NULL: not there. Valid until the next simsaved_add. */
const struct request *simsaved_find(const struct simsaved *saved, uint64_t id);

/* Add those of a step log that have not started, as far as they are here, and all of a queue. 0, or -1: out of memory. Any thread. */
int simsaved_add_log(struct simsaved *saved, struct steplog *log);
int simsaved_add_queue(struct simsaved *saved, struct request_queue *queue);

/* All requests of an engine that are not over: running ones, by its position in the log, and waiting ones of its node (on the sequencer: of
 * all nodes). Each can be submitted to another engine unchanged; request.origin says where it was submitted. What two nodes give differs by
 * the few steps that one is ahead, and in what waits. Not from a hook. 0, or -1: out of memory; saved must be released in either case. */
int simsaved_take(struct simsaved *saved, struct engine *engine);

void simsaved_release(struct simsaved *saved);

#endif
