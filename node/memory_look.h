/* Available memory and memory held by this process, polled every two seconds by a thread of its own: on a machine with thousands of mounts
 * or control groups the system takes tens of milliseconds to answer. */
#ifndef NODE_MEMORY_LOOK_H
#define NODE_MEMORY_LOOK_H

#include <stdint.h>

#include "mesh/program/fail.h"

struct memory_look;

/* Looks for the first time, then starts the thread. NULL with fail set. */
struct memory_look *memory_look_open(struct fail *fail);
void memory_look_close(struct memory_look *look); /* NULL is fine */

/* The last values of memory_available_bytes and memory_held_bytes, both of one moment. Any thread; never waits. */
void memory_look_last(struct memory_look *look, uint64_t *available_bytes, uint64_t *held_bytes);

#endif
