/* The clients of simulated nodes, and the comparison of all generated tokens with those of a run without faults. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/serve/prompt_queue.h"
#include "simserve.h"

static void fail(struct simserve_node *node, const struct simserve_ask *ask, const char *what, uint64_t found)
{
    char text[300];

    snprintf(text, sizeof text, "request %016" PRIx64 " of place %u: %.200s: %" PRIu64, ask != NULL ? ask->id : 0,
             ask != NULL ? ask->place : 0, what, found);
    simmembers_fail(&node->serve->members, node->member, text);
}

static struct simserve_ask *find(struct simserve *serve, uint64_t id)
{
    for (uint32_t i = serve->ask_count; i-- > 0;)
        if (serve->ask[i].id == id)
            return &serve->ask[i];
    return NULL;
}

/* ---- what engines report ---- */

static void check_token(struct simserve_node *node, const struct simserve_ask *ask, uint32_t index, uint32_t id, uint64_t digest)
{
    const struct simcluster_result *alone = &ask->question->alone;

    if (index >= alone->token_count)
        fail(node, ask, "a token beyond the end", index);
    else if (alone->token[index] != id)
        fail(node, ask, "another token at", index);
    else if (alone->digest_of[index] != digest)
        fail(node, ask, "other logits at", index);
}

void simserve_on_token(void *app, uint64_t now_ns, const struct engine_token *token)
{
    struct simserve_node *node = app;
    const struct epoch_run_result result = {.request = token->request, .when_ns = now_ns, .token = *token};
    const struct simserve_ask *ask = find(node->serve, token->request);
    struct job *job = jobs_find(&node->jobs, token->request);

    if (ask == NULL) {
        fail(node, NULL, "a token of a request that nobody made", token->request);
        return;
    }
    check_token(node, ask, token->index, token->id, token->digest);
    node->serve->checked++;
    if (job != NULL)
        job_take(job, &result);
}

void simserve_on_done(void *app, uint64_t now_ns, uint64_t request, enum engine_done reason, const struct engine_fault *fault)
{
    struct simserve_node *node = app;
    const struct epoch_run_result result = {.request = request, .when_ns = now_ns, .is_done = true, .reason = reason};
    const struct simserve_ask *ask = find(node->serve, request);
    struct job *job = jobs_find(&node->jobs, request);

    (void)fault;
    if (ask == NULL)
        fail(node, NULL, "the end of a request that nobody made", request);
    else if (reason != ask->question->alone.reason && !(reason == ENGINE_DONE_CANCELLED && ask->is_ended))
        fail(node, ask, "it ends for another reason", reason);
    if (job != NULL)
        job_take(job, &result);
}

/* ---- what clients are told ---- */

static void take_tokens(struct simserve_node *node, struct simserve_ask *ask, const struct client_message *message)
{
    for (uint32_t i = 0; i < message->token_count; i++)
        check_token(node, ask, ask->told++, message->token[i].id, message->token[i].digest);
    node->serve->tokens += message->token_count;
}

static void take_done(struct simserve_node *node, struct simserve_ask *ask, const struct client_message *message)
{
    if (message->done.reason != ask->question->alone.reason || ask->told != ask->question->alone.token_count)
        fail(node, ask, "its client is told the end after tokens", ask->told);
    if (message->done.prompt_tokens != ask->question->prompt_count || message->done.tokens != ask->told)
        fail(node, ask, "its client is told a wrong number of tokens", message->done.tokens);
    ask->is_done = true;
    ask->done_ns = mesh_sim_now_ns(node->serve->members.sim);
    node->serve->answered++;
    node->serve->resubmitted += message->done.epochs;
}

/* True when that was the last record. */
static bool tell(struct simserve_node *node, struct simserve_ask *ask, struct job *job)
{
    static uint8_t record[MESH_RECORD_BYTES_MAX];
    struct client_message message;
    uint32_t tokens;
    size_t bytes;

    while ((bytes = job_record(job, node->epoch_run_config.tokenizer, node->run->count, record, &tokens)) > 0) {
        if (client_message_read(&message, record, bytes) < 0) {
            fail(node, ask, "its client cannot read a record of bytes", bytes);
            return true;
        }
        job_sent(job, tokens);
        if (message.kind == CLIENT_MESSAGE_DONE) {
            take_done(node, ask, &message);
            return true;
        }
        take_tokens(node, ask, &message);
    }
    return false;
}

void simserve_tell_clients(struct simserve_node *node)
{
    if (node->job_count == 0)
        return;
    for (size_t i = 0; i < JOBS_MAX; i++) {
        struct job *job = &node->jobs.job[i];

        if (job->id != 0 && tell(node, &node->serve->ask[job->session], job)) {
            node_metrics_request_finished(&node->requests, job, simmembers_clock(&node->serve->members, node->member->place));
            jobs_remove(job);
            node->job_count--;
        }
    }
}

/* ---- what clients do ---- */

static struct job *add_job(struct simserve_node *node, uint32_t session, const struct client_message *ask, struct fail *why)
{
    const struct job_asked asked = {
        .session = session, .ask = ask->ask, .when_ns = simmembers_clock(&node->serve->members, node->member->place)};
    struct prompt_queue prompt_queue = {.count = 0};
    struct prompt_queue_outcome outcome;
    size_t work = SIZE_MAX;

    if (prompt_queue_add(&prompt_queue, &node->jobs, &node->epoch_run_config, &asked, ask->text, ask->text_size, why) < 0)
        return NULL;
    if (!prompt_queue_next(&prompt_queue, &node->jobs, &node->epoch_run_config, &work, &outcome))
        abort();
    *why = outcome.fail;
    return outcome.job;
}

int simserve_ask(struct simserve *serve, uint16_t place, unsigned question)
{
    struct simserve_node *node = &serve->node[place];
    struct simserve_ask *ask = &serve->ask[serve->ask_count];
    const struct job *job;
    struct fail why;

    if (node->member->cluster == NULL || node->is_leaving || node->is_paused || serve->ask_count == SIMSERVE_ASKS_MAX)
        return -1;
    *ask = (struct simserve_ask){.question = simquestion(serve->config.model, question), .place = place};
    job = add_job(node, serve->ask_count, &ask->question->ask, &why);
    if (job == NULL) {
        fail(node, ask, why.text, 0);
        return -1;
    }
    node->job_count++;
    ask->id = job->id;
    ask->asked_ns = mesh_sim_now_ns(serve->members.sim);
    mesh_sim_wake(serve->members.sim, place);
    return (int)serve->ask_count++;
}

static bool is_open(const struct simserve_ask *ask)
{
    return !ask->is_done && !ask->is_lost && !ask->is_ended;
}

/* As serve_clients.c does when a session ends. */
void simserve_end_ask(struct simserve *serve, unsigned index)
{
    struct simserve_ask *ask = &serve->ask[index];
    struct simserve_node *node = &serve->node[ask->place];
    struct job *job = jobs_find(&node->jobs, ask->id);

    if (!is_open(ask) || node->is_paused)
        return;
    assert(job != NULL);
    ask->is_ended = true;
    if (node->run->is_started && job->is_submitted && !job->is_done)
        engine_cancel(node->run->engine, job->id);
    node_metrics_request_finished(&node->requests, job, simmembers_clock(&serve->members, ask->place));
    jobs_remove(job);
    node->job_count--;
    mesh_sim_wake(serve->members.sim, ask->place);
}

void simserve_lose_asks(struct simserve_node *node)
{
    struct simserve *serve = node->serve;

    for (uint32_t i = 0; i < serve->ask_count; i++)
        if (&serve->node[serve->ask[i].place] == node && is_open(&serve->ask[i]))
            serve->ask[i].is_lost = true;
    jobs_release(&node->jobs);
    node->job_count = 0;
}
