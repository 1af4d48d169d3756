/* A node's messages about requests and steps, record by record.
 *
 * On the sequencer: the step log, to all; requests in the order in which they came, as slots become free, and the steps that the scheduler
 * makes of them. On other ranks: the requests that were submitted there, to the sequencer. A step that is needed soon goes before requests,
 * so that a long prompt in transfer does not delay running requests. Owner of the port only. */
#ifndef NODE_PUBLISHER_H
#define NODE_PUBLISHER_H

#include "request_queue.h"
#include "scheduler.h"
#include "steplog.h"

struct publisher {
    bool is_sequencer;
    struct scheduler scheduler;
    /* Number of candidates on all ranks of a token with this sampling. */
    uint32_t (*candidates)(const void *app, const struct sampling *sampling);
    /* Position from which the request continues; NULL: 0. */
    uint32_t (*from)(const void *app, const struct request *request);
    /* How many of its first tokens another request has in a slot, from which it can begin if nothing else begins before; NULL: 0. */
    uint32_t (*reusable)(void *app, const struct request *request);
    void *app;
    bool is_holding;               /* such a request has not begun: no other one is published, which could take the slot */
    uint16_t missing;              /* ranks that must first report what they have kept: requests wait for them */
    const struct request *request; /* the queue's request that is being published; NULL: none */
    uint32_t index;                /* its next record */
    uint64_t step;                 /* of the next entry */
    struct step_entry entry;       /* being sent, when it is a step */
    bool has_entry;
    uint16_t sent_to;    /* ranks that have the record being sent */
    size_t record_bytes; /* 0: no record is being sent */
    uint8_t record[RECORD_BYTES_MAX];
};

/* candidates may be NULL where is_sequencer is not set. */
void publisher_init(struct publisher *publisher, bool is_sequencer, const struct scheduler_limits *limits,
                    uint32_t (*candidates)(const void *app, const struct sampling *sampling), void *app);

/* Make the next record, if one is due, into publisher->record. */
bool publisher_next(struct publisher *publisher, struct request_queue *queue, const struct steplog *log);

/* All ranks have the record being sent. On the sequencer it is then appended to the log. */
void publisher_sent(struct publisher *publisher, struct request_queue *queue, struct steplog *log);

/* A request is known to all ranks, or ended: remove it from the queue, and publish nothing more of it. */
void publisher_forget(struct publisher *publisher, struct request_queue *queue, uint64_t request);

#endif
