/* Watches the model's file while a node uses it. Whoever copies another model over it, instead of renaming one into its place, changes what
 * the node reads, and so its answers, without an error.
 *
 * A thread of its own looks every two seconds: the disk may hang. */
#ifndef NODE_MODEL_MONITOR_H
#define NODE_MODEL_MONITOR_H

#include <stdbool.h>

#include "node/gguf/gguf.h"

struct model_monitor;

/* gguf: opened by gguf_open; borrowed. NULL with fail set. */
struct model_monitor *model_monitor_open(const struct gguf *gguf, struct fail *fail);
void model_monitor_close(struct model_monitor *monitor); /* NULL is fine */

/* -1 with fail set: the file is not the model any more. Any thread; never waits. NULL is fine. */
int model_monitor_check(const struct model_monitor *monitor, struct fail *fail);

#endif
