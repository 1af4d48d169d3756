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
#include "vantage.h"

struct report {
    FILE *out;
    bool is_json;
    const struct filter *filter; /* losses that it excludes are not listed; borrowed. NULL, as at first: all are listed */
    bool is_wanted;              /* the datagram at hand, by that filter */
    struct json json;
    struct analysis analysis;
    struct timeline timeline;
    struct findings findings;
    struct vantage vantage;          /* of a single capture */
    const struct link *unnamed_link; /* whose losses without a number are being counted for one line */
    uint64_t unnamed;
    struct ladder *ladder; /* borrowed; printed at the end, instead of a report. NULL: a report */
};

/* One of several captures. */
struct report_capture {
    const char *file;
    uint64_t datagrams;
    const struct frame_address *host; /* where it was taken; NULL: not known */
    bool is_v6, is_aligned;           /* aligned: its clock could be compared */
    bool is_proved, is_between;       /* the host is not only assumed; there is none, the user says */
    bool is_twin, has_common;         /* what is in the series, too, counts once; some datagrams are in another capture, too */
    const char *series;               /* another file of the same capture, or of one at the same place; NULL: none */
    const char *judged_by;            /* another capture, by which the links of this host are judged instead; NULL: none */
    const char *against;              /* the capture that its clock was compared with; NULL: it is the first, or could not be compared */
    const struct clock_line *line;    /* its clock against that one's; set with against */
};

void report_begin(struct report *report, FILE *out, bool is_json, struct ladder *ladder);

void report_capture(struct report *report, const struct report_capture *capture);

/* Losses are reported from here. is_wanted: a ladder shows it; nothing else depends on that. */
void report_add(struct report *report, const struct packet *packet, bool is_wanted);

/* Print the rest. -1 with EXIT_ENVIRONMENT: memory was lacking, so it is not everything. */
int report_end(struct report *report, struct fail *fail);

void report_release(struct report *report);

#endif
