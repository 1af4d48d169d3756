/* The file under another name, and its removal by a signal. */
#include "mesh/program/replace_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mesh/program/signals.h"

enum { ATTEMPTS = 100, LINKS_MAX = 40 /* in a row, as the kernel has it */ };

/* What a signal that ends the process removes first: one file at a time, and only where nobody else handles the signal. */
static char *volatile doomed;

static void remove_doomed(int number)
{
    unlink(doomed);
    raise(number); /* with its usual effect */
}

static void watch_signals(char *path)
{
    doomed = path;
    signals_catch(remove_doomed);
}

static void leave_signals(void)
{
    signals_reset(remove_doomed);
    doomed = NULL;
}

/* The path with the links of its folder resolved; NULL when there is no such folder. To be freed. */
static char *place_in_folder(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
    char *folder = slash == NULL ? strdup(".") : strndup(path, (size_t)(name - path));
    char *real = folder == NULL ? NULL : realpath(folder, NULL);
    char *place = NULL;

    if (real != NULL && asprintf(&place, "%s/%s", real, name) < 0)
        place = NULL;
    free(real);
    free(folder);
    return place;
}

/* Where a file of this name is or would be, by whichever links; NULL when there is no such folder, or the links have no end. To be
 * freed. */
static char *place_of(const char *path)
{
    char target[PATH_MAX], *joined, *place = place_in_folder(path);

    for (unsigned links = 0; place != NULL; links++) {
        const ssize_t size = readlink(place, target, sizeof target - 1);
        char *next = NULL;

        if (size < 0)
            return place;
        target[size] = '\0';
        if (links == LINKS_MAX)
            errno = ELOOP;
        else if (target[0] == '/')
            next = place_in_folder(target);
        else if (asprintf(&joined, "%.*s/%s", (int)(strrchr(place, '/') - place), place, target) >= 0) {
            next = place_in_folder(joined);
            free(joined);
        }
        free(place);
        place = next;
    }
    return NULL;
}

bool replace_file_is_same(const char *path, const char *other)
{
    struct stat a, b;
    const bool exists = stat(path, &a) == 0, other_exists = stat(other, &b) == 0;

    if (exists && other_exists)
        return S_ISREG(a.st_mode) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
    if (exists || other_exists)
        return false;

    char *place = place_of(path), *other_place = place_of(other);
    const bool is_same = place != NULL && other_place != NULL && strcmp(place, other_place) == 0;

    free(place);
    free(other_place);
    return is_same;
}

static void release(struct replace_file *file)
{
    if (file->temporary != NULL && file->temporary == doomed)
        leave_signals();
    free(file->path);
    free(file->temporary);
    *file = (struct replace_file){.descriptor = -1};
}

static int refuse_open(struct replace_file *file, const char *path, struct fail *fail)
{
    const int result = fail_set(fail, EXIT_ENVIRONMENT, "%s: cannot be written: %s: %s", path, strerror(errno),
                                fail_advice(errno, "choose another name or folder"));

    release(file);
    return result;
}

/* The file gets the mode of the one it replaces: no more than that when it is created, so that nobody can open it who must not read it;
 * and then exactly that, which the umask may have narrowed. Several names are tried: a killed process may have left its file, and in a
 * container the next process has the same number. */
static int open_temporary(struct replace_file *file, const struct stat *replaced)
{
    const mode_t mode = replaced != NULL ? replaced->st_mode & 0777 : 0666;
    int descriptor = -1;

    for (unsigned attempt = 0; attempt < ATTEMPTS && descriptor < 0; attempt++) {
        free(file->temporary);
        if (asprintf(&file->temporary, attempt == 0 ? "%s.tmp-%ld" : "%s.tmp-%ld-%u", file->path, (long)getpid(), attempt) < 0) {
            file->temporary = NULL;
            return -1;
        }
        descriptor = open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (descriptor < 0 && errno != EEXIST)
            return -1;
    }
    if (descriptor >= 0 && replaced != NULL)
        (void)fchmod(descriptor, mode); /* a file system without modes refuses this, and does not need it */
    return descriptor;
}

/* The path to write, where `path` leads to nothing. A link is followed, as > follows it, but not one that the kernel does not follow. */
static char *path_of_new(const char *path)
{
    const int why = errno; /* of stat */
    struct stat link;

    if (lstat(path, &link) < 0 || !S_ISLNK(link.st_mode))
        return strdup(path);
    errno = why;
    return why == ENOENT ? place_of(path) : NULL;
}

int replace_file_open(struct replace_file *file, const char *path, struct fail *fail)
{
    struct stat status;
    const bool exists = stat(path, &status) == 0, is_replaced = !exists || S_ISREG(status.st_mode);

    *file = (struct replace_file){.descriptor = -1};
    /* Where a pipe's name leads to, as that of /dev/stdout, is no path. */
    file->path = !exists ? path_of_new(path) : is_replaced ? realpath(path, NULL) : strdup(path);
    if (file->path == NULL)
        return refuse_open(file, path, fail);
    if (!is_replaced)
        file->descriptor = open(file->path, O_WRONLY | O_CLOEXEC);
    else
        file->descriptor = open_temporary(file, exists ? &status : NULL);
    if (file->descriptor < 0)
        return refuse_open(file, path, fail);
    if (file->temporary != NULL && doomed == NULL)
        watch_signals(file->temporary);
    return 0;
}

int replace_file_write(struct replace_file *file, const void *data, size_t size, struct fail *fail)
{
    const char *next = data;

    while (size > 0) {
        const ssize_t written = write(file->descriptor, next, size);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return fail_set(fail, EXIT_ENVIRONMENT, "%s: writing failed: %s: make room, or write to another disk", file->path,
                            strerror(errno));
        next += written;
        size -= (size_t)written;
    }
    return 0;
}

int replace_file_sync(struct replace_file *file, struct fail *fail)
{
    /* A file without a disk behind it says EINVAL. */
    if (fsync(file->descriptor) < 0 && errno != EINVAL && errno != ENOTSUP)
        return fail_set(fail, EXIT_ENVIRONMENT, "%s: writing failed: %s: make room, or write to another disk", file->path, strerror(errno));
    return 0;
}

int replace_file_commit(struct replace_file *file, struct fail *fail)
{
    int result = 0;

    if (close(file->descriptor) < 0)
        result =
            fail_set(fail, EXIT_ENVIRONMENT, "%s: writing failed: %s: make room, or write to another disk", file->path, strerror(errno));
    else if (file->temporary != NULL && rename(file->temporary, file->path) < 0)
        result = fail_set(fail, EXIT_ENVIRONMENT, "%s: cannot be replaced: %s: choose another name or folder", file->path, strerror(errno));
    if (result < 0 && file->temporary != NULL)
        unlink(file->temporary);
    release(file);
    return result;
}

void replace_file_abandon(struct replace_file *file)
{
    close(file->descriptor);
    if (file->temporary != NULL)
        unlink(file->temporary);
    release(file);
}

int replace_file_end(struct replace_file *file, int result, struct fail *fail)
{
    if (result == 0)
        return replace_file_commit(file, fail);
    replace_file_abandon(file);
    return result;
}
