#include "job.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "node/common/hash.h"

static struct job *find_free(struct jobs *jobs)
{
    for (size_t i = 0; i < JOBS_MAX; i++)
        if (jobs->job[i].id == 0)
            return &jobs->job[i];
    return NULL;
}

struct job *jobs_find(struct jobs *jobs, uint64_t id)
{
    for (size_t i = 0; i < JOBS_MAX; i++)
        if (jobs->job[i].id == id)
            return &jobs->job[i];
    return NULL;
}

static struct request request_of(const struct job *job)
{
    return (struct request){
        .id = job->id,
        .prompt = job->token,
        .prompt_count = job->count,
        .generated_before = job->count - job->prompt_count,
        .predict = job->ask.predict,
        .sampling = job->ask.sampling,
        .ignore_end = job->ask.ignore_end,
        .want_digest = job->ask.want_digest,
    };
}

/* Room for all tokens that the request can have. */
static int take_prompt(struct job *job, const struct epoch_run_config *config, const uint32_t *ids, size_t count, struct fail *fail)
{
    if (request_check_size(count, config->ctx, config->model->ctx, "ask", fail) < 0)
        return -1;
    job->room = config->ctx + 1;
    job->token = calloc(job->room, sizeof *job->token);
    job->digest = calloc(job->room, sizeof *job->digest);
    if (job->token == NULL || job->digest == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: the node has none left: try again later");
    memcpy(job->token, ids, count * sizeof *ids);
    job->prompt_count = job->count = (uint32_t)count;
    return 0;
}

struct job *jobs_add(struct jobs *jobs, const struct epoch_run_config *config, const struct job_asked *asked, const uint32_t *ids,
                     size_t count, struct fail *fail)
{
    struct job *job = find_free(jobs);
    struct request request;

    if (job == NULL) {
        fail_set(fail, EXIT_ENVIRONMENT, "requests: %d of this node's clients run or wait already: try again later", JOBS_MAX);
        return NULL;
    }
    memset(job, 0, sizeof *job);
    job->id = hash_words3(jobs->seed, ++jobs->next, 0) | 1;
    job->session = asked->session;
    job->ask = asked->ask;
    job->asked_ns = asked->when_ns;
    if (take_prompt(job, config, ids, count, fail) == 0 && sampler_check(&job->ask.sampling, fail) == 0) {
        request = request_of(job);
        if (request_check(&request, config->ctx, config->model->vocab, fail) == 0)
            return job;
    }
    jobs_remove(job);
    return NULL;
}

unsigned jobs_count(const struct jobs *jobs)
{
    unsigned count = 0;

    for (size_t i = 0; i < JOBS_MAX; i++)
        count += jobs->job[i].id != 0;
    return count;
}

unsigned jobs_count_of(const struct jobs *jobs, uint32_t session)
{
    unsigned count = 0;

    for (size_t i = 0; i < JOBS_MAX; i++)
        count += jobs->job[i].id != 0 && jobs->job[i].session == session;
    return count;
}

void jobs_remove(struct job *job)
{
    free(job->token);
    free(job->digest);
    memset(job, 0, sizeof *job);
}

void jobs_release(struct jobs *jobs)
{
    for (size_t i = 0; i < JOBS_MAX; i++)
        jobs_remove(&jobs->job[i]);
}

void jobs_begin_epoch(struct jobs *jobs)
{
    for (size_t i = 0; i < JOBS_MAX; i++) {
        struct job *job = &jobs->job[i];

        job->epochs += job->id != 0 && job->is_submitted && !job->is_done;
        job->is_submitted = false;
    }
}

void jobs_submit(struct jobs *jobs, struct epoch_run *run)
{
    for (size_t i = 0; i < JOBS_MAX; i++) {
        struct job *job = &jobs->job[i];
        struct request request = request_of(job);

        if (job->id == 0 || job->is_done || job->is_submitted || !run->is_started)
            continue;
        job->is_submitted = engine_submit(run->engine, &request);
        worker_pool_wake(&run->workers);
    }
}

void job_take(struct job *job, const struct epoch_run_result *result)
{
    const uint32_t generated = job->count - job->prompt_count;

    if (result->is_done) {
        /* A request that ends with the epoch ends again in the next one, unless it was cancelled. */
        job->is_done = true;
        job->reason = result->reason;
        job->done_ns = result->when_ns;
        return;
    }
    if (job->is_done || result->token.index != generated || job->count == job->room)
        return;
    if (generated == 0)
        job->first_ns = result->when_ns;
    job->last_ns = result->when_ns;
    job->digest[job->count] = result->token.digest;
    job->token[job->count++] = result->token.id;
}

/* Put as many of the next tokens as fit a record, and their text, into message. Returns their number. */
static uint32_t gather(struct job *job, const struct tokenizer *tokenizer, struct client_message *message, char *text)
{
    const uint32_t generated = job->count - job->prompt_count;
    uint32_t count = 0;

    job->utf8_next = job->utf8;
    for (; count < CLIENT_MESSAGE_TOKENS_MAX && job->sent + count < generated; count++) {
        const uint32_t at = job->prompt_count + job->sent + count, id = job->token[at];
        size_t size = 0, text_size;
        const char *piece = id < tokenizer_count(tokenizer) ? tokenizer_piece(tokenizer, id, &size) : "";

        if (message->text_size + (size + sizeof job->utf8.held) * UTF8_STREAM_GROWTH > CLIENT_MESSAGE_TEXT_MAX / 2) {
            if (count > 0)
                break;
            size = 0; /* too large for any record; the id identifies it */
        }
        text_size = utf8_stream_push(&job->utf8_next, piece, size, text + message->text_size);
        message->token[count] = (struct client_message_token){id, job->digest[at], (uint32_t)text_size};
        message->text_size += text_size;
    }
    /* The rest of a character that was never completed, in a record of its own: it belongs to no token. */
    if (job->is_done && count == 0)
        message->text_size += utf8_stream_flush(&job->utf8_next, text + message->text_size);
    return count;
}

static struct client_message done_message(const struct job *job, enum engine_done reason, uint64_t done_ns, uint16_t nodes)
{
    return (struct client_message){.kind = CLIENT_MESSAGE_DONE,
                                   .done = {.reason = reason,
                                            .prompt_tokens = job->prompt_count,
                                            .tokens = job->count - job->prompt_count,
                                            .first_ns = job->first_ns > job->asked_ns ? job->first_ns - job->asked_ns : 0,
                                            .all_ns = done_ns > job->asked_ns ? done_ns - job->asked_ns : 0,
                                            .nodes = nodes,
                                            .epochs = job->epochs}};
}

size_t job_record(struct job *job, const struct tokenizer *tokenizer, uint16_t nodes, uint8_t *record, uint32_t *tokens)
{
    static char text[CLIENT_MESSAGE_TEXT_MAX];
    struct client_message message = {.kind = CLIENT_MESSAGE_TOKENS, .text = text};

    *tokens = message.token_count = gather(job, tokenizer, &message, text);
    if (*tokens > 0 || message.text_size > 0)
        return client_message_write(&message, record);
    if (!job->is_done)
        return 0;
    message = done_message(job, job->reason, job->done_ns, nodes);
    return client_message_write(&message, record);
}

size_t job_cancelled_record(const struct job *job, uint64_t now_ns, uint16_t nodes, uint8_t *record)
{
    const struct client_message message = done_message(job, ENGINE_DONE_CANCELLED, now_ns, nodes);

    return client_message_write(&message, record);
}

void job_sent(struct job *job, uint32_t tokens)
{
    job->sent += tokens;
    job->utf8 = job->utf8_next;
    assert(job->sent <= job->count - job->prompt_count);
}
