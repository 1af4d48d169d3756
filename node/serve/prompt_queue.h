/* Requests of clients whose prompts are not tokenised yet, in order of arrival; then they become jobs.
 *
 * One prompt at a time is tokenised, a bounded piece per turn of the main loop, so that the node answers other members in between. */
#ifndef NODE_PROMPT_QUEUE_H
#define NODE_PROMPT_QUEUE_H

#include "node/epoch/job.h"

enum { PROMPT_QUEUE_WORK = 4096 /* per turn, in symbols: about half a millisecond */ };

struct prompt_queue_entry {
    struct job_asked asked;
    char *text; /* (text_size) of a question, its turn (chat_turns.h) */
    size_t text_size;
};

/* Starts as {0}. */
struct prompt_queue {
    struct prompt_queue_entry item[JOBS_MAX]; /* (count) the oldest first */
    uint32_t count;
    struct tokenizer_encoding *encoding; /* of the oldest; NULL: not begun */
};

/* The outcome of the oldest entry: a job, or why there is none. */
struct prompt_queue_outcome {
    uint32_t session;
    struct job *job; /* NULL: fail says why */
    struct fail fail;
};

/* Copies the text. -1 with fail set: too many entries and jobs, of this session or in all, no memory, no prompt of that size can fit the
 * context, or it is no conversation for this model. */
int prompt_queue_add(struct prompt_queue *prompt_queue, const struct jobs *jobs, const struct epoch_run_config *config,
                     const struct job_asked *asked, const char *text, size_t text_size, struct fail *fail);

unsigned prompt_queue_count_of(const struct prompt_queue *prompt_queue, uint32_t session); /* entries */

/* Tokenises more of the oldest prompt. *work: symbols that may be processed, and what is left of them. True: that entry is finished,
 * and *outcome is set; another may follow. */
bool prompt_queue_next(struct prompt_queue *prompt_queue, struct jobs *jobs, const struct epoch_run_config *config, size_t *work,
                       struct prompt_queue_outcome *outcome);

/* Drops the requests of this client, which has cancelled or is gone. */
void prompt_queue_drop(struct prompt_queue *prompt_queue, uint32_t session);
void prompt_queue_release(struct prompt_queue *prompt_queue);

#endif
