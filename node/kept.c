#include "kept.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "kernel_kv.h"

enum { ROOM_AT_FIRST = 16, EPOCHS_MAX = 2 };

size_t kept_k_bytes(const struct kept_shape *shape, uint32_t positions)
{
    size_t tiles = ((size_t)positions + KV_TILE_POSITIONS - 1) / KV_TILE_POSITIONS;

    return tiles * kv_k_tile_bytes(shape->type, shape->head_dim);
}

size_t kept_v_bytes(const struct kept_shape *shape, uint32_t positions)
{
    return positions * kv_v_row_bytes(shape->type, shape->head_dim);
}

size_t kept_bytes(const struct kept_shape *shape, uint32_t positions)
{
    return shape->layers * (kept_k_bytes(shape, positions) + kept_v_bytes(shape, positions));
}

/* ---- requests ---- */

static uint32_t find_request(const struct kept *kept, uint64_t request)
{
    uint32_t i = 0;

    while (i < kept->request_count && kept->request[i].id != request)
        i++;
    return i;
}

const struct kept_request *kept_request(const struct kept *kept, uint64_t request)
{
    uint32_t i = find_request(kept, request);

    return i < kept->request_count ? &kept->request[i] : NULL;
}

bool kept_note(struct kept *kept, uint64_t request, uint32_t positions)
{
    uint32_t i = find_request(kept, request);

    if (i == KEPT_REQUESTS_MAX)
        return false;
    if (i == kept->request_count)
        kept->request[kept->request_count++] = (struct kept_request){.id = request};
    if (positions > kept->request[i].positions)
        kept->request[i].positions = positions;
    kept->request[i].epochs = 0;
    return true;
}

/* ---- heads ---- */

static size_t find_head(const struct kept *kept, uint64_t request, uint32_t head)
{
    size_t i = 0;

    assert(kept->count == 0 || kept->head != NULL);
    while (i < kept->count && (kept->head[i].request != request || kept->head[i].head != head))
        i++;
    return i;
}

static bool make_room(struct kept *kept)
{
    size_t room = kept->room == 0 ? ROOM_AT_FIRST : 2 * kept->room;
    struct kept_head *head;

    if (kept->count < kept->room)
        return true;
    head = realloc(kept->head, room * sizeof *head);
    if (head == NULL)
        return false;
    kept->head = head;
    kept->room = room;
    return true;
}

/* Takes bytes. NULL: not wanted, or no room. */
static struct kept_head *put(struct kept *kept, const struct kept_head *head)
{
    const size_t at = find_head(kept, head->request, head->head);
    struct kept_head *slot = at < kept->count ? &kept->head[at] : NULL;

    if (slot != NULL ? slot->positions >= head->positions : !make_room(kept)) {
        free(head->bytes);
        return NULL;
    }
    assert(kept->head != NULL); /* there is room */
    if (slot != NULL)
        free(slot->bytes);
    else
        slot = &kept->head[kept->count++];
    slot->request = head->request;
    slot->head = head->head;
    slot->positions = head->positions;
    slot->bytes = head->bytes;
    return slot;
}

struct kept_head *kept_add(struct kept *kept, uint64_t request, uint32_t head, uint32_t positions)
{
    const struct kept_head new = {request, head, positions, malloc(kept_bytes(&kept->shape, positions) + 1)};

    return new.bytes == NULL ? NULL : put(kept, &new);
}

const struct kept_head *kept_find(const struct kept *kept, uint64_t request, uint32_t head)
{
    size_t at = find_head(kept, request, head);

    return at < kept->count ? &kept->head[at] : NULL;
}

bool kept_extend(struct kept *kept, uint64_t request, uint32_t head, uint32_t first, uint32_t positions, const uint8_t *bytes)
{
    const struct kept_shape *shape = &kept->shape;
    const struct kept_head *old = kept_find(kept, request, head);
    const size_t old_k = kept_k_bytes(shape, first), old_v = kept_v_bytes(shape, first);
    const size_t more_k = kept_k_bytes(shape, positions) - old_k, more_v = kept_v_bytes(shape, positions) - old_v;
    const struct kept_head new = {request, head, positions, malloc(kept_bytes(shape, positions) + 1)};
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
    return put(kept, &new) != NULL;
}

uint32_t kept_positions(const struct kept *kept, uint64_t request, uint32_t first, uint32_t count)
{
    uint32_t positions = UINT32_MAX;

    for (uint32_t i = 0; i < count; i++) {
        const struct kept_head *head = kept_find(kept, request, first + i);

        if (head == NULL)
            return 0;
        positions = head->positions < positions ? head->positions : positions;
    }
    return positions;
}

/* ---- going ---- */

void kept_drop(struct kept *kept, uint64_t request)
{
    uint32_t at = find_request(kept, request);

    for (size_t i = kept->count; i-- > 0;) {
        if (kept->head[i].request != request)
            continue;
        free(kept->head[i].bytes);
        kept->head[i] = kept->head[--kept->count];
    }
    if (at < kept->request_count)
        kept->request[at] = kept->request[--kept->request_count];
}

void kept_age(struct kept *kept)
{
    for (uint32_t i = kept->request_count; i-- > 0;)
        if (++kept->request[i].epochs > EPOCHS_MAX)
            kept_drop(kept, kept->request[i].id);
}

void kept_merge(struct kept *kept, struct kept *from)
{
    for (uint32_t i = 0; i < from->request_count; i++) {
        const struct kept_request *known = kept_request(kept, from->request[i].id);
        uint32_t epochs = known != NULL && known->epochs < from->request[i].epochs ? known->epochs : from->request[i].epochs;

        if (kept_note(kept, from->request[i].id, from->request[i].positions))
            kept->request[find_request(kept, from->request[i].id)].epochs = epochs;
    }
    for (size_t i = 0; i < from->count; i++) {
        put(kept, &from->head[i]);
        from->head[i].bytes = NULL;
    }
    kept_release(from);
}

void kept_release(struct kept *kept)
{
    for (size_t i = 0; i < kept->count; i++)
        free(kept->head[i].bytes);
    free(kept->head);
    *kept = (struct kept){.shape = kept->shape};
}
