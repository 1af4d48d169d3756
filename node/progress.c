#include "progress.h"

#include <time.h>
#include <unistd.h>

#include "log.h"

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
    const double now = now_s();

    if (!progress->is_terminal || now - progress->started_s < WAIT_S || now - progress->shown_s < INTERVAL_S)
        return false;
    progress->shown_s = now;
    return true;
}

void progress_end(struct progress *progress)
{
    if (progress->shown_s > 0)
        log_part("\r\033[K");
    progress->shown_s = 0;
}
