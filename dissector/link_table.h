/* The links of an analysis as tables: losses, and latencies from host to host. Clients' sessions, of which there may be many, follow the
 * links of the mesh; those with nothing to report share one line. */
#ifndef DISSECTOR_LINK_TABLE_H
#define DISSECTOR_LINK_TABLE_H

#include <stdio.h>

#include "links.h"

enum { LINK_TABLE_MARKS = 4 };

/* Quantiles of latencies that are reported, with their names in JSON. */
extern const struct link_table_mark {
    const char *key;
    unsigned permille;
} link_table_marks[LINK_TABLE_MARKS];

void link_table_print(const struct links *links, FILE *out);

/* The fraction of all numbers sent, each counted once, that was lost. */
double link_table_loss(const struct link_counts *counts);

#endif
