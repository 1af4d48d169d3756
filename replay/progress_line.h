/* The command's progress line: says on stderr what the command is doing, if that is a terminal and takes longer than a second.
 *
 * It may be shown from progress_line_begin to progress_line_end, which comes before the command prints what it has found. It belongs to the
 * thread that begins it; on other threads all of these functions do nothing. */
#ifndef REPLAY_PROGRESS_LINE_H
#define REPLAY_PROGRESS_LINE_H

#include <stdint.h>

/* doing: "verify"; borrowed until the end. */
void progress_line_begin(const char *doing);

/* `done` of `total` of this part is done, which is shown in per cent; total 0: not known, and the time so far is shown. As often as you
 * like: the line changes a few times a second. */
void progress_line_at(const char *part, uint64_t done, uint64_t total);

/* For mesh_trace_watch: a trace is being read. Shows nothing once progress_line_at was given a total, which says more. */
void progress_line_read(void *unused);

/* Remove the line before something else is printed: it may be shown again afterwards, or, after progress_line_end, not. Both do nothing
 * without a line. */
void progress_line_clear(void);
void progress_line_end(void);

#endif
