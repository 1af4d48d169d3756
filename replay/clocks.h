/* The clocks of the traces that a command compares or plays together (mesh/trace_clocks.h). */
#ifndef REPLAY_CLOCKS_H
#define REPLAY_CLOCKS_H

#include "command.h"

#include "mesh/trace_clocks.h"

/* Relate the clocks of count traces, at least one; traces: the open ones, or NULL: each is opened for that. On stderr: which of them could
 * only be related by wall clocks. -1 after fail_set. */
int clocks_align(const char *const *paths, struct mesh_trace *const *traces, size_t count, struct mesh_trace_clock *aligned,
                 struct fail *fail);

#endif
