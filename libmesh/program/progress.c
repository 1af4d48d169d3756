/* When a progress line is due, and how it is written and cleared. */
#include "mesh/program/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
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

/* A line that goes on in the next one could not be cleared. Each byte is taken for a column, which is too many for some characters. */
static void cut(char *text, size_t bytes)
{
    struct winsize size;
    const size_t columns = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80;
    size_t end = columns - 1;

    if (bytes <= end)
        return;
    while (end > 0 && ((unsigned char)text[end] & 0xc0) == 0x80)
        end--;
    text[end] = '\0';
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
    cut(text, strlen(text));
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
