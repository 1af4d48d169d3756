/* Characters that the monitor draws with, at three levels of terminal capability.
 *
 * Everything is drawn with the richest characters; a canvas of a lower level substitutes plainer ones, column for column. Text from outside
 * (names, addresses, reasons) may hold any bytes: anything but a printable character of one column becomes '?'. */
#ifndef MONITOR_GLYPH_H
#define MONITOR_GLYPH_H

#include <stddef.h>
#include <stdint.h>

enum glyph_level {
    GLYPHS_ASCII, /* code points 32 to 126 */
    GLYPHS_BOX,   /* and what every font has: lines, shades, half blocks, Latin letters */
    GLYPHS_FULL   /* and eighths of blocks, braille */
};

enum { GLYPH_BYTES = 5 }; /* of one character in UTF-8, with its terminator */

/* The character at *text, which is not at its end: moves *text past it, and returns its code point; 0xfffd for invalid bytes. */
uint32_t glyph_next(const char **text);

/* The character as shown at that level, in UTF-8. */
void glyph_show(uint32_t code, enum glyph_level level, char out[GLYPH_BYTES]);

/* Columns that a text takes: one for each character. */
int glyph_columns(const char *text);

#endif
