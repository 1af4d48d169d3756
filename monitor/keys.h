/* Keys and what they do, as in similar tools: one table, from which the help screen and the last line are made, too. */
#ifndef MONITOR_KEYS_H
#define MONITOR_KEYS_H

#include <stdint.h>

/* A key is a character's code point, or one of these. */
enum {
    KEY_BASE = 0x110000,
    KEY_IS_UP,
    KEY_IS_DOWN,
    KEY_IS_LEFT,
    KEY_IS_RIGHT,
    KEY_IS_PAGE_UP,
    KEY_IS_PAGE_DOWN,
    KEY_IS_HOME,
    KEY_IS_END,
    KEY_IS_BACKSPACE,
    KEY_IS_BACK_TAB,
    KEY_IS_F1, /* to F12 */
    KEY_IS_F10 = KEY_IS_F1 + 9,
    KEY_IS_F12 = KEY_IS_F1 + 11
};
enum { KEY_IS_TAB = 9, KEY_IS_ENTER = 10, KEY_IS_ESCAPE = 27 };

enum action {
    ACTION_NONE,
    ACTION_QUIT,
    ACTION_HELP,
    ACTION_SCREEN, /* argument: enum screen */
    ACTION_NEXT_SCREEN,
    ACTION_PREVIOUS_SCREEN,
    ACTION_UP,
    ACTION_DOWN,
    ACTION_LEFT,
    ACTION_RIGHT,
    ACTION_PAGE_UP,
    ACTION_PAGE_DOWN,
    ACTION_FIRST,
    ACTION_LAST,
    ACTION_OPEN,
    ACTION_BACK,
    ACTION_SORT_NEXT,
    ACTION_SORT_PREVIOUS,
    ACTION_INVERT,
    ACTION_SEARCH,
    ACTION_SEARCH_NEXT,
    ACTION_FILTER,
    ACTION_PAUSE,
    ACTION_EARLIER, /* argument: number of ticks */
    ACTION_LATER,
    ACTION_METRIC,
    ACTION_FASTER,
    ACTION_SLOWER,
    ACTION_RESET,
    ACTION_SAVE,
    /* only of a recording */
    ACTION_SPEED,      /* argument: faster 1, slower -1 */
    ACTION_STEP_TOKEN, /* argument: forward 1, back -1 */
    ACTION_BEGIN,
    /* only of the mouse */
    ACTION_SORT_BY,     /* argument: column */
    ACTION_SELECT,      /* argument: row */
    ACTION_SELECT_CELL, /* argument: column << 8 | row */
    ACTIONS
};

struct key_binding {
    uint32_t key;
    enum action action;
    int argument;
    const char *name; /* of the key, in the help; NULL: named on the line before */
    const char *help;
};

extern const struct key_binding key_bindings[];
extern const int key_binding_count;

/* NULL: the key does nothing. */
const struct key_binding *key_find(uint32_t key);

#endif
