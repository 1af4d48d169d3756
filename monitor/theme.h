/* Styles: what a cell means, and the colours and attributes that show it on terminals with 256, 16 and no colours.
 *
 * Nothing is shown by colour alone: a glyph or text shows it, too. */
#ifndef MONITOR_THEME_H
#define MONITOR_THEME_H

#include <stdbool.h>

enum { HEAT_STEPS = 8 };

enum style {
    STYLE_NORMAL,
    STYLE_DIM,
    STYLE_STRONG,
    STYLE_TITLE,     /* the first line */
    STYLE_TAB,       /* a screen that is not shown */
    STYLE_TAB_SHOWN, /* the screen that is shown */
    STYLE_FRAME,     /* lines and names of panes */
    STYLE_HEADING,   /* of columns */
    STYLE_SORTED,    /* the heading that is sorted by */
    STYLE_SELECTED,
    STYLE_KEY, /* in the last line */
    STYLE_KEY_TEXT,
    STYLE_GOOD,
    STYLE_WARN,
    STYLE_BAD,
    STYLE_STALE, /* of a lost connection, of a dead node */
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
