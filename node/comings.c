#include "comings.h"

#include <string.h>

static const uint8_t nobody[16];

static bool is_same(const uint8_t a[16], const uint8_t b[16])
{
    return memcmp(a, b, 16) == 0;
}

static struct coming *find(struct comings *comings, const struct mesh_addr *at)
{
    for (unsigned i = 0; i < comings->count; i++)
        if (comings->coming[i].at.port == at->port && memcmp(comings->coming[i].at.ip, at->ip, sizeof at->ip) == 0)
            return &comings->coming[i];
    return NULL;
}

static struct coming *find_or_add(struct comings *comings, uint64_t now_ns, const struct mesh_addr *at)
{
    struct coming *coming = find(comings, at);

    if (coming == NULL && comings->count < COMINGS_MAX) {
        coming = &comings->coming[comings->count++];
        *coming = (struct coming){.at = *at};
    } else if (coming == NULL) {
        coming = &comings->coming[0];
        for (unsigned i = 1; i < COMINGS_MAX; i++)
            if (comings->coming[i].seen_ns < coming->seen_ns)
                coming = &comings->coming[i];
        *coming = (struct coming){.at = *at};
    }
    coming->seen_ns = now_ns;
    return coming;
}

static bool was_before(const struct coming *coming, const uint8_t incarnation[16])
{
    for (unsigned i = 0; i < COMINGS_BEFORE; i++)
        if (is_same(coming->before[i], incarnation))
            return true;
    return false;
}

void comings_there(struct comings *comings, uint64_t now_ns, const struct mesh_addr *at, const uint8_t incarnation[16])
{
    struct coming *coming = find_or_add(comings, now_ns, at);
    const bool is_new = !is_same(coming->now, incarnation);

    if (coming->is_lost)
        coming->is_new = is_new;
    coming->is_lost = false;
    if (!is_new)
        return;
    if (was_before(coming, incarnation))
        coming->twins_ns = now_ns;
    if (!is_same(coming->now, nobody))
        memcpy(coming->before[coming->processes++ % COMINGS_BEFORE], coming->now, sizeof coming->now);
    memcpy(coming->now, incarnation, sizeof coming->now);
    memcpy(coming->other, nobody, sizeof coming->other);
}

void comings_lost(struct comings *comings, uint64_t now_ns, const struct mesh_addr *at)
{
    struct coming *coming = find_or_add(comings, now_ns, at);

    coming->is_lost = true;
    coming->lost_ns[coming->losses++ % COMINGS_LOSSES] = now_ns;
}

/* A member's datagram from another's address: from a second way of its own, or played back by somebody. */
static bool is_there(const struct comings *comings, const uint8_t incarnation[16])
{
    for (unsigned i = 0; i < comings->count; i++)
        if (!comings->coming[i].is_lost && is_same(comings->coming[i].now, incarnation))
            return true;
    return false;
}

void comings_speaks(struct comings *comings, uint64_t now_ns, const struct mesh_addr *at, const uint8_t incarnation[16], bool is_heard)
{
    struct coming *coming = find(comings, at);

    if (coming != NULL)
        coming->spoke_ns = now_ns;
    if (coming == NULL || coming->is_lost || !is_heard || is_there(comings, incarnation))
        return;
    coming->seen_ns = now_ns;
    if (!is_same(coming->other, incarnation)) {
        memcpy(coming->other, incarnation, sizeof coming->other);
        coming->other_ns = now_ns;
    } else if (now_ns - coming->other_ns >= COMINGS_APART_NS) {
        coming->twins_ns = now_ns;
    }
}

const struct coming *comings_lack(const struct comings *comings, uint64_t now_ns, uint64_t since_ns)
{
    for (unsigned i = 0; i < comings->count; i++) {
        const struct coming *coming = &comings->coming[i];

        if (coming->is_lost && now_ns - coming->lost_ns[(coming->losses - 1) % COMINGS_LOSSES] < COMINGS_NS && coming->spoke_ns < since_ns)
            return coming;
    }
    return NULL;
}

bool coming_is_twins(const struct coming *coming, uint64_t now_ns)
{
    return coming->twins_ns != 0 && now_ns - coming->twins_ns < COMINGS_TWINS_NS;
}

unsigned coming_losses(const struct coming *coming, uint64_t now_ns)
{
    unsigned count = 0;

    for (unsigned i = 0; i < COMINGS_LOSSES; i++)
        count += coming->lost_ns[i] != 0 && now_ns - coming->lost_ns[i] < COMINGS_NS;
    return count == COMINGS_LOSSES ? count : 0;
}
