#include "sizes.h"

#include <math.h>
#include <string.h>

#include "analysis.h"

enum {
    EVENTS_MIN = 5,
    SMALL_MIN = 50,
    UNKNOWN_PERCENT = 5, /* of the losses may be of unknown size */
    LARGE_PERCENT = 10   /* of the large ones must be lost: a queue that overflows, or a bad cable, loses fewer */
};

#define CHANCE 1e-9 /* of a false statement about a link, and with damage by length */

/* Steps of 16 bytes, above 2 kB of 256, above 10 kB of 1024. */
enum { FINE = 2048, COARSE = 10240 };

static unsigned bin_of(unsigned bytes)
{
    if (bytes < FINE)
        return bytes / 16;
    return bytes < COARSE ? FINE / 16 + (bytes - FINE) / 256 : FINE / 16 + (COARSE - FINE) / 256 + (bytes - COARSE) / 1024;
}

/* The smallest size in a bin. */
static unsigned bytes_of(unsigned bin)
{
    if (bin < FINE / 16)
        return 16 * bin;
    bin -= FINE / 16;
    return bin < (COARSE - FINE) / 256 ? FINE + 256 * bin : COARSE + 1024 * (bin - (COARSE - FINE) / 256);
}

void sizes_arrived(struct sizes *sizes, unsigned bytes)
{
    if (sizes->lost > 0)
        sizes->since[bin_of(bytes)]++;
}

void sizes_lost(struct sizes *sizes, unsigned bytes)
{
    const unsigned bin = bin_of(bytes);
    bool is_event = sizes->lost == 0;

    if (bytes == 0) {
        sizes->unknown++;
        return;
    }
    for (unsigned i = 0; i < SIZES_BINS; i++) {
        is_event |= i < bin && sizes->since[i] > 0;
        sizes->arrived[i] += sizes->since[i];
    }
    memset(sizes->since, 0, sizeof sizes->since);
    if (sizes->lost == 0 || bytes < sizes->least)
        sizes->least = (uint16_t)bytes;
    if (bytes > sizes->most)
        sizes->most = (uint16_t)bytes;
    sizes->lost++;
    sizes->events += is_event;
}

/* If size did not matter: how likely is it that all that are lost are of the large ones? (Fisher's exact test) */
static double chance_of(const struct sizes_verdict *found, uint32_t events)
{
    const double large = (double)found->large + events, all = large + found->small;
    double chance = 1;

    for (uint32_t i = 0; i < events && chance >= CHANCE; i++)
        chance *= (large - i) / (all - i);
    return chance;
}

/* If each byte were as likely to be damaged: how likely is it that none of the small ones is? */
static double chance_of_damage(const struct sizes *sizes, const struct sizes_verdict *found)
{
    const double kept = (double)found->large / ((double)found->large + found->lost);
    double small_bytes = 0;

    for (unsigned i = 0; i < bin_of(sizes->least); i++)
        small_bytes += (double)sizes->arrived[i] * bytes_of(i);
    return pow(kept, small_bytes / sizes->most);
}

/* Those of unknown size have been taken for some that arrived, large or small. */
static uint32_t without(uint32_t arrived, uint32_t unknown)
{
    return arrived > unknown ? arrived - unknown : 0;
}

struct sizes_verdict sizes_judge(const struct sizes *sizes)
{
    struct sizes_verdict found = {.bytes = sizes->least, .lost = sizes->lost, .unknown = sizes->unknown};

    for (unsigned i = 0; i < SIZES_BINS; i++)
        *(i < bin_of(sizes->least) ? &found.small : &found.large) += sizes->arrived[i];
    if (sizes->events < EVENTS_MIN || found.small < SMALL_MIN || 100 * (uint64_t)sizes->unknown > UNKNOWN_PERCENT * (uint64_t)sizes->lost ||
        100 * (uint64_t)found.lost < LARGE_PERCENT * ((uint64_t)found.lost + found.large) || chance_of(&found, sizes->events) >= CHANCE ||
        chance_of_damage(sizes, &found) >= CHANCE)
        return (struct sizes_verdict){0};
    found.large = without(found.large, found.unknown);
    found.small = without(found.small, found.unknown);
    return found;
}

/* ---- the numbers of a link ---- */

/* What a capture at the receiver's host shows has passed the path, whatever became of it then. */
static bool has_passed(const struct link *link, const struct link_entry *entry)
{
    return !entry->is_missing && link->at_receiver == (int)link->point;
}

void sizes_take_lost(struct link *link, bool is_all, struct link_entry *entry)
{
    const struct analysis_loss loss = {.link = link, .entry = entry, .is_all = is_all};

    if (entry->is_sized)
        return;
    entry->is_sized = true;
    if (!entry->is_early && !has_passed(link, entry) && !analysis_is_lost_probe(&loss))
        sizes_lost(&link->sizes, entry->bytes);
}

static void take(struct link *link, bool is_all, struct link_entry *entry)
{
    const bool is_reported = link->has_report && entry->number <= link->spaces[is_all].seen;

    if (has_passed(link, entry))
        sizes_arrived(&link->sizes, entry->bytes);
    else if (entry->is_lost)
        sizes_take_lost(link, is_all, entry);
    else if (!entry->is_missing && !entry->is_doubtful && is_reported)
        sizes_arrived(&link->sizes, entry->bytes);
}

/* The first entry of a space that has not been taken; NULL: none up to that time. */
static struct link_entry *next_of(struct link_space *space, uint64_t until_ns)
{
    const uint64_t oldest = links_oldest(space->highest);
    struct link_entry *entry = NULL;

    if (space->sized + 1 < oldest)
        space->sized = oldest - 1;
    while (entry == NULL && space->sized < space->highest)
        entry = links_entry(space, ++space->sized);
    if (entry == NULL || entry->ts_ns <= until_ns)
        return entry;
    space->sized--;
    return NULL;
}

void sizes_follow(struct link *link, uint64_t until_ns)
{
    struct link_entry *next[2] = {next_of(&link->spaces[0], until_ns), next_of(&link->spaces[1], until_ns)};

    while (next[0] != NULL || next[1] != NULL) {
        const bool is_all = next[0] == NULL || (next[1] != NULL && next[1]->ts_ns < next[0]->ts_ns);

        take(link, is_all, next[is_all]);
        next[is_all] = next_of(&link->spaces[is_all], until_ns);
    }
}
