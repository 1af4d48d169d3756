#include "fragments.h"

#include <stdlib.h>
#include <string.h>

struct key {
    uint8_t src[16], dst[16];
    uint32_t id;
};

struct slot {
    struct key key;
    uint64_t turn; /* when it was begun; 0: unused */
    size_t used;
    uint8_t *bytes; /* (FRAGMENTS_BYTES_MAX) frames, each behind its struct capture_frame; owned, NULL until it is needed */
};

struct fragments {
    uint64_t turns;
    struct slot slots[FRAGMENTS_SLOTS];
};

struct fragments *fragments_open(struct fail *fail)
{
    struct fragments *fragments = calloc(1, sizeof *fragments);

    if (fragments == NULL)
        fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory for fragments: close other programs");
    return fragments;
}

void fragments_close(struct fragments *fragments)
{
    for (size_t i = 0; fragments != NULL && i < FRAGMENTS_SLOTS; i++)
        free(fragments->slots[i].bytes);
    free(fragments);
}

static struct key key_of(const struct frame *frame)
{
    struct key key;

    memset(&key, 0, sizeof key);
    memcpy(key.src, frame->src.ip, sizeof key.src);
    memcpy(key.dst, frame->dst.ip, sizeof key.dst);
    key.id = frame->fragment_id;
    return key;
}

static size_t find(const struct fragments *fragments, const struct key *key)
{
    size_t i = 0;

    while (i < FRAGMENTS_SLOTS && (fragments->slots[i].turn == 0 || memcmp(&fragments->slots[i].key, key, sizeof *key) != 0))
        i++;
    return i;
}

/* NULL: no memory. */
static struct slot *place_for(struct fragments *fragments, const struct key *key)
{
    struct slot *slot = fragments->slots;

    for (size_t i = 1; i < FRAGMENTS_SLOTS; i++)
        if (fragments->slots[i].turn < slot->turn)
            slot = &fragments->slots[i];
    if (slot->bytes == NULL)
        slot->bytes = malloc(FRAGMENTS_BYTES_MAX);
    slot->turn = slot->bytes ? ++fragments->turns : 0;
    slot->key = *key;
    slot->used = 0;
    return slot->bytes ? slot : NULL;
}

void fragments_keep(struct fragments *fragments, const struct frame *frame, const struct capture_frame *captured)
{
    const struct key key = key_of(frame);
    const size_t found = find(fragments, &key);
    struct slot *slot = found < FRAGMENTS_SLOTS ? &fragments->slots[found] : place_for(fragments, &key);

    if (slot == NULL || FRAGMENTS_BYTES_MAX - slot->used < sizeof *captured + captured->captured)
        return;
    memcpy(slot->bytes + slot->used, captured, sizeof *captured);
    memcpy(slot->bytes + slot->used + sizeof *captured, captured->bytes, captured->captured);
    slot->used += sizeof *captured + captured->captured;
}

bool fragments_next(const struct fragments *fragments, const struct frame *frame, size_t *cursor, struct capture_frame *out)
{
    const struct key key = key_of(frame);
    const size_t found = find(fragments, &key);

    if (found == FRAGMENTS_SLOTS || *cursor >= fragments->slots[found].used)
        return false;
    memcpy(out, fragments->slots[found].bytes + *cursor, sizeof *out);
    out->bytes = fragments->slots[found].bytes + *cursor + sizeof *out;
    *cursor += sizeof *out + out->captured;
    return true;
}

void fragments_forget(struct fragments *fragments, const struct frame *frame)
{
    const struct key key = key_of(frame);
    const size_t found = find(fragments, &key);

    if (found < FRAGMENTS_SLOTS)
        fragments->slots[found].turn = 0;
}
