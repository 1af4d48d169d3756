/* Requests that wait: those submitted on this node and, on the sequencer, those that other nodes have sent it.
 *
 * A request stays here until the step log has it, so when a sequencer is lost, the submitting node still has the request. The queue is
 * first come, first served, with a limit per submitting rank. Any thread may submit and cancel; everything else is for the owner of the
 * port. Only the owner removes requests, so those it got from here stay valid until then. */
#ifndef NODE_REQUEST_QUEUE_H
#define NODE_REQUEST_QUEUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "mesh/mesh.h"
#include "record.h"

enum { REQUEST_QUEUE_WAITING_MAX = 64 /* of one rank */, REQUEST_QUEUE_CANCELS_MAX = 256 };

struct request_queue_node {
    struct request_queue_node *next;
    struct arriving arriving; /* complete once the node is in the list */
    bool is_taken;
    uint32_t token[];
};

struct request_queue {
    uint32_t ctx, vocab;
    atomic_flag lock;
    struct request_queue_node *first;
    uint16_t waiting[MESH_RANKS_MAX];                    /* by origin */
    struct request_queue_node *arriving[MESH_RANKS_MAX]; /* from each rank: its tokens are still coming (owner) */
    _Atomic uint32_t fresh;                              /* not taken by anybody yet */
    _Atomic uint32_t cancels;                            /* cells of `cancel` in use, or about to be */
    _Atomic uint64_t cancel[REQUEST_QUEUE_CANCELS_MAX];  /* ids; 0: free */
};

void request_queue_init(struct request_queue *queue, uint32_t ctx, uint32_t vocab);
void request_queue_release(struct request_queue *queue);

/* Copy a request. False: too many of this origin wait, or no memory. A request that waits already is not added twice; of two histories the
 * longer one stays. Any thread. */
bool request_queue_submit(struct request_queue *queue, const struct request *request, uint16_t origin);

/* Ask for the end of a request. False: too many cancels are pending. Any thread, and signal handlers. */
bool request_queue_cancel(struct request_queue *queue, uint64_t id);

/* ---- the owner of the port ---- */

/* Take a record of another rank, on the sequencer. 0, or -1: malformed. *refused: the request that this record refuses, since too many wait
 * or it is not possible; else 0. */
int request_queue_take_record(struct request_queue *queue, uint16_t from, const uint8_t *record, size_t bytes, uint64_t *refused);

/* The first request not taken yet, now taken. NULL: none. Valid until request_queue_remove. */
const struct request *request_queue_take(struct request_queue *queue);

enum request_queue_state { REQUEST_QUEUE_ABSENT, REQUEST_QUEUE_FRESH, REQUEST_QUEUE_TAKEN };
enum request_queue_state request_queue_state(struct request_queue *queue, uint64_t id, uint16_t *origin);

bool request_queue_remove(struct request_queue *queue, uint64_t id); /* false: not there */

/* The id in a cell of `cancel`, 0: none; and free the cell. */
static inline bool request_queue_has_cancels(const struct request_queue *queue)
{
    return atomic_load_explicit(&queue->cancels, memory_order_relaxed) > 0;
}
uint64_t request_queue_cancel_at(struct request_queue *queue, uint32_t cell);
void request_queue_cancel_done(struct request_queue *queue, uint32_t cell);

#endif
