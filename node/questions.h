/* Questions of a serving node's clients, until their prompts are token ids and they are jobs: in the order in which they came.
 *
 * One prompt at a time is turned into ids, a bounded piece of it a turn, so that the main thread answers the other members in between. */
#ifndef NODE_QUESTIONS_H
#define NODE_QUESTIONS_H

#include "job.h"

enum { QUESTIONS_WORK = 4096 /* symbols of a turn: half a millisecond */ };

struct question {
    struct job_asked asked;
    char *text; /* (text_size) */
    size_t text_size;
};

/* Starts as {0}. */
struct questions {
    struct question item[JOBS_MAX]; /* (count) the oldest first */
    uint32_t count;
    struct tokenizer_encoding *encoding; /* of the oldest; NULL: it has not begun */
};

/* What has become of the oldest question: a job, or why not. */
struct question_outcome {
    uint32_t session;
    struct job *job; /* NULL: fail says why */
    struct fail fail;
};

/* The text is copied. -1, with fail set: with the jobs there are too many, no memory, or no prompt of that size can fit. */
int questions_add(struct questions *questions, const struct jobs *jobs, const struct shift_config *config, const struct job_asked *asked,
                  const char *text, size_t text_size, struct fail *fail);

/* Goes on with the oldest one: *work is how much of it may be done, and what is left. True: it is over, and another may follow. */
bool questions_next(struct questions *questions, struct jobs *jobs, const struct shift_config *config, size_t *work,
                    struct question_outcome *outcome);

/* What this client has asked is wanted no more. */
void questions_drop(struct questions *questions, uint32_t session);
void questions_release(struct questions *questions);

#endif
