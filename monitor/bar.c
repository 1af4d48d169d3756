#include "bar.h"

#include <math.h>
#include <stdbool.h>

static double clamp(double value, double low, double high)
{
    return !(value > low) ? low : value < high ? value : high;
}

void bar_split(struct canvas *canvas, struct area area, const struct bar_part *parts, int count)
{
    double sum = 0;
    int x = 0;

    for (int i = 0; i < count; i++) {
        int end;

        sum += clamp(parts[i].fraction, 0, 1);
        end = (int)lround(clamp(sum, 0, 1) * area.width);
        for (; x < end; x++)
            canvas_put(canvas, area, x, 0, parts[i].style, parts[i].code);
    }
}

int bar_curve_values(const struct canvas *canvas, int columns)
{
    return canvas->level == GLYPHS_FULL ? 2 * columns : columns;
}

/* A value's height in `steps` of the whole; a gap is -1. Any value above 0 shows. */
static int height_of(float value, float top, int steps)
{
    const int height = isfinite(value) && top > 0 ? (int)lround(clamp((double)value / (double)top, 0, 1) * steps) : 0;

    if (!isfinite(value))
        return -1;
    return height == 0 && value > 0 ? 1 : height;
}

/* Of one column of braille: dots from the bottom up, left and right. */
static uint32_t braille(int left, int right)
{
    static const uint8_t left_dots[] = {0, 0x40, 0x44, 0x46, 0x47}, right_dots[] = {0, 0x80, 0xa0, 0xb0, 0xb8};

    return 0x2800u + left_dots[(int)clamp(left, 0, 4)] + right_dots[(int)clamp(right, 0, 4)];
}

static void put_braille(struct canvas *canvas, struct area area, int x, enum style style, const float pair[2], float top)
{
    const int steps = 4 * area.height, left = height_of(pair[0], top, steps), right = height_of(pair[1], top, steps);

    for (int y = 0; y < area.height; y++) {
        const int below = 4 * (area.height - 1 - y);
        const uint32_t code = braille(left - below, right - below);

        if (code != 0x2800)
            canvas_put(canvas, area, x, y, style, code);
    }
}

static void put_column(struct canvas *canvas, struct area area, int x, enum style style, float value, float top)
{
    const int height = height_of(value, top, 8 * area.height);

    for (int y = 0; y < area.height; y++) {
        const int part = (int)clamp(height - 8 * (area.height - 1 - y), 0, 8);

        if (part > 0)
            canvas_put(canvas, area, x, y, style, 0x2580u + (uint32_t)part);
    }
}

static float greatest(const float *values, int count)
{
    float top = 0;

    for (int i = 0; i < count; i++)
        if (isfinite(values[i]) && values[i] > top)
            top = values[i];
    return top;
}

void bar_curve(struct canvas *canvas, struct area area, enum style style, const float *values, int count, float top)
{
    const int room = bar_curve_values(canvas, area.width);
    const int shown = count < room ? count : room;
    const bool is_braille = canvas->level == GLYPHS_FULL;

    values += count - shown;
    if (!(top > 0))
        top = greatest(values, shown);
    for (int x = 0; x < area.width; x++) {
        const int first = shown - room + (is_braille ? 2 * x : x);
        float pair[2];

        for (int i = 0; i < 2; i++)
            pair[i] = first + i >= 0 && first + i < shown ? values[first + i] : NAN;
        if (is_braille)
            put_braille(canvas, area, x, style, pair, top);
        else
            put_column(canvas, area, x, style, pair[0], top);
    }
}
