/* The help text and the suggestions of the option parser. */
#include "mesh/program/options.h"

#include <assert.h>
#include <string.h>

enum { LEFT_MAX = 30, TEXT_MAX = 48 };

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;

    return least < c ? least : c;
}

/* Optimal string alignment distance; longer texts than TEXT_MAX are compared by their beginning. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t rows[3][TEXT_MAX + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    size_t a_length = strnlen(a, TEXT_MAX), b_length = strnlen(b, TEXT_MAX);

    for (size_t j = 0; j <= b_length; j++)
        above[j] = before[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t *oldest = before;

        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            row[j] = smallest(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < row[j])
                row[j] = before[j - 2] + 1;
        }
        before = above;
        above = row;
        row = oldest;
    }
    return above[b_length];
}

const char *options_nearest(const char *text, const char *const *words)
{
    size_t length = strnlen(text, TEXT_MAX);
    size_t best = length < 3 ? 1 : length / 3 + 1; /* farther is not meant */
    const char *nearest = NULL;
    const char *longer = NULL;

    for (size_t i = 0; words[i]; i++) {
        size_t distance = edit_distance(text, words[i]);

        if (distance < best || (distance == best && !nearest)) {
            best = distance;
            nearest = words[i];
        }
        if (length >= 2 && !longer && strncmp(words[i], text, length) == 0)
            longer = words[i];
    }
    return longer && (!nearest || best > 1) ? longer : nearest;
}

static void join_words(const char *const *words, char *out, size_t size)
{
    size_t used = 0;

    for (size_t i = 0; words[i] && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%s", i > 0 ? "|" : "", words[i]);
}

/* "-n, --name VALUE"; returns its width. */
static size_t left_column(const struct option_spec *spec, char *out, size_t size)
{
    char value[160] = "";
    int width;

    if (spec->metavar) {
        snprintf(value, sizeof value, " %s", spec->metavar);
    } else if (spec->kind == OPTION_WORD) {
        value[0] = ' ';
        join_words(spec->words, value + 1, sizeof value - 1);
    } else if (option_metavar(spec)) {
        snprintf(value, sizeof value, " %s", option_metavar(spec));
    }
    if (spec->short_name)
        width = snprintf(out, size, "-%c, --%s%s", spec->short_name, spec->name, value);
    else
        width = snprintf(out, size, "    --%s%s", spec->name, value);
    assert(width > 0 && (size_t)width < size);
    return (size_t)width;
}

/* Words of text from column `column` on, broken before OPTIONS_HELP_COLUMNS; the cursor stands at `column`. */
static void print_wrapped(FILE *out, const char *text, size_t column)
{
    size_t at = column;

    while (*text != '\0') {
        size_t length = strcspn(text, " ");

        if (at > column && at + 1 + length > OPTIONS_HELP_COLUMNS) {
            fprintf(out, "\n%*s", (int)column, "");
            at = column;
        } else if (at > column) {
            fputc(' ', out);
            at++;
        }
        fprintf(out, "%.*s", (int)length, text);
        at += length;
        text += length + strspn(text + length, " ");
    }
    fputc('\n', out);
}

static void print_options(FILE *out, const struct option_spec *specs, size_t spec_count)
{
    char left[240];
    size_t widest = 0;

    for (size_t i = 0; i < spec_count; i++) {
        size_t width = specs[i].help ? left_column(&specs[i], left, sizeof left) : 0;

        if (width > widest && width <= LEFT_MAX)
            widest = width;
    }
    for (size_t i = 0; i < spec_count; i++) {
        size_t width;

        if (!specs[i].help)
            continue;
        width = left_column(&specs[i], left, sizeof left);
        if (width > widest)
            fprintf(out, "  %s\n%*s", left, (int)widest + 4, "");
        else
            fprintf(out, "  %-*s", (int)widest + 2, left);
        print_wrapped(out, specs[i].help, widest + 4);
    }
}

void options_help(FILE *out, const char *const *usage, const struct option_spec *specs, size_t spec_count, const char *const *examples)
{
    for (size_t i = 0; usage[i]; i++)
        fprintf(out, "%s %s\n", i == 0 ? "usage:" : "      ", usage[i]);
    if (spec_count > 0)
        fputc('\n', out);
    print_options(out, specs, spec_count);
    if (!examples || !examples[0])
        return;
    fputs("\nexamples:\n", out);
    for (size_t i = 0; examples[i]; i++)
        fprintf(out, "  %s\n", examples[i]);
}
