#include "keys.h"

#include <stddef.h>

#include "layout.h"

const struct key_binding key_bindings[] = {
    {'?', ACTION_HELP, 0, "? F1", "this help"},
    {KEY_IS_F1, ACTION_HELP, 0, NULL, NULL},
    {KEY_IS_TAB, ACTION_NEXT_SCREEN, 0, "Tab 1-6", "other screens; Shift-Tab goes back"},
    {KEY_IS_BACK_TAB, ACTION_PREVIOUS_SCREEN, 0, NULL, NULL},
    {'1', ACTION_SCREEN, SCREEN_OVERVIEW, NULL, NULL},
    {'2', ACTION_SCREEN, SCREEN_LINKS, NULL, NULL},
    {'3', ACTION_SCREEN, SCREEN_NODE, NULL, NULL},
    {'4', ACTION_SCREEN, SCREEN_TOKENS, NULL, NULL},
    {'5', ACTION_SCREEN, SCREEN_REQUESTS, NULL, NULL},
    {'6', ACTION_SCREEN, SCREEN_EVENTS, NULL, NULL},
    {KEY_IS_UP, ACTION_UP, 0, "arrows hjkl", "select; PgUp, PgDn, Home, End, g and G go farther"},
    {KEY_IS_DOWN, ACTION_DOWN, 0, NULL, NULL},
    {KEY_IS_LEFT, ACTION_LEFT, 0, NULL, NULL},
    {KEY_IS_RIGHT, ACTION_RIGHT, 0, NULL, NULL},
    {'k', ACTION_UP, 0, NULL, NULL},
    {'j', ACTION_DOWN, 0, NULL, NULL},
    {'h', ACTION_LEFT, 0, NULL, NULL},
    {'l', ACTION_RIGHT, 0, NULL, NULL},
    {KEY_IS_PAGE_UP, ACTION_PAGE_UP, 0, NULL, NULL},
    {KEY_IS_PAGE_DOWN, ACTION_PAGE_DOWN, 0, NULL, NULL},
    {KEY_IS_HOME, ACTION_FIRST, 0, NULL, NULL},
    {KEY_IS_END, ACTION_LAST, 0, NULL, NULL},
    {'g', ACTION_FIRST, 0, NULL, NULL},
    {'G', ACTION_LAST, 0, NULL, NULL},
    {KEY_IS_ENTER, ACTION_OPEN, 0, "Enter", "show what is selected; Esc goes back"},
    {'\r', ACTION_OPEN, 0, NULL, NULL},
    {KEY_IS_ESCAPE, ACTION_BACK, 0, NULL, NULL},
    {KEY_IS_F1 + 5, ACTION_SORT_NEXT, 0, "F6 < >", "sort by another column"},
    {'>', ACTION_SORT_NEXT, 0, NULL, NULL},
    {'<', ACTION_SORT_PREVIOUS, 0, NULL, NULL},
    {'I', ACTION_INVERT, 0, "I", "the other way round"},
    {'/', ACTION_SEARCH, 0, "/ F3", "search; n goes to the next"},
    {KEY_IS_F1 + 2, ACTION_SEARCH, 0, NULL, NULL},
    {'n', ACTION_SEARCH_NEXT, 0, NULL, NULL},
    {'\\', ACTION_FILTER, 0, "\\ F4", "show only what contains a text"},
    {KEY_IS_F1 + 3, ACTION_FILTER, 0, NULL, NULL},
    {' ', ACTION_PAUSE, 0, "Space p Z", "pause; reports meanwhile are kept"},
    {'p', ACTION_PAUSE, 0, NULL, NULL},
    {'Z', ACTION_PAUSE, 0, NULL, NULL},
    {'[', ACTION_EARLIER, 1, "[ ] { }", "move through the past by one interval, or ten"},
    {']', ACTION_LATER, 1, NULL, NULL},
    {'{', ACTION_EARLIER, 10, NULL, NULL},
    {'}', ACTION_LATER, 10, NULL, NULL},
    {',', ACTION_STEP_TOKEN, -1, ", . ( ) B", "recording: by one token, speed, from the beginning"},
    {'.', ACTION_STEP_TOKEN, 1, NULL, NULL},
    {'(', ACTION_SPEED, -1, NULL, NULL},
    {')', ACTION_SPEED, 1, NULL, NULL},
    {'B', ACTION_BEGIN, 0, NULL, NULL},
    {'m', ACTION_METRIC, 0, "m", "measure of links: p50, p99, loss, waits"},
    {'+', ACTION_SLOWER, 0, "+ -", "longer, shorter interval"},
    {'-', ACTION_FASTER, 0, NULL, NULL},
    {'r', ACTION_RESET, 0, "r", "clear the past, restart the counts"},
    {'s', ACTION_SAVE, 0, "s", "save what is shown as JSON"},
    {'q', ACTION_QUIT, 0, "q F10", "quit"},
    {KEY_IS_F10, ACTION_QUIT, 0, NULL, NULL},
    {3, ACTION_QUIT, 0, NULL, NULL}, /* Ctrl-C, where the terminal gives it as a character */
};
const int key_binding_count = sizeof key_bindings / sizeof *key_bindings;

const struct key_binding *key_find(uint32_t key)
{
    for (int i = 0; i < key_binding_count; i++)
        if (key_bindings[i].key == key)
            return &key_bindings[i];
    return NULL;
}
