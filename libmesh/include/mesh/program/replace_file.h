/* A file written under another name and renamed when it is complete, so that a broken write loses nothing.
 *
 * What exists at the path stays until replace_file_commit, and its mode is kept. A path that is no regular file (a device, a pipe) is
 * written directly. A symbolic link stays one: its target is written, even if it does not exist yet. A signal that ends the process
 * (SIGINT, SIGTERM, SIGHUP) removes what was begun, unless the program handles the signal itself.
 * All errors are EXIT_ENVIRONMENT and name the path. One thread. */
#ifndef MESH_PROGRAM_REPLACE_FILE_H
#define MESH_PROGRAM_REPLACE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mesh/program/fail.h"

struct replace_file {
    char *path;      /* owned; where symbolic links lead */
    char *temporary; /* owned; NULL when written directly */
    int descriptor;
};

int replace_file_open(struct replace_file *file, const char *path, struct fail *fail);
int replace_file_write(struct replace_file *file, const void *data, size_t size, struct fail *fail);

/* Wait until what was written is on the disk, so that after a power failure the path has the old file or all of the new one. */
int replace_file_sync(struct replace_file *file, struct fail *fail);

/* Whether both names are those of one regular file, by whichever links, or would be once it is written: writing one would replace the
 * other. */
bool replace_file_is_same(const char *path, const char *other);

/* Any of these ends it; commit also after a failure of its own. replace_file_end commits what was written with result 0; else it abandons
 * that and returns the result. */
int replace_file_commit(struct replace_file *file, struct fail *fail);
void replace_file_abandon(struct replace_file *file);
int replace_file_end(struct replace_file *file, int result, struct fail *fail);

#endif
