/* The requests of this node's clients: the request, all tokens so far, and how many of them the client has been sent.
 *
 * They outlive epochs: in a new epoch each is submitted again with its tokens, and continues with identical bits. */
#ifndef NODE_JOB_H
#define NODE_JOB_H

#include "epoch_run.h"
#include "node/client/client_message.h"

/* Each of the 32 sessions that may ask at once has places of its own, so no client can take those of others. */
enum { JOBS_MAX = 64, JOBS_PER_SESSION = 2 };

struct job {
    uint64_t id;      /* of the request in the cluster; 0: free */
    uint32_t session; /* of the client */
    struct client_message_ask ask;
    uint32_t *token;  /* (room) prompt, then generated */
    uint64_t *digest; /* (room) of generated tokens, by their index in token */
    uint32_t prompt_count, count, room;
    uint32_t sent;                                 /* generated tokens that the client has */
    struct utf8_stream utf8, utf8_next;            /* state after what was sent; and after the record being sent */
    uint64_t asked_ns, first_ns, last_ns, done_ns; /* first and last token so far */
    bool is_submitted;                             /* in the present epoch */
    bool is_done;
    enum engine_done reason;
    uint32_t epochs; /* that began while it ran */
};

struct jobs {
    struct job job[JOBS_MAX];
    uint64_t next; /* counter behind the ids */
    uint64_t seed; /* random, of this process */
};

/* Who has asked, what beside the prompt, and when. */
struct job_asked {
    uint32_t session;
    struct client_message_ask ask;
    bool is_conversation; /* the prompt is turns (chat_turns.h) */
    uint64_t when_ns;
};

/* The prompt: ids (count). NULL: too many jobs, no memory, or something is wrong with the question; fail says what. */
struct job *jobs_add(struct jobs *jobs, const struct epoch_run_config *config, const struct job_asked *asked, const uint32_t *ids,
                     size_t count, struct fail *fail);
unsigned jobs_count(const struct jobs *jobs);
unsigned jobs_count_of(const struct jobs *jobs, uint32_t session);
struct job *jobs_find(struct jobs *jobs, uint64_t id); /* NULL: not ours */
void jobs_remove(struct job *job);
void jobs_release(struct jobs *jobs);

/* Submit what is not in this epoch's engine yet; what has no room waits for the next call. */
void jobs_submit(struct jobs *jobs, struct epoch_run *run);

/* A new epoch has begun: all jobs are to be submitted again. */
void jobs_begin_epoch(struct jobs *jobs);

/* Apply a result of the engine. */
void job_take(struct job *job, const struct epoch_run_result *result);

/* Write the next record for its client into record (MESH_RECORD_BYTES_MAX); 0 when there is nothing to tell. Call job_sent after sending
 * it. */
size_t job_record(struct job *job, const struct tokenizer *tokenizer, uint16_t nodes, uint8_t *record, uint32_t *tokens);
void job_sent(struct job *job, uint32_t tokens);

/* The last record of one that is given up now: what it has come to. Its size. */
size_t job_cancelled_record(const struct job *job, uint64_t now_ns, uint16_t nodes, uint8_t *record);

#endif
