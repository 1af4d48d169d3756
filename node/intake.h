/* Requests that wait: those submitted on this node and, on the sequencer, those that other nodes have sent it.
 *
 * A request stays here until the step log has it, so when a sequencer is lost, the submitting node still has the request. The queue is
 * first come, first served, with a limit per submitting rank. Any thread may submit and cancel; everything else is for the owner of the
 * port. Only the owner removes requests, so those it got from here stay valid until then. */
#ifndef NODE_INTAKE_H
#define NODE_INTAKE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "mesh/mesh.h"
#include "record.h"
#include "saved.h"

enum { INTAKE_WAITING_MAX = 64 /* of one rank */, INTAKE_CANCELS_MAX = 256 };

struct intake_node;

struct intake {
    uint32_t ctx, vocab;
    atomic_flag lock;
    struct intake_node *first;
    uint16_t waiting[MESH_RANKS_MAX];             /* by origin */
    struct intake_node *arriving[MESH_RANKS_MAX]; /* from each rank: its tokens are still coming (owner) */
    _Atomic uint32_t fresh;                       /* not taken by anybody yet */
    _Atomic uint32_t cancels;                     /* cells of `cancel` in use, or about to be */
    _Atomic uint64_t cancel[INTAKE_CANCELS_MAX];  /* ids; 0: free */
};

void intake_init(struct intake *intake, uint32_t ctx, uint32_t vocab);
void intake_release(struct intake *intake);

/* Copy a request. False: too many of this origin wait, or no memory. A request that waits already is not added twice; of two histories the
 * longer one stays. Any thread. */
bool intake_submit(struct intake *intake, const struct request *request, uint16_t origin);

/* Ask for the end of a request. False: too many cancels are pending. Any thread, and signal handlers. */
bool intake_cancel(struct intake *intake, uint64_t id);

/* ---- the owner of the port ---- */

/* Take a record of another rank, on the sequencer. 0, or -1: malformed. *refused: the request that this record refuses, since too many wait
 * or it is not possible; else 0. */
int intake_take_record(struct intake *intake, uint16_t from, const uint8_t *record, size_t bytes, uint64_t *refused);

/* The first request not taken yet, now taken. NULL: none. Valid until intake_remove. */
const struct request *intake_take(struct intake *intake);

enum intake_state { INTAKE_ABSENT, INTAKE_FRESH, INTAKE_TAKEN };
enum intake_state intake_state(struct intake *intake, uint64_t id, uint16_t *origin);

bool intake_remove(struct intake *intake, uint64_t id); /* false: not there */

/* The id in a cell of `cancel`, 0: none; and free the cell. */
static inline bool intake_has_cancels(const struct intake *intake)
{
    return atomic_load_explicit(&intake->cancels, memory_order_relaxed) > 0;
}
uint64_t intake_cancel_at(struct intake *intake, uint32_t cell);
void intake_cancel_done(struct intake *intake, uint32_t cell);

/* Copy all. 0, or -1: out of memory. Any thread. */
int intake_save(struct intake *intake, struct saved *saved);

#endif
