#include "train_curve.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "axis.h"
#include "mesh/program/replace_file.h"
#include "mesh/program/text_decode.h"
#include "train_series.h"

/* All in pixels. Positions of lines are written in tenths of a pixel. */
enum {
    WIDTH = 900,
    HEIGHT = 500,
    LEFT = 70,
    TOP = 88,
    BOTTOM = 440,
    MARGIN = 28,         /* on the right, without an axis */
    MARGIN_OF_AXIS = 84, /* with one */
    TENTHS = 10,
    LEGEND_LINE = 26,
    LEGEND_GAP = 20,
    LETTER = 7 /* average width at 13 pixels, rounded up */
};

enum { TICKS_X = 10, TICKS_Y = 9, TICKS_RATE = 5, TITLE_MAX = 80, DOTTED_MAX = 50, SMOOTH_MAX = 300, RATE_MAX = 120, LOSS_TEXT_MAX = 32 };

/* Colours that also differ in lightness, and that no colour blindness confuses. */
#define INK         "#1f2328"
#define INK_FAINT   "#6e7781"
#define GRID        "#e4e7eb"
#define COLOUR_RAW  "#9cc3e6"
#define COLOUR_LOSS "#0b5394"
#define COLOUR_HELD "#d1570a"
#define COLOUR_RATE "#a0a7ae"

struct curve {
    struct train_series loss, smooth, held_out, rate; /* smooth is empty when there is too little to smooth */
    size_t reach;                                     /* of the smoothing */
    double last_loss, last_held_out;                  /* -1: none */
    struct axis x, y, y_rate;
    bool has_rate;
    int right; /* where the plot ends */
};

/* ---- what is shown ---- */

static void release(struct curve *curve)
{
    train_series_release(&curve->loss);
    train_series_release(&curve->smooth);
    train_series_release(&curve->held_out);
    train_series_release(&curve->rate);
}

static int take_series(struct curve *curve, const struct train_record *record, size_t count)
{
    if (train_series_take(&curve->loss, record, count, TRAIN_LOSS) < 0 ||
        train_series_take(&curve->held_out, record, count, TRAIN_HELD_OUT) < 0 ||
        train_series_take(&curve->rate, record, count, TRAIN_RATE) < 0)
        return -1;
    curve->last_loss = curve->last_held_out = -1;
    curve->reach = train_series_reach(curve->loss.count);
    if (curve->reach > 0 && train_series_smooth(&curve->loss, curve->reach, SMOOTH_MAX, &curve->smooth) < 0)
        return -1;
    if (curve->smooth.count > 0)
        curve->last_loss = curve->smooth.points[curve->smooth.count - 1].value;
    else if (curve->loss.count > 0)
        curve->last_loss = curve->loss.points[curve->loss.count - 1].value;
    if (curve->held_out.count > 0)
        curve->last_held_out = curve->held_out.points[curve->held_out.count - 1].value;
    train_series_thin(&curve->loss, TRAIN_CURVE_POINTS_MAX);
    train_series_thin(&curve->held_out, TRAIN_CURVE_DOTS_MAX);
    train_series_thin(&curve->rate, RATE_MAX);
    return 0;
}

static void widen(const struct train_series *series, double *low, double *high)
{
    for (size_t i = 0; i < series->count; i++) {
        *low = series->points[i].value < *low ? series->points[i].value : *low;
        *high = series->points[i].value > *high ? series->points[i].value : *high;
    }
}

static void choose_axes(struct curve *curve, const struct train_record *record, size_t count)
{
    double low = 1e39, high = -1e39, rate_low = 0, rate_high = 0;

    widen(&curve->loss, &low, &high);
    widen(&curve->held_out, &low, &high);
    widen(&curve->rate, &rate_low, &rate_high);
    axis_init(&curve->x, 0, count > 0 ? (double)record[count - 1].step : 1, TICKS_X, false, 0);
    axis_init(&curve->y, low <= high ? low : 0, low <= high ? high : 1, TICKS_Y, true, INT32_MIN);
    axis_init(&curve->y_rate, rate_low, rate_high, TICKS_RATE, true, INT32_MIN);
    curve->has_rate = rate_high > 0;
    curve->right = WIDTH - (curve->has_rate ? MARGIN_OF_AXIS : MARGIN);
}

/* ---- text ---- */

/* Is this a character that XML can hold? */
static bool is_xml(uint32_t c)
{
    return c != TEXT_DECODE_INVALID && c >= 0x20 && !(c >= 0x7f && c < 0xa0) && c != 0xfffe && c != 0xffff;
}

/* At most characters_max of the text, then an ellipsis. */
static void put_text(FILE *out, const char *text, size_t characters_max)
{
    size_t size = strlen(text), length;

    for (size_t i = 0; size > 0; i++, text += length, size -= length) {
        uint32_t c;

        if (i == characters_max) {
            fputs("\xe2\x80\xa6", out);
            return;
        }
        length = text_decode(text, size, &c);
        if (!is_xml(c))
            fputs("\xef\xbf\xbd", out);
        else if (c == '<' || c == '>' || c == '&' || c == '"')
            fprintf(out, "&#%d;", (int)c);
        else
            fwrite(text, 1, length, out);
    }
}

/* A value of a loss with three digits after the point; -1 when it is too large for that. */
static int print_loss(double value, char out[LOSS_TEXT_MAX])
{
    if (!(value >= 0 && value < 1e6))
        return -1;

    const int64_t thousandths = (int64_t)(value * 1000 + 0.5);

    snprintf(out, LOSS_TEXT_MAX, "%" PRId64 ".%03d", thousandths / 1000, (int)(thousandths % 1000));
    return 0;
}

/* ---- drawing ---- */

static int place_x(const struct curve *curve, double step)
{
    return LEFT * TENTHS + axis_place(&curve->x, step, (curve->right - LEFT) * TENTHS);
}

static int place_y(const struct axis *axis, double value)
{
    return BOTTOM * TENTHS - axis_place(axis, value, (BOTTOM - TOP) * TENTHS);
}

static void put_tenths(FILE *out, int tenths)
{
    fprintf(out, "%d", tenths / TENTHS);
    if (tenths % TENTHS != 0)
        fprintf(out, ".%d", tenths % TENTHS);
}

static void put_line(FILE *out, const struct curve *curve, const struct train_series *series, const struct axis *axis, const char *style)
{
    if (series->count < 2)
        return;
    fprintf(out, "<polyline fill=\"none\" stroke-linejoin=\"round\" %s points=\"", style);
    for (size_t i = 0; i < series->count; i++) {
        if (i > 0)
            fputc(' ', out);
        put_tenths(out, place_x(curve, series->points[i].step));
        fputc(',', out);
        put_tenths(out, place_y(axis, series->points[i].value));
    }
    fputs("\"/>\n", out);
}

/* Zero-length lines with round ends. */
static void put_dots(FILE *out, const struct curve *curve, const struct train_series *series, const char *colour, int size)
{
    if (series->count == 0)
        return;
    fprintf(out, "<path stroke=\"%s\" stroke-width=\"%d\" stroke-linecap=\"round\" d=\"", colour, size);
    for (size_t i = 0; i < series->count; i++) {
        fputc('M', out);
        put_tenths(out, place_x(curve, series->points[i].step));
        fputc(' ', out);
        put_tenths(out, place_y(&curve->y, series->points[i].value));
        fputs("h0", out);
    }
    fputs("\"/>\n", out);
}

static void put_grid(FILE *out, const struct curve *curve)
{
    fputs("<path stroke=\"" GRID "\" d=\"", out);
    for (int64_t tick = curve->y.first; tick <= curve->y.last; tick++) {
        fprintf(out, "M%d ", LEFT);
        put_tenths(out, place_y(&curve->y, axis_tick(&curve->y, tick)));
        fprintf(out, "H%d", curve->right);
    }
    fputs("\"/>\n", out);
}

static void put_ticks_x(FILE *out, const struct curve *curve)
{
    char label[AXIS_LABEL_MAX];

    fprintf(out, "<g fill=\"" INK "\" text-anchor=\"middle\">\n");
    for (int64_t tick = curve->x.first; tick <= curve->x.last; tick++) {
        const int x = place_x(curve, axis_tick(&curve->x, tick));

        fputs("<path stroke=\"" INK "\" d=\"M", out);
        put_tenths(out, x);
        fprintf(out, " %dv5\"/><text x=\"", BOTTOM);
        put_tenths(out, x);
        axis_label(&curve->x, tick, label);
        fprintf(out, "\" y=\"%d\">%s</text>\n", BOTTOM + 20, label);
    }
    fprintf(out, "<text x=\"%d\" y=\"%d\">training step</text>\n</g>\n", (LEFT + curve->right) / 2, BOTTOM + 44);
}

static void put_ticks_y(FILE *out, const struct axis *axis, int x, const char *anchor, const char *colour)
{
    char label[AXIS_LABEL_MAX];

    fprintf(out, "<g fill=\"%s\" text-anchor=\"%s\">\n", colour, anchor);
    for (int64_t tick = axis->first; tick <= axis->last; tick++) {
        axis_label(axis, tick, label);
        fprintf(out, "<text x=\"%d\" y=\"", x);
        put_tenths(out, place_y(axis, axis_tick(axis, tick)) + 45);
        fprintf(out, "\">%s</text>\n", label);
    }
    fputs("</g>\n", out);
}

static void put_axis_title(FILE *out, int x, int turn, const char *colour, const char *text)
{
    fprintf(out, "<text transform=\"translate(%d %d) rotate(%d)\" fill=\"%s\" text-anchor=\"middle\">%s</text>\n", x, (TOP + BOTTOM) / 2,
            turn, colour, text);
}

static void put_axes(FILE *out, const struct curve *curve)
{
    put_ticks_x(out, curve);
    put_ticks_y(out, &curve->y, LEFT - 8, "end", INK);
    put_axis_title(out, 22, -90, INK, "loss (nats per token)");
    if (curve->has_rate) {
        put_ticks_y(out, &curve->y_rate, curve->right + 8, "start", INK_FAINT);
        put_axis_title(out, WIDTH - 18, 90, INK_FAINT, "learning rate");
    }
    fprintf(out, "<path fill=\"none\" stroke=\"" INK "\" d=\"M%d %dV%dH%d\"/>\n", LEFT, TOP, BOTTOM, curve->right);
}

/* Returns where the next entry begins. */
static int put_legend_entry(FILE *out, int x, const char *style, const char *text)
{
    const int y = TOP - 24;

    fprintf(out, "<path fill=\"none\" %s d=\"M%d %dh%d\"/><text x=\"%d\" y=\"%d\" fill=\"" INK "\">%s</text>\n", style, x, y, LEGEND_LINE,
            x + LEGEND_LINE + 6, y + 5, text);
    return x + LEGEND_LINE + 6 + (int)strlen(text) * LETTER + LEGEND_GAP;
}

static const char style_raw[] = "stroke=\"" COLOUR_RAW "\"";
static const char style_smooth[] = "stroke=\"" COLOUR_LOSS "\" stroke-width=\"2\"";
static const char style_held_out[] = "stroke=\"" COLOUR_HELD "\" stroke-width=\"1.5\"";
static const char style_rate[] = "stroke=\"" COLOUR_RATE "\" stroke-dasharray=\"5 4\"";

/* A line's name, with its last value. */
static void name_line(char *out, size_t size, const char *name, double last)
{
    char value[LOSS_TEXT_MAX];

    if (print_loss(last, value) == 0)
        snprintf(out, size, "%s (last %s)", name, value);
    else
        snprintf(out, size, "%s", name);
}

static void put_legend(FILE *out, const struct curve *curve)
{
    char name[64], text[128];
    int x = LEFT;

    if (curve->smooth.count > 0) {
        x = put_legend_entry(out, x, style_raw, "training loss");
        snprintf(name, sizeof name, "mean of %zu steps", 2 * curve->reach + 1);
    } else {
        snprintf(name, sizeof name, "training loss");
    }
    name_line(text, sizeof text, name, curve->last_loss);
    x = put_legend_entry(out, x, style_smooth, text);
    if (curve->held_out.count > 0) {
        fprintf(out, "<path stroke=\"" COLOUR_HELD "\" stroke-width=\"7\" stroke-linecap=\"round\" d=\"M%d %dh0\"/>\n", x + LEGEND_LINE / 2,
                TOP - 24);
        name_line(text, sizeof text, "held-out loss", curve->last_held_out);
        x = put_legend_entry(out, x, style_held_out, text);
    }
    if (curve->has_rate)
        put_legend_entry(out, x, style_rate, "learning rate");
}

static void put_picture(FILE *out, const struct curve *curve, const char *title)
{
    const bool is_smoothed = curve->smooth.count > 0;

    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" role=\"img\" "
            "font-family=\"Helvetica, Arial, 'DejaVu Sans', sans-serif\" font-size=\"13\">\n<title>",
            WIDTH, HEIGHT, WIDTH, HEIGHT);
    put_text(out, title, TITLE_MAX);
    fprintf(out, "</title>\n<rect width=\"%d\" height=\"%d\" rx=\"6\" fill=\"#ffffff\"/>\n", WIDTH, HEIGHT);
    put_grid(out, curve);
    if (curve->has_rate)
        put_line(out, curve, &curve->rate, &curve->y_rate, style_rate);
    put_line(out, curve, &curve->loss, &curve->y, is_smoothed ? style_raw : style_smooth);
    if (curve->loss.count <= DOTTED_MAX)
        put_dots(out, curve, &curve->loss, COLOUR_LOSS, 5);
    put_line(out, curve, &curve->smooth, &curve->y, style_smooth);
    put_line(out, curve, &curve->held_out, &curve->y, style_held_out);
    put_dots(out, curve, &curve->held_out, COLOUR_HELD, 7);
    put_axes(out, curve);
    fprintf(out, "<text x=\"%d\" y=\"38\" font-size=\"18\" font-weight=\"bold\" fill=\"" INK "\">", LEFT);
    put_text(out, title, TITLE_MAX);
    fputs("</text>\n", out);
    put_legend(out, curve);
    fputs("</svg>\n", out);
}

/* ---- the file ---- */

static int write_file(const char *text, size_t size, const char *path, struct fail *fail)
{
    struct replace_file file;

    assert(size <= TRAIN_CURVE_BYTES_MAX);
    if (replace_file_open(&file, path, fail) < 0)
        return -1;
    return replace_file_end(&file, replace_file_write(&file, text, size, fail), fail);
}

/* The picture in memory; NULL when there is none. The caller frees it. */
static char *draw(struct curve *curve, const struct train_record *record, size_t count, const char *title, size_t *size)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, size);
    bool is_whole;

    if (out == NULL)
        return NULL;
    is_whole = take_series(curve, record, count) == 0;
    if (is_whole) {
        choose_axes(curve, record, count);
        put_picture(out, curve, title);
    }
    is_whole = !ferror(out) && is_whole;
    if (fclose(out) != 0 || !is_whole) {
        free(text);
        return NULL;
    }
    return text;
}

int train_curve_write(const struct train_record *record, size_t count, const char *title, const char *path, struct fail *fail)
{
    struct curve curve = {0};
    size_t size;
    char *text = draw(&curve, record, count, title, &size);
    int result;

    if (text == NULL)
        result = fail_set(fail, EXIT_ENVIRONMENT, "%s: no memory for a picture of %zu steps: close other programs", path, count);
    else
        result = write_file(text, size, path, fail);
    release(&curve);
    free(text);
    return result;
}
