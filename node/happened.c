#include "happened.h"

#include <assert.h>
#include <stdio.h>

void happened_note(struct happenings *h, const struct mesh_telemetry_event *event, const char *text)
{
    struct happened *place = &h->ring[++h->count % HAPPENED_MAX];

    assert(event->happened < MESH_HAPPENINGS);
    h->by_kind[event->happened]++;
    place->event = *event;
    place->event.number = h->count;
    snprintf(place->text, sizeof place->text, "%s", text);
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
