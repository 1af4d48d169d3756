/* A progress line on stderr, if that is a terminal and the work takes over a second.
 *
 *     progress_begin(&p); ... progress_show(&p, "loading: %3.0f %%", percent); ... progress_end(&p); */
#ifndef MESH_PROGRAM_PROGRESS_H
#define MESH_PROGRAM_PROGRESS_H

#include <stdbool.h>

#define PROGRESS_CLEAR "\r\033[K" /* the line that the cursor is in */

struct progress {
    double started_s;
    double shown_s; /* when it was last due; 0: never */
    bool is_terminal;
};

void progress_begin(struct progress *progress);
double progress_elapsed_s(const struct progress *progress);

/* True at most five times a second; the caller then writes the line, beginning with a carriage return. */
bool progress_is_due(struct progress *progress);

/* Write the line if it is due, cut to the width of the terminal. The cursor goes back to its beginning, so that what is printed before the
 * end goes over it. */
__attribute__((format(printf, 2, 3))) void progress_show(struct progress *progress, const char *format, ...);

/* Forget the line without clearing it. True: one was shown, and the caller has to write PROGRESS_CLEAR. */
bool progress_stop(struct progress *progress);

/* Clear the line. */
void progress_end(struct progress *progress);

#endif
