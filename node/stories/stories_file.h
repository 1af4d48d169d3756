/* A file of stories: the corpus that the project's own model is trained on.
 *
 * Stories stand in the order of their index, STORIES_SEPARATOR between them, a newline at the end; so a file of more stories begins with
 * the file of fewer. The same seed and count give the same bytes on any machine. */
#ifndef NODE_STORIES_FILE_H
#define NODE_STORIES_FILE_H

#include <stdint.h>

#include "mesh/program/fail.h"

/* Write `count` stories, at least one, to the file, replacing what is at path only once it is complete, or to stdout when path is "-".
 * Progress on stderr when that is a terminal and it takes over a second. EXIT_ENVIRONMENT when writing fails. */
int stories_file_write(const char *path, uint64_t seed, uint64_t count, struct fail *fail);

#endif
