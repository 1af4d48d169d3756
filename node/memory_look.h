/* How much memory there is and how much this process holds, looked at every two seconds by a thread of its own: on a machine with thousands
 * of mounts or control groups the system takes tens of milliseconds to say it. */
#ifndef NODE_MEMORY_LOOK_H
#define NODE_MEMORY_LOOK_H

#include <stdint.h>

#include "mesh/program/fail.h"

struct memory_look;

/* Looks for the first time, then starts the thread. NULL with fail set. */
struct memory_look *memory_look_open(struct fail *fail);
void memory_look_close(struct memory_look *look); /* NULL is fine */

/* As it was at one moment, as memory_available_bytes and memory_held_bytes say it. Any thread; waits for nothing. */
void memory_look_last(struct memory_look *look, uint64_t *available_bytes, uint64_t *held_bytes);

#endif
