#include "merge.h"

#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "datagrams.h"
#include "mesh/program/progress.h"
#include "places.h"

enum { SOURCE_SHIFT = 40 }; /* a datagram's number holds its source from that bit on */

/* ---- the first reading ---- */

static void note_host(struct source *source, const struct frame_address *address, bool is_v6)
{
    struct host *host = source->hosts;

    while (host < source->hosts + source->host_count && memcmp(host->address.ip, address->ip, sizeof address->ip) != 0)
        host++;
    if (host == source->hosts + PLACES_HOSTS_MAX)
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

/* Has another capture at the same place just shown this datagram? */
static bool is_shown(struct source *source, const struct packet *packet)
{
    struct merge *merge = source->merge;
    const struct recent now = {samples_hash(packet), packet->ts_ns, source->index, packet->point};

    if (!packet_is_numbered(packet))
        return false;
    for (size_t i = 0; i < PLACES_RECENT; i++) {
        struct recent *other = &merge->recent[i];

        if (other->hash != now.hash || other->point != now.point || other->source == now.source ||
            now.ts_ns - other->ts_ns >= PLACES_TWIN_NS)
            continue;
        other->hash = 0;
        return true;
    }
    merge->recent[merge->next_recent++ % PLACES_RECENT] = now;
    return false;
}

static void take_for_report(void *context, const struct packet *packet)
{
    struct source *source = context;

    if (is_shown(source, packet))
        return;
    report_add(source->merge->report, packet, selection_take(&source->selection, packet));
}

static void take_for_verdicts(void *context, const struct packet *packet)
{
    struct source *source = context;

    if (is_shown(source, packet))
        return;
    analysis_add(verdicts_analysis(source->merge->verdicts), packet);
}

static int open_source(struct source *source, void (*take)(void *, const struct packet *), struct keys *keys, struct fail *fail)
{
    const struct capture_options options = {
        .file = source->file, .filter = source->merge->settings->filter, .progress = source->merge->progress};

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

/* ---- the second reading, and a third one where the filter asks for verdicts ---- */

static unsigned new_point(struct links *links, const struct source *source)
{
    const struct host *host = source->at != PLACES_NONE && source->judged_by == PLACES_NONE ? &source->hosts[source->at] : NULL;
    struct links_point *point = &links->points[links->point_count];

    for (unsigned i = 0; host != NULL && i < links->point_count; i++)
        if (links->points[i].is_known && memcmp(links->points[i].ip, host->address.ip, sizeof links->points[i].ip) == 0)
            return i;
    point->is_known = host != NULL;
    point->is_proved = false;
    if (host != NULL)
        memcpy(point->ip, host->address.ip, sizeof point->ip);
    return (unsigned)links->point_count++;
}

/* Captures of one host are one point, and so are the files of one capture; one on the way to a host that another shows is a point of its
 * own, at no host. */
static unsigned point_of(struct links *links, struct source *source)
{
    struct source *first = source->series != PLACES_NONE ? &source->merge->sources[source->series] : source;

    if (first->point == PLACES_NONE)
        first->point = (int)new_point(links, first);
    links->points[first->point].is_proved |= first->judged_by == PLACES_NONE && places_is_proved(source);
    return (unsigned)first->point;
}

static void describe(struct merge *merge)
{
    for (size_t i = 0; i < merge->count; i++) {
        const struct source *source = &merge->sources[i];
        struct report_capture capture = {.file = source->file, .datagrams = source->numbered, .is_aligned = source->is_aligned};

        if (source->at != PLACES_NONE)
            capture.host = &source->hosts[source->at].address;
        capture.is_v6 = source->at != PLACES_NONE && source->hosts[source->at].is_v6;
        capture.is_proved = places_is_proved(source);
        capture.is_between = source->vantage.is_between;
        capture.is_twin = source->is_twin;
        capture.has_common = source->has_common;
        if (source->judged_by != PLACES_NONE)
            capture.judged_by = merge->sources[source->judged_by].file;
        if (source->series != PLACES_NONE) {
            capture.series = merge->sources[source->series].file;
        } else if (source->parent != PLACES_NONE) {
            capture.line = &source->line;
            capture.against = merge->sources[source->parent].file;
        }
        report_capture(merge->report, &capture);
    }
}

static void fetch(struct source *source, struct fail *fail)
{
    source->has_frame = capture_next(source->capture, &source->frame, fail) == 1;
    source->frame.ts_ns = places_first_clock(source->merge, source, source->frame.ts_ns);
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
        merge->sources[i].point = PLACES_NONE;
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
    return verdicts_end(merge->verdicts, result == 0 ? fail : &(struct fail){0}) < 0 ? -1 : result;
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
        merge->sources[i] = (struct source){
            .merge = merge,
            .index = i,
            .file = files->values[i],
        };
        settings_place(merge->settings, i, &merge->sources[i].vantage);
        merge->sources[i].at = merge->sources[i].parent = merge->sources[i].series = merge->sources[i].judged_by = PLACES_NONE;
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
    struct progress progress;
    int result;

    if (merge == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory to join captures: close other programs");
    merge->settings = settings;
    merge->report = report;
    merge->stop = stop;
    merge->progress = &progress;
    progress_begin(&progress);
    result = prepare(merge, fail);
    for (size_t i = 0; result == 0 && i < merge->count; i++)
        result = read_whole(&merge->sources[i], keys, fail);
    if (result == 0 && !*stop) {
        places_align(merge);
        describe(merge);
        result = read_verdicts(merge, keys, fail);
        if (result == 0)
            result = read_together(merge, true, keys, fail);
        if (report_end(report, result == 0 ? fail : &(struct fail){0}) < 0)
            result = -1;
    }
    if (result == 0 && *stop)
        result = fail_set(fail, EXIT_ENVIRONMENT, "--analyze: interrupted by a signal: the rest was not read: start again");
    if (result == 0 && merge->has_cut)
        result = -1;
    verdicts_free(merge->verdicts);
    samples_close(&merge->samples);
    free(merge->there);
    free(merge->back);
    free(merge);
    return result;
}
