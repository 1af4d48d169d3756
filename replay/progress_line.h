/* The progress line of the command: what it does, on stderr, if that is a terminal and it takes over a second.
 *
 * It is there from progress_line_begin to progress_line_end, which comes before the command prints what it has found. It belongs to the
 * thread that begins it; on others all of these do nothing. */
#ifndef REPLAY_PROGRESS_LINE_H
#define REPLAY_PROGRESS_LINE_H

#include <stdint.h>

/* doing: "verify"; borrowed until the end. */
void progress_line_begin(const char *doing);

/* So much of it is done: in per cent, or in seconds if total is 0. Any number of times. */
void progress_line_at(const char *part, uint64_t done, uint64_t total);

/* For mesh_trace_watch: a trace is being read. Not shown once it is known how much is done. */
void progress_line_read(void *unused);

/* Before something is printed, after which it may come again; and before all that is printed. Do nothing where there is none. */
void progress_line_clear(void);
void progress_line_end(void);

#endif
