#include "saved_requests.h"

#include <stdlib.h>
#include <string.h>

enum { ROOM_AT_FIRST = 8 };

static size_t find(const struct saved_requests *saved, uint64_t id)
{
    size_t i = 0;

    while (i < saved->count && saved->request[i].id != id)
        i++;
    return i;
}

static int make_room(struct saved_requests *saved)
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

int saved_requests_add(struct saved_requests *saved, const struct request *request)
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

const struct request *saved_requests_find(const struct saved_requests *saved, uint64_t id)
{
    size_t at = find(saved, id);

    return at < saved->count ? &saved->request[at] : NULL;
}

void saved_requests_release(struct saved_requests *saved)
{
    for (size_t i = 0; i < saved->count; i++)
        free((void *)saved->request[i].prompt);
    free(saved->request);
    *saved = (struct saved_requests){0};
}
