/* A progress line on stderr, if that is a terminal and the work takes over a second.
 *
 *     progress_begin(&p); ... if (progress_is_due(&p)) fprintf(stderr, "\rloading: %3.0f %% ", percent); ... progress_end(&p); */
#ifndef NODE_PROGRESS_H
#define NODE_PROGRESS_H

#include <stdbool.h>

struct progress {
    double started_s;
    double shown_s; /* when it was last due; 0: never */
    bool is_terminal;
};

void progress_begin(struct progress *progress);
double progress_elapsed_s(const struct progress *progress);

/* True at most five times a second; the caller then writes the line, beginning with a carriage return. */
bool progress_is_due(struct progress *progress);

/* Clear the line. */
void progress_end(struct progress *progress);

#endif
