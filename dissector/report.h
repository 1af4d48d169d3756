/* The analysis in words, to be pasted into a ticket, or as JSON objects: losses as they are found, then links, then the sum. */
#ifndef DISSECTOR_REPORT_H
#define DISSECTOR_REPORT_H

#include "analysis.h"
#include "clocks.h"
#include "filter.h"
#include "findings.h"
#include "ladder.h"
#include "mesh/program/json.h"
#include "timeline.h"

struct report {
    FILE *out;
    bool is_json;
    const struct filter *filter; /* losses that it does not let through are not listed; borrowed. NULL, as at first: all are */
    bool is_wanted;              /* the datagram at hand, by that filter */
    struct json json;
    struct analysis analysis;
    struct timeline timeline;
    struct findings findings;
    const struct link *unnamed_link; /* whose losses without a number are being counted for one line */
    uint64_t unnamed;
    struct ladder *ladder; /* borrowed; NULL: a report. Otherwise that is printed at the end, and nothing else */
};

/* One of several captures. */
struct report_capture {
    const char *file;
    uint64_t datagrams;
    const struct frame_address *host; /* where it was taken; NULL: not known */
    bool is_v6, is_aligned;           /* aligned: its clock could be compared */
    const char *series;               /* the file of whose capture this is another one; NULL: none */
    const char *against;              /* the capture that its clock was compared with; NULL: none, it is the first or could not be */
    const struct clock_line *line;    /* how it runs against that one's; with it */
};

void report_begin(struct report *report, FILE *out, bool is_json, struct ladder *ladder);

void report_capture(struct report *report, const struct report_capture *capture);

/* Losses are written from here. is_wanted: a ladder shows it; nothing else depends on that. */
void report_add(struct report *report, const struct packet *packet, bool is_wanted);
void report_end(struct report *report);
void report_release(struct report *report);

#endif
