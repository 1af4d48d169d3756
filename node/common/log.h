/* Log lines of a program on stderr.
 *
 * Between log_start and log_stop a thread of its own writes, so that no other thread waits for the reader: a full pipe, a stopped terminal
 * or a hanging disk blocks that thread alone. Lines without room are dropped, and a line gives their number once there is room again.
 * Before and after that, as in programs which never start it, the calling thread writes. One per process. */
#ifndef NODE_LOG_H
#define NODE_LOG_H

#include <stdarg.h>

#include "mesh/program/fail.h"

enum {
    LOG_LINE_BYTES = 2048,    /* including the newline; longer lines are cut */
    LOG_ROOM_BYTES = 65536,   /* for waiting lines */
    LOG_STOP_NS = 1000000000, /* log_stop discards lines that nobody has read for this long */
};

/* fd: the output, usually STDERR_FILENO; borrowed. -1 with fail set: no thread can be started. */
int log_start(int fd, struct fail *fail);

/* When no other thread calls log_line any more: returns when waiting lines are written, or nobody reads them. Does nothing if not
 * started. */
void log_stop(void);

/* A line, without its newline. Any thread; never waits while started. */
__attribute__((format(printf, 1, 2))) void log_line(const char *format, ...);
void log_line_list(const char *format, va_list list);

/* Text without a newline, for progress on a terminal: dropped silently if there is no room. */
__attribute__((format(printf, 1, 2))) void log_part(const char *format, ...);

#endif
