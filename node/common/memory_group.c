#include "memory_group.h"

#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 3 * PATH_MAX };

/* Version 1 writes the largest i64 that is a multiple of the kernel's page size for "no limit": any limit from this on is none. */
static const uint64_t limit_bytes_max = UINT64_C(1) << 62;

/* File names of the two versions. */
struct version {
    const char *limit, *used, *inactive, *active;
};

static const struct version version_1 = {"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", "total_active_file"};
static const struct version version_2 = {"memory.max", "memory.current", "inactive_file", "active_file"};

/* Where a hierarchy is mounted: a folder, which is the group `top`. */
struct mount {
    char top[PATH_MAX], folder[PATH_MAX];
};

static FILE *open_file(const char *root, const char *folder, const char *name)
{
    char path[3 * PATH_MAX];

    return snprintf(path, sizeof path, "%s%s/%s", root, folder, name) < (int)sizeof path ? fopen(path, "re") : NULL;
}

/* False if it does not exist, or is not a number, such as "max". */
static bool read_number(const char *root, const char *folder, const char *name, uint64_t *number)
{
    FILE *file = open_file(root, folder, name);
    const bool is_read = file != NULL && fscanf(file, "%" SCNu64, number) == 1;

    if (file != NULL)
        fclose(file);
    return is_read;
}

/* File pages, which are reclaimed when memory is needed. */
static uint64_t cached_bytes(const char *root, const char *folder, const struct version *version)
{
    FILE *file = open_file(root, folder, "memory.stat");
    char name[64];
    uint64_t value, sum = 0;

    if (file == NULL)
        return 0;
    while (fscanf(file, "%63s %" SCNu64, name, &value) == 2)
        if (strcmp(name, version->inactive) == 0 || strcmp(name, version->active) == 0)
            sum += value;
    fclose(file);
    return sum;
}

/* Of one group; UINT64_MAX: it has no limit. */
static uint64_t left_bytes(const char *root, const char *folder, const struct version *version)
{
    uint64_t limit, used, cached;

    if (!read_number(root, folder, version->limit, &limit) || limit > limit_bytes_max || !read_number(root, folder, version->used, &used))
        return UINT64_MAX;
    cached = cached_bytes(root, folder, version);
    used -= cached < used ? cached : used;
    return used < limit ? limit - used : 0;
}

/* Is the word one of a list with commas? */
static bool has_word(const char *list, const char *word)
{
    const size_t size = strlen(word);

    for (const char *at = list; (at = strstr(at, word)) != NULL; at += size)
        if ((at == list || at[-1] == ',') && (at[size] == ',' || at[size] == '\0' || at[size] == '\n'))
            return true;
    return false;
}

/* Spaces, tabs, newlines and backslashes of paths stand in mountinfo as \040, \011, \012 and \134; in place. */
static void decode(char *path)
{
    const char *from = path;

    while (*from != '\0')
        if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' && from[2] <= '7' && from[3] >= '0' && from[3] <= '7') {
            *path++ = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
            from += 4;
        } else {
            *path++ = *from++;
        }
    *path = '\0';
}

/* A line of mountinfo: "31 23 0:28 TOP FOLDER OPTIONS ... - TYPE SOURCE OPTIONS". */
static bool is_mount(const char *line, const struct version *version, struct mount *mount)
{
    const char *rest = strstr(line, " - ");
    char type[32], options[LINE_BYTES];

    _Static_assert(PATH_MAX == 4096, "the widths below");
    if (rest == NULL || sscanf(line, "%*s %*s %*s %4095s %4095s", mount->top, mount->folder) != 2 ||
        sscanf(rest, " - %31s %*s %12287s", type, options) != 2)
        return false;
    decode(mount->top);
    decode(mount->folder);
    return version == &version_2 ? strcmp(type, "cgroup2") == 0 : strcmp(type, "cgroup") == 0 && has_word(options, "memory");
}

static bool find_mount(const char *root, const struct version *version, struct mount *mount)
{
    FILE *file = open_file(root, "/proc/self", "mountinfo");
    char line[LINE_BYTES];
    bool is_found = false;

    while (file != NULL && !is_found && fgets(line, sizeof line, file) != NULL)
        is_found = is_mount(line, version, mount);
    if (file != NULL)
        fclose(file);
    return is_found;
}

/* The process's group: "4:memory:/PATH", or "0::/PATH" of version 2. */
static bool find_group(const char *root, const struct version *version, char group[PATH_MAX])
{
    FILE *file = open_file(root, "/proc/self", "cgroup");
    char line[LINE_BYTES];
    bool is_found = false;

    while (file != NULL && !is_found && fgets(line, sizeof line, file) != NULL) {
        char *words = strchr(line, ':'), *path = words != NULL ? strchr(words + 1, ':') : NULL;

        if (path == NULL)
            continue;
        *path++ = '\0';
        path[strcspn(path, "\n")] = '\0';
        is_found = version == &version_2 ? strncmp(line, "0:", 2) == 0 && words[1] == '\0' : has_word(words + 1, "memory");
        if (is_found)
            snprintf(group, PATH_MAX, "%.4095s", path);
    }
    if (file != NULL)
        fclose(file);
    return is_found;
}

static uint64_t version_bytes(const char *root, const struct version *version)
{
    struct mount mount;
    char group[PATH_MAX], folder[2 * PATH_MAX];
    const char *below = group;
    uint64_t least = UINT64_MAX;
    size_t top;

    if (!find_mount(root, version, &mount) || !find_group(root, version, group))
        return UINT64_MAX;
    top = strcmp(mount.top, "/") == 0 ? 0 : strlen(mount.top);
    if (strncmp(group, mount.top, top) == 0 && (group[top] == '/' || group[top] == '\0'))
        below += top;
    else
        below = ""; /* in a container that does not see its group's path, the mount is the group */
    snprintf(folder, sizeof folder, "%s%s", mount.folder, strcmp(below, "/") == 0 ? "" : below);
    for (;;) {
        const uint64_t left = left_bytes(root, folder, version);

        least = left < least ? left : least;
        if (strlen(folder) <= strlen(mount.folder))
            return least;
        *strrchr(folder, '/') = '\0'; /* the parent group */
    }
}

uint64_t memory_group_bytes(const char *root)
{
    const uint64_t one = version_bytes(root, &version_1), two = version_bytes(root, &version_2);

    return one < two ? one : two;
}
