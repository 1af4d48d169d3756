#include "prompt_queue.h"

#include <stdlib.h>
#include <string.h>

#include "node/common/bytes.h"
#include "node/tokenizer/chat_turns.h"

enum { ID_BYTES = 4, IDS_PER_WORK = 16 /* that cost as much as a symbol of a text */ };

static int fail_memory(struct fail *fail)
{
    return fail_set(fail, EXIT_ENVIRONMENT, "memory: the node has none left: try again later");
}

/* The least number of ids of a conversation: of an earlier answer, the thoughts may be left out, and its end is an id. */
static size_t least_of_turns(const struct tokenizer *tokenizer, const char *packed, size_t size)
{
    size_t said = 0, answers = 0;
    struct chat_turn turn;

    while (chat_turns_next(&packed, &size, &turn) > 0) {
        said += turn.role == CHAT_ASSISTANT ? 0 : turn.text_size;
        answers += turn.role == CHAT_ASSISTANT;
    }
    return tokenizer_ids_min(tokenizer, said) + answers;
}

/* Refuses a prompt that cannot fit, before it is tokenised. */
static int check_text(const struct epoch_run_config *config, const struct job_asked *asked, const char *text, size_t size,
                      struct fail *fail)
{
    size_t least;

    if (asked->ask.is_chat && asked->ask.is_ids)
        return fail_set(fail, EXIT_USAGE, "prompt: both a question and token ids: give one");
    if ((asked->ask.is_chat && tokenizer_check_chat(config->tokenizer, fail) < 0) ||
        (asked->is_conversation && tokenizer_check_turns(config->tokenizer, text, size, fail) < 0))
        return -1;
    if (!asked->ask.is_ids) {
        least = asked->is_conversation ? least_of_turns(config->tokenizer, text, size) : tokenizer_ids_min(config->tokenizer, size);
        return request_check_least(least, config->ctx, config->model->ctx, "ask", fail);
    }
    if (size == 0 || size % ID_BYTES != 0)
        return fail_set(fail, EXIT_USAGE, "prompt: %zu bytes, not a list of token ids of %d bytes each: give one", size, ID_BYTES);
    return request_check_size(size / ID_BYTES, config->ctx, config->model->ctx, "ask", fail);
}

unsigned prompt_queue_count_of(const struct prompt_queue *prompt_queue, uint32_t session)
{
    unsigned count = 0;

    for (uint32_t i = 0; i < prompt_queue->count; i++)
        count += prompt_queue->item[i].asked.session == session;
    return count;
}

static int check_places(const struct prompt_queue *prompt_queue, const struct jobs *jobs, uint32_t session, struct fail *fail)
{
    if (prompt_queue_count_of(prompt_queue, session) + jobs_count_of(jobs, session) >= JOBS_PER_SESSION)
        return fail_set(fail, EXIT_ENVIRONMENT, "requests: %d of this session run or wait already: ask again when one has ended",
                        JOBS_PER_SESSION);
    if (prompt_queue->count + jobs_count(jobs) >= JOBS_MAX)
        return fail_set(fail, EXIT_ENVIRONMENT, "requests: %d of this node's clients run or wait already: try again later", JOBS_MAX);
    return 0;
}

int prompt_queue_add(struct prompt_queue *prompt_queue, const struct jobs *jobs, const struct epoch_run_config *config,
                     const struct job_asked *asked, const char *text, size_t text_size, struct fail *fail)
{
    const struct chat_turn question = {.role = CHAT_USER, .text = text, .text_size = text_size};
    const size_t room = CHAT_TURN_OVERHEAD + text_size;
    struct prompt_queue_entry item = {.asked = *asked};

    if (check_places(prompt_queue, jobs, asked->session, fail) < 0 || check_text(config, asked, text, text_size, fail) < 0)
        return -1;
    item.text = malloc(room);
    if (item.text == NULL)
        return fail_memory(fail);
    if (asked->ask.is_chat) {
        chat_turns_put(item.text, room, &item.text_size, &question);
    } else if (text_size > 0) {
        memcpy(item.text, text, text_size);
        item.text_size = text_size;
    }
    prompt_queue->item[prompt_queue->count++] = item;
    return 0;
}

static void remove_item(struct prompt_queue *prompt_queue, uint32_t index)
{
    if (index == 0) {
        tokenizer_encoding_close(prompt_queue->encoding);
        prompt_queue->encoding = NULL;
    }
    free(prompt_queue->item[index].text);
    prompt_queue->count--;
    memmove(&prompt_queue->item[index], &prompt_queue->item[index + 1], (prompt_queue->count - index) * sizeof *prompt_queue->item);
}

static int read_ids(const struct prompt_queue_entry *item, uint32_t **ids, size_t *count, struct fail *fail)
{
    struct bytes in = bytes_reader((const uint8_t *)item->text, item->text_size);

    *count = item->text_size / ID_BYTES;
    *ids = malloc(*count * sizeof **ids);
    if (*ids == NULL)
        return fail_memory(fail);
    for (size_t i = 0; i < *count; i++)
        (*ids)[i] = bytes_get_u32(&in);
    return 1;
}

/* 1: *ids are those of the oldest prompt; 0: no work is left; -1 with fail set. */
static int encode_oldest(struct prompt_queue *prompt_queue, const struct epoch_run_config *config, size_t *work, uint32_t **ids,
                         size_t *count, struct fail *fail)
{
    const struct prompt_queue_entry *item = &prompt_queue->item[0];
    const size_t id_work = item->text_size / ID_BYTES / IDS_PER_WORK;
    int result;

    if (item->asked.ask.is_ids) {
        *work -= id_work < *work ? id_work : *work;
        return read_ids(item, ids, count, fail);
    }
    if (prompt_queue->encoding == NULL && (item->asked.ask.is_chat || item->asked.is_conversation))
        prompt_queue->encoding = tokenizer_encoding_open_chat(config->tokenizer, item->text, item->text_size, fail);
    else if (prompt_queue->encoding == NULL)
        prompt_queue->encoding = tokenizer_encoding_open(config->tokenizer, item->text, item->text_size, true, fail);
    if (prompt_queue->encoding == NULL)
        return -1;
    result = tokenizer_encoding_run(prompt_queue->encoding, work, fail);
    if (result > 0)
        tokenizer_encoding_take(prompt_queue->encoding, ids, count);
    return result;
}

bool prompt_queue_next(struct prompt_queue *prompt_queue, struct jobs *jobs, const struct epoch_run_config *config, size_t *work,
                       struct prompt_queue_outcome *outcome)
{
    uint32_t *ids = NULL;
    size_t count = 0;
    int result;

    if (prompt_queue->count == 0 || *work == 0)
        return false;
    *outcome = (struct prompt_queue_outcome){.session = prompt_queue->item[0].asked.session};
    --*work;
    result = encode_oldest(prompt_queue, config, work, &ids, &count, &outcome->fail);
    if (result == 0)
        return false;
    if (result > 0)
        outcome->job = jobs_add(jobs, config, &prompt_queue->item[0].asked, ids, count, &outcome->fail);
    free(ids);
    remove_item(prompt_queue, 0);
    return true;
}

void prompt_queue_drop(struct prompt_queue *prompt_queue, uint32_t session)
{
    for (uint32_t i = prompt_queue->count; i-- > 0;)
        if (prompt_queue->item[i].asked.session == session)
            remove_item(prompt_queue, i);
}

void prompt_queue_release(struct prompt_queue *prompt_queue)
{
    while (prompt_queue->count > 0)
        remove_item(prompt_queue, prompt_queue->count - 1);
}
