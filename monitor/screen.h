/* The terminal: shows a canvas, and gives keys and clicks. The only file that knows ncurses; without it nothing can be opened.
 *
 * Between screen_open and screen_close the program must not print on the terminal. One at a time. */
#ifndef MONITOR_SCREEN_H
#define MONITOR_SCREEN_H

#include "canvas.h"
#include "mesh/program/fail.h"

struct screen_config {
    bool no_colour, no_mouse;
};

enum screen_event { SCREEN_NOTHING, SCREEN_KEY, SCREEN_CLICK, SCREEN_WHEEL, SCREEN_RESIZED };

struct screen_input {
    enum screen_event event;
    uint32_t key; /* as in keys.h */
    int x, y, lines;
};

int screen_open(const struct screen_config *config, struct fail *fail);
void screen_close(void);

void screen_size(int *width, int *height);
void screen_show(const struct canvas *canvas);

/* The next input, or SCREEN_NOTHING; does not wait. */
struct screen_input screen_next(void);

/* The capability of the terminal and its locale; may be called without a screen. */
enum glyph_level screen_glyphs(void);

#endif
