#include "format.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* About three digits, never "1000". */
static void print(double value, const char *unit, char out[FORMAT_BYTES])
{
    snprintf(out, FORMAT_BYTES, "%.*f%s", fabs(value) < 9.995 ? 2 : fabs(value) < 99.95 ? 1 : 0, value, unit);
}

struct unit {
    double size;
    const char *name;
};

static void print_in(double value, const struct unit *units, char out[FORMAT_BYTES])
{
    if (!isfinite(value)) {
        snprintf(out, FORMAT_BYTES, "-");
        return;
    }
    while (units->size > 1 && fabs(value) < units->size * 0.9995)
        units++;
    if (units->size <= 1 && value == floor(value))
        snprintf(out, FORMAT_BYTES, "%.0f%s", value, units->name);
    else
        print(value / units->size, units->name, out);
}

void format_time_us(double us, char out[FORMAT_BYTES])
{
    static const struct unit units[] = {{1e6, " s"}, {1e3, " ms"}, {1, " µs"}};

    print_in(us >= 10 && us < 999.5 ? round(us) : us, units, out);
}

void format_bytes(double bytes, char out[FORMAT_BYTES])
{
    static const struct unit units[] = {{1e12, " TB"}, {1e9, " GB"}, {1e6, " MB"}, {1e3, " kB"}, {1, " B"}};

    print_in(bytes, units, out);
}

void format_count(double count, char out[FORMAT_BYTES])
{
    static const struct unit units[] = {{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e4, "k"}, {1, ""}};

    if (isfinite(count) && fabs(count) >= 9995 && fabs(count) < 1e6)
        print(count / 1e3, "k", out);
    else
        print_in(count, units, out);
}

void format_speed(double per_s, char out[FORMAT_BYTES])
{
    if (isfinite(per_s) && per_s != 0 && fabs(per_s) < 99.95)
        snprintf(out, FORMAT_BYTES, "%.*f", fabs(per_s) < 0.995 ? 2 : 1, per_s);
    else
        format_count(round(per_s), out);
}

void format_fraction(double fraction, char out[FORMAT_BYTES])
{
    const double percent = fraction * 100;

    if (!isfinite(percent))
        snprintf(out, FORMAT_BYTES, "-");
    else if (percent == 0)
        snprintf(out, FORMAT_BYTES, "0");
    else
        snprintf(out, FORMAT_BYTES, "%.*f %%", percent < 0.995 ? 2 : percent < 9.95 ? 1 : 0, percent);
}

void format_age_s(double seconds, char out[FORMAT_BYTES])
{
    static const struct unit units[] = {{86400, " d"}, {3600, " h"}, {60, " min"}, {1, " s"}};
    const struct unit *unit = units;

    while (unit->size > 1 && seconds < 2 * unit->size)
        unit++;
    if (isfinite(seconds) && seconds >= 0 && seconds < 1e15)
        snprintf(out, FORMAT_BYTES, "%.0f%s", floor(seconds / unit->size), unit->name);
    else
        snprintf(out, FORMAT_BYTES, "-");
}

static void print_time(int64_t wall_ns, const char *format, char out[FORMAT_BYTES])
{
    const time_t seconds = (time_t)(wall_ns / 1000000000);
    struct tm local;

    if (localtime_r(&seconds, &local) == NULL || strftime(out, FORMAT_BYTES, format, &local) == 0)
        snprintf(out, FORMAT_BYTES, "-");
}

void format_clock(int64_t wall_ns, char out[FORMAT_BYTES])
{
    print_time(wall_ns, "%H:%M:%S", out);
}

void format_date(int64_t wall_ns, char out[FORMAT_BYTES])
{
    print_time(wall_ns, "%m-%d %H:%M:%S", out);
}

void format_moment(int64_t wall_ns, char out[FORMAT_BYTES])
{
    char text[FORMAT_BYTES];

    print_time(wall_ns, "%Y-%m-%d %H:%M:%S", text);
    snprintf(out, FORMAT_BYTES, "%.19s.%03u", text, (unsigned)(wall_ns / 1000000 % 1000) % 1000);
}

bool format_is_same_day(int64_t wall_ns, int64_t other_wall_ns)
{
    char day[FORMAT_BYTES], other[FORMAT_BYTES];

    print_time(wall_ns, "%Y-%m-%d", day);
    print_time(other_wall_ns, "%Y-%m-%d", other);
    return strcmp(day, other) == 0;
}

void format_when(int64_t wall_ns, int64_t now_wall_ns, char out[FORMAT_BYTES])
{
    if (format_is_same_day(wall_ns, now_wall_ns))
        format_clock(wall_ns, out);
    else
        format_date(wall_ns, out);
}
