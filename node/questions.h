/* Clients' questions whose prompts are not tokenised yet, in order of arrival; then they become jobs.
 *
 * One prompt at a time is tokenised, a bounded piece per turn of the main loop, so that the node answers other members in between. */
#ifndef NODE_QUESTIONS_H
#define NODE_QUESTIONS_H

#include "job.h"

enum { QUESTIONS_WORK = 4096 /* per turn, in symbols: about half a millisecond */ };

struct question {
    struct job_asked asked;
    char *text; /* (text_size) */
    size_t text_size;
};

/* Starts as {0}. */
struct questions {
    struct question item[JOBS_MAX]; /* (count) the oldest first */
    uint32_t count;
    struct tokenizer_encoding *encoding; /* of the oldest; NULL: not begun */
};

/* The outcome of the oldest question: a job, or why there is none. */
struct question_outcome {
    uint32_t session;
    struct job *job; /* NULL: fail says why */
    struct fail fail;
};

/* Copies the text. -1 with fail set: too many questions and jobs, no memory, or no prompt of that size can fit the context. */
int questions_add(struct questions *questions, const struct jobs *jobs, const struct shift_config *config, const struct job_asked *asked,
                  const char *text, size_t text_size, struct fail *fail);

/* Tokenises more of the oldest prompt. *work: symbols that may be processed, and what is left of them. True: that question is finished,
 * and *outcome is set; another may follow. */
bool questions_next(struct questions *questions, struct jobs *jobs, const struct shift_config *config, size_t *work,
                    struct question_outcome *outcome);

/* Drops the questions of this client, which has cancelled or is gone. */
void questions_drop(struct questions *questions, uint32_t session);
void questions_release(struct questions *questions);

#endif
