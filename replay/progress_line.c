#include "progress_line.h"

#include <stdbool.h>
#include <stddef.h>

#include "mesh/program/progress.h"

/* Ranks that are played read their traces on threads of their own. */
static _Thread_local struct {
    struct progress progress;
    const char *doing; /* NULL: nothing */
    bool has_total;
} line;

void progress_line_begin(const char *doing)
{
    line.doing = doing;
    line.has_total = false;
    progress_begin(&line.progress);
}

void progress_line_at(const char *part, uint64_t done, uint64_t total)
{
    if (line.doing == NULL)
        return;
    line.has_total |= total > 0;
    if (total > 0)
        progress_show(&line.progress, "%s: %s: %3.0f %%", line.doing, part, 100.0 * (double)(done < total ? done : total) / (double)total);
    else
        progress_show(&line.progress, "%s: %s: %.0f s", line.doing, part, progress_elapsed_s(&line.progress));
}

void progress_line_read(void *unused)
{
    (void)unused;
    if (!line.has_total)
        progress_line_at("reading", 0, 0);
}

void progress_line_clear(void)
{
    if (line.doing != NULL)
        progress_end(&line.progress);
}

void progress_line_end(void)
{
    progress_line_clear();
    line.doing = NULL;
}
