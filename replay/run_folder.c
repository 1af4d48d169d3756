#include "run_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ENTRY_SIZE_AT = 16, ENTRY_NAME_AT = 19 }; /* in a directory entry of the kernel: man 2 getdents */

int run_folder_make(char *folder, size_t capacity, struct fail *fail)
{
    const char *place = getenv("TMPDIR");
    const int size = snprintf(folder, capacity, "%s/mesh-replay.XXXXXX", place != NULL ? place : "/tmp");

    if (size >= (int)capacity)
        errno = ENAMETOOLONG;
    else if (mkdtemp(folder) != NULL)
        return 0;
    fail_set(fail, EXIT_ENVIRONMENT, "%s: cannot be made: %s: set TMPDIR to another folder", folder, strerror(errno));
    folder[0] = '\0';
    return -1;
}

/* In place of opendir and readdir, which allocate: a signal may have interrupted malloc. Returns how many were removed. */
static unsigned remove_entries(int directory)
{
    static char entries[8192];
    unsigned count = 0;
    long got;

    while ((got = syscall(SYS_getdents64, directory, entries, sizeof entries)) > 0)
        for (long at = 0; at < got;) {
            uint16_t size;

            memcpy(&size, entries + at + ENTRY_SIZE_AT, sizeof size);
            count += unlinkat(directory, entries + at + ENTRY_NAME_AT, 0) == 0; /* not "." and "..", which are folders */
            at += size;
        }
    return count;
}

void run_folder_remove(const char *folder)
{
    const int directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    while (directory >= 0 && remove_entries(directory) > 0)
        lseek(directory, 0, SEEK_SET); /* some are skipped while others are removed */
    if (directory >= 0)
        close(directory);
    rmdir(folder);
}
