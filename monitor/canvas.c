#include "canvas.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static int least(int a, int b)
{
    return a < b ? a : b;
}

static int most(int a, int b)
{
    return a > b ? a : b;
}

int canvas_init(struct canvas *canvas, int width, int height, enum glyph_level level)
{
    assert(width >= 0 && height >= 0);
    *canvas = (struct canvas){.width = least(width, CANVAS_WIDTH_MAX), .height = least(height, CANVAS_HEIGHT_MAX), .level = level};
    canvas->cells = malloc(sizeof *canvas->cells * (size_t)most(canvas->width * canvas->height, 1));
    if (canvas->cells == NULL)
        return -1;
    canvas_clear(canvas);
    return 0;
}

void canvas_release(struct canvas *canvas)
{
    free(canvas->cells);
    canvas->cells = NULL;
}

void canvas_clear(struct canvas *canvas)
{
    for (int i = 0; i < canvas->width * canvas->height; i++)
        canvas->cells[i] = (struct cell){" ", STYLE_NORMAL};
}

/* NULL: outside of the area, or of the canvas. */
static struct cell *cell_at(const struct canvas *canvas, struct area area, int x, int y)
{
    if (x < 0 || y < 0 || x >= area.width || y >= area.height)
        return NULL;
    x += area.x;
    y += area.y;
    return x < canvas->width && y < canvas->height ? &canvas->cells[y * canvas->width + x] : NULL;
}

void canvas_put(struct canvas *canvas, struct area area, int x, int y, enum style style, uint32_t code)
{
    struct cell *cell = cell_at(canvas, area, x, y);

    if (cell == NULL)
        return;
    glyph_show(code, canvas->level, cell->glyph);
    cell->style = (uint8_t)style;
}

int canvas_text(struct canvas *canvas, struct area area, int x, int y, enum style style, const char *text)
{
    const int begin = x;

    while (*text != '\0')
        canvas_put(canvas, area, x++, y, style, glyph_next(&text));
    return x - begin;
}

int canvas_text_cut(struct canvas *canvas, struct area area, int x, int y, enum style style, const char *text)
{
    const int columns = canvas_text(canvas, area, x, y, style, text);

    if (x + columns > area.width && x < area.width)
        canvas_put(canvas, area, area.width - 1, y, style, 0x2026);
    return columns;
}

/* The columns of the text's first word, with the spaces before it. */
static int word_columns(const char *text)
{
    int columns = 0;

    while (*text == ' ')
        glyph_next(&text), columns++;
    while (*text != '\0' && *text != ' ')
        glyph_next(&text), columns++;
    return columns;
}

int canvas_text_wrapped(struct canvas *canvas, struct area area, enum style style, const char *text)
{
    int x = 0, y = 0, end = 0; /* end: of the area's last line */

    while (*text != '\0') {
        int columns = word_columns(text);

        if (x > 0 && x + columns > area.width) {
            end = y == area.height - 1 ? x : end;
            x = 0;
            y++;
            for (; *text == ' '; columns--)
                text++;
        }
        for (; columns > 0; columns--) {
            if (x == area.width) { /* a word longer than a line */
                end = y == area.height - 1 ? x : end;
                x = 0;
                y++;
            }
            canvas_put(canvas, area, x++, y, style, glyph_next(&text));
        }
    }
    if (y >= area.height)
        canvas_put(canvas, area, least(end, area.width - 1), area.height - 1, style, 0x2026);
    return y + 1;
}

int canvas_print(struct canvas *canvas, struct area area, int x, int y, enum style style, const char *format, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return canvas_text(canvas, area, x, y, style, text);
}

void canvas_text_right(struct canvas *canvas, struct area area, int x_end, int y, enum style style, const char *text)
{
    canvas_text(canvas, area, x_end - glyph_columns(text), y, style, text);
}

void canvas_fill(struct canvas *canvas, struct area area, enum style style, uint32_t code)
{
    for (int y = 0; y < area.height; y++)
        for (int x = 0; x < area.width; x++)
            canvas_put(canvas, area, x, y, style, code);
}

static void restyle(struct canvas *canvas, struct area area, enum style style, bool only_normal)
{
    for (int y = 0; y < area.height; y++)
        for (int x = 0; x < area.width; x++) {
            struct cell *cell = cell_at(canvas, area, x, y);

            if (cell != NULL && (!only_normal || cell->style == STYLE_NORMAL))
                cell->style = (uint8_t)style;
        }
}

void canvas_restyle(struct canvas *canvas, struct area area, enum style style)
{
    restyle(canvas, area, style, false);
}

void canvas_restyle_normal(struct canvas *canvas, struct area area, enum style style)
{
    restyle(canvas, area, style, true);
}

void canvas_select(struct canvas *canvas, struct area area)
{
    canvas_restyle_normal(canvas, area, STYLE_SELECTED);
    for (int y = 0; y < area.height; y++)
        for (int x = 0; x < area.width; x++) {
            struct cell *cell = cell_at(canvas, area, x, y);

            if (cell != NULL && cell->style != STYLE_SELECTED && cell->style < STYLES)
                cell->style = (uint8_t)(cell->style + STYLES);
        }
}

void canvas_rule(struct canvas *canvas, struct area area, const char *name)
{
    canvas_fill(canvas, area_part(area, 0, 0, area.width, 1), STYLE_FRAME, 0x2500);
    if (name[0] == '\0')
        return;
    canvas_put(canvas, area, 1, 0, STYLE_FRAME, ' ');
    canvas_put(canvas, area, 2 + canvas_text_cut(canvas, area, 2, 0, STYLE_FRAME, name), 0, STYLE_FRAME, ' ');
}

struct area area_part(struct area area, int x, int y, int width, int height)
{
    x = least(most(x, 0), area.width);
    y = least(most(y, 0), area.height);
    return (struct area){area.x + x, area.y + y, most(least(width, area.width - x), 0), most(least(height, area.height - y), 0)};
}

struct area area_below(struct area area, int lines)
{
    return area_part(area, 0, lines, area.width, area.height);
}

void canvas_write(const struct canvas *canvas, FILE *out)
{
    for (int y = 0; y < canvas->height; y++) {
        const struct cell *line = &canvas->cells[y * canvas->width];
        int end = canvas->width;

        while (end > 0 && strcmp(line[end - 1].glyph, " ") == 0)
            end--;
        for (int x = 0; x < end; x++)
            fputs(line[x].glyph, out);
        fputc('\n', out);
    }
}
