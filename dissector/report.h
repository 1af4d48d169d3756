/* The analysis in words, to be pasted into a ticket, or as JSON objects: losses as they are found, then links, then the sum. */
#ifndef DISSECTOR_REPORT_H
#define DISSECTOR_REPORT_H

#include "analysis.h"
#include "filter.h"
#include "mesh/program/json.h"

struct report {
    FILE *out;
    bool is_json;
    const struct filter *filter; /* losses that it does not let through are not listed; borrowed. NULL, as at first: all are */
    struct json json;
    struct analysis analysis;
};

void report_begin(struct report *report, FILE *out, bool is_json);

/* Losses are written from here. */
void report_add(struct report *report, const struct packet *packet);
void report_end(struct report *report);
void report_release(struct report *report);

#endif
