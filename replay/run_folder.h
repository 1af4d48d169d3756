/* The folder of a replay: keys, traces and logs of the nodes that it starts. It has no subfolders. */
#ifndef REPLAY_RUN_FOLDER_H
#define REPLAY_RUN_FOLDER_H

#include <stddef.h>

#include "mesh/program/fail.h"

/* Create one below TMPDIR; folder gets its path, "" after -1. */
int run_folder_make(char *folder, size_t capacity, struct fail *fail);

/* Remove it with all that is in it. Async-signal-safe. */
void run_folder_remove(const char *folder);

#endif
