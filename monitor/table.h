/* Tables: an array with one entry per column (name, title, width, how a cell is drawn, what it is sorted by).
 *
 * Which columns are shown, and how wide, depends only on the width: the least important are dropped first, and spare width goes to those
 * that stretch. */
#ifndef MONITOR_TABLE_H
#define MONITOR_TABLE_H

#include <stdbool.h>

#include "canvas.h"

enum { TABLE_COLUMNS_MAX = 24, TABLE_TEXT_BYTES = 96 };

struct table_cell {
    struct canvas *canvas;
    struct area area; /* of one line */
    enum style style; /* of text without a style of its own */
};

struct table_column {
    const char *name;  /* its name in settings; NULL: not to be sorted by */
    const char *title; /* over the column */
    const char *help;  /* one sentence */
    int width;         /* at least */
    int stretch;       /* and up to this much more */
    int importance;    /* 0: always shown; the higher, the sooner it is left out */
    bool is_number;    /* right-aligned, and sorted from the greatest */
    void (*draw)(const void *row, const struct table_cell *cell);
    double (*key)(const void *row); /* sort key; NAN comes last. NULL: sorted by text */
    const char *(*text)(const void *row);
};

/* Widths of the columns, 0 for those not shown; one blank column is between two. */
void table_fit(const struct table_column *columns, int count, int width, int widths[]);

/* Titles in the area's first line, with an arrow at the column that is sorted by. */
void table_head(struct canvas *canvas, struct area area, const struct table_column *columns, int count, const int widths[], int sorted,
                bool is_inverted);
void table_row(struct canvas *canvas, struct area area, const struct table_column *columns, int count, const int widths[], const void *row,
               enum style style);

/* Order pointers to rows by a column; equal ones keep their order. */
void table_sort(const struct table_column *column, bool is_inverted, const void **rows, int count);

/* Text in a cell, aligned to its side, cut to its width. */
void table_text(const struct table_cell *cell, bool is_number, enum style style, const char *text);

#endif
