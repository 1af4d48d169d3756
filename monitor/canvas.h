/* A rectangle of cells, each one character and its style, that panels are drawn on.
 *
 * Pure memory: the screen shows it, batch mode prints it, tests compare it. Everything is drawn into an area of it, with coordinates that
 * begin at the area's corner; what lies outside of the area or the canvas is cut off, so no caller needs to look whether it fits. */
#ifndef MONITOR_CANVAS_H
#define MONITOR_CANVAS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "glyph.h"
#include "theme.h"

enum { CANVAS_WIDTH_MAX = 1000, CANVAS_HEIGHT_MAX = 500 };

struct cell {
    char glyph[GLYPH_BYTES];
    uint8_t style;
};

struct canvas {
    int width, height;
    enum glyph_level level;
    struct cell *cells; /* (height, width), owned */
};

struct area {
    int x, y, width, height; /* none below 0 */
};

/* Sizes above the limits are cut to them. 0, or -1: no memory. */
int canvas_init(struct canvas *canvas, int width, int height, enum glyph_level level);
void canvas_release(struct canvas *canvas);

void canvas_clear(struct canvas *canvas);

/* Text of one line from (x, y) on; the columns it would take. Formatted text is cut at 511 bytes. */
int canvas_text(struct canvas *canvas, struct area area, int x, int y, enum style style, const char *text);
__attribute__((format(printf, 6, 7))) int canvas_print(struct canvas *canvas, struct area area, int x, int y, enum style style,
                                                       const char *format, ...);
/* So that it ends before column x_end. */
void canvas_text_right(struct canvas *canvas, struct area area, int x_end, int y, enum style style, const char *text);

/* The same with a mark at its end where it is cut off. */
int canvas_text_cut(struct canvas *canvas, struct area area, int x, int y, enum style style, const char *text);
/* Text over the lines of the area, broken between words where it can be; what does not fit is cut off. The lines it would take. */
int canvas_text_wrapped(struct canvas *canvas, struct area area, enum style style, const char *text);

void canvas_put(struct canvas *canvas, struct area area, int x, int y, enum style style, uint32_t code);
void canvas_fill(struct canvas *canvas, struct area area, enum style style, uint32_t code);

/* Change the style of all cells of the area; of those that are STYLE_NORMAL only. */
void canvas_restyle(struct canvas *canvas, struct area area, enum style style);
void canvas_restyle_normal(struct canvas *canvas, struct area area, enum style style);

/* A line is the selected one: what has a style of its own keeps it before another background. */
void canvas_select(struct canvas *canvas, struct area area);

/* A line with the name of what is below it, over the whole width of the area's first line. */
void canvas_rule(struct canvas *canvas, struct area area, const char *name);

/* The part of an area below its first lines, or of some columns; never negative. */
struct area area_below(struct area area, int lines);
struct area area_part(struct area area, int x, int y, int width, int height);

/* The canvas as text, lines without spaces at their end, and each with a newline. */
void canvas_write(const struct canvas *canvas, FILE *out);

#endif
