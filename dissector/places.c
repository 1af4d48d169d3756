#include "places.h"

#include <stdlib.h>
#include <string.h>

enum { TWIN_MIN = 8, TWIN_PERCENT = 95 };

/* A host's capture holds all that it sends and receives and, except for what a switch floods, nothing else. */
static bool may_be_at(const struct source *source, size_t host)
{
    if (source->at != PLACES_NONE)
        return (size_t)source->at == host;
    if (source->is_proved || (source->vantage.is_stated && !source->vantage.is_between))
        return vantage_at(&source->vantage, source->hosts[host].address.ip) != VANTAGE_NONE;
    return source->hosts[host].datagrams * 20 >= (source->numbered - source->grouped) * 19;
}

static size_t candidates(const struct source *source)
{
    size_t count = 0;

    for (size_t i = 0; i < source->host_count; i++)
        count += may_be_at(source, i);
    return count;
}

static bool is_between(const struct sample *sample, const struct host *from, const struct host *to)
{
    return memcmp(sample->from, from->address.ip, sizeof sample->from) == 0 && memcmp(sample->to, to->address.ip, sizeof sample->to) == 0;
}

/* Compare two clocks as if the captures were taken at these hosts; false when they cannot have been. */
static bool compare_at(struct merge *merge, const struct source *first, const struct host *at_first, const struct source *other,
                       const struct host *at_other, struct clock_line *line)
{
    merge->there_count = merge->back_count = 0;
    for (size_t i = 0; i < 2 * SAMPLES_MAX; i++) {
        const struct sample *sample = &merge->samples.table[i];
        struct clock_point point;

        if (sample->hash == 0 || sample->ts_ns[first->index] == 0 || sample->ts_ns[other->index] == 0)
            continue;
        point.at_ns = (int64_t)sample->ts_ns[first->index];
        point.difference_ns = (int64_t)(sample->ts_ns[other->index] - sample->ts_ns[first->index]);
        if (is_between(sample, at_first, at_other))
            merge->there[merge->there_count++] = point;
        else if (is_between(sample, at_other, at_first))
            merge->back[merge->back_count++] = point;
    }
    return clocks_compare(merge->there, merge->there_count, merge->back, merge->back_count, line);
}

/* Were these taken at the same place, such as on any and eth0, at times that overlap? Then what is in both has the same time in both. */
static bool is_twin(const struct merge *merge, const struct source *a, const struct source *b)
{
    size_t common = 0, alike = 0;

    if (a->vantage.is_stated && b->vantage.is_stated && a->vantage.is_between != b->vantage.is_between)
        return false; /* a switch may be less than a microsecond away */
    for (size_t i = 0; i < 2 * SAMPLES_MAX; i++) {
        const struct sample *sample = &merge->samples.table[i];

        if (sample->hash == 0 || sample->ts_ns[a->index] == 0 || sample->ts_ns[b->index] == 0)
            continue;
        common++;
        alike += llabs((int64_t)(sample->ts_ns[a->index] - sample->ts_ns[b->index])) < PLACES_TWIN_NS;
    }
    return common >= TWIN_MIN && 100 * alike >= TWIN_PERCENT * common;
}

/* The same, also finding out where they were taken. */
static bool compare(struct merge *merge, struct source *first, struct source *other, struct clock_line *line)
{
    const bool is_sure = candidates(first) == 1 && candidates(other) == 1;

    line->is_known = false;
    if (is_twin(merge, first, other))
        return false;
    for (size_t i = 0; i < first->host_count; i++)
        for (size_t k = 0; may_be_at(first, i) && k < other->host_count; k++) {
            const struct host *a = &first->hosts[i], *b = &other->hosts[k];

            if (!may_be_at(other, k) || memcmp(a->address.ip, b->address.ip, sizeof a->address.ip) == 0)
                continue;
            if (!compare_at(merge, first, a, other, b, line) || (!line->is_bounded && !is_sure))
                continue;
            first->at = (int)i;
            other->at = (int)k;
            return true;
        }
    line->is_known = false;
    return false;
}

/* Align the capture that compares best with those already aligned. False: no more can be compared. */
static bool align_next(struct merge *merge)
{
    struct clock_line best = {0}, line;
    struct source *next = NULL;
    int parent = PLACES_NONE;

    for (size_t i = 0; i < merge->count; i++)
        for (size_t k = 0; merge->sources[i].is_aligned && k < merge->count; k++) {
            if (merge->sources[k].is_aligned || !compare(merge, &merge->sources[i], &merge->sources[k], &line))
                continue;
            if (next != NULL &&
                (best.is_bounded > line.is_bounded || (best.is_bounded == line.is_bounded && best.offset_error_ns <= line.offset_error_ns)))
                continue;
            best = line;
            next = &merge->sources[k];
            parent = (int)i;
        }
    if (next == NULL)
        return false;
    next->line = best;
    next->parent = parent;
    next->is_aligned = true;
    return true;
}

static bool has_common(const struct merge *merge, const struct source *a, const struct source *b)
{
    for (size_t i = 0; i < 2 * SAMPLES_MAX; i++) {
        const struct sample *sample = &merge->samples.table[i];

        if (sample->hash != 0 && sample->ts_ns[a->index] != 0 && sample->ts_ns[b->index] != 0)
            return true;
    }
    return false;
}

/* Are these two files of one capture (-C, -G)? One begins after the other has ended, nothing is in both, and both can have been taken at
 * the same place. With two nodes they may also be two hosts at two times; these have nothing to compare, so it makes no difference. */
static bool is_series(const struct merge *merge, const struct source *a, const struct source *b)
{
    if (a->numbered == 0 || b->numbered == 0 || (a->last_ns > b->first_ns && b->last_ns > a->first_ns) || has_common(merge, a, b))
        return false;
    if (candidates(a) == 0 && candidates(b) == 0)
        return true; /* at a switch */
    for (size_t i = 0; i < a->host_count; i++)
        for (size_t k = 0; may_be_at(a, i) && k < b->host_count; k++)
            if (may_be_at(b, k) && memcmp(a->hosts[i].address.ip, b->hosts[k].address.ip, sizeof a->hosts[i].address.ip) == 0)
                return true;
    return false;
}

static void take_place(struct source *source, const struct source *from)
{
    for (size_t i = 0; source->at == PLACES_NONE && from->at != PLACES_NONE && i < source->host_count; i++)
        if (memcmp(source->hosts[i].address.ip, from->hosts[from->at].address.ip, sizeof source->hosts[i].address.ip) == 0)
            source->at = (int)i;
}

/* Captures whose clocks are not known yet may, compared with one another, show where they were taken. */
static void find_places(struct merge *merge)
{
    struct clock_line line;

    for (size_t i = 0; i < merge->count; i++)
        for (size_t k = i + 1; k < merge->count; k++)
            if (!merge->sources[i].is_aligned && !merge->sources[k].is_aligned)
                compare(merge, &merge->sources[i], &merge->sources[k], &line);
}

/* A file takes over the clock of another one that was taken at the same place, as `is_part` says. False: there is none. */
static bool join(struct merge *merge, bool (*is_part)(const struct merge *, const struct source *, const struct source *))
{
    for (size_t k = 0; k < merge->count; k++)
        for (size_t i = 0; !merge->sources[k].is_aligned && i < merge->count; i++) {
            struct source *whole = &merge->sources[i], *part = &merge->sources[k];

            if (!whole->is_aligned || !is_part(merge, whole, part))
                continue;
            part->series = whole->series != PLACES_NONE ? whole->series : (int)i;
            part->is_twin = is_twin(merge, whole, part);
            take_place(part, whole);
            take_place(whole, part);
            part->parent = whole->parent;
            part->line = whole->line;
            part->is_aligned = true;
            return true;
        }
    return false;
}

/* Files that cannot be compared may be of a capture that can. */
static bool join_series(struct merge *merge)
{
    find_places(merge);
    return join(merge, is_series);
}

/* Where only one host is possible. */
static void take_sure_places(struct merge *merge)
{
    for (size_t i = 0; i < merge->count; i++)
        for (size_t k = 0; merge->sources[i].at == PLACES_NONE && candidates(&merge->sources[i]) == 1; k++)
            if (may_be_at(&merge->sources[i], k))
                merge->sources[i].at = (int)k;
}

/* ---- several at one host ---- */

static size_t first_of_series(const struct merge *merge, size_t source)
{
    return merge->sources[source].series != PLACES_NONE ? (size_t)merge->sources[source].series : source;
}

/* How much speaks for it that a file of this series was taken at the host. */
static int proof_of(const struct merge *merge, size_t first)
{
    int proof = merge->sources[first].vantage.is_between ? 0 : 1;

    for (size_t i = 0; i < merge->count; i++)
        if (first_of_series(merge, i) == first && places_is_proved(&merge->sources[i]))
            proof = 2;
    return proof;
}

/* Do two series show the same datagrams of one host, at places that are not the same? */
static bool is_same_host(const struct merge *merge, size_t a, size_t b)
{
    const struct source *one = &merge->sources[a], *other = &merge->sources[b];

    if (one->at == PLACES_NONE || other->at == PLACES_NONE ||
        memcmp(one->hosts[one->at].address.ip, other->hosts[other->at].address.ip, sizeof one->hosts[0].address.ip) != 0)
        return false;
    for (size_t i = 0; i < merge->count; i++)
        for (size_t k = 0; k < merge->count; k++)
            if (first_of_series(merge, i) == a && first_of_series(merge, k) == b &&
                has_common(merge, &merge->sources[i], &merge->sources[k]))
                return true;
    return false;
}

/* The width of the band of two clocks, which grows with the way between the captures; 0: they were not compared. */
static double band_ns(const struct merge *merge, size_t a, size_t b)
{
    const struct source *one = &merge->sources[a], *other = &merge->sources[b];

    if (one->parent == (int)b && one->line.is_bounded)
        return one->line.offset_error_ns;
    return other->parent == (int)a && other->line.is_bounded ? other->line.offset_error_ns : 0;
}

/* The one with the longer way to a third capture, of another host, is nearer to this host; else either will do, since nothing is said of
 * what happened between them. */
static bool is_better(const struct merge *merge, size_t a, size_t b)
{
    const int proof = proof_of(merge, a), other_proof = proof_of(merge, b);

    if (proof != other_proof)
        return proof > other_proof;
    for (size_t i = 0; i < merge->count; i++) {
        const double band = band_ns(merge, a, i), other_band = band_ns(merge, b, i);

        if (band > 0 && other_band > 0 && band != other_band)
            return band > other_band;
    }
    return a < b;
}

/* Beside captures of both hosts, that of a switch is on the way to one of them. Were it taken for that host's, what was lost between the
 * two would have arrived, and everything else twice. */
static void find_best(struct merge *merge)
{
    for (size_t a = 0; a < merge->count; a++)
        for (size_t b = 0; b < merge->count; b++) {
            int *best = &merge->sources[b].judged_by;

            if (a == b || first_of_series(merge, a) != a || first_of_series(merge, b) != b || !is_same_host(merge, a, b))
                continue;
            if (is_better(merge, a, b) && (*best == PLACES_NONE || is_better(merge, a, (size_t)*best)))
                *best = (int)a;
        }
}

void places_align(struct merge *merge)
{
    take_sure_places(merge);
    merge->sources[0].is_aligned = true;
    while (join(merge, is_twin) || align_next(merge) || join_series(merge))
        ;
    for (size_t i = 0; i < merge->count; i++)
        for (size_t k = 0; k < merge->count; k++)
            merge->sources[i].has_common |= i != k && has_common(merge, &merge->sources[i], &merge->sources[k]);
    find_best(merge);
}

bool places_is_proved(const struct source *source)
{
    return source->at != PLACES_NONE && vantage_at(&source->vantage, source->hosts[source->at].address.ip) != VANTAGE_NONE;
}

uint64_t places_first_clock(const struct merge *merge, const struct source *source, uint64_t ts_ns)
{
    for (; source->parent != PLACES_NONE; source = &merge->sources[source->parent])
        ts_ns = clocks_convert(&source->line, ts_ns);
    return ts_ns;
}
