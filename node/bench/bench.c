#include "bench.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/program/progress.h"
#include "node/common/memory_text.h"

void bench_add(struct bench_series *series, double value)
{
    assert(series->count < BENCH_RUNS_MAX);
    series->value[series->count++] = value;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

struct bench_stat bench_stat_of(const struct bench_series *series)
{
    double sorted[BENCH_RUNS_MAX];
    size_t n = series->count;

    if (n == 0)
        return (struct bench_stat){0};
    memcpy(sorted, series->value, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, compare);
    return (struct bench_stat){
        .median = n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2,
        .min = sorted[0],
        .max = sorted[n - 1],
        .runs = n,
    };
}

static struct bench_series ratios_of(const struct bench_series *above, const struct bench_series *below)
{
    struct bench_series ratio = {.count = 0};

    assert(above->count == below->count);
    for (size_t i = 0; i < above->count; i++)
        if (below->value[i] > 0.0)
            bench_add(&ratio, above->value[i] / below->value[i]);
    return ratio;
}

struct bench_stat bench_ratio_of(const struct bench_series *above, const struct bench_series *below)
{
    const struct bench_series ratio = ratios_of(above, below);

    return bench_stat_of(&ratio);
}

/* How many of n values on either side lie outside the median's bounds: the most such that no more than these lie on that side of the true
 * median with a probability of at most 2.5 %. */
static size_t outside_of(size_t n)
{
    double chance = ldexp(1, -(int)n), sum = chance; /* of no value below the median */
    size_t k = 0;

    while (k < n && sum <= 0.025) {
        chance *= (double)(n - k) / (double)(k + 1);
        sum += chance;
        k++;
    }
    return k > 0 ? k - 1 : 0;
}

struct bench_stat bench_stat_bounds(const struct bench_series *series)
{
    struct bench_series sorted = *series;
    struct bench_stat stat = bench_stat_of(series);
    const size_t outside = outside_of(sorted.count);

    if (sorted.count == 0)
        return stat;
    qsort(sorted.value, sorted.count, sizeof *sorted.value, compare);
    stat.min = sorted.value[outside];
    stat.max = sorted.value[sorted.count - 1 - outside];
    return stat;
}

struct bench_stat bench_ratio_bounds(const struct bench_series *above, const struct bench_series *below)
{
    const struct bench_series ratio = ratios_of(above, below);

    return bench_stat_bounds(&ratio);
}

/* ---- rows ---- */

void bench_label_text(struct bench_row *row, const char *key, const char *text)
{
    assert(row->labels < BENCH_LABELS_MAX);
    row->label[row->labels++] = (struct bench_label){.key = key, .text = text};
}

void bench_label_number(struct bench_row *row, const char *key, uint64_t number)
{
    assert(row->labels < BENCH_LABELS_MAX);
    row->label[row->labels++] = (struct bench_label){.key = key, .number = number};
}

void bench_value(struct bench_row *row, const char *key, const char *column, int decimals, struct bench_stat stat)
{
    assert(row->values < BENCH_VALUES_MAX);
    row->value[row->values++] = (struct bench_value){.key = key, .column = column, .decimals = decimals, .stat = stat};
}

/* null in JSON: nothing could be measured. */
static double known(const struct bench_value *value, double number)
{
    return value->stat.runs > 0 ? number : NAN;
}

static void print_json(struct json *json, const struct bench_row *row)
{
    char key[64];

    json_event_begin(json, row->event);
    for (size_t i = 0; i < row->labels; i++) {
        const struct bench_label *label = &row->label[i];

        if (label->text != NULL)
            json_text(json, label->key, label->text);
        else
            json_uint(json, label->key, label->number);
    }
    for (size_t i = 0; i < row->values; i++) {
        const struct bench_value *value = &row->value[i];

        json_double(json, value->key, known(value, value->stat.median));
        snprintf(key, sizeof key, "%s_min", value->key);
        json_double(json, key, known(value, value->stat.min));
        snprintf(key, sizeof key, "%s_max", value->key);
        json_double(json, key, known(value, value->stat.max));
    }
    json_uint(json, "runs", row->values == 0 ? 0 : row->value[0].stat.runs);
    json_event_end(json);
}

static void print_line(const struct bench_row *row)
{
    char range[64], text[96];

    printf("  %-24s", row->name);
    for (size_t i = 0; i < row->values; i++) {
        const struct bench_value *v = &row->value[i];

        snprintf(range, sizeof range, " (%.*f-%.*f)", v->decimals, v->stat.min, v->decimals, v->stat.max);
        if (v->stat.runs > 0)
            snprintf(text, sizeof text, "%.*f %s%s", v->decimals, v->stat.median, v->column, v->stat.runs > 1 ? range : "");
        else
            snprintf(text, sizeof text, "- %s", v->column);
        printf("  %-*s", i + 1 == row->values ? 0 : v->stat.runs > 1 ? 30 : 20, text);
    }
    putchar('\n');
    fflush(stdout);
}

static void end_progress(struct bench *bench)
{
    if (bench->shows_progress)
        fputs(PROGRESS_CLEAR, stderr);
}

void bench_print(struct bench *bench, const struct bench_row *row)
{
    bench->rows++;
    end_progress(bench);
    if (bench->is_json)
        print_json(&bench->json, row);
    else
        print_line(row);
}

void bench_heading(struct bench *bench, const char *text)
{
    end_progress(bench);
    if (!bench->is_json)
        printf("\n%s\n", text);
}

void bench_skip(struct bench *bench, const char *part, const char *reason)
{
    bench->skipped++;
    end_progress(bench);
    if (!bench->is_json) {
        printf("  %s: skipped: %s\n", part, reason);
        return;
    }
    json_event_begin(&bench->json, "skipped");
    json_text(&bench->json, "part", part);
    json_text(&bench->json, "reason", reason);
    json_event_end(&bench->json);
}

void bench_progress(struct bench *bench, const char *text)
{
    if (bench->shows_progress)
        fprintf(stderr, "\r\033[K%s ...", text);
}

bool bench_has_memory(struct bench *bench, const char *part, uint64_t bytes)
{
    uint64_t available = memory_available_bytes();
    char needed_text[MEMORY_TEXT_BYTES], available_text[MEMORY_TEXT_BYTES], reason[128];

    if (bytes <= available)
        return true;
    memory_text(bytes, needed_text);
    memory_text(available, available_text);
    snprintf(reason, sizeof reason, "needs %s of memory, %s is available", needed_text, available_text);
    bench_skip(bench, part, reason);
    return false;
}
