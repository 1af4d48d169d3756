/* Datagrams as text: one line each, trees of fields, dumps of bytes. */
#ifndef DISSECTOR_LINE_H
#define DISSECTOR_LINE_H

#include <stdio.h>

#include "packet.h"

/* The command-line options of the same names. */
struct line_options {
    unsigned verbose, time_form, hex, hex_ascii;
    bool ascii, quiet, link_header, numbered;
};

struct line {
    FILE *out;
    struct line_options options;
    uint64_t first_ns, previous_ns;
    bool has_first;
    int64_t second; /* that the clock's text below shows */
    char clock[32];
};

void line_init(struct line *line, FILE *out, const struct line_options *options);

/* A datagram, with all that the options ask for. notes: added at the end of the line; NULL or empty: nothing. */
void line_write(struct line *line, const struct packet *packet, const char *notes);

/* A frame that holds no datagram of ours, or only a fragment of one. Of packet, all but the message is read. */
void line_write_frame(struct line *line, const struct packet *packet);

#endif
