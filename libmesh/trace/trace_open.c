/* Opening a trace for reading: a file that is no trace is refused; a trace is not changed, and nothing is left beside it. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mesh/program/fail_advice.h"
#include "trace_parts.h"

enum { SQLITE_HEADER_BYTES = 100 };

/* Size of the -wal beside it; -1: there is none. */
static int64_t wal_bytes(const char *path)
{
    char name[PATH_MAX];
    struct stat status;

    return (size_t)snprintf(name, sizeof name, "%s-wal", path) < sizeof name && stat(name, &status) == 0 ? (int64_t)status.st_size : -1;
}

static int check_kind(struct mesh_trace *trace)
{
    int64_t application = 0, version = 0;
    int err = mesh_trace_number(trace, "PRAGMA application_id", &application);

    err = err ? err : mesh_trace_number(trace, "PRAGMA user_version", &version);
    if (err != 0)
        return err;
    if (application != MESH_TRACE_APPLICATION_ID) {
        return mesh_trace_fail(trace, MESH_ETYPE,
                               "an SQLite file of another program (application_id %lld): give a trace that mesh-node --record or "
                               "mesh-dissect --import wrote",
                               (long long)application);
    }
    if (version == 0 && wal_bytes(trace->path) == 0) {
        return mesh_trace_fail(
            trace, MESH_ETRUNCATED,
            "nothing is stored in it, and what was recorded was in the file beside it, with -wal, which was emptied: record again");
    }
    if (version == 0 && wal_bytes(trace->path) > 0) {
        return mesh_trace_fail(trace, MESH_ETRUNCATED,
                               "nothing in it can be read: what was recorded is in the file beside it, with -wal, which is damaged or cut "
                               "at its beginning, as by a power failure: copy both again, or leave this file out");
    }
    if (version == 0) {
        return mesh_trace_fail(
            trace, MESH_ETRUNCATED,
            "nothing is stored in it yet: what a killed recorder has stored is beside it, in a file of the same name with -wal: "
            "copy both");
    }
    if (version < MESH_TRACE_SCHEMA_MIN || version > MESH_TRACE_SCHEMA) {
        return mesh_trace_fail(trace, MESH_EVERSION,
                               "a trace of schema %lld, and this program knows %d to %d: use the version that wrote it", (long long)version,
                               MESH_TRACE_SCHEMA_MIN, MESH_TRACE_SCHEMA);
    }
    trace->schema = (int)version;
    return 0;
}

int mesh_trace_schema(const struct mesh_trace *trace)
{
    return trace->schema;
}

int mesh_trace_check_table(struct mesh_trace *trace, const char *table, bool *is_table)
{
    int64_t count = 0;
    char *sql =
        sqlite3_mprintf("SELECT count(*) FROM main.sqlite_schema WHERE name = %Q AND type = 'table' AND sql LIKE 'CREATE TABLE %%'", table);
    const int err = sql ? mesh_trace_number(trace, sql, &count) : mesh_trace_no_memory(trace);

    sqlite3_free(sql);
    if (err == 0)
        *is_table = count == 1;
    return err;
}

static int check_schema(struct mesh_trace *trace, const char *table)
{
    bool is_table = false;
    const int err = mesh_trace_check_table(trace, table, &is_table);

    return err == 0 && !is_table ? mesh_trace_fail(trace, MESH_ETRUNCATED, "%s is no table: the file is damaged, or made by hand", table)
                                 : err;
}

static int check_triggers(struct mesh_trace *trace)
{
    int64_t count = 0;
    const int err = mesh_trace_number(trace, "SELECT count(*) FROM main.sqlite_schema WHERE type = 'trigger'", &count);

    return err == 0 && count > 0 ? mesh_trace_fail(trace, MESH_ETRUNCATED, "there are triggers: the file is damaged, or made by hand")
                                 : err;
}

static int check_tables(struct mesh_trace *trace)
{
    int err = check_triggers(trace);

    err = err ? err : check_schema(trace, "meta");
    for (unsigned i = 0; i < MESH_TRACE_TABLE_COUNT && err == 0; i++) {
        sqlite3_stmt *statement = NULL;

        err = check_schema(trace, mesh_trace_tables[i].name);
        err = err ? err : mesh_trace_prepare(trace, &statement, mesh_trace_select_sql(&mesh_trace_tables[i], "LIMIT 0"));
        sqlite3_finalize(statement);
    }
    return err;
}

static int say_errno(char reason[MESH_TRACE_REASON_BYTES])
{
    snprintf(reason, MESH_TRACE_REASON_BYTES, "%s: %s", strerror(errno), fail_advice(errno, "give a trace that can be read"));
    return MESH_ESYSTEM;
}

/* SQLite would not say which of its many reasons applies, and would wait for a pipe's other end. */
static int check_file(const char *path, char reason[MESH_TRACE_REASON_BYTES])
{
    struct stat status;

    if (stat(path, &status) != 0 || access(path, R_OK) != 0)
        return say_errno(reason);
    if (!S_ISREG(status.st_mode)) {
        snprintf(reason, MESH_TRACE_REASON_BYTES, "no file, but a folder, device or pipe: give a trace");
        return MESH_ETYPE;
    }
    if (status.st_size == 0) {
        snprintf(reason, MESH_TRACE_REASON_BYTES, "empty: nothing was recorded, or the recorder was killed at once");
        return MESH_ETYPE;
    }
    if (status.st_size < SQLITE_HEADER_BYTES) { /* SQLite would take it for an empty database */
        snprintf(reason, MESH_TRACE_REASON_BYTES,
                 "not an SQLite file, with its %lld bytes: give a trace that mesh-node --record or mesh-dissect --import wrote",
                 (long long)status.st_size);
        return MESH_ETYPE;
    }
    return 0;
}

/* ---- without a trace of the reading ---- */

enum how {
    HOW_SHARED,    /* as SQLite reads a file that others may be writing */
    HOW_IMMUTABLE, /* of a file alone, which nobody writes: no locks, no file beside it */
    HOW_UNSHARED   /* the same with the -wal that a killed writer has left: its index is in memory, and not in a new file beside it */
};

/* Only a file in WAL mode would get others beside it when it is read. */
static enum how choose(const char *path, int fd, bool *is_live)
{
    enum { WRITE_VERSION_AT = 18, HEAD_BYTES = 20, WAL_VERSION = 2 };
    uint8_t head[HEAD_BYTES];

    *is_live = false;
    if (pread(fd, head, sizeof head, 0) != sizeof head || head[WRITE_VERSION_AT] != WAL_VERSION)
        return HOW_SHARED;
    if (flock(fd, LOCK_SH | LOCK_NB) != 0) {
        *is_live = errno == EWOULDBLOCK; /* some file systems have no such locks */
        return HOW_SHARED;
    }
    (void)flock(fd, LOCK_UN);
    return wal_bytes(path) > 0 ? HOW_UNSHARED : HOW_IMMUTABLE;
}

/* A file: URI; sqlite3_free. mode=ro holds for the trace alone: a database attached to it may be written. */
static char *uri_of(const char *path, bool is_immutable)
{
    static const char digits[] = "0123456789abcdef";
    sqlite3_str *uri = sqlite3_str_new(NULL);

    sqlite3_str_appendall(uri, path[0] == '/' ? "file://" : "file:./");
    for (const char *at = path; *at != '\0'; at++) {
        const unsigned char byte = (unsigned char)*at;

        if (strchr("%?#", byte)) {
            const char escaped[] = {'%', digits[byte >> 4], digits[byte & 15], '\0'};

            sqlite3_str_appendall(uri, escaped);
        } else {
            sqlite3_str_appendchar(uri, 1, *at);
        }
    }
    sqlite3_str_appendall(uri, is_immutable ? "?mode=ro&immutable=1" : "?mode=ro");
    return sqlite3_str_finish(uri);
}

static int open_as(struct mesh_trace **trace, const char *path, enum how how, char reason[MESH_TRACE_REASON_BYTES])
{
    char *uri = uri_of(path, how == HOW_IMMUTABLE);
    int err;

    if (!uri) {
        snprintf(reason, MESH_TRACE_REASON_BYTES, TRACE_NO_MEMORY);
        return MESH_ENOMEM;
    }
    err = mesh_trace_open_database(trace, path, uri, SQLITE_OPEN_READWRITE | SQLITE_OPEN_URI, how == HOW_UNSHARED ? "unix-none" : NULL,
                                   reason);
    sqlite3_free(uri);
    if (err == 0 && how == HOW_UNSHARED) {
        sqlite3_db_config((*trace)->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        sqlite3_exec((*trace)->db, "PRAGMA main.locking_mode=EXCLUSIVE", NULL, NULL, NULL);
    }
    return err;
}

int mesh_trace_open(struct mesh_trace **trace, const char *path, char reason[MESH_TRACE_REASON_BYTES])
{
    int err = check_file(path, reason), fd;
    bool is_live = false;

    *trace = NULL;
    if (err != 0)
        return err;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    err = fd < 0 ? say_errno(reason) : open_as(trace, path, choose(path, fd, &is_live), reason);
    if (err != 0) {
        if (fd >= 0)
            close(fd);
        return err;
    }
    assert(*trace);
    (*trace)->file = fd;
    (*trace)->is_live = is_live;
    err = check_kind(*trace);
    err = err ? err : check_tables(*trace);
    if (err != 0) {
        snprintf(reason, MESH_TRACE_REASON_BYTES, "%s", (*trace)->reason);
        mesh_trace_close(*trace);
        *trace = NULL;
    }
    return err;
}
