#include "happened.h"

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

void happened_note(struct happenings *h, const struct mesh_telemetry_event *event, const char *text)
{
    struct happened *place = &h->ring[++h->count % HAPPENED_MAX];

    assert(event->happened < MESH_NODE_EVENTS);
    h->by_kind[event->happened]++;
    place->event = *event;
    place->event.number = h->count;
    copy_text(place->text, text);
}

uint32_t happened_first(const struct happenings *h)
{
    return h->count > HAPPENED_MAX ? h->count - HAPPENED_MAX + 1 : 1;
}

const struct happened *happened_get(const struct happenings *h, uint32_t number)
{
    assert(number >= happened_first(h) && number <= h->count);
    return &h->ring[number % HAPPENED_MAX];
}
