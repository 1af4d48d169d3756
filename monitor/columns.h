/* The columns of the overview, one entry of a table for each, as in htop; sorting, settings and the help use the same entries. */
#ifndef MONITOR_COLUMNS_H
#define MONITOR_COLUMNS_H

#include "fleet.h"
#include "table.h"

/* What a row of the overview shows. */
struct node_row {
    const struct fleet *fleet;
    int node;
    uint64_t tick;
    const struct node_sample *sample; /* NULL: none at that tick, or its report is overdue */
};

extern const struct table_column columns_of_nodes[];
extern const int columns_of_nodes_count;

struct node_row columns_row(const struct fleet *fleet, int node, uint64_t tick);

/* A bar of time, split by kinds. */
void columns_time_bar(struct canvas *canvas, struct area area, const float time[TIME_KINDS]);
enum style columns_time_style(enum time_kind kind);
uint32_t columns_time_glyph(enum time_kind kind);
const char *columns_time_name(enum time_kind kind);

/* The number of ticks in ten seconds, one at least. */
unsigned columns_window(const struct fleet *fleet);

#endif
