#include "axis.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Values that differ by less than 10^EXPONENT_MIN count as equal; labels longer than PLAIN_DIGITS_MAX digits, or with more zeros after the
 * point than PLAIN_ZEROS_MAX, are written with an exponent. */
enum { EXPONENT_MIN = -60, PLAIN_DIGITS_MAX = 7, PLAIN_ZEROS_MAX = 4, DIGITS_MAX = 21 };

/* Fraction of a unit by which a value may lie beyond a tick and still count as on it: 0.001 as a float does. */
#define SLACK 1e-6

static double power_of_ten(int exponent)
{
    double power = 1;

    for (int i = 0; i < (exponent < 0 ? -exponent : exponent); i++)
        power *= 10;
    return exponent < 0 ? 1 / power : power;
}

static int64_t floor_of(double x)
{
    const int64_t whole = (int64_t)x;

    return (double)whole > x ? whole - 1 : whole;
}

static void choose_unit(struct axis *axis, int intervals_max, int exponent_min)
{
    static const int digits[] = {1, 2, 5};

    for (int exponent = exponent_min;; exponent++) {
        for (int i = 0; i < 3; i++) {
            axis->digit = digits[i];
            axis->exponent = exponent;
            axis->unit = digits[i] * power_of_ten(exponent);
            if (axis->unit * (intervals_max + SLACK) >= axis->high - axis->low)
                return;
        }
    }
}

void axis_init(struct axis *axis, double low, double high, int intervals_max, bool to_ticks, int exponent_min)
{
    assert(low > -1e39 && low < 1e39 && high > -1e39 && high < 1e39 && intervals_max > 0);
    axis->low = low;
    axis->high = high;
    /* Adjacent floats differ by more than this. */
    if (!(high - low > 1e-9 * (high < 0 ? -high : high)) || !(high - low > power_of_ten(EXPONENT_MIN))) {
        const double middle = (low + high) / 2, size = middle < 0 ? -middle : middle;
        const double half = size < 1e-30 ? 0.5 : size / 10;

        axis->low = middle - half;
        axis->high = middle + half;
    }
    choose_unit(axis, intervals_max, exponent_min > EXPONENT_MIN ? exponent_min : EXPONENT_MIN);
    axis->first = to_ticks ? floor_of(axis->low / axis->unit + SLACK) : -floor_of(SLACK - axis->low / axis->unit);
    axis->last = to_ticks ? -floor_of(SLACK - axis->high / axis->unit) : floor_of(axis->high / axis->unit + SLACK);
    if (to_ticks) {
        axis->low = axis_tick(axis, axis->first);
        axis->high = axis_tick(axis, axis->last);
    }
}

double axis_tick(const struct axis *axis, int64_t tick)
{
    return (double)tick * axis->unit;
}

/* digits, of which the last stands for 10^exponent */
static void print_plain(const char *digits, int count, int exponent, char *out)
{
    const int before = count + exponent; /* digits before the point */

    if (exponent >= 0)
        snprintf(out, AXIS_LABEL_MAX, "%s%.*s", digits, exponent, "0000000000");
    else if (before > 0)
        snprintf(out, AXIS_LABEL_MAX, "%.*s.%s", before, digits, digits + before);
    else
        snprintf(out, AXIS_LABEL_MAX, "0.%.*s%s", -before, "0000000000", digits);
}

static void print_with_exponent(char *digits, int count, int exponent, char *out)
{
    const int leading = exponent + count - 1;

    while (count > 1 && digits[count - 1] == '0')
        digits[--count] = '\0';
    snprintf(out, AXIS_LABEL_MAX, "%c%s%.20se%d", digits[0], count > 1 ? "." : "", digits + 1, leading);
}

void axis_label(const struct axis *axis, int64_t tick, char out[AXIS_LABEL_MAX])
{
    const int64_t value = tick * axis->digit;
    char digits[DIGITS_MAX];
    char *text = out;
    int count;

    if (value == 0) {
        memcpy(out, "0", 2);
        return;
    }
    if (value < 0)
        *text++ = '-';
    count = snprintf(digits, sizeof digits, "%lld", (long long)(value < 0 ? -value : value));
    if (count + axis->exponent > PLAIN_DIGITS_MAX || count + axis->exponent < -PLAIN_ZEROS_MAX + 1)
        print_with_exponent(digits, count, axis->exponent, text);
    else
        print_plain(digits, count, axis->exponent, text);
}

int axis_place(const struct axis *axis, double value, int length)
{
    const double share = (value - axis->low) / (axis->high - axis->low);

    if (!(share > 0))
        return 0;
    return share < 1 ? (int)(share * length + 0.5) : length;
}
