/* The files of a recording: their names, that nobody else writes them, and the metadata that each gets. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "trace_parts.h"
#include "trace_recording.h"

enum { FILES_MAX = 100000, PAGE_BYTES = 32768, PATH_SHOWN = 80 /* in messages: its end */ };

/* "T.db", "T-2.db", "T-3.db", ...; NULL without memory. */
static char *path_of(const char *base, uint32_t number)
{
    const char *slash = strrchr(base, '/'), *name = slash != NULL ? slash + 1 : base, *dot = strrchr(name, '.');
    const size_t stem = dot != NULL && dot != name ? (size_t)(dot - base) : strlen(base);
    char *path = NULL;

    if (number == 1)
        return strdup(base);
    return asprintf(&path, "%.*s-%u%s", (int)stem, base, number, base + stem) < 0 ? NULL : path;
}

int mesh_recording_no_memory(const char *path, char reason[MESH_TRACE_REASON_BYTES])
{
    snprintf(reason, MESH_TRACE_REASON_BYTES, "%.120s: " TRACE_NO_MEMORY, path);
    return MESH_ENOMEM;
}

/* What is there under this name: 0: nothing, or a trace that is finished (*is_there); else why it stands in the way. */
static int look_at(const char *path, bool *is_there, char reason[MESH_TRACE_REASON_BYTES])
{
    char why[MESH_TRACE_REASON_BYTES];
    struct mesh_trace *trace = NULL;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe would wait for its other end */
    struct stat status;
    int err = 0;

    *is_there = fd >= 0 || errno != ENOENT;
    if (fd < 0)
        return 0; /* where it cannot be read, making it says why */
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size == 0) {
        close(fd);
        return 0; /* left by a recorder that was killed at once */
    }
    if (flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK) { /* some file systems have no such locks, so there is no guard */
        snprintf(reason, MESH_TRACE_REASON_BYTES, "%.120s: another process records into it: give another file", path);
        err = MESH_ESYSTEM;
    } else {
        err = mesh_trace_open(&trace, path, why);
        mesh_trace_close(trace);
        if (err == MESH_ETYPE)
            snprintf(reason, MESH_TRACE_REASON_BYTES, "%.80s: there already, and no trace: give another file", path);
        err = err == MESH_ETYPE ? err : 0; /* of another version, or damaged: it is left alone, too */
    }
    close(fd);
    return err;
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + (int64_t)now.tv_nsec;
}

/* SQLite does not look: it would read its own rows where there is nothing any more, and spoil the file with what it gets. */
static bool is_wal_whole(struct recording_file *file)
{
    struct stat status;
    char *name = NULL;

    if (file->trace->is_wal_lost || asprintf(&name, "%s-wal", file->path) < 0)
        return !file->trace->is_wal_lost;
    if (stat(name, &status) == 0) {
        file->trace->is_wal_lost = status.st_size < file->wal_bytes;
        file->wal_bytes = status.st_size;
    }
    free(name);
    return !file->trace->is_wal_lost;
}

/* Without room for the mark the file ends like that of a killed recorder: nothing can be said of what followed. */
void mesh_recording_file_end(struct recording_file *file, const char *next)
{
    const char *slash = next != NULL ? strrchr(next, '/') : NULL;

    if (file->trace != NULL && is_wal_whole(file))
        (void)mesh_trace_end_here(file->trace, now_ns(), slash != NULL ? slash + 1 : next);
}

static int create(struct recording_file *file, char *path, char reason[MESH_TRACE_REASON_BYTES])
{
    char why[MESH_TRACE_REASON_BYTES];
    struct mesh_trace *trace = NULL;
    const int err = mesh_trace_create_database(&trace, path, PAGE_BYTES, why);

    if (err != 0) {
        const size_t bytes = strlen(path);

        if (bytes > PATH_SHOWN)
            snprintf(reason, MESH_TRACE_REASON_BYTES, "...%s: %.110s", path + bytes - (PATH_SHOWN - 3), why);
        else
            snprintf(reason, MESH_TRACE_REASON_BYTES, "%s: %.110s", path, why);
        return err;
    }
    mesh_recording_file_end(file, path);
    mesh_trace_close(file->trace);
    free(file->path);
    file->trace = trace;
    file->path = path;
    file->wal_bytes = 0;
    return 0;
}

/* The first number from `from` on under which there is nothing. */
static int create_free(struct recording_file *file, uint32_t from, bool follows, char reason[MESH_TRACE_REASON_BYTES])
{
    for (uint32_t number = from; number < FILES_MAX; number++) {
        char *path = path_of(file->base, number);
        bool is_there;
        int err;

        if (path == NULL)
            return mesh_recording_no_memory(file->base, reason);
        err = look_at(path, &is_there, reason);
        if (err == 0 && !(is_there && follows)) {
            err = create(file, path, reason);
            if (err == 0) {
                file->number = number;
                return 0;
            }
        }
        free(path);
        if (err != 0)
            return err;
    }
    snprintf(reason, MESH_TRACE_REASON_BYTES, "%.80s: %d files are there already: remove some", file->base, FILES_MAX);
    return MESH_ESYSTEM;
}

int mesh_recording_file_open(struct recording_file *file, const char *base, bool follows, char reason[MESH_TRACE_REASON_BYTES])
{
    *file = (struct recording_file){.base = strdup(base)};
    const int err = file->base == NULL ? mesh_recording_no_memory(base, reason) : create_free(file, 1, follows, reason);

    if (err != 0)
        mesh_recording_file_close(file);
    return err;
}

int mesh_recording_file_next(struct recording_file *file, char reason[MESH_TRACE_REASON_BYTES])
{
    return create_free(file, file->number + 1, true, reason);
}

/* SQLite would go on writing to a file that nobody can find any more. */
int mesh_recording_file_check(struct recording_file *file)
{
    int has_moved = 0;

    if (!is_wal_whole(file))
        return mesh_trace_fail(file->trace, MESH_ESYSTEM,
                               "its -wal was emptied or cut, and with it what was not in the file yet: begin another recording");
    if (sqlite3_file_control(file->trace->db, "main", SQLITE_FCNTL_HAS_MOVED, &has_moved) != SQLITE_OK || !has_moved)
        return 0;
    return mesh_trace_fail(file->trace, MESH_ESYSTEM, "the file was removed, renamed or replaced: put it back, or begin another recording");
}

bool mesh_recording_keep_meta(struct recording_store *store, const char *key, const char *value)
{
    struct recording_meta made;
    unsigned i = 0;

    while (i < store->meta_count && strcmp(store->meta[i].key, key) != 0)
        i++;
    if (i == MESH_RECORDING_META_MAX)
        return true;
    made = (struct recording_meta){strdup(key), strdup(value)};
    if (made.key == NULL || made.value == NULL) {
        free(made.key);
        free(made.value);
        return false;
    }
    if (i < store->meta_count) {
        free(store->meta[i].key);
        free(store->meta[i].value);
    } else {
        store->meta_count++;
    }
    store->meta[i] = made;
    return true;
}

void mesh_recording_file_close(struct recording_file *file)
{
    if (file->trace != NULL)
        (void)is_wal_whole(file);
    mesh_trace_close(file->trace);
    free(file->path);
    free(file->base);
    *file = (struct recording_file){0};
}
