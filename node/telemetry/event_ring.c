#include "event_ring.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* A text that is too long ends between two characters, with a mark. */
static void copy_text(char out[MESH_TELEMETRY_TEXT_BYTES_MAX + 1], const char *text)
{
    static const char mark[] = "…";
    size_t end = MESH_TELEMETRY_TEXT_BYTES_MAX + 1 - sizeof mark;

    if (snprintf(out, MESH_TELEMETRY_TEXT_BYTES_MAX + 1, "%s", text) <= MESH_TELEMETRY_TEXT_BYTES_MAX)
        return;
    while (end > 0 && ((unsigned char)out[end] & 0xc0) == 0x80)
        end--;
    memcpy(out + end, mark, sizeof mark);
}

void event_ring_add(struct event_ring *h, const struct mesh_telemetry_event *event, const char *text)
{
    struct event_ring_entry *place = &h->entry[++h->count % EVENT_RING_ENTRIES];

    assert(event->happened < MESH_NODE_EVENTS);
    h->by_kind[event->happened]++;
    place->event = *event;
    place->event.number = h->count;
    copy_text(place->text, text);
}

uint32_t event_ring_first(const struct event_ring *h)
{
    return h->count > EVENT_RING_ENTRIES ? h->count - EVENT_RING_ENTRIES + 1 : 1;
}

const struct event_ring_entry *event_ring_get(const struct event_ring *h, uint32_t number)
{
    assert(number >= event_ring_first(h) && number <= h->count);
    return &h->entry[number % EVENT_RING_ENTRIES];
}
