#include "presence.h"

#include <string.h>

static const uint8_t nobody[16];

static bool is_same(const uint8_t a[16], const uint8_t b[16])
{
    return memcmp(a, b, 16) == 0;
}

static struct presence_entry *find(struct presence *presence, const struct mesh_addr *at)
{
    for (unsigned i = 0; i < presence->count; i++)
        if (mesh_addr_equal(&presence->entry[i].at, at))
            return &presence->entry[i];
    return NULL;
}

static struct presence_entry *find_or_add(struct presence *presence, uint64_t now_ns, const struct mesh_addr *at)
{
    struct presence_entry *entry = find(presence, at);

    if (entry == NULL && presence->count < PRESENCE_MAX) {
        entry = &presence->entry[presence->count++];
        *entry = (struct presence_entry){.at = *at};
    } else if (entry == NULL) {
        entry = &presence->entry[0];
        for (unsigned i = 1; i < PRESENCE_MAX; i++)
            if (presence->entry[i].seen_ns < entry->seen_ns)
                entry = &presence->entry[i];
        *entry = (struct presence_entry){.at = *at};
    }
    entry->seen_ns = now_ns;
    return entry;
}

static bool was_before(const struct presence_entry *entry, const uint8_t incarnation[16])
{
    for (unsigned i = 0; i < PRESENCE_PREVIOUS; i++)
        if (is_same(entry->before[i], incarnation))
            return true;
    return false;
}

void presence_joined(struct presence *presence, uint64_t now_ns, const struct mesh_addr *at, const uint8_t incarnation[16])
{
    struct presence_entry *entry = find_or_add(presence, now_ns, at);
    const bool is_new = !is_same(entry->now, incarnation);

    if (entry->is_lost)
        entry->is_new[(entry->losses - 1) % PRESENCE_LOSSES] = is_new;
    entry->is_lost = false;
    if (!is_new)
        return;
    if (was_before(entry, incarnation))
        entry->duplicate_ns = now_ns;
    if (!is_same(entry->now, nobody))
        memcpy(entry->before[entry->processes++ % PRESENCE_PREVIOUS], entry->now, sizeof entry->now);
    memcpy(entry->now, incarnation, sizeof entry->now);
    memcpy(entry->other, nobody, sizeof entry->other);
}

void presence_lost(struct presence *presence, uint64_t now_ns, const struct mesh_addr *at, bool is_explained)
{
    struct presence_entry *entry = find_or_add(presence, now_ns, at);

    entry->is_lost = true;
    entry->explained_ns = is_explained ? now_ns : entry->explained_ns;
    entry->is_new[entry->losses % PRESENCE_LOSSES] = false;
    entry->lost_ns[entry->losses++ % PRESENCE_LOSSES] = now_ns;
}

/* Then its datagram from another address came by a second interface of its own, or was replayed. */
static bool is_there(const struct presence *presence, const uint8_t incarnation[16])
{
    for (unsigned i = 0; i < presence->count; i++)
        if (!presence->entry[i].is_lost && is_same(presence->entry[i].now, incarnation))
            return true;
    return false;
}

void presence_heard(struct presence *presence, uint64_t now_ns, const struct mesh_addr *at, const uint8_t incarnation[16], bool is_heard)
{
    struct presence_entry *entry = find(presence, at);

    if (entry != NULL)
        entry->heard_ns = now_ns;
    if (entry == NULL || entry->is_lost || !is_heard || is_there(presence, incarnation))
        return;
    entry->seen_ns = now_ns;
    if (!is_same(entry->other, incarnation)) {
        memcpy(entry->other, incarnation, sizeof entry->other);
        entry->other_ns = now_ns;
    } else if (now_ns - entry->other_ns >= PRESENCE_APART_NS) {
        entry->duplicate_ns = now_ns;
    }
}

const struct presence_entry *presence_missing(const struct presence *presence, uint64_t now_ns, uint64_t since_ns)
{
    for (unsigned i = 0; i < presence->count; i++) {
        const struct presence_entry *entry = &presence->entry[i];

        if (entry->is_lost && now_ns - entry->lost_ns[(entry->losses - 1) % PRESENCE_LOSSES] < PRESENCE_WINDOW_NS &&
            entry->heard_ns < since_ns)
            return entry;
    }
    return NULL;
}

bool presence_is_duplicate(const struct presence_entry *entry, uint64_t now_ns)
{
    return entry->duplicate_ns != 0 && now_ns - entry->duplicate_ns < PRESENCE_DUPLICATE_NS;
}

unsigned presence_losses(const struct presence_entry *entry, uint64_t now_ns)
{
    unsigned count = 0;

    if (entry->explained_ns != 0 && now_ns - entry->explained_ns < PRESENCE_WINDOW_NS)
        return 0;
    for (unsigned i = 0; i < PRESENCE_LOSSES; i++)
        count += entry->lost_ns[i] != 0 && now_ns - entry->lost_ns[i] < PRESENCE_WINDOW_NS;
    return count == PRESENCE_LOSSES ? count : 0;
}

unsigned presence_restarts(const struct presence_entry *entry)
{
    unsigned count = 0;

    for (unsigned i = 0; i < PRESENCE_LOSSES; i++)
        count += entry->is_new[i];
    return count;
}
