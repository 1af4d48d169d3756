#include "saved_kv.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "node/kernel/kernel_kv.h"

enum { ROOM_AT_FIRST = 16, EPOCHS_MAX = 2 };

size_t saved_kv_k_bytes(const struct saved_kv_shape *shape, uint32_t positions)
{
    size_t tiles = ((size_t)positions + KV_TILE_POSITIONS - 1) / KV_TILE_POSITIONS;

    return tiles * kv_k_tile_bytes(shape->type, shape->head_dim);
}

size_t saved_kv_v_bytes(const struct saved_kv_shape *shape, uint32_t positions)
{
    return positions * kv_v_row_bytes(shape->type, shape->head_dim);
}

size_t saved_kv_bytes(const struct saved_kv_shape *shape, uint32_t positions)
{
    return shape->layers * (saved_kv_k_bytes(shape, positions) + saved_kv_v_bytes(shape, positions));
}

/* ---- requests ---- */

static uint32_t find_request(const struct saved_kv *saved_kv, uint64_t request)
{
    uint32_t i = 0;

    while (i < saved_kv->request_count && saved_kv->request[i].id != request)
        i++;
    return i;
}

const struct saved_kv_request *saved_kv_request(const struct saved_kv *saved_kv, uint64_t request)
{
    uint32_t i = find_request(saved_kv, request);

    return i < saved_kv->request_count ? &saved_kv->request[i] : NULL;
}

bool saved_kv_note(struct saved_kv *saved_kv, uint64_t request, uint32_t positions)
{
    uint32_t i = find_request(saved_kv, request);

    if (i == SAVED_KV_REQUESTS_MAX)
        return false;
    if (i == saved_kv->request_count)
        saved_kv->request[saved_kv->request_count++] = (struct saved_kv_request){.id = request};
    if (positions > saved_kv->request[i].positions)
        saved_kv->request[i].positions = positions;
    saved_kv->request[i].epochs = 0;
    return true;
}

/* ---- heads ---- */

static size_t find_head(const struct saved_kv *saved_kv, uint64_t request, uint32_t head)
{
    size_t i = 0;

    assert(saved_kv->count == 0 || saved_kv->head != NULL);
    while (i < saved_kv->count && (saved_kv->head[i].request != request || saved_kv->head[i].head != head))
        i++;
    return i;
}

static bool make_room(struct saved_kv *saved_kv)
{
    size_t room = saved_kv->room == 0 ? ROOM_AT_FIRST : 2 * saved_kv->room;
    struct saved_kv_head *head;

    if (saved_kv->count < saved_kv->room)
        return true;
    head = realloc(saved_kv->head, room * sizeof *head);
    if (head == NULL)
        return false;
    saved_kv->head = head;
    saved_kv->room = room;
    return true;
}

/* Takes bytes. NULL: not wanted, or no room. */
static struct saved_kv_head *put(struct saved_kv *saved_kv, const struct saved_kv_head *head)
{
    const size_t at = find_head(saved_kv, head->request, head->head);
    struct saved_kv_head *slot = at < saved_kv->count ? &saved_kv->head[at] : NULL;

    if (slot != NULL ? slot->positions >= head->positions : !make_room(saved_kv)) {
        free(head->bytes);
        return NULL;
    }
    assert(saved_kv->head != NULL); /* there is room */
    if (slot != NULL)
        free(slot->bytes);
    else
        slot = &saved_kv->head[saved_kv->count++];
    slot->request = head->request;
    slot->head = head->head;
    slot->positions = head->positions;
    slot->bytes = head->bytes;
    return slot;
}

struct saved_kv_head *saved_kv_add(struct saved_kv *saved_kv, uint64_t request, uint32_t head, uint32_t positions)
{
    const struct saved_kv_head new = {request, head, positions, malloc(saved_kv_bytes(&saved_kv->shape, positions) + 1)};

    return new.bytes == NULL ? NULL : put(saved_kv, &new);
}

const struct saved_kv_head *saved_kv_find(const struct saved_kv *saved_kv, uint64_t request, uint32_t head)
{
    size_t at = find_head(saved_kv, request, head);

    return at < saved_kv->count ? &saved_kv->head[at] : NULL;
}

bool saved_kv_extend(struct saved_kv *saved_kv, uint64_t request, uint32_t head, uint32_t first, uint32_t positions, const uint8_t *bytes)
{
    const struct saved_kv_shape *shape = &saved_kv->shape;
    const struct saved_kv_head *old = saved_kv_find(saved_kv, request, head);
    const size_t old_k = saved_kv_k_bytes(shape, first), old_v = saved_kv_v_bytes(shape, first);
    const size_t more_k = saved_kv_k_bytes(shape, positions) - old_k, more_v = saved_kv_v_bytes(shape, positions) - old_v;
    const struct saved_kv_head new = {request, head, positions, malloc(saved_kv_bytes(shape, positions) + 1)};
    uint8_t *to = new.bytes;

    if ((old == NULL ? 0 : old->positions) != first || to == NULL) {
        free(new.bytes);
        return false;
    }
    for (uint32_t layer = 0; layer < shape->layers; layer++) {
        if (first > 0)
            memcpy(to, old->bytes + layer * (old_k + old_v), old_k);
        memcpy(to + old_k, bytes, more_k);
        to += old_k + more_k;
        if (first > 0)
            memcpy(to, old->bytes + layer * (old_k + old_v) + old_k, old_v);
        memcpy(to + old_v, bytes + more_k, more_v);
        to += old_v + more_v;
        bytes += more_k + more_v;
    }
    return put(saved_kv, &new) != NULL;
}

uint32_t saved_kv_positions(const struct saved_kv *saved_kv, uint64_t request, uint32_t first, uint32_t count)
{
    uint32_t positions = UINT32_MAX;

    for (uint32_t i = 0; i < count; i++) {
        const struct saved_kv_head *head = saved_kv_find(saved_kv, request, first + i);

        if (head == NULL)
            return 0;
        positions = head->positions < positions ? head->positions : positions;
    }
    return positions;
}

/* ---- going ---- */

void saved_kv_drop(struct saved_kv *saved_kv, uint64_t request)
{
    uint32_t at = find_request(saved_kv, request);

    for (size_t i = saved_kv->count; i-- > 0;) {
        if (saved_kv->head[i].request != request)
            continue;
        free(saved_kv->head[i].bytes);
        saved_kv->head[i] = saved_kv->head[--saved_kv->count];
    }
    if (at < saved_kv->request_count)
        saved_kv->request[at] = saved_kv->request[--saved_kv->request_count];
}

void saved_kv_age(struct saved_kv *saved_kv)
{
    for (uint32_t i = saved_kv->request_count; i-- > 0;)
        if (++saved_kv->request[i].epochs > EPOCHS_MAX)
            saved_kv_drop(saved_kv, saved_kv->request[i].id);
}

void saved_kv_merge(struct saved_kv *saved_kv, struct saved_kv *from)
{
    for (uint32_t i = 0; i < from->request_count; i++) {
        const struct saved_kv_request *known = saved_kv_request(saved_kv, from->request[i].id);
        uint32_t epochs = known != NULL && known->epochs < from->request[i].epochs ? known->epochs : from->request[i].epochs;

        if (saved_kv_note(saved_kv, from->request[i].id, from->request[i].positions))
            saved_kv->request[find_request(saved_kv, from->request[i].id)].epochs = epochs;
    }
    for (size_t i = 0; i < from->count; i++) {
        if (saved_kv_request(saved_kv, from->head[i].request) == NULL)
            continue; /* too many requests: nothing would ever drop it */
        put(saved_kv, &from->head[i]);
        from->head[i].bytes = NULL;
    }
    saved_kv_release(from);
}

void saved_kv_release(struct saved_kv *saved_kv)
{
    for (size_t i = 0; i < saved_kv->count; i++)
        free(saved_kv->head[i].bytes);
    free(saved_kv->head);
    *saved_kv = (struct saved_kv){.shape = saved_kv->shape};
}
