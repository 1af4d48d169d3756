/* Rows of traces that are not as they were recorded. */
#ifndef REPLAY_CHECKS_H
#define REPLAY_CHECKS_H

#include <inttypes.h>

#include "command.h"

/* Name them on stderr, the first ones of each trace, and count them all. -1 after fail_set: a trace cannot be read. */
int checks_tell(const char *const *paths, size_t count, uint64_t *faults, struct fail *fail);

/* Count them in an open trace. */
int checks_count(const char *path, struct mesh_trace *trace, uint64_t *faults, struct fail *fail);

#endif
