/* Styles: what a cell means, and the colours and attributes that show it on terminals with 256, 16 and no colours.
 *
 * Nothing is told by colour alone: glyph or text says it too. */
#ifndef MONITOR_THEME_H
#define MONITOR_THEME_H

#include <stdbool.h>

enum { HEAT_STEPS = 8 };

enum style {
    STYLE_NORMAL,
    STYLE_DIM,
    STYLE_STRONG,
    STYLE_TITLE,     /* the first line */
    STYLE_TAB,       /* a screen that could be shown */
    STYLE_TAB_SHOWN, /* the one that is */
    STYLE_FRAME,     /* lines and names of panes */
    STYLE_HEADING,   /* of columns */
    STYLE_SORTED,    /* the heading that is sorted by */
    STYLE_SELECTED,
    STYLE_KEY, /* in the last line */
    STYLE_KEY_TEXT,
    STYLE_GOOD,
    STYLE_WARN,
    STYLE_BAD,
    STYLE_STALE, /* of a connection that is lost, of a node that is dead */
    STYLE_FOUND, /* matches the search */
    STYLE_GRAPH,
    /* kinds of time, in the order of enum time_kind */
    STYLE_COMPUTE,
    STYLE_SEND,
    STYLE_POLL,
    STYLE_WAIT,
    STYLE_IDLE,
    STYLE_HEAT, /* and HEAT_STEPS - 1 more: from nothing to the worst */
    STYLES = STYLE_HEAT + HEAT_STEPS,
    STYLES_LOOKS = 2 * STYLES /* style + STYLES: the same on the selected line */
};

enum theme_colours { THEME_NONE, THEME_16, THEME_256 };

/* -1: the terminal's own. */
struct theme_look {
    short front, back;
    bool bold, dim, reverse, underline;
};

struct theme_look theme_look(enum style style, enum theme_colours colours);

#endif
