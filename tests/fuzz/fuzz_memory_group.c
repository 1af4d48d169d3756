/* Any text as the files from which a node reads the memory limit of its control group, of both versions: there is none, or it is one that
 * can be.
 *
 * Input: texts with a byte 255 between them, of the files in this order: mountinfo, cgroup, memory.max, memory.current, memory.stat. The
 * last three are in the folders /g, /g/a and /g/a/b, and under the names of version 1, too. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/common/memory_group.h"
#include "tests/fuzz/fuzz_input.h"

enum { TEXTS = 5, PATH_BYTES = 100 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint64_t limit_bytes_max = UINT64_C(1) << 62;
static char root[64], paths[TEXTS][PATH_BYTES];
static const char *const folders[] = {"proc", "proc/self", "g", "g/a", "g/a/b"};
static const char *const names[TEXTS] = {"proc/self/mountinfo", "proc/self/cgroup", "max", "current", "stat"};
static const struct {
    const char *name, *file;
} links[] = {{"memory.max", "max"},
             {"memory.limit_in_bytes", "max"},
             {"memory.current", "current"},
             {"memory.usage_in_bytes", "current"},
             {"memory.stat", "stat"}};
enum { FOLDERS = sizeof folders / sizeof *folders, LINKS = sizeof links / sizeof *links, GROUPS_FROM = 2 };

static void stop(void)
{
    char path[PATH_BYTES];

    for (int i = 0; i < TEXTS; i++)
        unlink(paths[i]);
    for (int folder = FOLDERS - 1; folder >= 0; folder--) {
        for (int i = 0; i < LINKS; i++) {
            snprintf(path, sizeof path, "%s/%s/%s", root, folders[folder], links[i].name);
            unlink(path);
        }
        snprintf(path, sizeof path, "%s/%s", root, folders[folder]);
        rmdir(path);
    }
    rmdir(root);
}

static void start(void)
{
    char path[PATH_BYTES], file[PATH_BYTES];

    snprintf(root, sizeof root, "%s/fuzz_memory_group.XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    require(mkdtemp(root) != NULL);
    for (int i = 0; i < TEXTS; i++)
        snprintf(paths[i], sizeof paths[i], "%s/%s", root, names[i]);
    for (int folder = 0; folder < FOLDERS; folder++) {
        snprintf(path, sizeof path, "%s/%s", root, folders[folder]);
        require(mkdir(path, 0700) == 0);
        for (int i = 0; folder >= GROUPS_FROM && i < LINKS; i++) {
            snprintf(path, sizeof path, "%s/%s/%s", root, folders[folder], links[i].name);
            snprintf(file, sizeof file, "%s/%s", root, links[i].file);
            require(symlink(file, path) == 0);
        }
    }
    atexit(stop);
}

/* A file is missing where the input has no more texts. */
static void store(const char *path, const uint8_t *text, size_t size)
{
    const int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    require(file >= 0 && write(file, text, size) == (ssize_t)size);
    close(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t left;

    if (root[0] == '\0')
        start();
    for (int i = 0; i < TEXTS; i++) {
        const uint8_t *end = size > 0 ? memchr(data, 255, size) : NULL;
        const size_t bytes = end != NULL ? (size_t)(end - data) : size;

        unlink(paths[i]);
        if (bytes > 0 || end != NULL)
            store(paths[i], data, bytes);
        data += bytes + (end != NULL);
        size -= bytes + (end != NULL);
    }
    left = memory_group_bytes(root);
    require(left == UINT64_MAX || left <= limit_bytes_max);
    return 0;
}
