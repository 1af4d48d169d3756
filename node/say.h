/* Log lines of a program on stderr.
 *
 * Between say_start and say_end a thread of its own writes, so that no other thread waits for the reader: a full pipe, a stopped terminal
 * or a hanging disk blocks that thread alone. Lines without room are dropped, and a line gives their number once there is room again.
 * Before and after that, as in programs which never start it, the calling thread writes. One per process. */
#ifndef NODE_SAY_H
#define NODE_SAY_H

#include <stdarg.h>

#include "mesh/program/fail.h"

enum {
    SAY_LINE_BYTES = 2048,   /* including the newline; longer lines are cut */
    SAY_ROOM_BYTES = 65536,  /* for waiting lines */
    SAY_END_NS = 1000000000, /* say_end discards lines that nobody has read for this long */
};

/* fd: the output, usually STDERR_FILENO; borrowed. -1 with fail set: no thread can be started. */
int say_start(int fd, struct fail *fail);

/* When no other thread calls say any more: returns when waiting lines are written, or nobody reads them. Does nothing if not started. */
void say_end(void);

/* A line, without its newline. Any thread; never waits while started. */
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);
void say_list(const char *format, va_list list);

/* Text without a newline, for progress on a terminal: dropped silently if there is no room. */
__attribute__((format(printf, 1, 2))) void say_part(const char *format, ...);

#endif
