#include "ways.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "mesh/udp.h"

static struct way *find(struct ways *ways, const struct mesh_addr *to)
{
    for (unsigned i = 0; i < ways->count; i++)
        if (ways->way[i].to.port == to->port && memcmp(ways->way[i].to.ip, to->ip, sizeof to->ip) == 0)
            return &ways->way[i];
    return NULL;
}

static void drop(struct ways *ways, struct way *way)
{
    *way = ways->way[--ways->count];
}

/* The one that failed longest ago, when nothing has been sent there for long. */
static bool make_room(struct ways *ways, uint64_t now_ns)
{
    struct way *oldest = &ways->way[0];

    for (unsigned i = 1; i < ways->count; i++)
        if (ways->way[i].last_ns < oldest->last_ns)
            oldest = &ways->way[i];
    if (ways->count == WAYS_MAX && now_ns - oldest->last_ns >= WAYS_OLD_NS)
        drop(ways, oldest);
    return ways->count < WAYS_MAX;
}

void ways_note(struct ways *ways, uint64_t now_ns, const struct mesh_addr *to, int error)
{
    struct way *way = find(ways, to);

    if (way == NULL && (error == 0 || !make_room(ways, now_ns)))
        return;
    if (error == 0) {
        way->is_again = way->is_told;
        if (!way->is_told)
            drop(ways, way);
        return;
    }
    if (way == NULL) {
        way = &ways->way[ways->count++];
        *way = (struct way){.to = *to, .since_ns = now_ns};
    }
    way->is_again = false;
    way->last_ns = now_ns;
    way->error = error;
}

static const char *advice(int error)
{
    switch (error) {
    case EPERM:
    case EACCES:
        return "a firewall of this machine forbids it";
    case EAFNOSUPPORT:
        return "let this node listen at an address of that kind, or at [::]:PORT, which is both";
    default:
        return "see this machine's addresses, routes and cables";
    }
}

/* Is this one to be told of now, in the same sentence as that one? NULL: in any. */
static bool is_due(const struct way *way, const struct way *first)
{
    if (!way->is_again && (way->is_told || way->last_ns - way->since_ns < WAYS_PATIENCE_NS))
        return false;
    return first == NULL || (way->is_again == first->is_again && (way->is_again || way->error == first->error));
}

/* About the first and as many as there are of its kind. */
static void write_sentence(const struct way *first, unsigned count, char text[WAYS_TEXT_BYTES])
{
    char address[MESH_ADDR_TEXT_BYTES], others[32] = "";

    mesh_addr_format(first->to, address);
    if (count > 1)
        snprintf(others, sizeof others, " and %u other%s", count - 1, count == 2 ? "" : "s");
    if (first->is_again)
        snprintf(text, WAYS_TEXT_BYTES, "to %s%s can be sent again", address, others);
    else
        snprintf(text, WAYS_TEXT_BYTES, WAYS_WHAT " to %s%s: %s: %s", address, others, strerror(first->error), advice(first->error));
}

bool ways_next(struct ways *ways, char text[WAYS_TEXT_BYTES], bool *is_again)
{
    struct way first;
    unsigned count = 0;

    for (unsigned i = ways->count; i-- > 0;) {
        struct way *way = &ways->way[i];

        if (!is_due(way, count > 0 ? &first : NULL))
            continue;
        if (count++ == 0)
            first = *way;
        if (way->is_again)
            drop(ways, way); /* what takes its place has been looked at */
        else
            way->is_told = true;
    }
    if (count == 0)
        return false;
    write_sentence(&first, count, text);
    *is_again = first.is_again;
    return true;
}

bool ways_present(struct ways *ways, uint64_t now_ns, char text[WAYS_TEXT_BYTES])
{
    const struct way *first = NULL;
    unsigned count = 0;

    for (unsigned i = ways->count; i-- > 0;)
        if (now_ns - ways->way[i].last_ns >= WAYS_OLD_NS)
            drop(ways, &ways->way[i]);
    for (unsigned i = 0; i < ways->count; i++) {
        const struct way *way = &ways->way[i];

        if (!way->is_told || way->is_again)
            continue;
        first = count++ == 0 ? way : first;
    }
    if (count > 0)
        write_sentence(first, count, text);
    return count > 0;
}
