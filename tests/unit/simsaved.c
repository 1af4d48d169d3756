#include "tests/unit/simsaved.h"

#include <stdlib.h>
#include <string.h>

#include "node/common/spin.h"
#include "node/engine/engine_state.h"

enum { ROOM_AT_FIRST = 8 };

static size_t find(const struct simsaved *saved, uint64_t id)
{
    size_t i = 0;

    while (i < saved->count && saved->request[i].id != id)
        i++;
    return i;
}

static int make_room(struct simsaved *saved)
{
    size_t room = saved->room == 0 ? ROOM_AT_FIRST : 2 * saved->room;
    struct request *request;

    if (saved->count < saved->room)
        return 0;
    request = realloc(saved->request, room * sizeof *request);
    if (request == NULL)
        return -1;
    saved->request = request;
    saved->room = room;
    return 0;
}

int simsaved_add(struct simsaved *saved, const struct request *request)
{
    size_t at = find(saved, request->id);
    uint32_t *prompt;

    if (at < saved->count && saved->request[at].prompt_count >= request->prompt_count)
        return 0;
    prompt = malloc(request->prompt_count * sizeof *prompt);
    if (prompt == NULL || make_room(saved) < 0) {
        free(prompt);
        return -1;
    }
    memcpy(prompt, request->prompt, request->prompt_count * sizeof *prompt);
    if (at < saved->count)
        free((void *)saved->request[at].prompt);
    else
        saved->count++;
    saved->request[at] = *request;
    saved->request[at].prompt = prompt;
    return 0;
}

const struct request *simsaved_find(const struct simsaved *saved, uint64_t id)
{
    size_t at = find(saved, id);

    return at < saved->count ? &saved->request[at] : NULL;
}

int simsaved_add_log(struct simsaved *saved, struct steplog *log)
{
    int err = 0;

    spin_lock(&log->lock);
    for (uint16_t i = 0; i < log->limits.slots && err == 0; i++) {
        struct arriving *a = &log->arriving[i];

        if (!arriving_is_complete(a))
            continue;
        struct request request = a->request;
        request.prompt = a->token;
        err = simsaved_add(saved, &request);
    }
    spin_unlock(&log->lock);
    return err;
}

int simsaved_add_queue(struct simsaved *saved, struct request_queue *queue)
{
    int err = 0;

    spin_lock(&queue->lock);
    for (const struct request_queue_node *node = queue->first; node != NULL && err == 0; node = node->next)
        err = simsaved_add(saved, &node->arriving.request);
    spin_unlock(&queue->lock);
    return err;
}

static int add_running(struct simsaved *saved, struct engine *e)
{
    int err = 0;

    for (uint16_t i = 0; i < e->config.slots && err == 0; i++) {
        const struct sequence *s = &e->sequence[i];
        struct request request = s->request;

        if (!s->is_active)
            continue;
        request.prompt = s->token;
        request.prompt_count = s->token_count;
        request.generated_before = s->generated;
        err = simsaved_add(saved, &request);
    }
    return err;
}

int simsaved_take(struct simsaved *saved, struct engine *e)
{
    int err;

    *saved = (struct simsaved){0};
    spin_lock(&e->advancing);
    /* The log is read again, for requests that move from the queue into it meanwhile. */
    err = add_running(saved, e);
    if (err == 0)
        err = simsaved_add_log(saved, &e->log);
    if (err == 0)
        err = simsaved_add_queue(saved, &e->queue);
    if (err == 0)
        err = simsaved_add_log(saved, &e->log);
    spin_unlock(&e->advancing);
    return err;
}

void simsaved_release(struct simsaved *saved)
{
    for (size_t i = 0; i < saved->count; i++)
        free((void *)saved->request[i].prompt);
    free(saved->request);
    *saved = (struct simsaved){0};
}
