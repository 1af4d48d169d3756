/* What a program says on stderr, line by line.
 *
 * Between say_start and say_end a thread of its own writes, so that nobody waits for whoever reads: a pipe that is full, a terminal that is
 * stopped, a disk that hangs stop that thread alone. Lines for which there is no room then are dropped, and once there is room again it is
 * said how many. Before and after that, as in programs which never start it, a line is written by who says it. One of it in a process. */
#ifndef NODE_SAY_H
#define NODE_SAY_H

#include <stdarg.h>

#include "mesh/program/fail.h"

enum {
    SAY_LINE_BYTES = 2048,   /* with its end; what is longer is cut */
    SAY_ROOM_BYTES = 65536,  /* of lines that wait */
    SAY_END_NS = 1000000000, /* say_end goes without what nobody has taken for so long */
};

/* fd: where to, usually STDERR_FILENO; borrowed. -1 with fail set: no thread is to be had. */
int say_start(int fd, struct fail *fail);

/* When no other thread says anything any more: what waits is written, or nobody takes it. Does nothing where it has not been started. */
void say_end(void);

/* A line, without its end. Any thread; never waits while it is started. */
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);
void say_list(const char *format, va_list list);

/* Text without an end of line, for progress on a terminal: dropped without a word where there is no room. */
__attribute__((format(printf, 1, 2))) void say_part(const char *format, ...);

#endif
