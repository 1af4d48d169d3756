#include "merge.h"

#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "datagrams.h"
#include "samples.h"
#include "selection.h"

enum { HOSTS_MAX = 128, NONE = -1, SOURCE_SHIFT = 40 }; /* a datagram's number holds its source from that bit on */

struct host {
    struct frame_address address; /* its port is 0 */
    bool is_v6;
    uint64_t datagrams; /* from it and to it */
};

struct merge;

/* One of the captures. */
struct source {
    struct merge *merge;
    size_t index;
    const char *file;
    struct capture *capture;
    struct datagrams datagrams;
    struct selection selection; /* of the second reading */
    struct capture_frame frame; /* the next one, by the first capture's clock */
    bool has_frame;
    uint64_t numbered;          /* datagrams of epochs, */
    uint64_t grouped;           /* of these, to a multicast group, so that any host may have got them */
    uint64_t first_ns, last_ns; /* of these, by the capture's own clock */
    size_t host_count;
    struct host hosts[HOSTS_MAX];
    struct vantage vantage;
    int at;                     /* the host where it was taken, or NONE */
    int parent;                 /* the source whose clock `line` starts from; NONE: the first one, or not comparable */
    int series;                 /* a source that is another file of the same capture; NONE */
    int point;                  /* of the analysis at hand; NONE: not yet */
    bool is_aligned, is_proved; /* is_proved: by the vantage */
    struct clock_line line;
};

struct merge {
    const struct settings *settings;
    struct report *report;
    struct verdicts *verdicts; /* NULL: the filter does not ask for them */
    const volatile sig_atomic_t *stop;
    bool has_cut; /* a file ends in the middle: the frames before that are used, and `fail` says so at the end */
    struct samples samples;
    struct clock_point *there, *back; /* (SAMPLES_MAX) */
    size_t there_count, back_count;
    size_t count;
    struct source sources[SAMPLES_CAPTURES_MAX];
};

/* ---- the first reading ---- */

static void note_host(struct source *source, const struct frame_address *address, bool is_v6)
{
    struct host *host = source->hosts;

    while (host < source->hosts + source->host_count && memcmp(host->address.ip, address->ip, sizeof address->ip) != 0)
        host++;
    if (host == source->hosts + HOSTS_MAX)
        return;
    if (host == source->hosts + source->host_count) {
        memcpy(host->address.ip, address->ip, sizeof address->ip);
        host->is_v6 = is_v6;
        source->host_count++;
    }
    host->datagrams++;
}

static void take_sample(void *context, const struct packet *packet)
{
    struct source *source = context;

    vantage_add(&source->vantage, packet);
    if (!packet_is_numbered(packet))
        return;
    if (source->numbered++ == 0 || packet->ts_ns < source->first_ns)
        source->first_ns = packet->ts_ns;
    if (packet->ts_ns > source->last_ns)
        source->last_ns = packet->ts_ns;
    if (frame_address_is_group(&packet->frame->dst)) {
        source->grouped++;
        return;
    }
    note_host(source, &packet->frame->src, packet->frame->is_v6);
    if (memcmp(packet->frame->src.ip, packet->frame->dst.ip, sizeof packet->frame->src.ip) != 0)
        note_host(source, &packet->frame->dst, packet->frame->is_v6);
    samples_add(&source->merge->samples, source->index, packet);
}

static void take_for_report(void *context, const struct packet *packet)
{
    struct source *source = context;

    report_add(source->merge->report, packet, selection_take(&source->selection, packet));
}

static void take_for_verdicts(void *context, const struct packet *packet)
{
    struct source *source = context;

    analysis_add(verdicts_analysis(source->merge->verdicts), packet);
}

static int open_source(struct source *source, void (*take)(void *, const struct packet *), struct keys *keys, struct fail *fail)
{
    const struct capture_options options = {.file = source->file, .filter = source->merge->settings->filter};

    source->datagrams = (struct datagrams){.take = take, .context = source};
    if (datagrams_open(&source->datagrams, keys, fail) < 0)
        return -1;
    source->capture = capture_open(&options, fail);
    return source->capture ? 0 : -1;
}

static void close_source(struct source *source)
{
    capture_close(source->capture);
    source->capture = NULL;
    selection_close(&source->selection);
    datagrams_close(&source->datagrams);
}

static int read_whole(struct source *source, struct keys *keys, struct fail *fail)
{
    int result = open_source(source, take_sample, keys, fail);

    keys_rewind(keys);
    if (result == 0) {
        struct capture_frame frame;

        while (!*source->merge->stop && (result = capture_next(source->capture, &frame, fail)) == 1)
            datagrams_add(&source->datagrams, capture_link(source->capture), &frame);
        source->merge->has_cut |= result < 0;
        source->is_proved = vantage_is_proved(&source->vantage);
        result = 0;
    }
    close_source(source);
    return result;
}

/* ---- where each was taken, and what its clock shows ---- */

/* A host's capture holds all that it sends and receives and, except for what a switch floods, nothing else. */
static bool may_be_at(const struct source *source, size_t host)
{
    if (source->at != NONE)
        return (size_t)source->at == host;
    if (source->is_proved)
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

/* The same, also finding out where they were taken. */
static bool compare(struct merge *merge, struct source *first, struct source *other, struct clock_line *line)
{
    const bool is_sure = candidates(first) == 1 && candidates(other) == 1;

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
    int parent = NONE;

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
    for (size_t i = 0; source->at == NONE && from->at != NONE && i < source->host_count; i++)
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

/* A file that cannot be compared takes over the clock of another file of the same capture. */
static bool merge_series(struct merge *merge)
{
    find_places(merge);
    for (size_t k = 0; k < merge->count; k++)
        for (size_t i = 0; !merge->sources[k].is_aligned && i < merge->count; i++) {
            struct source *whole = &merge->sources[i], *part = &merge->sources[k];

            if (!whole->is_aligned || !is_series(merge, whole, part))
                continue;
            part->series = whole->series != NONE ? whole->series : (int)i;
            take_place(part, whole);
            take_place(whole, part);
            part->parent = whole->parent;
            part->line = whole->line;
            part->is_aligned = true;
            return true;
        }
    return false;
}

static void align(struct merge *merge)
{
    merge->sources[0].is_aligned = true;
    while (align_next(merge) || merge_series(merge))
        ;
    for (size_t i = 0; i < merge->count; i++)
        for (size_t k = 0; merge->sources[i].at == NONE && candidates(&merge->sources[i]) == 1; k++)
            if (may_be_at(&merge->sources[i], k))
                merge->sources[i].at = (int)k;
}

static uint64_t by_first_clock(const struct merge *merge, const struct source *source, uint64_t ts_ns)
{
    for (; source->parent != NONE; source = &merge->sources[source->parent])
        ts_ns = clocks_convert(&source->line, ts_ns);
    return ts_ns;
}

/* ---- the second reading, and a third one where the filter asks for verdicts ---- */

static unsigned new_point(struct links *links, const struct source *source)
{
    const struct host *host = source->at != NONE ? &source->hosts[source->at] : NULL;
    struct links_point *point = &links->points[links->point_count];

    for (unsigned i = 0; host != NULL && i < links->point_count; i++)
        if (links->points[i].is_known && memcmp(links->points[i].ip, host->address.ip, sizeof links->points[i].ip) == 0)
            return i;
    point->is_known = host != NULL;
    if (host != NULL)
        memcpy(point->ip, host->address.ip, sizeof point->ip);
    return (unsigned)links->point_count++;
}

/* Captures of one host are one point, and so are the files of one capture. */
static unsigned point_of(struct links *links, struct source *source)
{
    struct source *first = source->series != NONE ? &source->merge->sources[source->series] : source;

    if (first->point == NONE)
        first->point = (int)new_point(links, first);
    return (unsigned)first->point;
}

static void describe(struct merge *merge)
{
    for (size_t i = 0; i < merge->count; i++) {
        const struct source *source = &merge->sources[i];
        struct report_capture capture = {.file = source->file, .datagrams = source->numbered, .is_aligned = source->is_aligned};

        if (source->at != NONE)
            capture.host = &source->hosts[source->at].address;
        capture.is_v6 = source->at != NONE && source->hosts[source->at].is_v6;
        if (source->series != NONE) {
            capture.series = merge->sources[source->series].file;
        } else if (source->parent != NONE) {
            capture.line = &source->line;
            capture.against = merge->sources[source->parent].file;
        }
        report_capture(merge->report, &capture);
    }
}

static void fetch(struct source *source, struct fail *fail)
{
    source->has_frame = capture_next(source->capture, &source->frame, fail) == 1;
    source->frame.ts_ns = by_first_clock(source->merge, source, source->frame.ts_ns);
}

static struct source *earliest(struct merge *merge)
{
    struct source *best = NULL;

    for (size_t i = 0; i < merge->count; i++)
        if (merge->sources[i].has_frame && (best == NULL || merge->sources[i].frame.ts_ns < best->frame.ts_ns))
            best = &merge->sources[i];
    return best;
}

static int begin_source(struct source *source, bool for_report, struct keys *keys, struct fail *fail)
{
    struct merge *merge = source->merge;
    struct analysis *analysis = for_report ? &merge->report->analysis : verdicts_analysis(merge->verdicts);
    const struct filter *filter = for_report ? merge->report->filter : NULL;

    if (open_source(source, for_report ? take_for_report : take_for_verdicts, keys, fail) < 0 ||
        selection_open(&source->selection, filter, filter != NULL, fail) < 0)
        return -1;
    source->selection.verdicts = merge->verdicts;
    source->datagrams.count = (uint64_t)source->index << SOURCE_SHIFT;
    source->datagrams.packet.point = point_of(&analysis->links, source);
    fetch(source, fail);
    return 0;
}

/* Does the filter let something of the frame through? */
static bool take_frame(struct source *source)
{
    selection_frame(&source->selection, source->frame.ts_ns);
    if (!datagrams_add(&source->datagrams, capture_link(source->capture), &source->frame))
        selection_take(&source->selection, &source->datagrams.packet);
    return source->selection.is_wanted;
}

static int read_together(struct merge *merge, bool for_report, struct keys *keys, struct fail *fail)
{
    const uint64_t limit = for_report && merge->settings->count != 0 ? merge->settings->count : UINT64_MAX;
    struct source *source;
    uint64_t frames = 0;
    int result = 0;

    keys_rewind(keys);
    for (size_t i = 0; i < merge->count; i++)
        merge->sources[i].point = NONE;
    for (size_t i = 0; result == 0 && i < merge->count; i++)
        result = begin_source(&merge->sources[i], for_report, keys, fail);
    while (result == 0 && !*merge->stop && frames < limit && (source = earliest(merge)) != NULL) {
        frames += take_frame(source);
        fetch(source, fail);
    }
    for (size_t i = 0; i < merge->count; i++)
        close_source(&merge->sources[i]);
    return result;
}

/* Find out what became of datagrams, for a ladder of them. */
static int read_verdicts(struct merge *merge, struct keys *keys, struct fail *fail)
{
    const struct filter *filter = merge->report->filter;
    int result;

    if (!merge->settings->ladder || filter == NULL || filter_needs_verdicts(filter) == NULL)
        return 0;
    merge->verdicts = verdicts_open(fail);
    if (merge->verdicts == NULL)
        return -1;
    result = read_together(merge, false, keys, fail);
    verdicts_end(merge->verdicts);
    return result;
}

static int prepare(struct merge *merge, struct fail *fail)
{
    const struct option_list *files = &merge->settings->files;

    if (files->count > SAMPLES_CAPTURES_MAX)
        return fail_set(fail, EXIT_USAGE, "-r: %zu files with --analyze: at most %d captures are joined: give fewer", files->count,
                        SAMPLES_CAPTURES_MAX);
    for (size_t i = 0; i < files->count; i++) {
        if (!capture_is_repeatable(files->values[i]))
            return fail_set(fail, EXIT_USAGE, "-r %.200s: several captures with --analyze are read twice: give a file, not a pipe",
                            files->values[i]);
        merge->sources[i] = (struct source){.merge = merge, .index = i, .file = files->values[i], .vantage = merge->settings->vantage};
        merge->sources[i].at = merge->sources[i].parent = merge->sources[i].series = NONE;
    }
    merge->count = files->count;
    merge->there = calloc(SAMPLES_MAX, sizeof *merge->there);
    merge->back = calloc(SAMPLES_MAX, sizeof *merge->back);
    if (merge->there == NULL || merge->back == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory to compare clocks: close other programs");
    return samples_open(&merge->samples, merge->count, fail);
}

int merge_analyze(const struct settings *settings, struct keys *keys, struct report *report, const volatile sig_atomic_t *stop,
                  struct fail *fail)
{
    struct merge *merge = calloc(1, sizeof *merge);
    int result;

    if (merge == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory to join captures: close other programs");
    merge->settings = settings;
    merge->report = report;
    merge->stop = stop;
    result = prepare(merge, fail);
    for (size_t i = 0; result == 0 && i < merge->count; i++)
        result = read_whole(&merge->sources[i], keys, fail);
    if (result == 0) {
        align(merge);
        describe(merge);
        result = read_verdicts(merge, keys, fail);
        if (result == 0)
            result = read_together(merge, true, keys, fail);
        report_end(report);
    }
    if (result == 0 && merge->has_cut)
        result = -1;
    verdicts_free(merge->verdicts);
    samples_close(&merge->samples);
    free(merge->there);
    free(merge->back);
    free(merge);
    return result;
}
