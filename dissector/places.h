/* Where the captures of one run were taken, and how their clocks compare.
 *
 * The addresses in a capture leave a choice, and so do its times: a switch on the way between two hosts sees what either sees, between the
 * same causes and effects. What is proved says vantage.h, for each capture by itself; else a host is assumed, which is as good for the
 * clocks, but says nothing of what happens between that place and the host. */
#ifndef DISSECTOR_PLACES_H
#define DISSECTOR_PLACES_H

#include <signal.h>

#include "capture.h"
#include "clocks.h"
#include "datagrams.h"
#include "report.h"
#include "samples.h"
#include "selection.h"
#include "settings.h"

/* TWIN_NS: captures at one place give a datagram the same time, but files may hold microseconds. */
enum { PLACES_HOSTS_MAX = 128, PLACES_NONE = -1, PLACES_TWIN_NS = 1000, PLACES_RECENT = 64 };

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
    struct host hosts[PLACES_HOSTS_MAX];
    struct vantage vantage;
    int at;                     /* the host where it was taken, or PLACES_NONE */
    int parent;                 /* the source whose clock `line` starts from; PLACES_NONE: the first one, or not comparable */
    int series;                 /* a source that is another file of the same capture, or was taken at the same place; PLACES_NONE */
    int judged_by;              /* a source that shows the same host better, by which its links are judged; PLACES_NONE: this one, too */
    int point;                  /* of the analysis at hand; PLACES_NONE: not yet */
    bool is_aligned, is_proved; /* is_proved: by the vantage */
    bool is_twin, has_common;   /* it shares datagrams with its series; with any other capture */
    struct clock_line line;
};

/* A datagram that was read a moment ago. */
struct recent {
    uint64_t hash, ts_ns;
    size_t source;
    unsigned point;
};

struct merge {
    struct progress *progress; /* of reading all captures */
    const struct settings *settings;
    struct report *report;
    struct verdicts *verdicts; /* NULL: the filter does not ask for them */
    const volatile sig_atomic_t *stop;
    bool has_cut; /* a file ends in the middle: the frames before that are used, and `fail` says so at the end */
    struct samples samples;
    struct clock_point *there, *back; /* (SAMPLES_MAX) */
    size_t there_count, back_count;
    struct recent recent[PLACES_RECENT];
    size_t next_recent;
    size_t count;
    struct source sources[SAMPLES_CAPTURES_MAX];
};

/* Find the hosts and clocks of all sources, once all are read. */
void places_align(struct merge *merge);

/* Is it proved, not only assumed, that it was taken at source->at? */
bool places_is_proved(const struct source *source);

/* A time of this capture by the first one's clock. */
uint64_t places_first_clock(const struct merge *merge, const struct source *source, uint64_t ts_ns);

#endif
