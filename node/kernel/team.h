/* A team of threads that share the tasks of one piece of work at a time; the calling thread works, too.
 *
 * Which thread gets which task is not determined, so tasks must write different memory. Between two works the members yield for a moment,
 * then sleep. One caller. */
#ifndef NODE_TEAM_H
#define NODE_TEAM_H

#include <stddef.h>
#include <stdint.h>

#include "mesh/program/fail.h"

struct team;

enum { TEAM_THREADS_MAX = 256 };

/* Threads compute by the rules of kernel_thread_init; so does the caller afterwards. NULL with fail set. */
struct team *team_open(uint16_t threads, struct fail *fail);
void team_close(struct team *team); /* NULL is fine */
uint16_t team_threads(const struct team *team);

/* work(app, task, thread) for every task < count, thread < team_threads; returns when all have returned. */
void team_run(struct team *team, size_t count, void (*work)(void *app, size_t task, uint16_t thread), void *app);

#endif
