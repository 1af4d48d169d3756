/* A conversation as a ladder: a column for each rank, time downwards, an arrow for each datagram.
 *
 * Rows are kept until the whole capture was read, since losses are known only then: at most LADDER_ROWS_MAX of 80 bytes; of more rows, the
 * first are shown. Only datagrams of epochs of the mesh have rows, not those of clients' sessions. */
#ifndef DISSECTOR_LADDER_H
#define DISSECTOR_LADDER_H

#include <stdio.h>

#include "analysis.h"

enum { LADDER_ROWS_MAX = 1 << 14, LADDER_RANKS_MAX = 16 };

/* What is shown: within this time, all that belongs to these steps or lies between their tiles. */
struct ladder_range {
    uint64_t step_first, step_last;     /* UINT64_MAX: to the last */
    double seconds_first, seconds_last; /* from the first datagram */
};

struct ladder_row;

struct ladder {
    struct ladder_range range;
    uint64_t begin_ns, step; /* of the first datagram; latest of a tile so far */
    uint64_t seen;           /* datagrams of the mesh's epochs, shown or not */
    bool has_steps;          /* a tile could be read */
    size_t count;
    uint64_t left_out;
    struct ladder_row *rows; /* (LADDER_ROWS_MAX) */
};

/* -1 with EXIT_ENVIRONMENT. */
int ladder_open(struct ladder *ladder, const struct ladder_range *range, struct fail *fail);
void ladder_close(struct ladder *ladder);

/* Add a datagram or a loss as the analysis reports it; unwanted ones get no row. Links are borrowed until ladder_print. */
void ladder_datagram(struct ladder *ladder, const struct link *link, const struct packet *packet, bool is_wanted);
void ladder_loss(struct ladder *ladder, const struct analysis_loss *loss, bool is_wanted);

void ladder_print(struct ladder *ladder, FILE *out);

#endif
