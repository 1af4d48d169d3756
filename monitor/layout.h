/* Where the parts of each screen go: a pure function of the size of the terminal and of the rows to show.
 *
 * Whatever the size, no two parts overlap and none reaches beyond the terminal; a part for which there is no room has no height. From
 * 40 x 10 on the title, the body's first part and the line of keys are present. */
#ifndef MONITOR_LAYOUT_H
#define MONITOR_LAYOUT_H

#include "canvas.h"

enum screen { SCREEN_OVERVIEW, SCREEN_LINKS, SCREEN_NODE, SCREEN_TOKENS, SCREEN_REQUESTS, SCREEN_EVENTS, SCREENS };

enum part {
    PART_TITLE,    /* one line: what is watched, and its state */
    PART_TABS,     /* one line: the screens */
    PART_MAIN,     /* what the screen is about */
    PART_FINDINGS, /* what is worth knowing, in words */
    PART_CURVE,    /* over time */
    PART_SIDE,     /* right of or below main: about what is selected */
    PART_EVENTS,   /* the last ones */
    PART_KEYS,     /* one line */
    PARTS
};

struct layout {
    struct area part[PARTS];
};

/* Lines of the findings on the overview. Bad ones go before the curve and the events, but the table keeps its rows, up to half of the
 * height; others have what is free. */
struct layout_findings {
    int bad, all;
};

/* rows: of the main part's table or matrix, its heading among them. */
struct layout layout_make(enum screen screen, int width, int height, int rows, struct layout_findings lines);

#endif
