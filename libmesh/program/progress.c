/* When a progress line is due, and how it is written and cleared. */
#include "mesh/program/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static const double WAIT_S = 1, INTERVAL_S = 0.2;

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void progress_begin(struct progress *progress)
{
    *progress = (struct progress){.started_s = now_s(), .is_terminal = isatty(STDERR_FILENO) == 1};
}

double progress_elapsed_s(const struct progress *progress)
{
    return now_s() - progress->started_s;
}

bool progress_is_due(struct progress *progress)
{
    double now;

    if (!progress->is_terminal)
        return false;
    now = now_s();
    if (now - progress->started_s < WAIT_S || now - progress->shown_s < INTERVAL_S)
        return false;
    progress->shown_s = now;
    return true;
}

void progress_show(struct progress *progress, const char *format, ...)
{
    char text[200];
    va_list list;

    if (!progress_is_due(progress))
        return;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    fprintf(stderr, PROGRESS_CLEAR "%s\r", text);
}

bool progress_stop(struct progress *progress)
{
    const bool was_shown = progress->shown_s > 0;

    progress->shown_s = 0;
    return was_shown;
}

void progress_end(struct progress *progress)
{
    if (progress_stop(progress))
        fputs(PROGRESS_CLEAR, stderr);
}
