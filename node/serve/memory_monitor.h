/* Available memory and memory held by this process, polled every two seconds by a thread of its own: on a machine with thousands of mounts
 * or control groups the system takes tens of milliseconds to answer. */
#ifndef NODE_MEMORY_MONITOR_H
#define NODE_MEMORY_MONITOR_H

#include <stdint.h>

#include "mesh/program/fail.h"

struct memory_monitor;

/* Looks for the first time, then starts the thread. NULL with fail set. */
struct memory_monitor *memory_monitor_open(struct fail *fail);
void memory_monitor_close(struct memory_monitor *monitor); /* NULL is fine */

/* The last values of memory_available_bytes and memory_held_bytes, both of one moment. Any thread; never waits. */
void memory_monitor_last(struct memory_monitor *monitor, uint64_t *available_bytes, uint64_t *held_bytes);

#endif
