#include "client_places.h"

#include <assert.h>
#include <stddef.h>

/* Session 0: a free place. NULL: none. */
static struct client_place *find(struct client_places *places, uint32_t session)
{
    for (unsigned i = 0; i < CLIENT_PLACES; i++)
        if (places->place[i].session == session)
            return &places->place[i];
    return NULL;
}

void client_places_open(struct client_places *places, uint64_t now_ns, uint32_t session)
{
    struct client_place *place = find(places, 0);

    assert(session != 0 && place != NULL); /* there are no more sessions than places */
    *place = (struct client_place){.session = session, .asked_ns = now_ns};
}

void client_places_close(struct client_places *places, uint32_t session)
{
    struct client_place *place = find(places, session);

    if (place != NULL)
        place->session = 0;
}

void client_places_ask(struct client_places *places, uint64_t now_ns, uint32_t session)
{
    struct client_place *place = find(places, session);

    if (place != NULL)
        place->asked_ns = now_ns;
}

bool client_places_may_work(const struct client_places *places, uint32_t session, client_use_function *use, void *app)
{
    unsigned others = 0;

    for (unsigned i = 0; i < CLIENT_PLACES; i++) {
        const uint32_t other = places->place[i].session;

        others += other != 0 && other != session && use(app, other) == CLIENT_WORKS;
    }
    return others < CLIENT_PLACES_WORKING;
}

uint32_t client_places_give_way(struct client_places *places, uint64_t now_ns, client_use_function *use, void *app)
{
    const struct client_place *longest = NULL;
    unsigned taken = 0;

    for (unsigned i = 0; i < CLIENT_PLACES; i++)
        taken += places->place[i].session != 0;
    if (taken <= CLIENT_PLACES - CLIENT_PLACES_FREE)
        return 0;
    for (unsigned i = 0; i < CLIENT_PLACES; i++) {
        struct client_place *place = &places->place[i];

        if (place->session == 0)
            continue;
        if (use(app, place->session) != CLIENT_IDLE)
            place->asked_ns = now_ns;
        else if (now_ns - place->asked_ns >= CLIENT_IDLE_NS && (longest == NULL || place->asked_ns < longest->asked_ns))
            longest = place;
    }
    return longest != NULL ? longest->session : 0;
}
