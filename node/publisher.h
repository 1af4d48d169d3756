/* What a node says of requests and steps, record by record.
 *
 * On the sequencer: the step log, to all; requests in the order in which they came, as slots become free, and the steps that the planner
 * makes of them. On other ranks: the requests that were submitted there, to the sequencer. A step that is needed soon goes before requests,
 * so that a long prompt on its way does not keep those that run waiting. Owner of the port only. */
#ifndef NODE_PUBLISHER_H
#define NODE_PUBLISHER_H

#include "intake.h"
#include "planner.h"
#include "steplog.h"

struct publisher {
    bool is_sequencer;
    struct planner planner;
    /* How many candidates a token drawn like this has on all ranks. */
    uint32_t (*candidates)(const void *app, const struct sampling *sampling);
    /* From which position it goes on; NULL: 0. */
    uint32_t (*from)(const void *app, const struct request *request);
    const void *app;
    uint16_t missing;              /* ranks that have to say first what they have kept: requests wait for them */
    const struct request *request; /* the intake's, that is being told; NULL: none */
    uint32_t index;                /* its next record */
    uint64_t step;                 /* of the next entry */
    struct step_entry entry;       /* in hand, when it is a step */
    bool has_entry;
    uint16_t sent_to;    /* ranks that have the record in hand */
    size_t record_bytes; /* 0: none in hand */
    uint8_t record[RECORD_BYTES_MAX];
};

/* candidates may be NULL where is_sequencer is not set. */
void publisher_init(struct publisher *publisher, bool is_sequencer, const struct planner_limits *limits,
                    uint32_t (*candidates)(const void *app, const struct sampling *sampling), const void *app);

/* Make the next record, if one is due, into publisher->record. */
bool publisher_next(struct publisher *publisher, struct intake *intake, const struct steplog *log);

/* Everybody has the record in hand. On the sequencer it then stands in the log. */
void publisher_sent(struct publisher *publisher, struct intake *intake, struct steplog *log);

/* A request is known to all, or ended: it is removed from the intake, and nothing more is told of it. */
void publisher_forget(struct publisher *publisher, struct intake *intake, uint64_t request);

#endif
