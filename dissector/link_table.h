/* The links of an analysis as tables: what was lost of each, and how long datagrams were on their way. Those of clients' sessions, of which
 * there may be many, stand behind the mesh's, and of those that lost nothing there is one line. */
#ifndef DISSECTOR_LINK_TABLE_H
#define DISSECTOR_LINK_TABLE_H

#include <stdio.h>

#include "links.h"

enum { LINK_TABLE_MARKS = 4 };

/* What is said of latencies: names in JSON. */
extern const struct link_table_mark {
    const char *key;
    unsigned permille;
} link_table_marks[LINK_TABLE_MARKS];

void link_table_print(const struct links *links, FILE *out);

/* What part of all numbers that were sent, each counted once, was lost. */
double link_table_loss(const struct link_counts *counts);

#endif
