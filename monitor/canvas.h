/* A rectangle of cells, each a character with its style, on which panels are drawn.
 *
 * Pure memory: the screen shows it, batch mode prints it, tests compare it. Everything is drawn into an area of it, with coordinates
 * relative to the area's corner; what lies outside of the area or the canvas is cut off, so callers need not check sizes. */
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
    int x, y, width, height; /* never below 0 */
};

/* Sizes above the limits are cut to them. 0, or -1: no memory. */
int canvas_init(struct canvas *canvas, int width, int height, enum glyph_level level);
void canvas_release(struct canvas *canvas);

void canvas_clear(struct canvas *canvas);

/* One line of text from (x, y) on; returns the columns that all of it takes. Formatted text is cut at 511 bytes. */
int canvas_text(struct canvas *canvas, struct area area, int x, int y, enum style style, const char *text);
__attribute__((format(printf, 6, 7))) int canvas_print(struct canvas *canvas, struct area area, int x, int y, enum style style,
                                                       const char *format, ...);
/* Text that ends before column x_end. */
void canvas_text_right(struct canvas *canvas, struct area area, int x_end, int y, enum style style, const char *text);

/* Like canvas_text, with a mark at the end of a text that is cut off. */
int canvas_text_cut(struct canvas *canvas, struct area area, int x, int y, enum style style, const char *text);
/* Text over the lines of the area, broken between words where possible; what does not fit is cut off, with a mark at the end. Returns the
 * lines that all of it takes. */
int canvas_text_wrapped(struct canvas *canvas, struct area area, enum style style, const char *text);

void canvas_put(struct canvas *canvas, struct area area, int x, int y, enum style style, uint32_t code);
void canvas_fill(struct canvas *canvas, struct area area, enum style style, uint32_t code);

/* Change the style of all cells of the area; or only of those that are STYLE_NORMAL. */
void canvas_restyle(struct canvas *canvas, struct area area, enum style style);
void canvas_restyle_normal(struct canvas *canvas, struct area area, enum style style);

/* Show a line as selected: text with a style of its own keeps it, on another background. */
void canvas_select(struct canvas *canvas, struct area area);

/* A heading: a line with a name, over the whole width of the area's first line. */
void canvas_rule(struct canvas *canvas, struct area area, const char *name);

/* The part of an area below its first lines, or of some columns; never negative. */
struct area area_below(struct area area, int lines);
struct area area_part(struct area area, int x, int y, int width, int height);

/* The canvas as text: lines without trailing spaces, each with a newline. */
void canvas_write(const struct canvas *canvas, FILE *out);

#endif
