#include "table.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static int used(const int widths[], int count)
{
    int sum = 0;

    for (int i = 0; i < count; i++)
        sum += widths[i] > 0 ? widths[i] + 1 : 0;
    return sum > 0 ? sum - 1 : 0;
}

/* The least important of the shown columns; -1: the others are always shown. */
static int least_important(const struct table_column *columns, int count, const int widths[])
{
    int least = -1;

    for (int i = 0; i < count; i++)
        if (widths[i] > 0 && columns[i].importance > (least < 0 ? 0 : columns[least].importance - 1))
            least = i;
    return least;
}

void table_fit(const struct table_column *columns, int count, int width, int widths[])
{
    int spare, least;
    bool grows = true;

    assert(count <= TABLE_COLUMNS_MAX);
    for (int i = 0; i < count; i++)
        widths[i] = columns[i].width;
    while (used(widths, count) > width && (least = least_important(columns, count, widths)) >= 0)
        widths[least] = 0;
    for (spare = width - used(widths, count); spare > 0 && grows;) {
        grows = false;
        for (int i = 0; i < count && spare > 0; i++)
            if (widths[i] > 0 && widths[i] < columns[i].width + columns[i].stretch) {
                widths[i]++;
                spare--;
                grows = true;
            }
    }
}

void table_text(const struct table_cell *cell, bool is_number, enum style style, const char *text)
{
    if (is_number)
        canvas_text_right(cell->canvas, cell->area, cell->area.width, 0, style, text);
    else
        canvas_text_cut(cell->canvas, cell->area, 0, 0, style, text);
}

void table_head(struct canvas *canvas, struct area area, const struct table_column *columns, int count, const int widths[], int sorted,
                bool is_inverted)
{
    int x = 0;

    canvas_fill(canvas, area_part(area, 0, 0, area.width, 1), STYLE_HEADING, ' ');
    for (int i = 0; i < count; i++) {
        const struct table_cell cell = {canvas, area_part(area, x, 0, widths[i], 1), STYLE_HEADING};
        char title[TABLE_TEXT_BYTES];

        if (widths[i] == 0)
            continue;
        snprintf(title, sizeof title, "%s%s", columns[i].title, i != sorted ? "" : is_inverted ? "▲" : "▼");
        if (i == sorted)
            canvas_fill(canvas, cell.area, STYLE_SORTED, ' ');
        table_text(&cell, columns[i].is_number, i == sorted ? STYLE_SORTED : STYLE_HEADING, title);
        x += widths[i] + 1;
    }
}

void table_row(struct canvas *canvas, struct area area, const struct table_column *columns, int count, const int widths[], const void *row,
               enum style style)
{
    int x = 0;

    for (int i = 0; i < count; i++) {
        const struct table_cell cell = {canvas, area_part(area, x, 0, widths[i], 1), style};

        if (widths[i] == 0)
            continue;
        if (columns[i].draw != NULL)
            columns[i].draw(row, &cell);
        else
            table_text(&cell, columns[i].is_number, style, columns[i].text(row));
        x += widths[i] + 1;
    }
}

/* Does a come before b? */
static bool is_before(const struct table_column *column, bool is_inverted, const void *a, const void *b)
{
    double order;

    if (column->key != NULL) {
        const double x = column->key(a), y = column->key(b);

        if (isnan(x) || isnan(y))
            return !isnan(x) && isnan(y);
        order = (x > y) - (x < y);
    } else {
        const int compared = strcmp(column->text(a), column->text(b));

        order = (compared > 0) - (compared < 0);
    }
    if (column->is_number != is_inverted)
        order = -order;
    return order < 0;
}

void table_sort(const struct table_column *column, bool is_inverted, const void **rows, int count)
{
    for (int i = 1; i < count; i++) {
        const void *row = rows[i];
        int at = i;

        for (; at > 0 && is_before(column, is_inverted, row, rows[at - 1]); at--)
            rows[at] = rows[at - 1];
        rows[at] = row;
    }
}
